"""The card of a package that says how far it may go by itself, how well it did, and lets its owners set it."""

from datetime import timedelta
from typing import Any

from django import forms
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from fta.models import Execution, Package
from fta.operations.promotion import reachable
from fta.web.actions import ReasonForm
from fta.web.figures import JUDGED, Share

LOOKED_BACK = timedelta(days=30)


class ModeForm(ReasonForm):
    """The next mode, and why."""

    mode = forms.ChoiceField(label=_("改为"))

    def __init__(self, package: Package, data: Any = None) -> None:
        super().__init__(data, auto_id="mode-%s")
        self.order_fields(["mode", "reason"])
        field = self.fields["mode"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - narrows the type
        choices = [(mode.value, mode.label) for mode in reachable(package.mode)]
        field.choices = choices[::-1]  # the step forward first


def card(package: Package, user: Any, mine: bool) -> dict[str, Any]:
    """Return what the card shows to this user; no form for somebody who may not set it."""
    runs = Execution.objects.visible_to(user).filter(package=package, received_at__gte=timezone.now() - LOOKED_BACK)
    judged = runs.filter(healed__in=JUDGED).aggregate(part=Count("pk", filter=Q(healed="healed")), whole=Count("pk"))
    rehearsed = runs.filter(state=Execution.State.SHADOWED, requested_by=None).count()
    return {"mode_form": ModeForm(package) if mine else None, "verified": Share(**judged), "rehearsed": rehearsed}
