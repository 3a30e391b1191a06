"""manage.py apply_config FILE [--dry-run]: make the portal's configuration what one YAML file says."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from fta.config.document import InvalidConfiguration, apply


class Command(BaseCommand):
    help = "Apply a configuration file. Idempotent; --dry-run shows what would change and changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="the YAML file, or - for standard input")
        parser.add_argument("--dry-run", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["file"]
        try:
            text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{name}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"{name}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
        try:
            run = apply(text, actor="apply_config", now=timezone.now(), dry_run=options["dry_run"])
        except InvalidConfiguration as error:
            raise CommandError("nothing was applied\n  " + "\n  ".join(error.errors)) from error
        for warning in run.warnings:
            self.stderr.write(self.style.WARNING(f"warning: {warning}"))
        for change in run.changes:
            self.stdout.write(change)
        word = "would change" if options["dry_run"] else "changed"
        self.stdout.write(f"{len(run.changes)} {word}")
