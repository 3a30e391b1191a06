"""The signed head of the audit chain, kept in a file outside the database: whoever cuts the newest rows off cannot hide it."""

import logging
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from fta import audit, signals
from fta.models.engine import ConfigVersion

logger = logging.getLogger(__name__)

EVERY = timedelta(minutes=10)
_MARK = "audit_head"


class AuditHeadKind:
    """Due every ten minutes, in one process; AUDIT_HEAD_FILE names the file, which is left alone once it does not fit."""

    name = "audit_head"
    lane = "ingest"

    def due(self, limit: int, now: datetime) -> list[int]:
        turn = int(now.timestamp() // EVERY.total_seconds())
        return [turn] if settings.FTA_AUDIT_HEAD and ConfigVersion.current(_MARK) < turn else []

    def do(self, pk: int) -> None:
        ConfigVersion.objects.get_or_create(kind=_MARK)
        if ConfigVersion.objects.filter(kind=_MARK, number__lt=pk).update(number=pk) != 1:
            return
        path = Path(settings.FTA_AUDIT_HEAD)
        try:
            kept = audit.keep_head(path, timezone.now())
        except audit.OtherDatabase as other:
            self._begin_anew(path, other)
        except audit.HeadRefused as refused:
            logger.critical("The audit trail does not fit the head in %s: %s", path, refused)
            self._tell(
                _("审计记录与 %(path)s 里签过名的链尾对不上，可能被删改过：%(why)s") % {"path": path, "why": refused}
            )
        except OSError as error:
            logger.warning("Unable to keep the audit head: %s", error)
            self._tell(_("无法写入审计链尾 %(path)s：%(why)s") % {"path": path, "why": error})
        else:
            # A log that leaves the machine takes the head along.
            logger.info("Audit head %s", kept.text().strip())

    def _begin_anew(self, path: Path, other: audit.OtherDatabase) -> None:
        """Keep the other database's head aside: a person must hear of it, as a cut trail could hide behind a new database."""
        try:
            aside = audit.begin_head(path, timezone.now(), other)
        except OSError as error:
            self._tell(_("无法写入审计链尾 %(path)s：%(why)s") % {"path": path, "why": error})
            return
        logger.warning("A new audit head begins: %s; the old one is kept in %s", other, aside)
        told = {"path": path, "aside": aside.name}
        self._tell(
            _(
                "数据库换过：%(path)s 是另一个数据库的审计链尾，已另存为 %(aside)s，重新开始留存。如非人为更换，请马上核对"
            )
            % told
        )

    def _tell(self, text: str) -> None:
        signals.announce(signals.system_fault, text=text, subject="audit")
