"""
The running kernel in the model's place, for sequences of any protocol and family.

What ``kernel`` is for TCP over IPv4. A sequence has four ports and identifiers of its own; pauses are real.
"""

from __future__ import annotations

import socket
import struct
import time
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from bothways.conform.datagram import ENDS, FLOWS, Ends, ip_header, octets_of
from bothways.conform.mixed_router import BASE, looked_up
from bothways.conform.namespace import inside
from bothways.conform.netlink import Conntrack, Events, Log
from bothways.conform.recording import Case, Result, Segment
from bothways.conform.segment import LETTERS
from bothways.conform.site import ASKED, VERDICTS, Site
from bothways.conform.wires import Heard, Wires
from bothways.facts.conntrack import Tuple
from bothways.facts.packet import ICMP, ICMP6, TCP
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.timeouts import DEFAULTS
from bothways.model.linux.conntrack.tuple import ICMP_QUERIES
from bothways.model.linux.conntrack.zone import zones_to_try

__all__ = ["MixedKernel"]

#: Ports that are used before the tracker is emptied and they are used again.
_PORTS: Final = 24_000


class MixedKernel:
    """
    A router of the running kernel.

    :param name: prefix of the namespaces that are made for it.
    :raises OSError: if it cannot be built.
    """

    def __init__(self, name: str, *, nat: bool) -> None:
        self._nat = nat
        self._site = Site(name, nat=nat)
        self._sysctls: dict[str, int] = {}
        self._base = BASE
        try:
            with inside(self._site.m):
                self._table, self._events = Conntrack(), Events()
                self._log = Log((socket.AF_INET, socket.AF_INET6))
            self._wires = Wires(self._site, self._log, ENDS)
        except BaseException:
            self._site.close()
            raise

    def close(self) -> None:
        """Close sockets and remove the namespaces."""
        for each in (self._table, self._events, self._log, self._wires, self._site):
            each.close()

    def ask(self, case: Case) -> Case:
        """Send the segments of a sequence; return it with what the kernel made of them."""
        for name, value in case.sysctls:
            if self._sysctls.get(name) != value:
                self._site.set(name, value)
                self._sysctls[name] = value
        for name in self._sysctls.keys() - dict(case.sysctls).keys():
            if name in DEFAULTS:  # a time that a sequence shortened
                self._site.set(name, DEFAULTS[name])
                del self._sysctls[name]
        if self._base == BASE or any(isinstance(each.get("proto"), int) for each in case.segments):
            self._forget()
        self._log.read()
        waits = any("wait" in each for each in case.segments)
        results = tuple(self._step(each, case.family, waits=waits) for each in case.segments)
        self._base = BASE if self._base >= BASE + _PORTS else self._base + FLOWS
        return Case(
            case.name, case.kind, case.nat, case.sysctls, case.segments, results, case.family, mixed=True
        )

    def _forget(self) -> None:
        self._table.flush()
        self._events.read_any(0, 0)

    def _step(self, segment: Segment, version: int, *, waits: bool) -> Result:
        time.sleep(segment.get("wait", 0))
        ends, side = ENDS[version], segment["dir"]
        body, packet = octets_of(segment, ends, self._base, nat=self._nat)
        dscp = ASKED[segment.get("zone", 0), segment.get("half"), bool(segment.get("notrack"))]
        assert packet.ip is not None  # noqa: S101 (octets_of gives one to each)
        head = ip_header(packet.ip, len(body), self._wires.next_number(), dscp << 2)
        self._wires.send(side, version, head + body)
        heard = self._wires.hear(side, version, lambda frame: _reset_in(frame, version))
        result = self._said(heard, ends)
        if heard.back is not None:
            result["answered"] = heard.back
        events = self._events.read_any(self._base, FLOWS)
        if events and not waits:
            result["events"] = sorted(events)
        result["state"] = None
        half = Way(segment["half"]) if "half" in segment else None
        entry = self._entry(looked_up(packet), segment.get("zone", 0), half)
        if entry is not None:
            result["orig"] = "B" if entry.pop("source") == ends.of["B"].packed else "A"
            result |= {"state": "TRACKED"} | entry
        return result

    def _said(self, heard: Heard[dict[str, Any]], ends: Ends) -> Result:
        result: Result = {}
        arrived = heard.arrived
        if arrived is None:
            result["verdict"] = heard.local or "unknown"
            result["delivery"] = "local" if heard.local else "none"
        else:
            verdict, way = VERDICTS.get(_dscp(arrived, ends.version), ("unknown", None))
            result["verdict"] = verdict
            if way is not None:
                result["ctdir"] = way
            result["delivery"] = "forwarded"
            if self._nat:
                result |= _addresses(arrived, ends.version, quoted=verdict == "RELATED")
        return result | ({"log": heard.log} if heard.log else {})

    def _entry(self, one: Tuple | None, zone: int, half: Way | None) -> dict[str, Any] | None:
        if one is None or not _can_be_asked(one):
            return None
        for number in zones_to_try(zone, half):
            entry = self._table.find(one, number)
            if entry is not None:
                return entry
        return None


def _reset_in(frame: bytes, version: int) -> dict[str, Any] | None:
    """Tell the RST that the router's own stack sent back, if a frame is one."""
    at = 34 if version == 4 else 54  # noqa: PLR2004
    if frame[23 if version == 4 else 20] != TCP:  # noqa: PLR2004
        return None
    seq, ack = struct.unpack_from("!II", frame, at + 4)
    flags = "".join(letter for letter, flag in LETTERS.items() if frame[at + 13] & flag)
    return _addresses(frame, version, quoted=False) | {"flags": flags, "seq": seq, "ack": ack}


def _dscp(frame: bytes, version: int) -> int:
    if version == 4:  # noqa: PLR2004
        return frame[15] >> 2
    first = int.from_bytes(frame[14:16])
    return (first >> 4 & 0xFF) >> 2


def _addresses(frame: bytes, version: int, *, quoted: bool) -> dict[str, Any]:
    """Source and destination of a frame, and of the packet that it quotes."""

    def two(at: int) -> list[str]:
        if version == 4:  # noqa: PLR2004
            return [str(IPv4Address(frame[at + step : at + step + 4])) for step in (12, 16)]
        return [str(IPv6Address(frame[at + step : at + step + 16])) for step in (8, 24)]

    src, dst = two(14)
    said: dict[str, Any] = {"src": src, "dst": dst}
    if quoted:
        said["quoted"] = two(14 + (20 if version == 4 else 40) + 8)  # noqa: PLR2004
    return said


def _can_be_asked(one: Tuple) -> bool:
    """Whether ctnetlink looks it up: it refuses ICMP types that have no answer."""
    if one.protocol not in {ICMP, ICMP6}:
        return True
    queries = ICMP_QUERIES[one.protocol]
    return one.icmp_type in queries or one.icmp_type in queries.values()
