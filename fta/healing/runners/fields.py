"""The parameters of a node type as its author is asked for them. Forms, the list of known names and the docs come from here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from django.utils.functional import Promise

Kind = Literal[
    "line",  # text of one line
    "text",  # text of several lines
    "script",  # text of several lines, kept to the letter
    "integer",
    "duration",  # seconds, or 30s, 5m, 1h
    "flag",  # true, or absent
    "choice",  # one of `choices`; absent stands for the type's default
    "policy",  # the name of an approval policy
    "package",  # the key of another package, which then cannot be archived
    "channels",  # a list of names of channels
    "texts",  # a list of texts
    "numbers",  # a list of whole numbers
    "values",  # a mapping of names to texts, numbers and booleans
    "headers",  # a mapping of names to texts
    "body",  # a mapping, a list or a text
    "mapping",  # a mapping of any depth
]


@dataclass(frozen=True)
class Field:
    """One parameter. `name` may be `outer.inner` for a key of a mapping; what a value must be is the type's `validate` to say."""

    name: str
    label: str | Promise
    kind: Kind = "line"
    help: str | Promise = ""
    required: bool = False  # said in the docs and the form; judged by `validate`
    choices: Sequence[tuple[str, str | Promise]] = ()
    more: bool = False  # seldom needed: the form folds it away


class Fault(NamedTuple):
    """What is wrong with one parameter, in words for the package's author."""

    field: str  # the name of the parameter, or of its field; '' for all of them
    message: str
