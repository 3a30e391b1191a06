"""The parameters of a node as form fields, built from what its type declares; what they cannot show is kept as YAML in `extra`."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.healing.runners import RUNNERS
from fta.healing.runners.fields import Field
from fta.lib.types import JSONDict
from fta.web import choices
from fta.web.forms import fields as f

_EMPTY: tuple[Any, ...] = (None, "", [], {})


class ParamsForm(forms.Form):
    """A node's params. Fields bear the names of the params; the type's own checks come with the whole package."""

    declared: Mapping[str, Field] = {}

    extra = f.YamlField(label=gettext_lazy("其他参数（YAML）"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, each in self.declared.items():
            if each.kind in _OFFERED:
                stored = (
                    None if self.is_bound else self[name].value()
                )  # kept on offer, so that the author sees what is gone
                self.fields[name].choices = _OFFERED[each.kind](stored)  # type: ignore[attr-defined]

    @classmethod
    def initial_of(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the initial values of the fields for stored params."""
        shown: dict[str, Any] = {}
        rest: dict[str, Any] = {}
        for name, value in params.items():
            found = cls._shown(name, value)
            shown |= found or {}
            rest |= {name: value} if found is None else {}
        return {**shown, "extra": rest}

    @classmethod
    def _shown(cls, name: str, value: Any) -> dict[str, Any] | None:
        """Return one parameter as values of fields, or None when the fields cannot show all of it."""
        inner = {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, Mapping) else {}
        found = {name: value} if name in cls.declared else inner
        return found if found and all(cls._shows(each, item) for each, item in found.items()) else None

    @classmethod
    def _shows(cls, name: str, value: Any) -> bool:
        field: Any = cls.base_fields.get(name) if name in cls.declared else None
        if hasattr(field, "can_show"):
            return bool(field.can_show(value))
        if isinstance(field, forms.IntegerField):
            return type(value) is int
        if isinstance(field, forms.ChoiceField):
            return value != "" and field.valid_value(value)
        return field is not None and isinstance(value, str) and value == value.strip() and not set(value) & set("\r\n")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        filled = {name.partition(".")[0] for name, value in data.items() if value not in _EMPTY and name != "extra"}
        for name in data.get("extra") or {}:
            if name in filled:
                self.add_error("extra", _("%(name)s 已在上面填写，只留一处") % {"name": name})
        return data

    def params(self) -> JSONDict:
        """Return the params of the fields that are well filled."""
        found: JSONDict = {}
        for name in self.declared:
            value = self.cleaned_data.get(name)
            if value in _EMPTY:
                continue
            outer, _dot, inner = name.rpartition(".")
            if outer:
                within = found.setdefault(outer, {})
                assert isinstance(within, dict)  # noqa: S101 - no type declares both `a` and `a.b`
                within[inner] = value
            else:
                found[name] = value
        return {**found, **(self.cleaned_data.get("extra") or {})}

    def main(self) -> list[forms.BoundField]:
        """Return the fields that are always shown."""
        return [self[name] for name, each in self.declared.items() if not each.more]

    def more(self) -> list[forms.BoundField]:
        """Return the fields that are folded away."""
        return [self[name] for name, each in self.declared.items() if each.more] + [self["extra"]]

    def more_in_use(self) -> bool:
        """Tell whether a folded field has a value or an error."""
        return any(field.value() or (self.is_bound and field.errors) for field in self.more())


def _choice(field: Field, **shared: Any) -> forms.Field:
    offered = field.choices if any(value == "" for value, _label in field.choices) else [("", "—"), *field.choices]
    return forms.ChoiceField(choices=offered, **shared)


_BUILD: Mapping[str, Callable[..., forms.Field]] = {
    "line": lambda field, **shared: forms.CharField(**shared),
    "text": lambda field, **shared: f.TextField(**shared),
    "script": lambda field, **shared: f.ScriptField(**shared),
    "integer": lambda field, **shared: forms.IntegerField(**shared),
    "duration": lambda field, **shared: f.DurationField(**shared),
    "flag": lambda field, **shared: f.FlagField(**shared),
    "choice": _choice,
    "policy": lambda field, **shared: f.OfferedField(**shared),
    "package": lambda field, **shared: forms.CharField(**shared),
    "channels": lambda field, **shared: f.OfferedListField(**shared),
    "texts": lambda field, **shared: f.CommaField(**shared),
    "numbers": lambda field, **shared: f.NumbersField(**shared),
    "values": lambda field, **shared: f.PairsField(typed=True, **shared),
    "headers": lambda field, **shared: f.PairsField(sign=":", rows=2, **shared),
    "body": lambda field, **shared: f.AnyYamlField(**shared),
    "mapping": lambda field, **shared: f.YamlField(**shared),
}


def _channels(stored: Any) -> list[tuple[str, Any]]:
    return [(name, name) for name in dict.fromkeys([*choices.channels(), *(stored or [])])]


_OFFERED: Mapping[str, Callable[[Any], list[tuple[str, Any]]]] = {
    "policy": lambda stored: choices.policies(str(stored or "")),
    "channels": _channels,
}


@cache
def form_of(kind: str) -> type[ParamsForm]:
    """Return the form of a node type; a type that is not known has its params as YAML."""
    runner = RUNNERS.get(kind)
    declared = {each.name: each for each in runner.fields} if runner else {}
    literal = runner.literal if runner else frozenset()
    built = {name: _field(each, name.partition(".")[0] in literal) for name, each in declared.items()}
    return type("ParamsForm", (ParamsForm,), {**built, "declared": declared})


def _field(field: Field, literal: bool) -> forms.Field:
    built = _BUILD[field.kind](field, label=field.label, help_text=field.help, required=False)
    if not literal:
        built.widget.attrs["data-variables"] = "true"  # what is typed here may hold ${…}: the editor offers names
    return built
