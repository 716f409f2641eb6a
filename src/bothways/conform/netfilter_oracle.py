"""
The oracle of a walk that follows a kernel: it takes what the kernel took, as far as that is seen.

Ports are those of the kernel's entries, if they lie in the set that the model allows. A route of several
next hops goes where the packet came out. What rests on a fact that the model does not know is noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bothways.conform.nat_table import KernelEntry
from bothways.facts.choice import Assumption, Freedom
from bothways.facts.conntrack import Tuple
from bothways.facts.span import Span
from bothways.model.linux.conntrack.tuple import inverse
from bothways.model.linux.nat.draw import Draw
from bothways.model.linux.nat.wanted import port_of

__all__ = ["Follower"]


@dataclass(slots=True)
class Follower:
    """
    An oracle that follows a kernel.

    :param entries: the kernel's table behind the packet.
    :param legs: where packets came out.
    :param wrong: ports that the kernel took and the model does not allow.
    :param open_: what the model does not know and was asked about.
    :param draws: ports that were taken from the kernel.
    """

    entries: dict[Tuple, KernelEntry] = field(default_factory=dict)
    legs: frozenset[str] = frozenset()
    wrong: list[str] = field(default_factory=list)
    open_: list[str] = field(default_factory=list)
    draws: int = 0

    def follow(self, entries: Sequence[KernelEntry], legs: frozenset[str]) -> None:
        """Take what the kernel has behind the next packet."""
        self.entries = {each.original: each for each in entries}
        self.legs = legs
        self.wrong, self.open_ = [], []

    def choose(
        self,
        key: str,
        options: Sequence[str],
        *,
        freedom: Freedom,
        recorded: str | None = None,
        evidence: tuple[Span, ...] = (),
    ) -> str:
        """Take the option that the kernel took."""
        del recorded, evidence
        if freedom is Freedom.UNKNOWN:
            self.open_.append(key)
        return next((each for each in options if each.endswith(tuple(self.legs))), options[0])

    def assume(self, assumption: Assumption) -> None:
        """Defaults hold: the dumps are whole."""

    def draw(self, draw: Draw) -> int | None:
        """Return the port of the kernel's entry; one outside the set is noted."""
        entry = self.entries.get(draw.wanted.connection.original)
        if entry is None:
            return None
        port = port_of(inverse(entry.reply), draw.wanted.side)
        self.draws += 1
        if not draw.free(port):
            self.wrong.append(f"{draw}: {port} is taken, or outside {draw.low}-{draw.high}")
        return port
