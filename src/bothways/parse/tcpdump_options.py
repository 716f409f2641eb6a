"""
The words of a ``tcpdump`` command: device, filter, and whether what it printed is what the filter admits.

Options are read as getopt(3) does: letters may be joined (``-nnvvi eth0``), and a value may follow at once
(``-ieth0``, ``-s0``). Which of them take a value: tcpdump(8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["TcpdumpOptions", "read_options"]

_VALUED: Final = frozenset("BcCEFGijmMPQrsTVwWyzZ")
_LONG_VALUED: Final = frozenset(
    {"--interface", "--snapshot-length", "--buffer-size", "--direction", "--linktype",
     "--relinquish-privileges", "--time-stamp-type", "--time-stamp-precision", "--count"}
)  # fmt: skip
_LONG: Final = {"--interface": "i", "--direction": "Q", "--count": "c"}
#: Options with which the filter's words alone do not say what was recorded.
_NARROWING: Final = frozenset("QPcF")


@dataclass(frozen=True, slots=True)
class TcpdumpOptions:
    """
    One call of tcpdump.

    :param device: "" if it names none: tcpdump takes the first device that it finds.
    :param filter: the filter's words; "" if there is none, None if options narrow what was recorded in a way
        that a filter cannot say (``-Q in``, ``-c 5``, ``-F file``).
    :param wrote: the file of ``-w``, None if packets were printed; *opened* the file of ``-r``.
    """

    device: str = ""
    filter: str | None = ""
    wrote: str | None = None
    opened: str | None = None


def read_options(words: list[str]) -> TcpdumpOptions:
    """Read the words of a call, the first being ``tcpdump``."""
    given: dict[str, str] = {}
    rest: list[str] = []
    at = 1
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            rest += words[at:]
            break
        if word.startswith("--"):
            name, _, value = word.partition("=")
            if name in _LONG_VALUED and not value and at < len(words):
                value = words[at]
                at += 1
            given[_LONG.get(name, name)] = value
        elif word.startswith("-") and len(word) > 1:
            letter, value = _letters(word[1:])
            if letter and not value and at < len(words):
                value = words[at]
                at += 1
            if letter:
                given[letter] = value
        else:
            rest.append(word)
    told = _NARROWING.isdisjoint(given) and "r" not in given
    return TcpdumpOptions(
        given.get("i", ""),
        " ".join(rest) if told else None,
        given.get("w"),
        given.get("r"),
    )


def _letters(joined: str) -> tuple[str, str]:
    """The first of joined letters that takes a value, and the value that follows at once; "" if none does."""
    for at, letter in enumerate(joined):
        if letter in _VALUED:
            return letter, joined[at + 1 :]
    return "", ""
