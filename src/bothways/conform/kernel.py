"""
The running kernel in the model's place: what it makes of each segment, in the words of a recording.

One segment goes onto a wire, and what comes of it is awaited: at the other end, or at the router itself. A
sequence has a pair of ports of its own, so none meets an entry of another.
"""

from __future__ import annotations

import struct
import time
from ipaddress import IPv4Address
from typing import Any, Final

from bothways.conform.namespace import inside
from bothways.conform.netlink import Conntrack, Events, Log
from bothways.conform.recording import Case, Result, Segment
from bothways.conform.segment import DPORT, FLOATING, LETTERS, SPORT, A, B, ip_octets, segment_octets
from bothways.conform.site import VERDICTS, Site
from bothways.conform.wires import Wires

__all__ = ["RunningKernel"]

#: Ports that are used before the tracker is emptied and they are used again.
_PORTS: Final = 24_000
_TCP: Final = 6
#: Seconds within which a sequence is over, and how often it is tried.
_PROMPT: Final = 0.9
_TRIES: Final = 3


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
        try:
            with inside(self._site.m):
                self._table, self._events, self._log = Conntrack(), Events(), Log()
            self._wires = Wires(self._site, self._log, (4,))
        except BaseException:
            self._site.close()
            raise

    def close(self) -> None:
        """Close sockets and remove the namespaces."""
        for each in (self._table, self._events, self._log, self._wires, self._site):
            each.close()

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
        packet = ip_octets(ends, segment_octets(segment, ends, ports), self._wires.next_number())
        self._wires.send(side, 4, packet)
        heard = self._wires.hear(side, 4, _answer)
        result: Result = {} if heard.back is None else {"answered": heard.back}
        arrived = heard.arrived
        if arrived is None:
            result["verdict"] = heard.local or "unknown"
            result["delivery"] = "local" if heard.local else "none"
        else:
            verdict, way = VERDICTS.get(arrived[15] >> 2, ("unknown", None))
            result["verdict"] = verdict
            if way is not None:
                result["ctdir"] = way
            result["delivery"] = "forwarded"
            if self._nat:
                result["src"], result["dst"] = _address(arrived, 26), _address(arrived, 30)
        self._tell_entry(port, result)
        if heard.log:
            result["log"] = heard.log
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
