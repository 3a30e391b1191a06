"""manage.py reseal: seal every stored secret anew with the first key of FTA_SECRET_KEYS, so that older keys can be dropped."""

import sys
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand
from django.db.models import TextField, Value
from django.db.models.functions import Substr

from fta import audit
from fta.lib.fields import SealedTextField
from fta.lib.secrets import PREFIX, SealBroken, key_ids, seal, unseal


class Command(BaseCommand):
    help = (
        "Seal every stored secret anew with the first key of FTA_SECRET_KEYS; what has that seal stays as it is. "
        "Exit 1 names each secret that no configured key opens: put its key back, or enter the secret again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        fields = [field for model in apps.get_models() for field in model._meta.concrete_fields]
        done = broken = 0
        for field in fields:
            if isinstance(field, SealedTextField):
                anew, failed = self._reseal(field)
                done, broken = done + anew, broken + failed
        if done:
            audit.record("system", "secrets.reseal", ("fta.secrets", ""), count=done, key=key_ids()[0])
        self.stdout.write(f"{done} sealed anew with key {key_ids()[0]}, {broken} cannot be opened")
        if broken:
            sys.exit(1)

    def _reseal(self, field: SealedTextField) -> tuple[int, int]:
        """Seal the values of one column anew; return how many were, and how many no key opens."""
        raw = Substr(field.name, 1, output_field=TextField())
        rows = field.model._default_manager.annotate(raw=raw).exclude(raw="")
        old = list(rows.exclude(raw__startswith=f"{PREFIX}:{key_ids()[0]}:").order_by("pk").values_list("pk", "raw"))
        done = broken = 0
        for pk, sealed in old:
            try:
                fresh = seal(unseal(sealed, field.context), field.context)
            except SealBroken as error:
                broken += 1
                self.stdout.write(f"{field.context} of row {pk}: {error}")
                continue
            # Whoever changed the value in between has sealed it with the first key already.
            value = Value(fresh, output_field=TextField())
            done += rows.filter(pk=pk, raw=sealed).update(**{field.name: value})
        if old or rows.exists():
            self.stdout.write(f"{field.context}: {done} of {rows.count()} sealed anew")
        return done, broken
