"""
The walk of one native nft chain for one packet.

``nft_do_chain``: rules in order, the statements of a rule from the left; the first condition that does not
hold ends the rule, and what stood before it was done. A jump comes back behind its rule, a goto does not;
``accept`` ends this base chain and no other. Conditions and most actions are those of iptables and are asked
there; a write into the header is done here (``nft_payload_set_eval``: checksums follow).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from bothways.facts.address import Mac
from bothways.facts.iptables import Match, Rule, Target
from bothways.facts.nft import NftChain, NftRule, NftStatement, NftTable
from bothways.facts.packet import ETH_ARP, Packet
from bothways.facts.step import Did
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.hook import Hook
from bothways.model.linux.iptables.chain import Decision
from bothways.model.linux.iptables.listener import Listener, in_words, pass_or_drop, take_or_leave
from bothways.model.linux.iptables.matches import fulfils
from bothways.model.linux.iptables.probe import Probe
from bothways.model.linux.iptables.targets import IDLE, Effect, Resolver, Verdict, apply
from bothways.model.linux.stages import Native

__all__ = ["FUNCTION", "walk"]

#: The function that steps of nft rules are told of.
FUNCTION: Final = "nft_do_chain"
#: ``NFT_JUMP_STACK_SIZE``: nft does not load rules that jump deeper.
_DEPTH: Final = 16
_WRITES: Final = frozenset({"ip saddr", "ip daddr", "th sport", "th dport"})
_LINK_WRITES: Final = frozenset({"ether saddr", "ether daddr", "meta pkttype"})
#: Conditions of a bridge that bothways cannot tell: its own tracker, and how the frame came to the device.
_OPEN_AT_A_BRIDGE: Final = ("conntrack.", "connmark.", "addrtype.", "rpfilter.", "bridge.out")
#: What a bridge's chain may do; everything else is left open.
_AT_A_BRIDGE: Final = frozenset({"ACCEPT", "DROP", "MARK", "NOTRACK", *IDLE, *_WRITES, *_LINK_WRITES})


def walk(
    native: Native,
    hook: Hook,
    buffer: Buffer,
    probe: Callable[[Buffer], Probe],
    resolver: Resolver,
    listener: Listener,
) -> Decision:
    """Walk a packet through a base chain."""
    table, chain = native.table, native.chain
    cell = f"{table.family} {table.name}/{chain.name}"
    found = _Walk(table, hook, buffer, probe, resolver, listener).chain(chain, cell, 0)
    if found is not None:
        return found
    if chain.policy == "drop":
        effect = Effect(Verdict.DROP, Did.DROPPED, f"the policy of the nft chain {cell} drops it")
        return Decision(effect, None, cell, (chain.span,))
    return Decision(Effect(Verdict.ACCEPT), None, cell, (chain.span,))


class _Go(Enum):
    """Where a rule leaves the packet that it did not decide about."""

    ON = "to the next rule"
    BACK = "to the caller of the chain"


@dataclass(slots=True)
class _Walk:
    table: NftTable
    hook: Hook
    buffer: Buffer
    probe: Callable[[Buffer], Probe]
    resolver: Resolver
    listener: Listener

    def chain(self, chain: NftChain, cell: str, depth: int) -> Decision | None:
        """Walk one chain; None if it goes back to its caller."""
        if depth > _DEPTH:
            self.listener.doubt(f"the chains of table {self.table.name} lead too deep at {chain.name}")
            return None
        for rule in chain.rules:
            found = self._rule(rule, chain, cell, depth)
            if found is _Go.BACK:
                return None
            if isinstance(found, Decision):
                return found
        return None

    def _rule(self, rule: NftRule, chain: NftChain, cell: str, depth: int) -> Decision | _Go:
        plain = Rule(f"{self.table.family} {self.table.name}", chain.name, (), None, rule.span)
        for number, statement in enumerate(rule.statements, 1):
            if statement.matches and not self._holds(statement, plain, rule.statements[number:]):
                return _Go.ON
            target = statement.target
            if target is None:
                continue
            if target.name == "RETURN":
                return _Go.BACK
            if target.goto or "jump" in target.options:
                return self._called(target, cell, depth)
            found = self._do(plain, target, cell)
            if found is not None:
                return found
        return _Go.ON

    def _called(self, target: Target, cell: str, depth: int) -> Decision | _Go:
        called = self.table.chains.get(target.name)
        if called is None:
            self.listener.doubt(
                f"what the chain {target.name} of table {self.table.name} does: not in the dump"
            )
            return _Go.ON
        found = self.chain(called, f"{cell}/{called.name}", depth + 1)
        return found or (_Go.BACK if target.goto else _Go.ON)

    def _do(self, rule: Rule, target: Target, cell: str) -> Decision | None:
        before = self.buffer.packet
        if self.table.family == "bridge" and target.name not in _AT_A_BRIDGE:
            effect = Effect(Verdict.UNDECIDED, doubt=f"`{target.name}` at a bridge is not modelled")
        elif target.name in _LINK_WRITES:
            effect = self._write_link(target)
        elif target.name in _WRITES:
            effect = self._write(target)
        else:
            effect = apply(rule, target, self.buffer, self.hook, self.resolver)
        if effect.doubt:
            self.listener.doubt(f"{effect.doubt}: {in_words(rule)}")
        if effect.verdict is Verdict.UNDECIDED:
            effect = pass_or_drop(self.listener, rule, f"`{target.name}`", self.buffer.packet)
        if effect.verdict is not None:
            return Decision(effect, rule, cell, (rule.span,))
        if effect.did is not None:
            self.listener.changed(effect, rule, cell, before)
        return None

    def _write(self, target: Target) -> Effect:
        """Put an address or a port into the header; a header without that field ends nothing here."""
        packet, value = self.buffer.packet, target.options.get("set")
        sends = target.name.endswith(("saddr", "sport"))
        end = packet.source if sends else packet.destination
        if end is None:
            return Effect()
        if isinstance(value, int):
            new = replace(end, port=value)
        elif isinstance(value, IPv4Address | IPv6Address):
            new = replace(end, address=value)
        else:
            return Effect(doubt=f"what `{target.name} set` writes is not known")
        self.buffer.packet = packet.with_source(new) if sends else packet.with_destination(new)
        if new == end:
            return Effect()
        return Effect(did=Did.CHANGED, reason=f"a rule without a tracker writes {target.name} {value}")

    def _write_link(self, target: Target) -> Effect:
        """Write a MAC into the frame, or say whom the frame is for (``nft_meta_set_eval``)."""
        packet, value = self.buffer.packet, str(target.options.get("set", ""))
        if target.name == "meta pkttype":
            old, self.buffer.packet_type = self.buffer.packet_type, value
            reason = f"a rule says that the frame is for {value}"
        else:
            link = packet.ethernet
            sends = target.name == "ether saddr"
            old = link.src if sends else link.dst
            self.buffer.packet = (
                packet.with_macs(Mac(value), link.dst) if sends else packet.with_macs(link.src, Mac(value))
            )
            reason = f"a rule writes {target.name} {value}"
        return Effect() if old == value else Effect(did=Did.CHANGED, reason=reason)

    def _fulfils(self, probe: Probe, match: Match, rule: Rule) -> bool | None:
        """One condition: what iptables has no word for, what a bridge asks first, else as iptables does."""
        own = _LINK.get(match.name)
        if own is not None:
            found = own(self.buffer)
            return None if found is None else _same(found, match.value) is not match.negate
        if self.table.family == "bridge":
            if match.name.startswith(_OPEN_AT_A_BRIDGE):
                return None
            if match.name == "pkttype.pkt-type":
                kind = {"otherhost": "other", "unicast": "host"}.get(str(match.value), match.value)
                return (self.buffer.packet_type == kind) is not match.negate
            if match.modelled and not _has_header(probe.packet, match):
                return False
            if isinstance(match.value, IPv4Network | IPv6Network) and match.value.prefixlen == 0:
                return True
        return fulfils(probe, match, rule)

    def _holds(self, statement: NftStatement, rule: Rule, rest: tuple[NftStatement, ...]) -> bool:
        """Whether a condition holds; where that is open and matters, the oracle says."""
        probe = self.probe(self.buffer)
        answers = [self._fulfils(probe, match, rule) for match in statement.matches]
        deciding = not statement.matches[0].negate  # any of several, none of several
        if deciding in answers:
            return deciding
        if None not in answers:
            return not deciding
        if not any(self._acts(follower.target) for follower in rest):
            return False
        pairs = zip(statement.matches, answers, strict=True)
        open_ = tuple(match for match, answer in pairs if answer is None)
        return take_or_leave(self.listener, rule, open_, self.buffer.packet)

    def _acts(self, target: Target | None) -> bool:
        """False for an action after which everything is as before."""
        if target is None or target.name in IDLE:
            return False
        called = self.table.chains.get(target.name)
        return called is None or bool(called.rules) or target.goto


def _same(found: object, wanted: object) -> bool:
    if isinstance(wanted, str) and wanted.endswith("+"):
        return str(found).startswith(wanted[:-1])
    return found == wanted


def _has_header(packet: Packet, match: Match) -> bool:
    """
    False if the frame lacks the header that a condition reads.

    nft asks for the header first (``ip saddr`` begins with ``meta protocol ip``): a frame without it fails
    the condition, also a negated one. A prefix that holds every address asks for the family alone.
    """
    if match.name.startswith(("in-interface", "out-interface", "mark.", "limit")):
        return True
    ip, wanted = packet.ip, match.value
    if isinstance(wanted, IPv4Network | IPv6Network) and wanted.prefixlen == 0:
        version = None if ip is None else ip.src.version
        return (version == wanted.version) is not match.negate
    if ip is None:
        return False
    return not isinstance(wanted, IPv4Network | IPv6Network) or wanted.version == ip.src.version


def _ether_type(buffer: Buffer) -> int | None:
    packet = buffer.packet
    if packet.arp is not None:
        return ETH_ARP
    return packet.ethernet.type


#: Conditions about the link layer: name -> what the frame has, None if that is not known.
_LINK: Final[Mapping[str, Callable[[Buffer], object | None]]] = {
    "ether.saddr": lambda buffer: buffer.packet.ethernet.src or None,
    "ether.daddr": lambda buffer: buffer.packet.ethernet.dst or None,
    "ether.type": _ether_type,
    "bridge.in": lambda buffer: buffer.bridge or None,
}
