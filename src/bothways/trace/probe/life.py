"""
One packet from its first event to the last: the same number in every event, whatever translates it.

The kernel's buffer for a packet (``sk_buff``) is used again as soon as it is free, so its address alone
names no packet. A life ends when the buffer is freed, and when its headers become those of another packet:
another identification, sequence number or protocol. Addresses and ports may change, that is translation.
"""

from collections import OrderedDict
from typing import Dict, FrozenSet, List, Optional, Tuple

from bothways.trace.probe.packet import Packet, identity

__all__ = ["Ends", "Life", "Lives", "known_ends"]

Ends = FrozenSet[Tuple[object, object]]

_LIVES = 65536  # packets held at once; the oldest is forgotten
_CAUSES = 64
_PAUSE_NS = 20_000_000  # of a packet without headers: a longer one begins another life
_CAUSE_NS = 1_000_000_000  # an answer that takes longer to be made is not one


class Life:
    """
    What is known of one packet so far.

    ``tracked`` is the event of the tracker whose answer the next look at the packet will show.
    """

    __slots__ = (
        "before",
        "clone_of",
        "device",
        "ifindex",
        "length",
        "matched",
        "netns",
        "number",
        "packet",
        "provoked_by",
        "seen_at",
        "tracked",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.packet: Optional[Packet] = None
        self.before: Optional[Packet] = None
        self.device: Optional[str] = None
        self.ifindex: Optional[int] = None
        self.netns: Optional[int] = None
        self.clone_of: Optional[int] = None
        self.provoked_by: Optional[int] = None
        self.matched = False
        self.length: Optional[int] = None
        self.seen_at = 0
        self.tracked: Optional[Dict[str, object]] = None


class Lives:
    """All packets that are alive, by the address of their buffer."""

    def __init__(self) -> None:
        self._lives: OrderedDict[int, Life] = OrderedDict()
        self._last = 0
        self._causes: List[Tuple[int, Life]] = []

    def get(self, skb: int, packet: Optional[Packet], time: int) -> Life:
        """
        Look the packet up, or begin its life.

        *packet* is what its headers are now, None where that is not shown.
        """
        life = self._lives.get(skb)
        if life is None or (
            packet is not None and life.packet is not None and not _same(life.packet, packet)
        ):
            life = self._begin(skb)
        life.before = None
        life.seen_at = time
        if packet is not None:
            if life.packet is None:
                life.provoked_by = life.provoked_by or self._cause_of(packet, time)
            elif _moved(life.packet, packet):
                life.before = life.packet
            life.packet = packet
        return life

    def get_blind(self, skb: int, length: Optional[int], time: int, *, fresh: bool) -> Life:
        """
        Look up a packet whose headers are never shown.

        Freeing a buffer leaves no trace on TCP's own paths, so this life is ended by less: a pause, another
        length, or because the packet is being made just now (*fresh*). Better one packet is told as two
        than two as one.
        """
        life = self._lives.get(skb)
        if life is not None:
            grown = length is not None and life.length is not None and length != life.length
            if fresh or grown or time - life.seen_at > _PAUSE_NS:
                life = None
        if life is None:
            life = self._begin(skb)
        life.before = None
        life.seen_at = time
        life.length = length if length is not None else life.length
        return life

    def end(self, skb: int) -> None:
        """Forget a packet whose buffer is free."""
        self._lives.pop(skb, None)

    def _begin(self, skb: int) -> Life:
        self._last += 1
        life = Life(self._last)
        self._lives[skb] = life
        self._lives.move_to_end(skb)
        while len(self._lives) > _LIVES:
            self._lives.popitem(last=False)
        return life

    def answered(self, life: Life, time: int) -> None:
        """Remember that an answer to this packet is being made: a RST, or an ICMP error."""
        self._causes.append((time, life))
        del self._causes[:-_CAUSES]

    def _cause_of(self, packet: Packet, time: int) -> Optional[int]:
        """Find the packet that a RST or an ICMP error answers, among those that are being answered."""
        for when, life in reversed(self._causes):
            if time - when > _CAUSE_NS:
                return None
            if life.packet is not None and _answers(packet, life.packet):
                return life.number
        return None


_ENDS = ("source", "source_port", "destination", "destination_port")


def _ends(packet: Packet) -> Tuple[object, ...]:
    return tuple(packet[end] for end in _ENDS)


def _moved(old: Packet, new: Packet) -> bool:
    return _ends(old) != _ends(new)


def _same(old: Packet, new: Packet) -> bool:
    """Whether two headers may be one packet's: where one of them does not show a field, it does not count."""
    if old.get("inner") is not None or new.get("inner") is not None:
        return _same_inside(old, new)
    return all(
        one is None or other is None or one == other for one, other in zip(identity(old), identity(new))
    )


def _same_inside(old: Packet, new: Packet) -> bool:
    """Encapsulation puts a header around a packet, or takes it off; the packet inside stays."""
    inside = [each.get("inner") or each for each in (old, new)]
    first, second = (each if isinstance(each, dict) else {} for each in inside)
    return bool(first) and bool(second) and identity(first) == identity(second)


def _answers(answer: Packet, provoking: Packet) -> bool:
    flags, quoted = answer.get("flags"), answer.get("quoted")
    if isinstance(flags, str) and "R" in flags:
        ends = _ends(provoking)
        return answer["protocol"] == provoking["protocol"] and _ends(answer) == ends[2:] + ends[:2]
    return isinstance(quoted, dict) and _ends(quoted) == _ends(provoking)


def known_ends(packet: Packet) -> Optional[Ends]:
    """Both ends of a connection, in no order; None where a port or an address is not known."""
    first = (packet["source"], packet["source_port"])
    second = (packet["destination"], packet["destination_port"])
    return None if None in first or None in second else frozenset((first, second))
