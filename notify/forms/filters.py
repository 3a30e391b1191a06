"""What the list of deliveries may be narrowed by."""

import json

from django import forms
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from fta.web.filters import ANY, FilterForm
from notify.messages import EVENTS
from notify.models import Channel, Delivery


class DeliveryFilter(FilterForm):
    """Deliveries by channel, event, state, and execution number or receiver."""

    LOOKUPS = {"channel": "channel", "event": "event", "state": "state"}

    channel = forms.TypedChoiceField(label=_("通知服务"), required=False, coerce=int, empty_value=None)
    event = forms.ChoiceField(label=_("事件"), required=False, choices=[ANY, *EVENTS.items()])
    state = forms.ChoiceField(label=_("状态"), required=False, choices=[ANY, *Delivery.State.choices])
    q = forms.CharField(label=_("收件人、执行号"), required=False, max_length=64)

    def prepare(self) -> None:
        self._offer("channel", [(row.pk, row.name) for row in Channel.objects.all()[:200]])

    def search(self, text: str) -> Q:
        number = text.lstrip("#")
        if number.isascii() and number.isdecimal() and len(number) < 18:
            return Q(execution=int(number))
        if not text:
            return Q()
        # SQLite keeps JSON as it was written, with Chinese names escaped.
        return Q(recipients__icontains=text) | Q(recipients__icontains=json.dumps(text).strip('"'))
