"""manage.py wecom_simulator of a portal without the simulator: says how to get it.

Where the simulator is installed, its own command of this name goes before this one.
"""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

HOW = "The simulator is not installed in this portal. Set WECOM_SIMULATOR=1 and run the command again; keep it unset in production."


class Command(BaseCommand):
    help = "Run a stand-in for the WeCom server; needs WECOM_SIMULATOR=1."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """Refuse before the options are read: they are those of the command that is missing."""
        self.stderr.write(self.style.ERROR(HOW))
        sys.exit(1)

    def handle(self, *args: Any, **options: Any) -> None:
        raise CommandError(HOW)
