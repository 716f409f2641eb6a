"""Events told by programs in the kernel: which way of each probe is taken, and what they send."""

import os
import struct
import time
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from bothways.trace.probe import config
from bothways.trace.probe.asked_devices import AskedDevices
from bothways.trace.probe.attach import Link
from bothways.trace.probe.btf_kinds import STRUCT
from bothways.trace.probe.cost import Accounting, spent
from bothways.trace.probe.elf import Malformed
from bothways.trace.probe.gather import Gatherer
from bothways.trace.probe.hostns import Namespaces
from bothways.trace.probe.kernel import Kernel
from bothways.trace.probe.load import Object
from bothways.trace.probe.objects import object_bytes
from bothways.trace.probe.options import Misused, Options
from bothways.trace.probe.parallel import in_parallel
from bothways.trace.probe.probes import PROBES, Probe, Way
from bothways.trace.probe.program import Refused
from bothways.trace.probe.record import Decoder
from bothways.trace.probe.ring import Ring
from bothways.trace.probe.symbols import Symbols
from bothways.trace.probe.tiers import TIERS, Tier
from bothways.trace.probe.trace import Source

__all__ = ["Programs", "registers"]

_OBJECT = "trace.bpf.o"
_RING, _STATS, _CONFIG = "events", "stats", "config"
_SEEN, _LOST = 0, 2
_CONSUMER = "consumer_is_told"
_SHARED, _SHARING = "packet_program", "packet_programs"
#: what stands in a program that serves several probes, in the place of the probe's number: "probe id"
_NUMBER = 0x70726F6265206964
_PACKET = "sk_buff *"
#: six arguments and the result, by machine; those of aarch64 are an array at the structure's begin
_REGISTERS = {"x86_64": ("di", "si", "dx", "cx", "r8", "r9", "ax"), "aarch64": ("regs",)}
_TIME = struct.Struct("=Q")  # a record begins with the monotonic time


class Programs(Source):
    """
    The object's programs, attached.

    :param tiers: what was tried; ways of tiers that cannot be used are passed over.
    :raises Refused: where the kernel takes none of them; the text says why.
    """

    def __init__(
        self,
        options: Options,
        kernel: Kernel,
        tiers: List[Tier],
        symbols: Symbols,
        namespaces: Namespaces,
    ) -> None:
        self.tiers = tiers
        self._symbols = symbols
        self._told_symbols = False
        self._cost: Optional[Dict[str, Any]] = None
        self._options = options
        self._kernel = kernel
        self._decoded: Optional[Iterator[Dict[str, Any]]] = None
        self._problems: List[Dict[str, Any]] = []
        self._links: Dict[str, List[Link]] = {}
        self._accounting = self._account() if options.allow_system_changes else None
        self._object = Object(object_bytes(_OBJECT), kernel)
        try:
            self._object.configure(_CONFIG, config.pack(options, kernel, registers(kernel)))
        except ValueError as error:
            raise Misused(str(error)) from error
        consumed = kernel.tracepoint("consume_skb", named=False) or []
        self._object.configure(_CONSUMER, int(len(consumed) > 1))
        self._object.resize(_RING, options.ring_size)
        self._object.create()
        self._share()
        self._gatherer = Gatherer(Ring(self._object.maps[_RING]), options.backlog)
        self._gatherer.start()
        usable = {tier.name for tier in tiers if tier.why_not is None}
        wanted = [probe for probe in PROBES if self._wanted(probe)]
        self.probes = in_parallel(lambda probe: self._attach(probe, usable), wanted)
        self._begun = time.clock_gettime(time.CLOCK_MONOTONIC) * 1e9
        self._before = self._sum()
        used = {row["tier"] for row in self.probes if row["attached"]}
        if not used:
            why = [str(row["why_not"]) for row in self.probes if row["why_not"]]
            self.detach()
            self.close()
            raise Refused(why[0] if why else "there is no probe for these events", 0)
        self.tier = next(tier for tier in TIERS if tier in used)
        attached = {str(row["probe"]): str(row["tier"]) for row in self.probes if row["attached"]}
        by_number = {probe.number: attached[probe.name] for probe in PROBES if probe.name in attached}
        self._decoder = Decoder(symbols, kernel, namespaces, by_number)
        self._places = AskedDevices(options.devices)

    # Attaching

    def _share(self) -> None:
        """Load the program that others hand packets on to; so it is verified once for all of them."""
        descriptor = self._object.load(_SHARED)
        self._object.maps[_SHARING].update(struct.pack("<I", 0), struct.pack("<I", descriptor))
        self._shared = descriptor

    def _wanted(self, probe: Probe) -> bool:
        """Whether a probe is asked for, or needed to tell packets apart."""
        return not self._options.events or probe.event in self._options.events or probe.always

    def _attach(self, probe: Probe, usable: Set[str]) -> Dict[str, Any]:
        """Attach a probe in the best way that this kernel takes; returns its row of the start line."""
        if probe.unless is not None and self._kernel.enumerators(probe.unless) is not None:
            return _row(probe, None, attached=False, why_not="a tracepoint tells it on this kernel")
        reasons = []
        for way in probe.ways:
            if way.tier not in usable:
                continue
            unfit = self._unfit(way, usable)
            if unfit is not None:
                reasons.append(unfit)
                continue
            links: List[Link] = []
            try:
                for program, target in self._resolved(way):
                    links.append(self._object.attach(program, target, {_NUMBER: probe.number}))
            except (Refused, Malformed) as error:
                for link in links:
                    self._object.detach(link)
                reasons.append("{}: {}".format(way.tier, error))
                continue
            self._links[probe.name] = links
            return _row(probe, way.tier, attached=True, why_not=None)
        ways = ", ".join(sorted({way.tier for way in probe.ways}))
        why = "; ".join(reasons) or "needs one of these tiers: {}".format(ways)
        return _row(probe, None, attached=False, why_not=why)

    def _unfit(self, way: Way, usable: Set[str]) -> Optional[str]:
        """Say why a way that could be taken is not."""
        if way.needs is not None and self._kernel.enumerators(way.needs) is None:
            return "{}: this kernel has no {}".format(way.tier, way.needs)
        if way.alone and usable & {"fentry", "kprobe"}:
            return "it does not tell all of them on this kernel; the functions are probed"
        return None

    def _resolved(self, way: Way) -> List[Tuple[str, Optional[str]]]:
        """Name the programs of a way; one that is there for several positions of the packet, by its own."""
        named = [name.partition("@") for name in way.programs]
        return [
            (self._placed(name, place or way.target or ""), place or way.target) for name, _, place in named
        ]

    def _placed(self, name: str, function: str) -> str:
        if not name.endswith("*"):
            return name
        placed = name[:-1] + str(self._position(function))
        if placed not in self._object.programs:
            raise Refused("no program reads the argument of {} that is the packet".format(function), 0)
        return placed

    def _position(self, function: str) -> int:
        arguments = self._kernel.function(function)
        if arguments is None:
            raise Refused("this kernel has no function {}, or its module is not there".format(function), 0)
        for position, argument in enumerate(arguments):
            if argument.type == _PACKET:
                return position
        raise Refused("{} takes no packet on this kernel".format(function), 0)

    def _account(self) -> Optional[Accounting]:
        try:
            return Accounting()
        except OSError as error:
            text = "the cost is not measured: BPF_ENABLE_STATS: {}".format(error.strerror)
            self._problems.append({"text": text, "hint": "it needs Linux 5.8 and CAP_SYS_ADMIN"})
            return None

    # Telling

    def events(self, seconds: float) -> Iterator[Dict[str, Any]]:
        """Decode what was gathered; who stops in the middle finds the rest the next time."""
        if self._decoded is None:
            self._gatherer.wait(seconds)
            self._decoded = self._decode()
        for event in self._decoded:  # not `yield from`: that would end it with who stops in the middle
            yield event
        self._decoded = None

    def _decode(self) -> Iterator[Dict[str, Any]]:
        for piece in self._gatherer.pieces():
            for each in piece:
                # While some programs were attached and others not, a packet's story had gaps.
                if _TIME.unpack_from(each)[0] < self._begun:
                    continue
                event = self._decoder.event(each)
                if self._places.takes(event):
                    yield event

    def counters(self) -> Dict[str, int]:
        """Sum the programs' own counters over all processors, from when all were attached."""
        return {name: value - self._before[name] for name, value in self._sum().items()}

    def _sum(self) -> Dict[str, int]:
        stats = self._object.maps[_STATS]
        return {"seen": stats.counter(_SEEN), "lost": stats.counter(_LOST)}

    def problems(self) -> List[Dict[str, Any]]:
        """Tell problems that came up since the last call."""
        found, self._problems = self._problems, []
        if self._symbols.why_not and not self._told_symbols:
            self._told_symbols = True
            text = "addresses have no names: " + self._symbols.why_not
            found.append({"text": text, "hint": self._symbols.hint})
        return found

    def detach(self) -> None:
        """Detach all programs; what is in the ring is brought into memory."""
        if self._accounting is not None:
            self._cost = {"programs": spent(self._descriptors())}
            self._accounting.close()
        self._object.detach()
        self._gatherer.stop()

    def _descriptors(self) -> Dict[str, List[int]]:
        return {name: [link.program for link in links] for name, links in self._links.items()}

    def cost(self) -> Optional[Dict[str, Any]]:
        """Tell what the programs cost, where it was measured."""
        return self._cost

    def namespaces(self) -> Dict[str, str]:
        """Names of the namespaces that were seen."""
        return self._decoder.namespaces()

    def close(self) -> None:
        """Take everything out of the kernel."""
        self._gatherer.close()
        self._object.close()
        os.close(self._shared)


def registers(kernel: Kernel) -> List[int]:
    """Where six arguments and the result stand in ``struct pt_regs``, bytes; empty for other machines."""
    names = _REGISTERS.get(os.uname().machine, ())
    for found in kernel.find("pt_regs", frozenset({STRUCT})):
        at = {member.name: member.bit_offset // 8 for member in found.image.members(found.type)}
        if "regs" in names:
            return [8 * number for number in (0, 1, 2, 3, 4, 5, 0)]
        if names and all(name in at for name in names):
            return [at[name] for name in names]
    return []


def _row(probe: Probe, tier: Optional[str], *, attached: bool, why_not: Optional[str]) -> Dict[str, Any]:
    return {"probe": probe.name, "tier": tier, "event": probe.event, "attached": attached, "why_not": why_not}
