"""Model fields that keep their value sealed in the database (see fta.lib.secrets)."""

import json
from typing import Any

from django.core.exceptions import FieldError
from django.db import models

from fta.lib.secrets import seal, unseal


class SealedTextField(models.TextField):  # type: ignore[type-arg]
    """A text column that is ciphertext in the database and plain text on the instance; '' stays ''.

    It cannot be filtered by value: the same text never seals to the same bytes, so a filter would silently find nothing.
    """

    @property
    def context(self) -> str:
        """Name what the ciphertext is bound to."""
        return f"{self.model._meta.label_lower}.{self.name}"

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str:
        return unseal(value, self.context) if value else ""

    def get_prep_value(self, value: Any) -> str:
        return seal(str(value), self.context) if value else ""

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name in ("isnull",):
            return super().get_lookup(lookup_name)
        raise FieldError(f"{self.context} is sealed and cannot be looked up by value.")


class SealedJSONField(SealedTextField):
    """A sealed column that holds any JSON value; the empty value is {}."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("default", dict)
        kwargs.setdefault("blank", True)
        super().__init__(*args, **kwargs)

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return json.loads(unseal(value, self.context)) if value else {}

    def get_prep_value(self, value: Any) -> str:
        return seal(json.dumps(value, ensure_ascii=False), self.context) if value else ""

    def to_python(self, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) and value else value

    def value_to_string(self, obj: models.Model) -> str:
        return json.dumps(self.value_from_object(obj), ensure_ascii=False)
