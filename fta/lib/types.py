"""Types shared by every floor."""

from typing import TypeAlias

from django.contrib.auth.models import User

JSON: TypeAlias = "None | bool | int | float | str | list[JSON] | dict[str, JSON]"
JSONDict: TypeAlias = dict[str, "JSON"]

__all__ = ["JSON", "JSONDict", "User"]
