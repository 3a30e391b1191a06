"""What a page says when an operator's act cannot be done: one place maps the conditions to words."""

from django.utils.translation import gettext as _

from fta.models.engine import NotInState
from fta.operations import InvalidSwitch, NotInForce, NotPromotable, NotRetryable, PlaceTaken, ReasonMissing

TOLD = (NotPromotable, NotRetryable, PlaceTaken, ReasonMissing, InvalidSwitch, NotInForce)  # their text is for people
REFUSALS = (NotInState, *TOLD)


def words_of(error: Exception) -> str:
    """Return why nothing was done, and how things stand."""
    if isinstance(error, TOLD) and str(error):
        return str(error)
    return _("状态已经变了，这次操作没有生效。请看现在的状态再决定。")
