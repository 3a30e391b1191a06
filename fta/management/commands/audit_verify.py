"""manage.py audit_verify: walk the audit chain, name the first row that was touched, and compare it with signed heads."""

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from fta import audit
from fta.models import AuditEntry


class Command(BaseCommand):
    help = (
        "Verify the audit trail's hash chain. Exit 1 names the first bad row. Rows cut off at the end leave a chain that holds: "
        "the head that the engine keeps (AUDIT_HEAD_FILE) shows the cut, and so do heads that were taken to another machine."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--head-file", type=Path, metavar="FILE", help="a signed head that must still be in the chain"
        )
        parser.add_argument(
            "--write-head", type=Path, metavar="FILE", help="write the signed head; one that is there is verified first"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        bad = audit.verify()
        if bad is not None:
            self._fail(f"broken at entry {bad.pk}: {bad.verb} {bad.object_type} {bad.object_id} by {bad.actor}")
        kept = Path(settings.FTA_AUDIT_HEAD) if settings.FTA_AUDIT_HEAD else None
        if kept and kept.exists():
            self._check(kept, strict=False)
        if options["head_file"]:
            self._check(options["head_file"])
        if options["write_head"]:
            self._write(options["write_head"])
        self.stdout.write(f"ok: {AuditEntry.objects.count()} entries, head {audit.head()}")

    def _check(self, path: Path, *, strict: bool = True) -> None:
        try:
            audit.check_head(audit.Head.read(path.read_text(encoding="utf-8", errors="replace")))
        except audit.HeadRefused as refused:
            if strict or not isinstance(refused, audit.OtherDatabase):
                self._fail(f"{path}: {refused}")
            self.stdout.write(f"not compared with {path}: {refused}")  # the engine keeps it aside, and tells people
        except OSError as error:
            raise CommandError(f"Unable to read {path}: {error}") from error

    def _write(self, path: Path) -> None:
        try:
            audit.keep_head(path, timezone.now())
        except audit.HeadRefused as refused:
            self._fail(f"{path}: {refused}")
        except OSError as error:
            raise CommandError(f"Unable to write {path}: {error}") from error

    def _fail(self, text: str) -> None:
        self.stdout.write(text)
        sys.exit(1)
