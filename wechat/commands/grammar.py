"""The grammar of replies, as a pure function of the text.

People type on phones: any case, full-width letters, blanks anywhere, words in place of TY and BH, several codes, a comment behind.
What could be read in two ways is not guessed: it comes back as `unknown`, as `conflict` or with a `doubt`, and nothing is decided.
What could be a code right behind TY or BH is one, so that a wrong one is named in the answer and means no other approval.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, replace
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
_VERBS = {verb: re.compile(pattern, re.IGNORECASE) for verb, pattern in _SPOKEN.items()}
_ANSWERS: tuple[Verb, ...] = ("approve", "refuse")
_ALONE = frozenset({"list", "help"})  # with more text behind, these words were not meant as commands
# The request's own line, copied whole: "同意请回复: TY 20431_2".
_QUOTED = re.compile(
    rf"同意请回复\s*:\s*(?={_SPOKEN['approve']})|驳回请回复\s*:\s*(?={_SPOKEN['refuse']})", re.IGNORECASE
)
_SEPARATORS = " ,;:、。+"
_ENDING = ".!~"
_OPENING, _CLOSING = "<([{\"'“‘「『《〈【`*#", ">)]}\"'”’」』》〉】`*"
# What may stand before a code (the README writes "TY <编号>") and close behind it.
_BEFORE = re.compile(rf"(?:[{re.escape(_SEPARATORS + _ENDING + _OPENING)}]|编号|单号)*")
_BEHIND = re.compile(rf"[{re.escape(_CLOSING + _ENDING)}]*[{re.escape(_SEPARATORS)}]*")
_AND = re.compile(r"(?:以及|和|及|与|跟|&|/|and(?![a-z]))?", re.IGNORECASE)
_AGAIN = {
    verb: re.compile(
        rf"(?:{_SPOKEN[verb]})(?=\d+_\d|[\n{re.escape(_SEPARATORS + _ENDING + _OPENING + _CLOSING)}]|$)", re.IGNORECASE
    )
    for verb in _ANSWERS
}
_TOKEN = re.compile(rf"[^\n{re.escape(_SEPARATORS)}]+")
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-/#]*|\d[\d_]*")
_CODE = re.compile(r"\d+_\d+(?:_\d+)?")  # of an execution, its node, and of a later round its number
# Behind a verb that names no code: what its writer may have meant as one.
_DOUBTFUL = re.compile(rf"<[^>]*>?|编号|单号|{_RUN.pattern}")
# The place of a candidate that a question offers: "2", "2号", "第2台".
_NUMBER = re.compile(r"[^\sA-Za-z0-9_]?\s*[0-9]{1,3}\s*[^\sA-Za-z0-9_]?")
_QUESTION = re.compile(r"(?:吗|么|呢)?[^\S\n]*\?+$|吗$", re.MULTILINE)
_PAUSE = r"\s,;:、。+.!?~()"
# What takes an answer back. A yes must be nothing but a yes; in a no "等业务同意再说" is a reason, and "我同意" is none.
_AGAINST: dict[Verb, re.Pattern[str]] = {
    # A host that refuses connections, and one that is named bh-web-01, take nothing back.
    "approve": re.compile(
        r"不\s*(?:同意|批准|ok)|驳回|(?<!被)拒绝(?!连接|服务|访问|请求)"
        r"|(?<![a-z])(?<![a-z\d][.\-])b\s*h(?![a-z]|-[a-z])",
        re.IGNORECASE,
    ),
    "refuse": re.compile(
        rf"(?:^|(?<=[{_PAUSE}]))[^{_PAUSE}不未没无等待须需先再]{{0,2}}(?:同意|批准)(?:[^{_PAUSE}]{{0,2}}(?=[{_PAUSE}]|$)|[a-z\d])"
        r"|(?<![a-z不])(?<![a-z\d][.\-])(?:t\s*y|ok)(?![a-z])",
        re.IGNORECASE,
    ),
}


@dataclass(frozen=True, eq=False)  # two that say the same are two
class Command:
    """One thing that a member asks for; `words` are codes or the other arguments, `text` is what was typed.

    Of an answer, `doubt` is what may have been meant as a code where none was named, and `number` the whole of what stands behind
    the verb where that is no more than the place of a candidate.
    """

    verb: Verb
    text: str
    words: tuple[str, ...] = ()
    comment: str = ""
    doubt: str = ""
    number: str = ""


def parse(text: str, known: Collection[str] = ()) -> list[Command]:
    """Read a message; each line that begins with a verb is a command, other lines go on with the answer before them.

    `known` are codes that may look like words, those of approvals that other systems asked for.
    """
    codes = frozenset(code.casefold() for code in known)
    begun: list[tuple[Verb, str]] = []
    for line in _normal(text).split("\n"):
        verb = _begins(line)
        if verb == "unknown" and begun and begun[-1][0] in (*_ANSWERS, "unknown"):
            begun[-1] = (begun[-1][0], f"{begun[-1][1]}\n{line}")
        else:
            begun.append((verb, line))
    return _consistent([_command(verb, words, codes) for verb, words in begun])


def _consistent(commands: list[Command]) -> list[Command]:
    """Return the commands, their answers given up where they contradict each other or what else stands in the message."""
    given = [command for command in commands if command.verb in _ANSWERS]
    loose = "\n".join(command.text for command in commands if command.verb == "unknown")
    against = any(_AGAINST[command.verb].search(loose) for command in given)
    if against or _contradict(given) or any(command.verb == "conflict" for command in commands):
        others = [command for command in commands if command.verb not in (*_ANSWERS, "conflict", "unknown")]
        return [Command("conflict", "\n".join(command.text for command in commands)), *others]
    said_again = _said_again(given)
    doubt = next(filter(None, [_doubt(loose), *(command.doubt for command in given)]), "")
    return [
        replace(command, doubt=doubt) if command.verb in _ANSWERS and not command.words else command
        for command in commands
        if command not in said_again
    ]


def _said_again(given: list[Command]) -> list[Command]:
    """Return the answers that name nothing beside others: "TY 1_0⏎TY" says the same twice, as "TY 1_0 TY" does."""
    bare = [command for command in given if not command.words]
    return bare if len(bare) < len(given) else bare[1:]


def _contradict(given: list[Command]) -> bool:
    """Tell whether yes and no are said of one code, or of one that is not named: a request that was pasted whole says both."""
    yes, no = ([command for command in given if command.verb == verb] for verb in _ANSWERS)
    if not (yes and no):
        return False
    agreed, refused = ({code.casefold() for command in each for code in command.words} for each in (yes, no))
    return not all(command.words for command in given) or bool(agreed & refused)


def _normal(text: str) -> str:
    """Make full-width letters, digits and marks half-width, drop invisible characters, join a code that was torn apart."""
    folded = unicodedata.normalize("NFKC", text).replace("\r", "\n")
    joined = re.sub(r"(?<=\d)[^\S\n]*_[^\S\n]*(?=\d)", "_", "".join(map(_seen, folded)))
    return "\n".join(filter(None, (line.strip() for line in joined.split("\n"))))


def _seen(character: str) -> str:
    """Return the character, a blank for every kind of blank (a tab is a control character too), "" for what nobody sees."""
    if character.isspace():
        return character if character == "\n" else " "
    return "" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co") else character


def _begins(line: str) -> Verb:
    words = _after(_QUOTED, line)
    return next((verb for verb, pattern in _VERBS.items() if pattern.match(words)), "unknown")


def _command(verb: Verb, text: str, known: frozenset[str]) -> Command:
    if verb == "unknown":
        return Command("unknown", text)
    rest = _after(_VERBS[verb], _after(_QUOTED, text))
    if verb in _ANSWERS:
        return _decision(verb, text, rest, known)
    if verb in _ALONE:
        return Command(verb if not rest.strip("。.!~ ") else "unknown", text)
    return Command(
        verb, text, tuple(re.split(rf"[{re.escape(_SEPARATORS)}]+", rest.strip(_SEPARATORS))) if rest else ()
    )


def _decision(verb: Verb, text: str, rest: str, known: frozenset[str]) -> Command:
    codes, left = _codes(verb, rest, known)
    if _QUESTION.search(left):
        return Command("unknown", text)
    if _AGAINST[verb].search(left):
        return Command("conflict", text)
    glued = bool(rest) and rest[0] not in f"{_SEPARATORS}\n"
    if not codes and glued and rest.strip("。.!~ "):
        return Command("unknown", text)  # "同意不了" is no consent
    number = rest.strip(f"{_SEPARATORS}{_ENDING}\n")
    return Command(
        verb,
        text,
        tuple(dict.fromkeys(codes)),
        " ".join(left.split()),
        doubt="" if codes else _doubt(left),
        number=number if _NUMBER.fullmatch(number) else "",
    )


def _codes(verb: Verb, rest: str, known: frozenset[str]) -> tuple[list[str], str]:
    """Return the codes behind a verb and what is left for the comment, which a further line always is once there is a code."""
    codes: list[str] = []
    left, expected = rest.lstrip(f"{_SEPARATORS}\n"), True
    while left:
        ahead = _after(_BEFORE, _after(_AND, left) if codes else left)
        found = _known_codes(ahead, known)
        run = _RUN.match(ahead)
        against = _AGAINST[verb].match(ahead) or (run and _AGAINST[verb].search(run[0]))  # "TY 1_0BH 2_0"
        if not found and not against:
            if again := _AGAIN[verb].match(ahead):
                left, expected = ahead[again.end() :].lstrip(_SEPARATORS), True
                continue
            found = [run[0].rstrip(_ENDING)] if run and expected else []
        if not found:
            break
        codes += found
        left, expected = _after(_BEHIND, ahead[len("/".join(found)) :]), False
    return codes, left


def _known_codes(text: str, known: frozenset[str]) -> list[str]:
    """Return the codes that the text begins with, several where they are joined: "1_0/2_0"."""
    names = [found[0] for found in (_TOKEN.match(text), _RUN.match(text)) if found]
    for name in (*names, *(name.rstrip(f"{_CLOSING}{_ENDING}/-#") for name in names)):
        parts = name.split("/")
        if all(_CODE.fullmatch(part) or part.casefold() in known for part in parts):
            return parts
    return []


def _after(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.match(text)
    return text[found.end() :] if found else text


def _doubt(text: str) -> str:
    found = _DOUBTFUL.search(text)
    return found[0] if found else ""
