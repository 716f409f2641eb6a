"""The best source of events that this host allows, of those that were asked for."""

from collections import deque
from typing import Any, Deque, Dict, Iterator, List, Optional, Set

from bothways.trace.probe.hostns import Namespaces
from bothways.trace.probe.kernel import Kernel
from bothways.trace.probe.options import Options
from bothways.trace.probe.program import Refused
from bothways.trace.probe.programs import Programs
from bothways.trace.probe.symbols import Symbols
from bothways.trace.probe.tiers import TIERS, Tier, judge
from bothways.trace.probe.trace import Source
from bothways.trace.probe.tracefs_mount import usable

__all__ = ["KernelTracing", "choose"]

_LAST = "tracefs"
_BETTER = "not tried: the tier {} was asked for"


def choose(options: Options) -> Source:
    """
    Open the best source.

    :raises Refused: where this host allows none; the text says why, tier by tier.
    """
    kernel = Kernel()
    tiers = _asked([*judge(kernel), Tier(_LAST, usable())], options.tier)
    symbols, namespaces = Symbols(), Namespaces()
    if any(tier.why_not is None for tier in tiers if tier.name in TIERS):
        try:
            return Programs(options, kernel, tiers, symbols, namespaces)
        except Refused as error:
            tiers = [
                tier if tier.name == _LAST or tier.why_not else tier._replace(why_not=str(error))
                for tier in tiers
            ]
    if tiers[-1].why_not is None:
        return KernelTracing(options, kernel, tiers, symbols, namespaces)
    raise Refused(_why_none(tiers), 0)


def _why_none(tiers: List[Tier]) -> str:
    """Say why no tier can be used: once for tiers that fail for the same reason."""
    by_reason: Dict[str, List[str]] = {}
    for tier in tiers:
        by_reason.setdefault(str(tier.why_not), []).append(tier.name)
    return "; ".join("{}: {}".format(", ".join(names), reason) for reason, names in by_reason.items())


def _asked(tiers: List[Tier], wanted: Optional[str]) -> List[Tier]:
    """Leave out the tiers above the one that was asked for; it must be usable itself."""
    if wanted is None:
        return tiers
    position = [tier.name for tier in tiers].index(wanted)
    why_not = tiers[position].why_not
    if why_not is not None:
        raise Refused("{}: {}".format(wanted, why_not), 0)
    reason = _BETTER.format(wanted)
    better = [Tier(tier.name, tier.why_not or reason) for tier in tiers[:position]]
    return better + tiers[position:]


class KernelTracing(Source):
    """The kernel's own tracing, as a source: for kernels that run no programs, or describe no types."""

    tier = _LAST

    def __init__(
        self,
        options: Options,
        kernel: Kernel,
        tiers: List[Tier],
        symbols: Symbols,
        namespaces: Namespaces,
    ) -> None:
        # The best tiers do without, and start the sooner.
        from bothways.trace.probe.tracefs import Tracefs  # noqa: PLC0415

        self.tiers = tiers
        self._symbols = symbols
        self._told: Set[str] = set()
        self._namespaces = namespaces
        self._seen: Set[int] = set()
        self._source = Tracefs(kernel, symbols, namespaces, options)
        self._source.start()
        self.probes = self._source.probes
        self._waiting: Deque[Dict[str, Any]] = deque()
        self._ended = False

    def events(self, seconds: float) -> Iterator[Dict[str, Any]]:
        """Tell what the kernel has written."""
        if not self._waiting and not self._ended:
            self._waiting.extend(self._source.poll(seconds))
        while self._waiting:  # who reads may go away in the middle, and come back
            event = self._waiting.popleft()
            inode = event["netns_inode"]
            if isinstance(inode, int):
                self._seen.add(inode)
            yield event

    def counters(self) -> Dict[str, int]:
        """Tell the source's own counters."""
        return {"seen": self._source.seen, "lost": self._source.lost}

    def problems(self) -> List[Dict[str, Any]]:
        """Say once that a better tier needs more rights, and that addresses have no names."""
        found = []
        better = next((tier for tier in reversed(self.tiers[:-1]) if "CAP_" in (tier.why_not or "")), None)
        if better is not None:
            text = "the tier {} sees more, and cannot be used: {}".format(better.name, better.why_not)
            found.append({"text": text, "hint": "run it as root, with all capabilities"})
        if self._symbols.why_not is not None:
            text = "addresses have no names: " + self._symbols.why_not
            found.append({"text": text, "hint": self._symbols.hint})
        fresh = [each for each in found if each["text"] not in self._told]
        self._told.update(each["text"] for each in fresh)
        return fresh

    def detach(self) -> None:
        """Take tracing out; what was written until then is kept."""
        self._waiting.extend(self._source.rest())
        self._ended = True
        self._source.close()

    def namespaces(self) -> Dict[str, str]:
        """Names of the namespaces that were seen."""
        return {str(inode): self._namespaces.name(inode) or "" for inode in sorted(self._seen)}

    def close(self) -> None:
        """Nothing is left."""
