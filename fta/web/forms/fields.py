"""Form fields for values that have a shape: lists, mappings and YAML, each shown as text that a person can write."""

import json
from collections.abc import Mapping
from typing import Any

import yaml
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

MAX_YAML = 64 * 1024  # characters


def _area(rows: int = 3, **attrs: str) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows, "spellcheck": "false", "class": "f-mono", **attrs})


class YamlField(forms.CharField):
    """A mapping written as YAML; empty is {}. Aliases are refused: a few lines of them can grow beyond any memory."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("required", False)
        kwargs.setdefault("max_length", MAX_YAML)
        super().__init__(widget=_area(4), strip=False, **kwargs)  # the last line end may be a part of the last value

    def prepare_value(self, value: Any) -> Any:
        return yaml_text(value) if isinstance(value, Mapping | list) else value

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return read_yaml(text) if text.strip() else {}

    @staticmethod
    def can_show(value: Any) -> bool:
        return isinstance(value, Mapping)


class AnyYamlField(YamlField):
    """Any YAML value; text that is no mapping or list stays text."""

    def clean(self, value: Any) -> Any:
        text = forms.CharField.clean(self, value).strip()
        found = read_yaml(text, kinds=(Mapping, list, str)) if text.startswith(("{", "[")) else text
        return found.replace("\r\n", "\n") if isinstance(found, str) else found

    @staticmethod
    def can_show(value: Any) -> bool:
        if not isinstance(value, str):
            return isinstance(value, Mapping | list)
        return value == value.strip() and "\r" not in value and not value.startswith(("{", "["))

    def prepare_value(self, value: Any) -> Any:
        return json.dumps(value, ensure_ascii=False, indent=2) if isinstance(value, Mapping | list) else value


def read_yaml(text: str, kinds: tuple[type, ...] = (Mapping,)) -> Any:
    """Return a YAML text as a JSON value of one of the kinds. Raises ValidationError."""
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise ValidationError(_("不能使用 YAML 别名（*）"))
        found = json.loads(json.dumps(yaml.safe_load(text), default=str, allow_nan=False))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = _("第 %(line)s 行附近") % {"line": line + 1} if line is not None else ""
        raise ValidationError(_("YAML 写法有误 %(where)s") % {"where": where}) from error
    if found is None and Mapping in kinds:
        return {}
    if not isinstance(found, kinds):
        raise ValidationError(_("应为键值形式，如 name: value"))
    return found


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as lines: a script is to be read."""


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text_node)


def yaml_text(value: Any) -> str:
    """Return a value as YAML; '' for an empty one."""
    if not value:
        return ""
    return yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=100)


class LinesField(forms.CharField):
    """A list of texts, one a line."""

    def __init__(self, **kwargs: Any) -> None:
        rows = kwargs.pop("rows", 2)
        kwargs.setdefault("required", False)
        super().__init__(widget=_area(rows), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(str(item) for item in value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        return [line.strip() for line in super().clean(value).splitlines() if line.strip()]

    @staticmethod
    def can_show(value: Any) -> bool:
        return isinstance(value, list) and all(
            isinstance(item, str) and item.split("\n") == [item.strip()] for item in value
        )


class PairsField(forms.CharField):
    """A mapping, one `name=value` a line. With `typed`, 7, true and "7" are what they are in JSON; else all is text."""

    def __init__(self, sign: str = "=", typed: bool = False, **kwargs: Any) -> None:
        rows = kwargs.pop("rows", 3)
        kwargs.setdefault("required", False)
        super().__init__(widget=_area(rows), **kwargs)
        self.sign = sign
        self.typed = typed

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        gap = " " if self.sign == ":" else ""
        return "\n".join(f"{name}{self.sign}{gap}{self._write(item)}" for name, item in value.items())

    def _write(self, value: Any) -> str:
        if not isinstance(value, str):
            return json.dumps(value)
        same = self._read(value) == value and value == value.strip() and "\n" not in value and "\r" not in value
        return value if same else json.dumps(value, ensure_ascii=False)

    def _read(self, text: str) -> Any:
        try:
            found = json.loads(text)
        except ValueError:
            return text
        kinds = (str, int, float, bool) if self.typed else (str,)
        return found if isinstance(found, kinds) else text

    def clean(self, value: Any) -> Any:
        found: dict[str, Any] = {}
        for line in super().clean(value).splitlines():
            if not line.strip():
                continue
            name, sign, text = (part.strip() for part in line.partition(self.sign))
            if not name or not sign:
                example = f"name{self.sign}value"
                raise ValidationError(_("「%(line)s」应写成 %(example)s") % {"line": line.strip(), "example": example})
            if name in found:
                raise ValidationError(_("%(name)s 写了两次") % {"name": name})
            found[name] = self._read(text)
        return found

    def can_show(self, value: Any) -> bool:
        if not isinstance(value, Mapping):
            return False
        kinds = (str, int, float, bool) if self.typed else (str,)
        return all(
            isinstance(item, kinds) and self.sign not in name and name.strip() == name for name, item in value.items()
        )


class CommaField(forms.CharField):
    """A list of texts with commas between them."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("required", False)
        super().__init__(**kwargs)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> Any:
        text = super().clean(value).replace("，", ",").replace("、", ",")
        return [part.strip() for part in text.split(",") if part.strip()]

    @staticmethod
    def can_show(value: Any) -> bool:
        return isinstance(value, list) and all(
            isinstance(item, str) and item == item.strip() and not set(item) & set(",，、\n") for item in value
        )


class NumbersField(CommaField):
    """A list of whole numbers with commas between them."""

    default_error_messages = {"numbers": gettext_lazy("应为数字，多个用逗号隔开")}

    def clean(self, value: Any) -> Any:
        parts = super().clean(value)
        if not all(part.isascii() and part.isdigit() and len(part) < 8 for part in parts):
            raise ValidationError(self.error_messages["numbers"])
        return [int(part) for part in parts]

    @staticmethod
    def can_show(value: Any) -> bool:
        return isinstance(value, list) and all(type(item) is int for item in value)


class DurationField(forms.CharField):
    """A number of seconds or text such as 5m; digits are a number."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text

    @staticmethod
    def can_show(value: Any) -> bool:
        if isinstance(value, str):
            return value == value.strip() and not value.isdigit() and not set(value) & set("\r\n")
        return type(value) is int and 0 <= value < 10**9


class FlagField(forms.BooleanField):
    """True or absent."""

    def clean(self, value: Any) -> bool | None:
        return super().clean(value) or None

    @staticmethod
    def can_show(value: Any) -> bool:
        return value is True


class OfferedField(forms.ChoiceField):
    """One of the names that its form offers."""

    @staticmethod
    def can_show(value: Any) -> bool:
        return isinstance(value, str) and value != ""


class OfferedListField(forms.MultipleChoiceField):
    """Some of the names that its form offers."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=forms.CheckboxSelectMultiple, **kwargs)

    @staticmethod
    def can_show(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)


class TextField(forms.CharField):
    """Text of several lines, with the line ends of Unix: a browser sends those of DOS."""

    def __init__(self, rows: int = 2, **kwargs: Any) -> None:
        kwargs.setdefault("required", False)
        kwargs.setdefault("widget", forms.Textarea(attrs={"rows": rows}))
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value) or "").replace("\r\n", "\n")

    def can_show(self, value: Any) -> bool:
        """Tell whether the value comes back from a browser as it was."""
        return isinstance(value, str) and "\r" not in value and not (self.strip and value != value.strip())


class ScriptField(TextField):
    """A script, kept as written."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=_area(10, wrap="off"), strip=False, **kwargs)
