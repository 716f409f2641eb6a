r"""
What every parser of this room does with a text: number its lines, and sort them into four outcomes.

A line is understood (a row), irrelevant (counted), not modelled or malformed (a problem). Lines end
at ``\n`` only, as an editor counts them; other separators that Python knows stay part of the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from bothways.facts.parsed import Parsed
from bothways.facts.span import Kind, Problem, Span

__all__ = ["NotModelledError", "Reading", "is_prompt", "lines", "quoted"]

Row = TypeVar("Row")

#: Longest piece of evidence that a message quotes; the span holds the whole line.
_QUOTE = 80


#: ``root@host1:~# ip addr``, ``[root@host1 ~]# ip addr``, ``$ ip addr``; bounded, lines may be long.
_PROMPT: Final = re.compile(r"\s{0,40}(?:\[?[\w.-]{1,64}@[\w.-]{1,255}[^#$>%\n]{0,300}[#$>%]|[#$](?:\s|\Z))")


class NotModelledError(ValueError):
    """A text that is right and that bothways cannot evaluate. Never leaves a parser."""


def lines(text: str, *, file: str, read_at: float | None = None) -> Iterator[Span]:
    """Every line of a text as a span; ``span.text`` is the line without its end."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        yield Span(file, line=number, text=line.removesuffix("\r"), read_at=read_at)


def is_prompt(line: str) -> bool:
    """Whether a line is the prompt of a shell, as pasted terminals begin with one."""
    return _PROMPT.match(line) is not None


def quoted(text: str) -> str:
    """The text in backticks, shortened to what a message can carry."""
    flat = " ".join(text.split())
    return f"`{flat if len(flat) <= _QUOTE else flat[: _QUOTE - 1] + '…'}`"


@dataclass(slots=True)
class Reading(Generic[Row]):
    """The outcome of one parser while it reads."""

    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    irrelevant: int = 0

    def skip(self) -> None:
        """Count a line that says nothing about packets."""
        self.irrelevant += 1

    def unmodelled(self, span: Span, message: str, hint: str = "") -> None:
        """Note a line that is right and cannot be evaluated."""
        self.problems.append(Problem(Kind.UNMODELLED, span, message, hint))

    def malformed(self, span: Span, message: str, hint: str = "") -> None:
        """Note a line that the tool would not have printed like this."""
        self.problems.append(Problem(Kind.MALFORMED, span, message, hint))

    def contradiction(self, span: Span, message: str, hint: str = "") -> None:
        """Note a line that does not fit the others."""
        self.problems.append(Problem(Kind.CONTRADICTION, span, message, hint))

    def refuse(self, span: Span, error: ValueError) -> None:
        """Note a line that a decoder refused, by the kind of the error."""
        note = self.unmodelled if isinstance(error, NotModelledError) else self.malformed
        note(span, str(error) or f"cannot read {quoted(span.text)}")

    def done(self) -> Parsed[Row]:
        """What was read."""
        return Parsed(tuple(self.rows), tuple(self.problems), self.irrelevant)
