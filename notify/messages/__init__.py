"""What is told about: the occasions, their facts as plain data, and the shipped texts."""

from notify.messages.escape import clean, clean_between, clean_lines
from notify.messages.events import EVENTS, covers, is_pattern
from notify.messages.facts import Occasion, facts
from notify.messages.texts import LIBRARY, default_text, library_text

__all__ = [
    "EVENTS",
    "LIBRARY",
    "Occasion",
    "clean",
    "clean_between",
    "clean_lines",
    "covers",
    "default_text",
    "facts",
    "is_pattern",
    "library_text",
]
