"""
The tracker's sysctls of one namespace.

What the dump does not hold is taken at Linux' default, and said to be when it decides something.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from bothways.facts.choice import Assumption, Oracle
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.model.linux.conntrack.tcp_memory import TcpSettings
from bothways.model.linux.conntrack.timeouts import DEFAULTS
from bothways.model.linux.settings import command

__all__ = ["NAMES", "TICKS", "Settings"]

_PREFIX: Final = "net.netfilter."
_SWITCHES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "nf_conntrack_checksum": 1,
        "nf_conntrack_tcp_loose": 1,
        "nf_conntrack_tcp_be_liberal": 0,
        "nf_conntrack_tcp_ignore_invalid_rst": 0,
        "nf_conntrack_tcp_max_retrans": 3,
    }
)
#: What has no default worth a guess: it hangs on the machine's memory, or is a count.
_NOTES: Final = ("nf_conntrack_max", "nf_conntrack_count")
#: ``CONFIG_HZ`` of most distributions.
TICKS: Final = 250
#: Names that are known, without ``net.netfilter.``.
NAMES: Final = frozenset({*DEFAULTS, *_SWITCHES, *_NOTES})
_DEFAULTS: Final = {**DEFAULTS, **_SWITCHES}


class Settings:
    """
    Values by the sysctl's name without ``net.netfilter.``; only names of the tables are known.

    :param ticks: of a second, in which the kernel's log counts time (``CONFIG_HZ``); no dump shows it.
    """

    def __init__(self, netns: Netns, oracle: Oracle, *, ticks: int = TICKS) -> None:
        self._oracle = oracle
        self._netns = netns
        self._values = _DEFAULTS.copy()
        self._read: dict[str, Span] = {}
        for row in netns.sysctls or ():
            name = row.name.replace("/", ".").removeprefix("net.").removeprefix("netfilter.")
            if name in NAMES and row.value.strip().isdecimal():
                self._values[name], self._read[name] = int(row.value), row.span
        self.ticks = ticks
        #: The value in force, by name: what the dump says, else the default. A mapping's own method: it is
        #: asked several times for each packet.
        self.value: Callable[[str], int] = self._values.__getitem__
        #: What the judgement of a segment hangs on.
        self.tcp = TcpSettings(
            loose=bool(self.value("nf_conntrack_tcp_loose")),
            ignore_invalid_rst=bool(self.value("nf_conntrack_tcp_ignore_invalid_rst")),
            be_liberal=bool(self.value("nf_conntrack_tcp_be_liberal")),
            max_retrans=self.value("nf_conntrack_tcp_max_retrans"),
        )

    def known(self, name: str) -> int | None:
        """The value that a dump shows, None if none does: for what has no default."""
        return self._values.get(name)

    def takes_for_granted(self, text: str, missing: str) -> None:
        """Say what no dump shows and a judgement rests on; *missing* is the command that would show it."""
        self._oracle.assume(
            Assumption(f"{text} ({self._netns.label})", missing=command(self._netns, missing))
        )

    def relied_on(self, name: str) -> tuple[Span, ...]:
        """Say that a value decided: the line that it was read from, or none and an assumption is noted."""
        found = self._read.get(name)
        if found is not None:
            return (found,)
        if name in _DEFAULTS:
            text = f"{name} is {self._values[name]} in {self._netns.label}, Linux' default"
            self._oracle.assume(Assumption(text, missing=command(self._netns, f"sysctl {_PREFIX}{name}")))
        return ()
