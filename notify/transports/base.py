"""What every transport is: one class above this floor or in it, named in NOTIFY_TRANSPORTS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.utils.functional import Promise

from notify.message import Message
from notify.models import Delivery
from notify.transports.fields import Field

NOT_SENT, REFUSED, UNKNOWN = "not_sent", "refused", "unknown"


@dataclass(frozen=True)
class Receipt:
    """What the far side gave. `request` and `answer` are shown to people: secrets must be blanked out already.

    `note` is set when the message went out, but not to everybody ("李雷 不在应用可见范围内"); `missed` names by their WeCom
    accounts those who did not get it, and None where the far side does not say. `remedy` says what to do about it, and `fault`
    what administrators must hear: whole groups that the channel names and that get nothing by it.
    """

    provider: Mapping[str, Any] = field(default_factory=dict)
    request: str = ""
    answer: str = ""
    note: str = ""
    missed: Sequence[str] | None = None
    remedy: str = ""
    fault: str = ""


class TransportError(Exception):
    """A message that did not get through, or may not have.

    `text` says in Chinese what happened and `remedy` what to do about it. `retry_after` is in seconds, where the far
    side says how long it refuses; such a try does not count, and what else goes that way waits along unless it is `alone`.
    `max_tries` lowers the usual number of tries. `nobody` tells that the far side knows none of the receivers.
    """

    outcome = UNKNOWN

    def __init__(
        self,
        text: str,
        *,
        code: str = "",
        remedy: str = "",
        retry_after: float | None = None,
        alone: bool = False,
        max_tries: int | None = None,
        nobody: bool = False,
        request: str = "",
        answer: str = "",
    ) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.remedy = remedy
        self.retry_after = retry_after
        self.alone = alone
        self.max_tries = max_tries
        self.nobody = nobody
        self.request = request
        self.answer = answer


class NotSent(TransportError):
    """Nothing reached the far side: trying again is always right."""

    outcome = NOT_SENT


class Refused(TransportError):
    """The far side answered no, and would again."""

    outcome = REFUSED


class OutcomeUnknown(TransportError):
    """It was sent, but no answer tells whether it arrived: tried again only where a second copy is harmless."""

    outcome = UNKNOWN


@dataclass(frozen=True)
class Action:
    """Something that a channel of this kind can do besides sending, as a button on its page."""

    name: str
    label: str | Promise
    help: str | Promise = ""


@dataclass(frozen=True)
class Acted:
    """What an action did, in words, and the configuration that the channel has from now on."""

    config: Mapping[str, Any]
    said: str


class Acting(Protocol):
    """What a transport that has actions is besides; most have none."""

    actions: Sequence[Action]

    def act(self, name: str, action: str, config: Mapping[str, Any]) -> Acted:
        """Do it for a channel of this name and configuration. Raises NotSent, Refused or OutcomeUnknown."""


class Splitting(Protocol):
    """What a transport that sends one message as several is besides; the limits of the far side count each of them."""

    def parts(self, delivery: Delivery, message: Message) -> int:
        """Return as how many messages this one is sent; nothing is asked of the far side."""


class Transport(Protocol):
    """How the messages of one channel kind travel."""

    label: str | Promise  # the kind's name for people
    fields: Sequence[Field]
    # Whether the far side drops a second copy of the same message (or a second copy harms nobody).
    idempotent: bool

    def send(self, delivery: Delivery, message: Message) -> Receipt:
        """Send once, without retries; raises NotSent, Refused or OutcomeUnknown."""

    def validate(self, config: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """Check a channel's configuration; return (field, Chinese message) for everything that is wrong.

        What is declared is checked already: that nothing required lacks, the values' shapes and the choices.
        """
