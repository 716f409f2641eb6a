"""
The running kernel in the model's place, for sequences of any protocol and family.

What ``kernel`` is for TCP over IPv4. A sequence has four ports and identifiers of its own; pauses are real.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from bothways.conform.datagram import ENDS, FLOWS, Ends, ip_header, octets_of
from bothways.conform.mixed_router import BASE, looked_up
from bothways.conform.mixed_site import ASKED, MixedSite
from bothways.conform.netlink import Conntrack, Events, Log
from bothways.conform.recording import Case, Result, Segment
from bothways.conform.segment import LETTERS
from bothways.conform.site import MACS, inside
from bothways.facts.conntrack import Tuple
from bothways.facts.packet import ICMP, ICMP6, TCP
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.timeouts import DEFAULTS
from bothways.model.linux.conntrack.tuple import ICMP_QUERIES
from bothways.model.linux.conntrack.zone import zones_to_try

__all__ = ["MixedKernel"]

_IGNORE_OUTGOING: Final = (263, 23)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
_ETHERTYPES: Final = {4: 0x0800, 6: 0x86DD}
#: Ports that are used before the tracker is emptied and they are used again.
_PORTS: Final = 24_000
#: How long a segment is awaited, an answer behind what was delivered, and one more word of the log (seconds).
_PATIENCE, _ANSWERED, _MOMENT = 0.05, 0.01, 0.001
#: What the router's rules wrote into the DSCP -> verdict and direction.
_TOLD: Final[dict[int, tuple[str, str | None]]] = {
    1: ("INVALID", None),
    2: ("NEW", "original"),
    3: ("ESTABLISHED", "original"),
    4: ("ESTABLISHED", "reply"),
    5: ("RELATED", "original"),
    6: ("UNTRACKED", None),
    7: ("RELATED", "reply"),
}
_LOCAL: Final = "LOCAL:"


class MixedKernel:
    """
    A router of the running kernel.

    :param name: prefix of the namespaces that are made for it.
    :raises OSError: if it cannot be built.
    """

    def __init__(self, name: str, *, nat: bool) -> None:
        self._nat = nat
        self._site = MixedSite(name, nat=nat)
        self._sysctls: dict[str, int] = {}
        self._base = BASE
        self._ident = 0
        try:
            with inside(self._site.m):
                self._table, self._events = Conntrack(), Events()
                self._log = Log((socket.AF_INET, socket.AF_INET6))
            self._wires = {
                (side, version): _wire(where, ethertype)
                for side, where in (("A", self._site.a), ("B", self._site.b))
                for version, ethertype in _ETHERTYPES.items()
            }
        except BaseException:
            self._site.close()
            raise

    def close(self) -> None:
        """Close sockets and remove the namespaces."""
        for each in (self._table, self._events, self._log):
            each.close()
        for wire in self._wires.values():
            wire.close()
        self._site.close()

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
        self._ident = self._ident + 1 & 0xFFFF
        dscp = ASKED[segment.get("zone", 0), segment.get("half"), bool(segment.get("notrack"))]
        assert packet.ip is not None  # noqa: S101 (octets_of gives one to each)
        head = ip_header(packet.ip, len(body), self._ident, dscp << 2)
        self._wires[side, version].send(_link(side, version) + head + body)
        arrived, back, words = self._await(side, version)
        result = self._said(arrived, words, ends)
        if back is not None:
            result["answered"] = back
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

    def _said(self, arrived: bytes | None, words: list[str], ends: Ends) -> Result:
        result: Result = {}
        local = [each.removeprefix(_LOCAL) for each in words if each.startswith(_LOCAL)]
        if arrived is None:
            result["verdict"] = local[0] if local else "unknown"
            result["delivery"] = "local" if local else "none"
        else:
            verdict, way = _TOLD.get(_dscp(arrived, ends.version), ("unknown", None))
            result["verdict"] = verdict
            if way is not None:
                result["ctdir"] = way
            result["delivery"] = "forwarded"
            if self._nat:
                result |= _addresses(arrived, ends.version, quoted=verdict == "RELATED")
        log = [each.removeprefix("nf_ct_proto_6:").strip() for each in words if not each.startswith(_LOCAL)]
        return result | ({"log": log} if log else {})

    def _entry(self, one: Tuple | None, zone: int, half: Way | None) -> dict[str, Any] | None:
        if one is None or not _can_be_asked(one):
            return None
        for number in zones_to_try(zone, half):
            entry = self._table.find(one, number)
            if entry is not None:
                return entry
        return None

    def _await(self, side: str, version: int) -> tuple[bytes | None, dict[str, Any] | None, list[str]]:
        """Return what came out at the other end, the RST that came back, and the log's words."""
        near, far = self._wires[side, version], self._wires["B" if side == "A" else "A", version]
        words: list[str] = []
        back, end = None, 0.0
        while True:
            arrived = self._arrived(far, version)
            if arrived is not None:
                break
            back = back or _reset_in(_received(near), version)
            words += self._log.read()
            now = time.monotonic()
            end = end or now + _PATIENCE
            local = any(each.startswith(_LOCAL) for each in words)
            if local:
                end = min(end, now + _ANSWERED)
            if (back is not None and local) or now >= end:
                break
            select.select([far, near, self._log.socket], [], [], max(0.0, min(_MOMENT, end - now)))
        return arrived, back, words + self._log.read()

    def _arrived(self, wire: socket.socket, version: int) -> bytes | None:
        """Return the segment that was sent last, if it is there; what else came is dropped."""
        while True:
            frame = _received(wire)
            if frame is None:
                return None
            number = struct.unpack_from("!H", frame, 18 if version == 4 else 16)[0]  # noqa: PLR2004
            if number == self._ident:
                return frame


def _link(side: str, version: int) -> bytes:
    near, far = ("m1", "a") if side == "A" else ("m2", "b")
    return MACS[near] + MACS[far] + struct.pack("!H", _ETHERTYPES[version])


def _wire(where: str, ethertype: int) -> socket.socket:
    with inside(where):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ethertype))
        wire.bind(("e0", ethertype))
    wire.setblocking(False)  # noqa: FBT003 (its only argument)
    wire.setsockopt(*_IGNORE_OUTGOING, 1)
    return wire


def _received(wire: socket.socket) -> bytes | None:
    try:
        return wire.recv(65536)
    except BlockingIOError:
        return None


def _reset_in(frame: bytes | None, version: int) -> dict[str, Any] | None:
    """Tell the RST that the router's own stack sent back, if a frame is one."""
    at = 34 if version == 4 else 54  # noqa: PLR2004
    if frame is None or frame[23 if version == 4 else 20] != TCP:  # noqa: PLR2004
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
