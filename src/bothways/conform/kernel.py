"""
The running kernel in the model's place: what it makes of each segment, in the words of a recording.

One segment goes onto a wire, and what comes of it is awaited: at the other end, or at the router itself. A
sequence has a pair of ports of its own, so none meets an entry of another.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any, Final

from bothways.conform.netlink import Conntrack, Events, Log
from bothways.conform.recording import Case, Result, Segment
from bothways.conform.segment import DPORT, FLOATING, LETTERS, SPORT, A, B, ip_octets, segment_octets
from bothways.conform.site import MACS, Site, inside

__all__ = ["RunningKernel"]

_IP: Final = 0x0800
_IGNORE_OUTGOING: Final = (263, 23)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
#: Ports that are used before the tracker is emptied and they are used again.
_PORTS: Final = 24_000
#: How long a segment is awaited, an answer behind what was delivered, and one more word of the log (seconds).
_PATIENCE, _ANSWERED, _MOMENT = 0.05, 0.01, 0.001
_TCP: Final = 6
#: What the router's rules wrote into the DSCP -> verdict and direction.
_TOLD: Final[Mapping[int, tuple[str, str | None]]] = {
    1: ("INVALID", None),
    2: ("NEW", "original"),
    3: ("ESTABLISHED", "original"),
    4: ("ESTABLISHED", "reply"),
    5: ("RELATED", None),
    6: ("UNTRACKED", None),
}


class RunningKernel:
    """
    A router of the running kernel.

    :param name: prefix of the namespaces that are made for it.
    :raises OSError: if it cannot be built.
    """

    def __init__(self, name: str, *, nat: bool) -> None:
        self._nat = nat
        self._site = Site(name, nat=nat)
        self._sysctls: dict[str, int] = {}
        self._ports = 0
        self._ident = 0
        try:
            with inside(self._site.m):
                self._table, self._events, self._log = Conntrack(), Events(), Log()
            self._wires = {"A": _wire(self._site.a), "B": _wire(self._site.b)}
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
        """
        Send the segments of a sequence; return it with what the kernel made of them.

        It is sent again, from another port, if a busy machine took so long that a second passed in between:
        then the times that are left are not those that the kernel gave.
        """
        for name, value in case.sysctls:
            if self._sysctls.get(name) != value:
                self._site.set(name, value)
                self._sysctls[name] = value
        results: tuple[Result, ...] = ()
        for _ in range(_TRIES):
            start = time.monotonic()
            port = self._fresh_port()
            results = tuple(self._step(port, segment) for segment in case.segments)
            if time.monotonic() - start < _PROMPT:
                break
        return Case(case.name, case.kind, case.nat, case.sysctls, case.segments, results)

    def _fresh_port(self) -> int:
        if self._ports % _PORTS == 0:
            self._table.flush()
            self._events.read(None)
            self._ports = 0
        self._ports += 1
        return SPORT + self._ports - 1

    def _step(self, port: int, segment: Segment) -> Result:
        side = segment["dir"]
        there = FLOATING if self._nat else B
        ends, ports = ((A, there), (port, DPORT)) if side == "A" else ((B, A), (DPORT, port))
        self._ident = (self._ident + 1) & 0xFFFF
        packet = ip_octets(ends, segment_octets(segment, ends, ports), self._ident)
        self._wires[side].send(_HEADS[side] + packet)
        arrived, back, words = self._await(side)
        result: Result = {}
        if back is not None:
            result["answered"] = _answer(back)
        local = [each.removeprefix("LOCAL:") for each in words if each.startswith("LOCAL:")]
        if arrived is None:
            result["verdict"] = local[0] if local else "unknown"
            result["delivery"] = "local" if local else "none"
        else:
            verdict, way = _TOLD.get(arrived[15] >> 2, ("unknown", None))
            result["verdict"] = verdict
            if way is not None:
                result["ctdir"] = way
            result["delivery"] = "forwarded"
            if self._nat:
                result["src"], result["dst"] = _address(arrived, 26), _address(arrived, 30)
        self._tell_entry(port, result)
        log = [each.removeprefix("nf_ct_proto_6:").strip() for each in words if not each.startswith("LOCAL:")]
        if log:
            result["log"] = log
        return result

    def _tell_entry(self, port: int, result: Result) -> None:
        there = FLOATING if self._nat else B
        entry = self._table.entry((A.packed, there.packed), (port, DPORT))
        events = self._events.read(port)
        if events:
            result["events"] = events
        result["state"] = None
        if entry is not None:
            result["orig"] = "A" if entry.pop("source") == A.packed else "B"
            result.update(entry)

    def _await(self, side: str) -> tuple[bytes | None, bytes | None, list[str]]:
        """Return what came out at the other end, what came back to the sender, and the log's words."""
        near, far = self._wires[side], self._wires["B" if side == "A" else "A"]
        back, words, end = None, [], 0.0
        while True:
            arrived = self._arrived(far)
            if arrived is not None:
                break
            back = back or _received(near)
            words += self._log.read()
            local = any(each.startswith("LOCAL") for each in words)
            now = time.monotonic()
            end = end or now + _PATIENCE
            if local:
                end = min(end, now + _ANSWERED)
            if (back is not None and local) or now >= end:
                break
            select.select([far, near, self._log.socket], [], [], max(0.0, min(_MOMENT, end - now)))
        return arrived, back, words + self._log.read()

    def _arrived(self, wire: socket.socket) -> bytes | None:
        """Return the segment that was sent last, if it is there; what else came is dropped."""
        while True:
            frame = _received(wire)
            if frame is None or struct.unpack_from("!H", frame, 18)[0] == self._ident:
                return frame


#: Seconds within which a sequence is over, and how often it is tried.
_PROMPT: Final = 0.9
_TRIES: Final = 3

#: Link headers of what A and B send to their router.
_HEADS: Final = {
    "A": MACS["m1"] + MACS["a"] + struct.pack("!H", _IP),
    "B": MACS["m2"] + MACS["b"] + struct.pack("!H", _IP),
}


def _wire(where: str) -> socket.socket:
    with inside(where):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_IP))
        wire.bind(("e0", _IP))
    wire.setblocking(False)  # noqa: FBT003 (its only argument)
    wire.setsockopt(*_IGNORE_OUTGOING, 1)
    return wire


def _received(wire: socket.socket) -> bytes | None:
    try:
        return wire.recv(65536)
    except BlockingIOError:
        return None


def _address(frame: bytes, at: int) -> str:
    return str(IPv4Address(frame[at : at + 4]))


def _answer(frame: bytes) -> dict[str, Any]:
    """Tell what the router's own stack sent back."""
    if frame[23] != _TCP:
        return {"proto": frame[23], "type": frame[34], "code": frame[35]}
    seq, ack = struct.unpack_from("!II", frame, 38)
    return {
        "src": _address(frame, 26),
        "dst": _address(frame, 30),
        "flags": "".join(letter for letter, flag in LETTERS.items() if frame[47] & flag),
        "seq": seq,
        "ack": ack,
    }
