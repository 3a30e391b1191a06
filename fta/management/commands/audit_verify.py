"""manage.py audit_verify: walk the audit chain and name the first row that was touched."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from fta import audit
from fta.models import AuditEntry


class Command(BaseCommand):
    help = "Verify the audit trail's hash chain. Exit 1 names the first bad row."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--head", default="", help="a head hash kept elsewhere, which must still be in the chain")

    def handle(self, *args: Any, **options: Any) -> None:
        bad = audit.verify()
        if bad is not None:
            self.stdout.write(f"broken at entry {bad.pk}: {bad.verb} {bad.object_type} {bad.object_id} by {bad.actor}")
            sys.exit(1)
        kept = options["head"]
        if kept and kept != audit.GENESIS and not AuditEntry.objects.filter(row_hash=kept).exists():
            self.stdout.write("the kept head is no longer in the chain: entries were cut off")
            sys.exit(1)
        self.stdout.write(f"ok: {AuditEntry.objects.count()} entries, head {audit.head()}")
