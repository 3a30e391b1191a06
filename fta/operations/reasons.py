"""Every verb that changes the course of healing asks for a reason."""

from django.utils.translation import gettext as _


class ReasonMissing(ValueError):
    """A reason must be given."""

    def __init__(self) -> None:
        super().__init__(_("请填写原因"))


def checked(reason: str) -> str:
    """Return the reason without blanks around it. Raises ReasonMissing for an empty one."""
    reason = reason.strip()
    if not reason:
        raise ReasonMissing
    return reason
