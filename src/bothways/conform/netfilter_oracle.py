"""
The oracle of a walk that follows a kernel: it takes what the kernel took, as far as that is seen.

Ports are those of the kernel's entries, if they lie in the set that the model allows. A route of several
next hops goes where the packet came out. An error that the kernel may have kept to itself was kept, if none
was seen. What rests on a fact that the model does not know is noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bothways.conform.nat_table import KernelEntry
from bothways.facts.address import IPAddress
from bothways.facts.choice import Assumption, Freedom
from bothways.facts.conntrack import Tuple
from bothways.facts.span import Span
from bothways.model.linux.conntrack.tuple import inverse
from bothways.model.linux.nat.draw import Draw
from bothways.model.linux.nat.wanted import port_of

__all__ = ["EVERYBODY", "Follower"]

#: Of a recording that does not say who was told too often.
EVERYBODY: Final = "*"


@dataclass(slots=True)
class Follower:
    """
    An oracle that follows a kernel.

    :param entries: the kernel's table behind the packet.
    :param legs: where packets came out.
    :param wrong: ports that the kernel took and the model does not allow.
    :param open_: what the model does not know and was asked about.
    :param draws: ports that were taken from the kernel.
    :param script: what to take where the kernel is free, from the first choice on; then what is seen decides.
    :param free: where it was free: the options, and what was taken.
    :param limited: senders that may have got no error; *told* says that somebody got one.
    """

    entries: dict[Tuple, KernelEntry] = field(default_factory=dict)
    legs: frozenset[str] = frozenset()
    wrong: list[str] = field(default_factory=list)
    open_: list[str] = field(default_factory=list)
    draws: int = 0
    script: Sequence[str] = ()
    free: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    limited: frozenset[str] = frozenset()
    told: bool = False

    def follow(
        self,
        entries: Sequence[KernelEntry],
        legs: frozenset[str],
        *,
        limited: Sequence[str] = (),
        told: bool = False,
    ) -> None:
        """Take what the kernel has behind the next packet."""
        self.entries = {each.original: each for each in entries}
        self.legs = legs
        self.limited, self.told = frozenset(limited), told
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
        taken = next((each for each in options if each.endswith(tuple(self.legs))), options[0])
        if freedom is Freedom.FREE and len(options) > 1:
            told = self.script[len(self.free)] if len(self.free) < len(self.script) else taken
            taken = told if told in options else taken
            self.free.append((tuple(options), taken))
        return taken

    def assume(self, assumption: Assumption) -> None:
        """Defaults hold: the dumps are whole."""

    def draw(self, draw: Draw) -> int | None:
        """Return the port of the kernel's entry; one outside the set is noted."""
        entry = self.entries.get(draw.wanted.connection.original)
        if entry is None:
            return None
        port = port_of(inverse(entry.reply), draw.wanted.side)
        self.draws += 1
        if not draw.may_be(port):
            self.wrong.append(f"{draw}: {port} is taken, or outside {draw.low}-{draw.high}")
        return port

    def kept_back(self, peer: IPAddress, *, spent: bool) -> bool:
        """Whether the kernel kept an error to itself: it may have, and nothing shows one."""
        may = spent or str(peer) in self.limited or EVERYBODY in self.limited
        return may and not self.told
