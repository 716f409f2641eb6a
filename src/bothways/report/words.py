"""How evidence, names and times are spelt in every report."""

from __future__ import annotations

import unicodedata
from typing import Final

from bothways.facts.diagnosis import Author, Evidence
from bothways.facts.question import Question
from bothways.facts.span import Problem

__all__ = [
    "ELLIPSIS",
    "age",
    "author_basis",
    "author_sentence",
    "author_verb",
    "counted",
    "milliseconds",
    "plain",
    "problem_line",
    "question_words",
    "shorten",
    "shorten_name",
    "tolerance",
]

ELLIPSIS: Final = "…"
#: Unicode categories that move the cursor, hide text or turn its direction round.
_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400

_BASES: Final = {
    "capture": "seen in a capture",
    "trace": "seen by a kernel trace",
    "model": "predicted from the dumps",
}
_VERBS: Final = {"rst": "RST sent by", "icmp": "ICMP error sent by", "drop": "dropped by"}


def plain(text: str) -> str:
    r"""
    Make text from the evidence safe to show: control and direction characters are spelt out.

    >>> plain("eth0\x1b[2J")
    'eth0\\x1b[2J'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spelt(letter) for letter in text)


def _spelt(letter: str) -> str:
    if letter == "\t":
        return " "
    if unicodedata.category(letter) not in _UNPRINTABLE:
        return letter
    return letter.encode("unicode_escape").decode("ascii")


def shorten(text: str, width: int, column: int | None = None) -> str:
    """
    Cut a long line in the middle so that it fits *width*, keeping its beginning and what matters.

    Runs of spaces count as one where the line has to be cut.

    :param column: 1-based column of the part that matters; None = the end of the line matters.

    >>> shorten("table=100,n_packets=4,actions=output:5", 26)
    'table=100,n_pac…s=output:5'
    """
    flat = plain(text).strip()
    if len(flat) <= width:
        return flat
    if column is not None:
        column = len(" ".join(plain(text[: column - 1]).split()))
    flat = " ".join(flat.split())
    room = max(width, 8)
    if len(flat) <= room:
        return flat
    head = (room - 1) * 3 // 5
    tail = room - 1 - head
    if column is None or column < head - 8 or column > len(flat) - tail:
        return flat[:head] + ELLIPSIS + flat[len(flat) - tail :]
    head = room // 4
    window = room - head - 2
    start = max(head, column - 2)
    if start + window >= len(flat):
        return flat[:head] + ELLIPSIS + flat[len(flat) - (room - 1 - head) :]
    return flat[:head] + ELLIPSIS + flat[start : start + window] + ELLIPSIS


def shorten_name(name: str, width: int) -> str:
    """
    Cut a long name in the middle.

    >>> shorten_name("qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f", 18)
    'qrouter-5a36…7571f'
    """
    safe = plain(name)
    if len(safe) <= width:
        return safe
    tail = max(2, (width - 1) // 3)
    return safe[: width - 1 - tail] + ELLIPSIS + safe[len(safe) - tail :]


def age(evidence: Evidence) -> str:
    """Say how long after the packet a dump was read, ``""`` if that is unknown or no time at all."""
    seconds = evidence.age_s
    if seconds is None or evidence.span.frame is not None:
        return ""
    amount = abs(seconds)
    if amount < 1:
        return ""
    if amount < _MINUTE:
        said = f"{amount:.0f} s"
    elif amount < _HOUR:
        said = f"{amount / _MINUTE:.0f} min"
    elif amount < _DAY:
        said = f"{amount / _HOUR:.1f} h"
    else:
        said = f"{amount / _DAY:.1f} days"
    return f"read {said} {'after' if seconds > 0 else 'before'} the packet"


def milliseconds(nanoseconds: int | None, *, sign: bool = False) -> str:
    """
    Nanoseconds as milliseconds with three decimals; ``?`` for an open bound.

    >>> milliseconds(-25063000)
    '-25.063'
    """
    if nanoseconds is None:
        return "?"
    return f"{nanoseconds / 1e6:+.3f}" if sign else f"{nanoseconds / 1e6:.3f}"


def tolerance(low_ns: int | None, high_ns: int | None) -> str:
    """
    Say what the bounds of a clock mean.

    >>> tolerance(-25271000, -25063000)
    'behind by 25.063 to 25.271 ms'
    """
    if low_ns is None or high_ns is None:
        if low_ns is not None:
            return f"off by at least {milliseconds(low_ns, sign=True)} ms"
        return "unknown" if high_ns is None else f"off by at most {milliseconds(high_ns, sign=True)} ms"
    if high_ns < 0:
        return f"behind by {milliseconds(-high_ns)} to {milliseconds(-low_ns)} ms"
    if low_ns > 0:
        return f"ahead by {milliseconds(low_ns)} to {milliseconds(high_ns)} ms"
    return f"between {milliseconds(low_ns, sign=True)} and {milliseconds(high_ns, sign=True)} ms"


def question_words(question: Question | None) -> str:
    """The connection as FLOW; a sentence if none was asked about or found."""
    return "no connection" if question is None else str(question)


def author_verb(what: str) -> str:
    """What an author did: ``RST sent by``."""
    return _VERBS.get(what, f"{plain(what)} by")


def author_sentence(author: Author) -> str:
    """Where an author sits, in words; what is unknown is said."""
    if author.host is None:
        return "a station that the evidence does not name"
    parts = [plain(author.host)]
    if author.netns is not None:
        parts.append("root namespace" if author.netns == "root" else f"namespace {plain(author.netns)}")
    parts.append("device unknown" if author.device is None else f"device {plain(author.device)}")
    if author.function is not None:
        parts.append(f"function {plain(author.function)}")
    return ", ".join(parts)


def author_basis(author: Author) -> str:
    """How an author is known."""
    if author.basis == "model" and author.frame is not None and author.function is not None:
        return "seen in a capture, the function by the model"
    return _BASES.get(author.basis, plain(author.basis))


def problem_line(problem: Problem) -> str:
    """One problem on one line, the hint in brackets."""
    hint = f" (hint: {problem.hint})" if problem.hint else ""
    return plain(" ".join(f"{problem.span}: {problem.kind}: {problem.message}{hint}".split()))


def counted(amount: int, noun: str, several: str = "") -> str:
    """
    A number with its noun.

    >>> counted(1, "packet"), counted(2, "entry", "entries")
    ('1 packet', '2 entries')
    """
    return f"{amount} {noun if amount == 1 else several or noun + 's'}"
