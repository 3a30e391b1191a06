"""manage.py export_config: print the configuration as YAML that apply_config takes."""

from typing import Any

from django.core.management.base import BaseCommand

from fta.config.document import export


class Command(BaseCommand):
    help = "Print the configuration as YAML; secrets are left out."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(export(), ending="")
