"""
Tracepoints, which mostly show a packet's buffer and device and none of its headers.

Where headers are never shown, call stacks stand in: who makes a packet and sends it stands in the stack of
its transmission.
"""

from typing import Callable, Dict, Optional

from bothways.trace.probe.life import Life
from bothways.trace.probe.sockaddr import connection, ends
from bothways.trace.probe.tracefs_event import (
    ANSWERS,
    NETFILTER_RESETS,
    RESETS,
    TCP_RESETS,
    Event,
    Sight,
    Teller,
    Told,
)
from bothways.trace.probe.tracefs_format import Format

__all__ = ["Points"]

_PROTOCOL_NUMBERS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp", 262: "tcp"}
#: functions that make a packet of their own and send it: one in the stack of a transmission means a new
#: packet
_MAKERS = (
    RESETS
    | frozenset({"__tcp_transmit_skb", "tcp_v4_send_ack", "tcp_v4_send_synack", "udp_send_skb", "arp_xmit"})
    | frozenset({"ndisc_send_skb", "icmp_push_reply", "__icmp_send", "raw_sendmsg", "packet_sendmsg"})
)
_AT_ONCE_NS = 10_000_000


class Points(Teller):
    """Tells of tracepoints."""

    _answered: Dict[int, Life]
    _received: Dict[int, Life]
    _received_skb: Dict[int, int]

    def point(self, sight: Sight) -> Told:
        """Tell of a tracepoint."""
        form, data, word = sight.placed.form, sight.data, sight.placed.tap.event
        skb = form.number(data, "skbaddr")
        maker = self._maker(sight)
        life = self._life_of_point(sight, skb, maker) if skb else None
        found, protocol = ends(form, data), self._protocol(form, data, word)
        if word == "rst-sent" and skb and found is not None:
            found = found.turned()  # it prints the ends of the RST; the packet is the one that provoked it
        if life is not None and life.packet is None and word == "rst-sent":
            life.packet = connection(found, protocol)
        if word in ANSWERS and life is not None:
            self.lives.answered(life, sight.time)
            self._answered[sight.cpu] = life
        event = self._event(sight, life)
        if event["packet"] is None:
            event["packet"] = connection(found, protocol)
            if event["packet"] is not None:
                event["detail"] = {"of": "socket"}
        event["length"] = form.number(data, "len")
        event.update(self._reason(form, data, of_reset=word == "rst-sent"))
        location = form.number(data, "location")
        if location:
            event["location"] = self._symbols(location)
            event["function"] = str(event["location"]).partition("+")[0] if event["location"] else None
        _DETAILS.get(word, _no_detail)(event, form, data)
        self._pass(sight, skb, life)
        made = self._made_by_netfilter(event, maker)
        return [*made, (event, life)]

    def _life_of_point(self, sight: Sight, skb: int, maker: Optional[str]) -> Life:
        form, data = sight.placed.form, sight.data
        if self._layout is not None:
            life = self.lives.get(skb, None, sight.time)
        else:
            length = form.number(data, "len")
            network = form.number(data, "network_offset") or 0
            inside = length - network if length is not None else None
            life = self.lives.get_blind(skb, inside, sight.time, fresh=maker is not None)
            if maker is not None and life.provoked_by is None:
                life.provoked_by = self._provoking(sight, maker)
        self._place(life, form.text(data, "name") or form.text(data, "dev_name"), None, None)
        return life

    def _maker(self, sight: Sight) -> Optional[str]:
        """Name the function that makes the packet that is sent, by the stack of its transmission."""
        if self._layout is not None or sight.placed.tap.event != "xmit" or sight.stack is None:
            return None
        for address in sight.stack:
            name = (self._symbols(address) or "").partition("+")[0]
            if name in _MAKERS:
                return name
        return None

    def _provoking(self, sight: Sight, maker: str) -> Optional[int]:
        """
        Find the packet that an answer without headers answers: both are handled in one go on one CPU.

        TCP's own resets are announced by a tracepoint; netfilter sends its while it handles what came in
        last.
        """
        life = None
        if maker in TCP_RESETS:
            life = self._answered.pop(sight.cpu, None)
        elif maker in NETFILTER_RESETS:
            life = self._received.get(sight.cpu)
        return life.number if life is not None and sight.time - life.seen_at <= _AT_ONCE_NS else None

    @staticmethod
    def _made_by_netfilter(event: Event, maker: Optional[str]) -> Told:
        """Tell the reset that its sender's stack proves, where the kernel has no probe for it."""
        if maker not in NETFILTER_RESETS:
            return []
        made = dict(event, event="rst-sent", function=maker, length=None, detail={"of": "stack"})
        return [(made, None)]

    def _pass(self, sight: Sight, skb: Optional[int], life: Optional[Life]) -> None:
        """Remember what the CPU handles now, and forget what is gone."""
        word = sight.placed.tap.event
        if word == "receive" and life is not None:
            self._received[sight.cpu] = life
            self._received_skb[sight.cpu] = skb or 0
        elif word in {"drop", "consume"} and skb:
            self.lives.end(skb)
        elif word == "rst-received" and self._layout is None:
            self.lives.end(self._received_skb.pop(sight.cpu, 0))  # TCP frees it without a word

    @staticmethod
    def _protocol(form: Format, data: bytes, event_word: str) -> Optional[str]:
        if event_word.startswith("rst-"):
            return "tcp"
        number = form.number(data, "proto" if form.has("proto") else "protocol")
        return _PROTOCOL_NUMBERS.get(number) if number is not None else None


def _no_detail(_event: Event, _form: Format, _data: bytes) -> None:
    """Most tracepoints say nothing that the event has no key for."""


def _route(event: Event, form: Format, data: bytes) -> None:
    names = ("tb_id", "err", "oif", "iif", "name")
    event["detail"] = {name: form.value(data, name) for name in names if form.has(name)}


def _states(event: Event, form: Format, data: bytes) -> None:
    words = {name: form.word(data, name) for name in ("oldstate", "newstate")}
    event["detail"] = {"of": "socket", "old": words["oldstate"], "new": words["newstate"]}


def _message(event: Event, form: Format, data: bytes) -> None:
    event["detail"] = {"type": form.number(data, "type"), "code": form.number(data, "code")}


_DETAILS: Dict[str, Callable[[Event, Format, bytes], None]] = {
    "fib": _route,
    "socket": _states,
    "icmp-sent": _message,
}
