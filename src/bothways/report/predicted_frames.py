"""
Predicted packets as the bytes that a capture would hold.

A packet in a tunnel other than VXLAN, or in one whose sender no dump shows, has no frame: it is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from bothways.capture.compose_frame import compose_cooked, compose_frame, compose_tunnelled
from bothways.capture.pcapng_write import ETHERNET, SLL2, Interface, Record, write_pcapng
from bothways.facts.address import BROADCAST, Mac, is_group
from bothways.facts.expected import ExpectedCapture
from bothways.facts.prediction import Crossing, Walk
from bothways.facts.sighting import Direction, Tap
from bothways.facts.snapshot import Snapshot

__all__ = ["ANY", "PredictedFrame", "predicted_frame", "predicted_pcapng", "way_of"]

ANY: Final = "any"
#: Packet type of a cooked header -> tcpdump's word, packet(7).
_WORDS: Final = {0: "In", 1: "B", 2: "M", 3: "P", 4: "Out"}
_TO_US, _BROADCAST, _MULTICAST, _OTHERS, _SENT = range(5)


@dataclass(frozen=True, slots=True)
class PredictedFrame:
    """
    One frame on the wire.

    :param packet_type: what a cooked header says of its receiver, ``packet(7)``.
    """

    data: bytes
    packet_type: int

    @property
    def word(self) -> str:
        """The way as tcpdump prints it at an ``any`` tap: ``In``, ``Out``, ``P``."""
        return _WORDS[self.packet_type]


def predicted_frame(crossing: Crossing, snapshot: Snapshot) -> PredictedFrame | None:
    """Compose the frame of a crossing, None if not all of its headers are known."""
    if crossing.tunnel is None:
        return PredictedFrame(compose_frame(crossing.packet), way_of(crossing, snapshot))
    if crossing.tunnel.kind != "vxlan" or crossing.outer is None:
        return None
    data = compose_tunnelled(crossing.packet, crossing.outer, crossing.tunnel.vni)
    return PredictedFrame(data, way_of(crossing, snapshot))


def way_of(crossing: Crossing, snapshot: Snapshot) -> int:
    """Say whom a frame is for, seen from the device: the packet type of ``packet(7)``."""
    if crossing.direction is Direction.OUT:
        return _SENT
    carrier = crossing.packet if crossing.outer is None else crossing.outer
    target = carrier.ethernet.dst
    if target == BROADCAST:
        return _BROADCAST
    if is_group(target):
        return _MULTICAST
    return _TO_US if not target or target == _mac_of(crossing.tap, snapshot) else _OTHERS


def predicted_pcapng(captures: Iterable[ExpectedCapture], walk: Walk, snapshot: Snapshot) -> bytes:
    """Write one pcapng file: an interface for every tap, packets in the order of the walk, from time 0."""
    taps = tuple(captures)
    interfaces = [
        Interface(str(each.tap), SLL2 if each.tap.device == ANY else ETHERNET, _ran_with(each))
        for each in taps
    ]
    records = [
        record for number, each in enumerate(taps) for record in _records(number, each, walk, snapshot)
    ]
    return write_pcapng(interfaces, sorted(records, key=lambda record: record.time_ns))


def _records(number: int, capture: ExpectedCapture, walk: Walk, snapshot: Snapshot) -> Iterator[Record]:
    for crossing in capture.crossings:
        frame = predicted_frame(crossing, snapshot)
        if frame is None:
            continue
        data = frame.data
        if capture.tap.device == ANY:
            index = _index_of(crossing.tap, snapshot)
            data = compose_cooked(data, ifindex=index, packet_type=frame.packet_type)
        journey = walk.journeys[crossing.journey]
        comment = f"{journey.name} from {journey.sender}, at {crossing.tap.device}"
        yield Record(number, crossing.at_ns, data, str(crossing.direction), comment)


def _ran_with(capture: ExpectedCapture) -> str:
    return f"predicted, filter: {capture.filter}" if capture.filter else "predicted"


def _mac_of(tap: Tap, snapshot: Snapshot) -> Mac | None:
    netns = snapshot.netns(tap.host, tap.netns)
    device = None if netns is None else netns.device(tap.device)
    return None if device is None else device.mac


def _index_of(tap: Tap, snapshot: Snapshot) -> int:
    netns = snapshot.netns(tap.host, tap.netns)
    device = None if netns is None else netns.device(tap.device)
    return 0 if device is None else device.index
