"""A piece of a pasted text: the lines that one command printed, and what the text says of their place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bothways.parse.command import Command

__all__ = ["Piece"]

#: Formats whose parsers take indented lines, and count columns in them.
_KEEP_INDENT: Final = frozenset({"flows", "tcpdump", "iptables", "ip6tables", "stacks"})


@dataclass(frozen=True, slots=True)
class Piece:
    """
    The output of one command in a text.

    :param kind: a key of ``text_format.FORMATS``; ``unread`` for output that is not read, ``wrote`` for a
        capture that went into a file.
    :param lines: number of the line -> the line as the terminal printed it.
    :param at: line of the command, or the first line of the output where no command is shown.
    :param host: the machine that the prompt or ``ssh`` names, None if neither does.
    :param netns: the namespace, None if it has no name that the text tells.
    :param section: pieces with the same number stand in one paragraph of the text, without prose between.
    :param json: True if the output is JSON.
    :param title: the line of prose above, "" if none.
    :param listening: the device that tcpdump itself named, "" if it did not.
    """

    kind: str
    lines: Mapping[int, str]
    at: int
    command: Command | None = None
    host: str | None = None
    netns: str | None = None
    section: int = 0
    json: bool = False
    title: str = ""
    listening: str = ""
    indent: int = field(default=0)

    @property
    def view(self) -> str | None:
        """The filter of a filtered view."""
        return None if self.command is None else self.command.view

    def shift(self, number: int) -> int:
        """By how many columns a line was moved to the left in :meth:`text`."""
        if self.kind in _KEEP_INDENT:
            return 0
        line = self.lines.get(number, "")
        own = len(line) - len(line.lstrip())
        moved = min(self.indent, own)
        # `ovs-ofctl show` tells ports from other lines by the blank before them.
        return moved - 1 if self.kind == "ports" and moved == own else moved

    def text(self, total: int) -> str:
        """
        The text for the format's parser: each line at its number, nothing in the others.

        :param total: number of lines of the whole text.
        """
        rows = [""] * total
        for number, line in self.lines.items():
            moved = self.shift(number)
            rows[number - 1] = line[moved:] if moved >= 0 else " " * -moved + line
        return "\n".join(rows)
