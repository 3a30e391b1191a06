"""The grammar of replies, as a pure function of the text.

People type on phones: any case, full-width letters, blanks anywhere, words in place of TY and BH, several codes, a comment behind.
What could be read in two ways is not guessed: it comes back as `unknown` or `conflict`, and nothing is decided.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

Verb = Literal[
    "approve", "refuse", "list", "details", "help", "duty", "delegate", "halt", "resume", "conflict", "unknown"
]

_SPOKEN: dict[Verb, str] = {
    "refuse": r"不同意|驳回|拒绝|b\s*h(?![a-z])",
    "approve": r"同意|批准|t\s*y(?![a-z])|ok(?![a-z])",
    "list": r"待办|待审批|审批列表",
    "details": r"详情",
    "help": r"帮助|help(?![a-z])|\?",
    "duty": r"值班(?:表)?",
    "delegate": r"转交",
    "halt": r"停止(?:自愈)?",
    "resume": r"恢复(?:自愈)?",
}
_VERBS = [(verb, re.compile(pattern, re.IGNORECASE)) for verb, pattern in _SPOKEN.items()]
_ALONE = frozenset({"list", "help"})  # with more text behind, these words were not meant as commands
# The request's own line, copied whole: "同意请回复: TY 20431_2".
_QUOTED = re.compile(r"(?:同意|驳回)请回复\s*:\s*")
_SEPARATORS = " \t,;:、。+"
_ENDING = ".!~"
_CODE = re.compile(r"\d+_\d+")
# Right behind the verb a code is expected, so that a wrong one is named in the answer; further on it may be a comment's word.
_LIKE_A_CODE = re.compile(r"\d{2,}|(?=[^\s]*\d)[A-Za-z][A-Za-z0-9_.\-/#]*")
_QUESTION = re.compile(r"(?:吗|么|呢)?\s*\?+$|吗$")


@dataclass(frozen=True)
class Command:
    """One thing that a member asks for; `words` are codes or the other arguments, `text` is what was typed."""

    verb: Verb
    text: str
    words: tuple[str, ...] = ()
    comment: str = ""


def parse(text: str, known: Collection[str] = ()) -> list[Command]:
    """Read a message; each line that begins with a verb is a command, other lines go on with the comment before.

    `known` are codes that may look like words, those of approvals that other systems asked for.
    """
    codes = frozenset(code.casefold() for code in known)
    commands: list[Command] = []
    for line in _normal(text).split("\n"):
        command = _line(line, codes)
        if command.verb == "unknown" and commands and commands[-1].verb in ("approve", "refuse"):
            last = commands[-1]
            commands[-1] = Command(last.verb, last.text, last.words, f"{last.comment} {line}".strip())
        else:
            commands.append(command)
    return commands


def _normal(text: str) -> str:
    """Make full-width letters, digits and marks half-width, drop invisible characters, join a code that was torn apart."""
    folded = unicodedata.normalize("NFKC", text).replace("\r", "\n")
    visible = "".join(c for c in folded if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))
    joined = re.sub(r"(?<=\d)[^\S\n]*_[^\S\n]*(?=\d)", "_", visible)
    return "\n".join(filter(None, (line.strip() for line in joined.split("\n"))))


def _line(line: str, known: frozenset[str]) -> Command:
    words = _QUOTED.sub("", line)
    for verb, pattern in _VERBS:
        found = pattern.match(words)
        if found:
            return _command(verb, line, words[found.end() :], known)
    return Command("unknown", line)


def _command(verb: Verb, line: str, rest: str, known: frozenset[str]) -> Command:
    if verb in ("approve", "refuse"):
        return _decision(verb, line, rest, known)
    if verb in _ALONE:
        return Command(verb if not rest.strip("。.!~ ") else "unknown", line)
    return Command(
        verb, line, tuple(re.split(rf"[{re.escape(_SEPARATORS)}]+", rest.strip(_SEPARATORS))) if rest else ()
    )


def _decision(verb: Verb, line: str, rest: str, known: frozenset[str]) -> Command:
    codes: list[str] = []
    left = rest.lstrip(_SEPARATORS)
    while left:
        token = re.split(rf"[{re.escape(_SEPARATORS)}]", left, maxsplit=1)[0]
        code = token.rstrip(_ENDING)
        if _is_code(code, known) or (not codes and _LIKE_A_CODE.fullmatch(code)):
            codes.append(code)
        elif not (codes and _verb_of(token) == verb):
            break
        left = left[len(token) :].lstrip(_SEPARATORS)
    if _QUESTION.search(left):
        return Command("unknown", line)
    if _turns(left, verb, known):
        return Command("conflict", line)
    glued = bool(rest) and rest[0] not in _SEPARATORS
    if not codes and glued and rest.strip("。.!~ "):
        return Command("unknown", line)  # "同意不了" is no consent
    return Command(verb, line, tuple(dict.fromkeys(codes)), left.strip())


def _is_code(token: str, known: frozenset[str]) -> bool:
    return bool(_CODE.fullmatch(token)) or token.casefold() in known


def _verb_of(token: str) -> Verb | None:
    return next((verb for verb, pattern in _VERBS if pattern.fullmatch(token)), None)


def _turns(comment: str, verb: Verb, known: frozenset[str]) -> bool:
    """Tell whether the comment goes on with the other answer: "TY 1_0 BH 2_0"."""
    other = dict(_VERBS)["refuse" if verb == "approve" else "approve"]
    for found in other.finditer(comment):
        behind = re.split(rf"[{re.escape(_SEPARATORS)}]", comment[found.end() :].lstrip(_SEPARATORS), maxsplit=1)[0]
        if _is_code(behind, known):
            return True
    return False
