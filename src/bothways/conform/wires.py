"""What the two hosts of a site send and get, frame by frame, and what the router says meanwhile."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from bothways.conform.namespace import inside
from bothways.conform.netlink import Log
from bothways.conform.site import MACS, Site

__all__ = ["ETHERNET", "Heard", "Wires"]

T = TypeVar("T")
#: Octets before the IP header.
ETHERNET: Final = 14
_ETHERTYPES: Final = {4: 0x0800, 6: 0x86DD}
#: Where a frame has the number that it was sent with: the identification of IPv4, the flow label of IPv6.
_NUMBER_AT: Final = {4: 18, 6: 16}
_IGNORE_OUTGOING: Final = (263, 23)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
#: How long a segment is awaited, an answer behind what was delivered, and one more word of the log (seconds).
_PATIENCE, _ANSWERED, _MOMENT = 0.05, 0.01, 0.001
_LOCAL: Final = "LOCAL:"


@dataclass(frozen=True, slots=True)
class Heard(Generic[T]):
    """
    What became of one segment.

    :param arrived: the frame at the other end, None if none came.
    :param back: what the sender got, None if nothing that was looked for.
    :param local: the verdict of what was delivered to the router itself, "" if nothing was.
    :param log: what the tracker printed.
    """

    arrived: bytes | None
    back: T | None
    local: str
    log: list[str]


class Wires:
    """
    Raw sockets at both ends.

    :param versions: 4, 6: whose frames are sent and read.
    """

    def __init__(self, site: Site, log: Log, versions: Iterable[int]) -> None:
        self._log = log
        self._wires = {
            (side, version): _wire(where, _ETHERTYPES[version])
            for side, where in (("A", site.a), ("B", site.b))
            for version in versions
        }
        self._number = 0

    def close(self) -> None:
        """Close the sockets."""
        for wire in self._wires.values():
            wire.close()

    def next_number(self) -> int:
        """The number that the next packet is sent with, so that it is known again."""
        self._number = self._number + 1 & 0xFFFF
        return self._number

    def send(self, side: str, version: int, packet: bytes) -> None:
        """Send a packet to the router."""
        near, far = ("m1", "a") if side == "A" else ("m2", "b")
        link = MACS[near] + MACS[far] + struct.pack("!H", _ETHERTYPES[version])
        self._wires[side, version].send(link + packet)

    def hear(self, side: str, version: int, answer: Callable[[bytes], T | None]) -> Heard[T]:
        """
        Wait for what becomes of the packet that a side sent last.

        :param answer: what a frame that came back says, None if it is none that counts.
        """
        near, far = self._wires[side, version], self._wires["B" if side == "A" else "A", version]
        words: list[str] = []
        back, end = None, 0.0
        while True:
            arrived = self._arrived(far, version)
            if arrived is not None:
                break
            frame = _received(near)
            back = back if frame is None or back is not None else answer(frame)
            words += self._log.read()
            local = any(each.startswith(_LOCAL) for each in words)
            now = time.monotonic()
            end = end or now + _PATIENCE
            if local:
                end = min(end, now + _ANSWERED)
            if (back is not None and local) or now >= end:
                break
            select.select([far, near, self._log.socket], [], [], max(0.0, min(_MOMENT, end - now)))
        words += self._log.read()
        verdicts = [each.removeprefix(_LOCAL) for each in words if each.startswith(_LOCAL)]
        log = [each.removeprefix("nf_ct_proto_6:").strip() for each in words if not each.startswith(_LOCAL)]
        return Heard(arrived, back, verdicts[0] if verdicts else "", log)

    def _arrived(self, wire: socket.socket, version: int) -> bytes | None:
        """The packet that was sent last, if it is there; what else came is dropped."""
        while True:
            frame = _received(wire)
            if frame is None or struct.unpack_from("!H", frame, _NUMBER_AT[version])[0] == self._number:
                return frame


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
