"""
What statements of nft do to a packet.

One row per kind. Translations, rejects and NOTRACK are those of iptables, once it is known what they
translate to. Sources: ``net/netfilter/nft_nat.c``, ``nft_masq.c``, ``nft_redir.c``, ``nft_reject*.c``,
``nft_dynset.c``, ``nft_flow_offload.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, summarize_address_range
from typing import Any, Final

from bothways.facts.address import IPAddress
from bothways.facts.iptables import AddressRange, Rule, Target
from bothways.facts.nft_action import Action, Assign, Divert, Notrack, Reject, Translate, Update, Write
from bothways.facts.nft_expression import Element, Expression, Interval, Word
from bothways.facts.packet import TCP
from bothways.facts.step import Did
from bothways.model.linux.conntrack.entry import CtState
from bothways.model.linux.iptables.listener import Listener
from bothways.model.linux.iptables.targets import Effect, Resolver, Verdict, apply
from bothways.model.linux.nftables.fork import one_of
from bothways.model.linux.nftables.value import Outcomes, outcomes
from bothways.model.linux.nftables.view import BREAK, Break, Value, View
from bothways.model.linux.nftables.write import write

__all__ = ["Doer", "settle"]

_TARGETS: Final = {
    "snat": ("SNAT", "to-source"),
    "dnat": ("DNAT", "to-destination"),
    "masquerade": ("MASQUERADE", "to-ports"),
    "redirect": ("REDIRECT", "to-ports"),
}
_FLAGS: Final = {"random": "random", "fully-random": "random-fully", "persistent": "persistent"}
_V6: Final = {
    "no-route": "icmp6-no-route",
    "admin-prohibited": "icmp6-adm-prohibited",
    "addr-unreachable": "icmp6-addr-unreachable",
    "port-unreachable": "icmp6-port-unreachable",
}
_V4: Final = {
    "prot-unreachable": "icmp-proto-unreachable",
    "no-route": "icmp-net-unreachable",
}
_VERSIONS: Final = {"ip": 4, "ip6": 6}


@dataclass(frozen=True, slots=True)
class Doer:
    """Does what a statement says, for one packet."""

    view: View
    rule: Rule
    resolver: Resolver
    listener: Listener

    def do(self, action: Action) -> Effect | Break:
        """Do it; BREAK ends the rule."""
        row = _ROWS.get(type(action))
        return Effect() if row is None else row(self, action)

    def apply(self, target: Target) -> Effect:
        """As iptables does the same."""
        return apply(self.rule, target, self.view.buffer, self.view.hook, self.resolver)

    def settled(self, expression: Expression, what: str) -> tuple[Value, ...]:
        """The value of an expression; of several, the oracle picks one."""
        return settle(outcomes(expression, self.view), what, self)

    # -- rows -------------------------------------------------------------------------------------------

    def notrack(self, _: Notrack) -> Effect:
        """``notrack``."""
        return self.apply(Target("NOTRACK"))

    def write(self, action: Write) -> Effect | Break:
        """``… set``."""
        (value, *rest) = self.settled(action.value, f"what `{action.field.name} set` writes is not known")
        if value is BREAK:
            return BREAK
        if not isinstance(value, int) or rest:
            return Effect(doubt=f"what `{action.field.name} set` writes is not known")
        return write(action.field.name, value, self.view)

    def reject(self, action: Reject) -> Effect | Break:
        """``reject``."""
        ip = self.view.packet.ip
        if self.view.linked:
            return Effect(Verdict.UNDECIDED, doubt="`reject` at a bridge is not modelled")
        if action.kind == "tcp reset":
            if ip is None or ip.protocol != TCP:
                return BREAK
            return self.apply(Target("REJECT", {"reject-with": "tcp-reset"}))
        version = 4 if ip is None else ip.src.version
        if action.kind != "icmpx" and version != (4 if action.kind == "icmp" else 6):
            return BREAK
        code = action.code
        six = action.kind == "icmpv6"
        name = _V6.get(code, f"icmp6-{code}") if six else _V4.get(code, f"icmp-{code}")
        return self.apply(Target("REJECT", {"reject-with": name}))

    def translate(self, action: Translate) -> Effect | Break:
        """``snat``, ``dnat``, ``masquerade``, ``redirect``."""
        ip = self.view.packet.ip
        if ip is None or _VERSIONS.get(action.family, ip.src.version) != ip.src.version:
            return BREAK
        address: Value = _ANY
        port: Value = _ANY
        if action.address is not None:
            found = self.settled(action.address, "the address that a rule translates to is not known")
            address = found[0]
            port = found[1] if len(found) > 1 else port
        if action.port is not None:
            (port, *_) = self.settled(action.port, "the port that a rule translates to is not known")
        if isinstance(address, Break) or isinstance(port, Break):
            return BREAK
        if not isinstance(address, int | Interval) or not isinstance(port, int | Interval):
            return Effect(Verdict.UNDECIDED, doubt="what a rule translates to is not known")
        return self.apply(_target(action, address, port, ip.src.version))

    def update(self, action: Update) -> Effect | Break:
        """``add @set { … }``: what later lookups of the walk see."""
        found = self.settled(action.key, f"which element a rule puts into {action.name} is not known")
        if BREAK in found:
            return BREAK
        key = tuple(
            Word(part) if isinstance(part, str) else Interval(part, part)
            for part in found
            if isinstance(part, int | str)
        )
        if len(key) != len(found):
            return Effect(doubt=f"which element a rule puts into the set {action.name} is not known")
        place = (self.view.table.family, self.view.table.name, action.name)
        learned = self.view.memory.setdefault(place, {})
        if action.operation == "delete":
            learned[key] = None
            return Effect()
        data: Expression | None = None
        if action.data is not None:
            (value, *_) = self.settled(
                action.data, f"what a rule puts into the map {action.name} is not known"
            )
            if value is BREAK:
                return BREAK
            data = (
                Word(value)
                if isinstance(value, str)
                else Interval(value, value)
                if isinstance(value, int)
                else None
            )
        learned[key] = Element(key, data, action.timeout_s)
        return Effect()

    def divert(self, action: Divert) -> Effect | Break:
        """What goes to somebody else."""
        if action.kind == "flow":
            return self._offload()
        if action.kind == "tproxy":
            return Effect(doubt="a transparent proxy (`tproxy`) is not modelled")
        if action.kind == "dup":
            return _COPIES
        if action.kind == "fwd":
            return self._forward(action)
        return Effect(
            Verdict.UNDECIDED, doubt=f"`{action.kind}` hands the packet to something that is not modelled"
        )

    def _forward(self, action: Divert) -> Effect | Break:
        """``fwd``: the frame leaves by another device, whatever would have become of it."""
        what = "the device that a rule sends it out of is not known"
        (device, *_) = (None,) if action.device is None else self.settled(action.device, what)
        if device is BREAK:
            return BREAK
        if not isinstance(device, str):
            return Effect(Verdict.UNDECIDED, doubt=what)
        if action.address is None:
            why = f"a rule sends the frame out of {device}"
            return Effect(Verdict.DROP, Did.SENT, why, forward=device)
        (hop, *_) = self.settled(action.address, "the neighbour that a rule sends it to is not known")
        ip = self.view.packet.ip
        if ip is None or ip.ttl is None or not isinstance(hop, int):
            return BREAK if hop is BREAK or ip is None else Effect(Verdict.UNDECIDED, doubt=what)
        if ip.ttl <= 1:
            return Effect(Verdict.DROP, Did.DROPPED, "the TTL ends where a rule forwards the packet")
        self.view.buffer.packet = self.view.packet.with_ttl(ip.ttl - 1)
        there = _ip(hop, ip.src.version)
        why = f"a rule sends the packet out of {device} to {there}"
        return Effect(Verdict.DROP, Did.SENT, why, forward=device, next_hop=there)

    def _offload(self) -> Effect | Break:
        """Only what is established may pass the hooks by (``nft_flow_offload_eval``)."""
        tracking = self.view.tracking
        if tracking is None or tracking.state is not CtState.ESTABLISHED:
            return BREAK
        return Effect(doubt="the connection may pass by all hooks from here on (`flow add`): not modelled")

    def assign(self, action: Assign) -> Effect:
        """Helpers and timeouts leave the packet as it is."""
        if action.kind == "ct expectation":
            return Effect(doubt="an expected connection (`ct expectation set`) is not modelled")
        return Effect()


_COPIES: Final = Effect(doubt="`dup` sends a copy, which is not followed")
#: A translation that leaves the address or the port to the packet.
_ANY: Final = Interval(-1, -1)


def settle(found: Outcomes, what: str, doer: Doer) -> tuple[Value, ...]:
    """One of several values, as the oracle says."""
    if found.only is not None:
        return found.only
    options = [_words(value) for value in found.values]
    chosen = one_of(doer.listener, doer.rule, doer.view.packet, what, options, free=found.free)
    return found.values[options.index(chosen)]


def _words(value: tuple[Value, ...]) -> str:
    return "no element: the rule ends" if BREAK in value else f"the value is {', '.join(map(_shown, value))}"


def _shown(value: Value) -> str:
    if isinstance(value, Interval):
        return f"{value.low}-{value.high}"
    return "not known" if value is None else str(value)


def _target(action: Translate, address: int | Interval, port: int | Interval, version: int) -> Target:
    name, option = _TARGETS[action.kind]
    options: dict[str, object] = {_FLAGS[flag]: True for flag in action.flags if flag in _FLAGS}
    low, high = _ends(address)
    port_low, port_high = _ends(port)
    if action.netmap and low is not None and high is not None:
        network = next(summarize_address_range(_ip(low, version), _ip(high, version)))
        return Target("NETMAP", {"to": network, **options})
    if option == "to-ports":
        if port_low is not None:
            options[option] = (port_low, port_high)
        return Target(name, options)
    if low is not None or port_low is not None:
        ends = AddressRange(
            None if low is None else _ip(low, version),
            None if high is None else _ip(high, version),
            port_low,
            port_high,
        )
        options[option] = ends
    return Target(name, options)


def _ip(value: int, version: int) -> IPAddress:
    return IPv4Address(value) if version == 4 else IPv6Address(value)  # noqa: PLR2004 - IPv4


def _ends(value: int | Interval) -> tuple[int | None, int | None]:
    if isinstance(value, Interval):
        return (None, None) if value.low < 0 else (value.low, value.high)
    return value, value


#: Each row is asked for its own kind of statement.
_ROWS: Final[Mapping[type, Callable[[Doer, Any], Effect | Break]]] = {
    Notrack: Doer.notrack,
    Write: Doer.write,
    Reject: Doer.reject,
    Translate: Doer.translate,
    Update: Doer.update,
    Divert: Doer.divert,
    Assign: Doer.assign,
}
