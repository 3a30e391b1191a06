"""JMESPath on the answers of other systems: an answer that does not fit an expression is not an error, it only has no value."""

import jmespath
from jmespath.exceptions import JMESPathError

from fta.lib.types import JSON

_EMPTY: tuple[JSON, ...] = (None, "", [], {})


def problem(expression: object) -> str:
    """Return what is wrong with an expression, in JMESPath's own words; '' when nothing is."""
    try:
        jmespath.compile(expression if isinstance(expression, str) else "")
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, and brackets without end
        return str(error)
    return ""


def search(expression: str, data: JSON) -> JSON:
    """Return what the expression finds in the data; None for nothing."""
    try:
        found: JSON = jmespath.search(expression, data)
    except JMESPathError:
        return None
    return found


def holds(expression: str, data: JSON) -> bool:
    """Judge by JMESPath's own truth: null, false and what is empty are false, zero is true."""
    found = search(expression, data)
    return found is not False and found not in _EMPTY
