"""
The sheet that terminal reports are set on.

Meaning never hangs on colour or on boxes: headings are words at the margin, what belongs to them is
indented, a quoted line stands behind its ``file:line``. Evidence goes in as plain text, so neither rich's
markup nor a terminal's escapes in it have any effect.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from io import StringIO
from typing import Final

from rich.console import Console
from rich.text import Text

from bothways.facts.diagnosis import Evidence
from bothways.facts.span import Span
from bothways.report.kernel_quote import in_words
from bothways.report.words import ELLIPSIS, age, plain, shorten

__all__ = ["Sheet"]

#: narrower than this, words are broken rather than lines
NARROWEST: Final = 40
#: what a line that is quoted whole may take
MOST_LINES: Final = 5


def _console(width: int, *, colour: bool) -> Console:
    return Console(
        file=StringIO(),
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


@dataclass(slots=True)
class Sheet:
    """
    Lines of a report, top to bottom.

    :param width: columns of the terminal.
    :param colour: False for plain text without any escape sequence.
    """

    width: int
    colour: bool
    _console: Console = field(init=False)
    _empty: bool = field(init=False, default=True)
    _quoted: set[Span] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.width = max(self.width, NARROWEST)
        self._console = _console(self.width, colour=self.colour)

    def text(self) -> str:
        """What was set so far, ending with a newline."""
        file = self._console.file
        return file.getvalue() if isinstance(file, StringIO) else ""

    def heading(self, title: str, style: str = "bold") -> None:
        """Start a section."""
        self.space()
        self.line((title, style))

    def space(self) -> None:
        """Leave a line empty, except at the top."""
        if not self._empty:
            self._console.print()

    def line(self, *parts: tuple[str, str], indent: int = 0) -> None:
        """Set one line that is never wrapped: commands and paths stay whole for copying."""
        self._put(Text(" " * indent) + Text.assemble(*((plain(words), style) for words, style in parts)))

    def paragraph(self, words: str, *, indent: int = 2, hang: int = 0, style: str = "") -> None:
        """Set prose, wrapped; lines after the first stand *hang* columns further right."""
        self.item((), words, indent=indent, hang=hang, style=style)

    def item(
        self,
        label: Iterable[tuple[str, str]],
        words: str,
        *,
        indent: int = 2,
        hang: int | None = None,
        style: str = "",
        tail: str = "",
    ) -> None:
        """
        Set prose behind a label; the lines after the first stand under the prose.

        :param hang: columns of the later lines counted from *indent*; None = the label's length.
        :param tail: a remark in brackets behind the prose.
        """
        text = Text.assemble(*((plain(each), look) for each, look in label))
        offset = text.cell_len if hang is None else hang
        text.append(plain(words), style=style)
        if tail:
            text.append(f" [{plain(tail)}]", style="dim")
        first = self.width - indent
        for number, each in enumerate(_wrapped(text, first, max(NARROWEST // 2, first - offset))):
            self._put(Text(" " * (indent + (offset if number else 0))) + each)

    def quote(self, evidence: Evidence, *, indent: int = 5, whole: bool = False) -> None:
        """
        Quote one line or frame: the place whole, the text cut around what matters.

        Place and text share a line if both fit. What was quoted before is named, not quoted again.

        :param whole: quote it even so, and give it as many lines as it needs, up to a few.
        """
        span = evidence.span
        place, said = plain(str(span)), age(evidence)
        head = Text(" " * indent) + Text(place, style="cyan")
        remarks = [said] if said else []
        lines: list[str] = []
        if span in self._quoted and not whole:
            remarks.append("above")
        elif span.text.strip():
            lines = _quoted(span, self.width - indent - 2, MOST_LINES if whole else 1)
        self._quoted.add(span)
        if remarks:
            remark = f"  ({', '.join(remarks)})"
            if head.cell_len <= self.width < head.cell_len + len(remark):
                self._put(head)
                head = Text(" " * indent)
            head.append(remark, style="dim")
        if len(lines) == 1 and not remarks and head.cell_len + 2 + len(lines[0]) <= self.width:
            self._put(head + Text("  " + lines[0]))
            return
        self._put(head)
        for line in lines:
            self._put(Text(" " * (indent + 2) + line))

    def quotes(self, evidence: Iterable[Evidence], *, indent: int = 5, most: int = 6) -> None:
        """Quote several; what is left out is counted."""
        items = tuple(evidence)
        for item in items[:most]:
            self.quote(item, indent=indent)
        if len(items) > most:
            self.line((f"… and {len(items) - most} more in --json", "dim"), indent=indent)

    def _put(self, text: Text) -> None:
        self._empty = False
        text.rstrip()
        self._console.print(text, soft_wrap=True)


def _quoted(span: Span, room: int, most: int) -> list[str]:
    """
    Cut what a place reads to lines of *room*.

    A packet is known by how its line begins. A line that needs two is given them. An event of a kernel is
    JSON on disk, and told in words here.
    """
    told = in_words(span.text)
    if told is not None:
        return _broken(shorten(told, 2 * room), room)
    text = " ".join(plain(span.text).split())
    if span.frame is not None or "/captures/" in span.file:
        return [text if len(text) <= room else text[: room - 1].rstrip(" ,") + ELLIPSIS]
    if len(text) <= 2 * room:
        return _broken(text, room)
    return _broken(shorten(span.text, room * most, span.column), room)


def _wrapped(text: Text, first: int, rest: int) -> list[Text]:
    """Wrap at spaces; the first line has room of its own. A word longer than a line stays whole."""
    lines: list[Text] = []
    room = first
    current = Text()
    for word in text.split(" ", include_separator=True):
        bare = word.copy()
        bare.rstrip()
        if current.plain.strip() and current.cell_len + bare.cell_len > room:
            lines.append(current)
            current, room = Text(), rest
        current.append_text(word)
    if current.plain.strip() or not lines:
        lines.append(current)
    return lines


def _broken(text: str, room: int) -> list[str]:
    """Break a dump's line where its parts end, rather than inside an address."""
    lines: list[str] = []
    while len(text) > room:
        end = max(text.rfind(mark, room // 2, room) + 1 for mark in ", ")
        end = end or room
        lines.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return [*lines, text]
