"""
The hooks of one namespace: what hangs there takes a packet in the order of ``stages``.

A table that no dump shows has no stage. The tracker runs only where something needs it (``iptables.uses``).

NAT is asked for packets of a connection only. One that is INVALID or UNTRACKED passes as it is; the rule
that would have translated it, had it been the first of a connection, is looked up and told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.choice import Freedom, Oracle
from bothways.facts.iptables import Rule, Table
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.facts.trajectory import Way
from bothways.model.linux.addresses import primary, select
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.conntrack.entry import CtState, Tracking
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.doubts import doubts_of
from bothways.model.linux.hook import Hook
from bothways.model.linux.iptables.chain import Decision, traverse
from bothways.model.linux.iptables.probe import Probe
from bothways.model.linux.iptables.targets import Effect, Verdict
from bothways.model.linux.iptables.uses import tracks
from bothways.model.linux.nat import NatTarget, translate
from bothways.model.linux.nftables import FUNCTION, walk
from bothways.model.linux.passage import Account
from bothways.model.linux.routing import Routing, Wanted
from bothways.model.linux.stages import (
    CONFIRM,
    CONNTRACK,
    NAT,
    Native,
    Stage,
    bridge_chains,
    nat_priority,
    native_nat,
    stages_of,
)
from bothways.model.linux.variants import variant_of

__all__ = ["Halt", "Netfilter", "attached"]

_TRANSLATED: Final = frozenset({"SRC_NAT", "DST_NAT"})
_FIRST: Final = Tracking(CtState.NEW, Way.ORIGINAL, None, None, "")


@dataclass(frozen=True, slots=True)
class Halt:
    """
    The packet goes no further.

    :param reject: what a REJECT answers with, "" for a drop. The step of a reject is the answer's.
    """

    reject: str = ""
    rule: Rule | None = None
    cell: str = ""


class Netfilter:
    """The hooks of one namespace in one walk."""

    def __init__(
        self, netns: Netns, conntrack: ConntrackTable, routing: Routing, *, oracle: Oracle, kernel: str | None
    ) -> None:
        self.netns = netns
        self.conntrack = conntrack
        self.routing = routing
        self.oracle = oracle
        self.variant = variant_of(kernel)
        self.tables: dict[str, list[Table]] = {}
        for table in netns.iptables or ():
            self.tables.setdefault(table.name, []).append(table)
        self.stages = {hook: stages_of(netns, hook) for hook in Hook}
        self.native_nat = {hook: native_nat(netns, hook) for hook in Hook}
        self.bridged = {hook: bridge_chains(netns, hook) for hook in Hook}
        self.tracks = tracks(netns)
        self.doubts = tuple(doubts_of(netns))

    def run(
        self,
        hook: Hook,
        buffer: Buffer,
        account: Account,
        now_ns: int,
        *,
        after: Callable[[], Halt | None] | None = None,
    ) -> Halt | None:
        """
        Take a packet through all stages of a hook; None if it goes on.

        :param after: called behind each stage: looks whether the packet now takes another way. Chains of
            nft do not look, unless their type is ``route``.
        """
        for text in self.doubts:
            account.doubt(text)
        visit = _Visit(self, hook, buffer, account, now_ns)
        for stage in self.stages[hook]:
            looks = isinstance(stage, str) or stage.chain.kind == "route"
            halt = visit.stage(stage) or (after() if after is not None and looks else None)
            if halt is not None:
                return halt
        return None

    def run_bridge(self, hook: Hook, buffer: Buffer, account: Account) -> Halt | None:
        """Take a frame through the chains of the family ``bridge`` on a bridge's hook; None if it goes on."""
        visit = _Visit(self, hook, buffer, account, 0)
        for native in self.bridged[hook]:
            halt = visit.stage(native)
            if halt is not None:
                return halt
        return None

    def masquerade(self, buffer: Buffer) -> IPAddress | None:
        """The source address that MASQUERADE takes: of the device that the packet leaves by."""
        return select(self.netns, buffer.device_out, buffer.next_hop)

    def redirect(self, buffer: Buffer) -> IPAddress | None:
        """The destination that REDIRECT takes: the first address of the device that the packet came in at."""
        device = self.netns.device(buffer.device_in)
        return None if device is None else next((h.address for h in primary(device)), None)


@dataclass(slots=True)
class _Visit:
    """One packet at one hook."""

    netfilter: Netfilter
    hook: Hook
    buffer: Buffer
    account: Account
    now_ns: int

    @property
    def device(self) -> str:
        """The device that a step at this hook is told of."""
        late = self.hook in (Hook.OUTPUT, Hook.POSTROUTING)
        return self.buffer.device_out if late else self.buffer.device_in

    def stage(self, name: Stage) -> Halt | None:
        """One stage of the hook."""
        if isinstance(name, Native):
            return self._decided(self._walk(name, self.buffer, _Told(self, FUNCTION)), FUNCTION)
        actions: dict[str, Callable[[], Halt | None]] = {
            CONNTRACK: self._track,
            NAT: self._translate,
            CONFIRM: self._confirm,
        }
        action = actions.get(name)
        return self._filter(name) if action is None else action()

    # -- tables ---------------------------------------------------------------------------------

    def _filter(self, name: str) -> Halt | None:
        for table in self.netfilter.tables.get(name, ()):
            halt = self._decided(self._traverse(table, self.buffer, _Told(self)))
            if halt is not None:
                return halt
        return None

    def _traverse(self, table: Table, buffer: Buffer, listener: _Told | _Quiet) -> Decision:
        return traverse(table, self.hook, buffer, self._probe, self.netfilter, listener)

    def _walk(self, native: Native, buffer: Buffer, listener: _Told | _Quiet) -> Decision:
        return walk(native, self.hook, buffer, self._probe, self.netfilter, listener)

    def _decided(self, decision: Decision, function: str = "") -> Halt | None:
        effect = decision.effect
        if effect.verdict is Verdict.REJECT:
            return Halt(effect.reject, decision.rule, decision.cell)
        if effect.did is not None:
            self.account.note(
                self.device,
                function or self.netfilter.variant.rules,
                effect.did,
                self.buffer.packet,
                effect.reason,
                evidence=decision.evidence,
                cell=decision.cell,
            )
        if effect.verdict is Verdict.DROP:
            return Halt("", decision.rule, decision.cell)
        return None

    def _probe(self, buffer: Buffer) -> Probe:
        netfilter = self.netfilter
        late = self.hook is Hook.POSTROUTING
        hidden = late and not netfilter.variant.names_input_in_postrouting
        outgoing = self.hook in (Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING)
        return Probe(
            buffer.packet,
            self.hook,
            "" if hidden else buffer.device_in,
            buffer.device_out if outgoing else "",
            buffer.mark,
            buffer.tracking,
            buffer.mine,
            netfilter.routing.kind_of,
            self._holder_of,
            self._way_back,
        )

    def _holder_of(self, address: IPAddress) -> str:
        owner = self.netfilter.netns.owner_of(address)
        return "" if owner is None else owner[0].name

    def _way_back(self, packet: Packet) -> frozenset[str] | None:
        ip = packet.ip
        if ip is None:
            return None
        found = self.netfilter.routing.lookup(Wanted(ip.src, ip.dst))
        return None if found.kind == "unknown" else found.devices

    # -- the tracker ----------------------------------------------------------------------------

    def _track(self) -> Halt | None:
        buffer, netfilter = self.buffer, self.netfilter
        if not netfilter.tracks or buffer.tracking is not None:
            return None
        found = netfilter.conntrack.track(
            buffer.packet, self.now_ns, zone=buffer.zone, hook=self.hook, notrack=buffer.untracked
        )
        buffer.tracking = found
        did = {CtState.INVALID: Did.INVALID, CtState.UNTRACKED: Did.UNTRACKED}.get(found.state, Did.TRACKED)
        reason = found.why if did is not Did.TRACKED else f"{found.state}: {found.why}"
        function = netfilter.variant.tracker[self.hook]
        self.account.note(
            self.device, function, did, buffer.packet, reason, evidence=found.evidence, cell=found.cell
        )
        return None

    def _confirm(self) -> Halt | None:
        buffer = self.buffer
        if buffer.tracking is None:
            return None
        why = self.netfilter.conntrack.confirm(buffer.tracking, self.now_ns)
        if why is None:
            return None
        self.account.note(self.device, "__nf_conntrack_confirm", Did.DROPPED, buffer.packet, why)
        return Halt()

    # -- translation ----------------------------------------------------------------------------

    def _translate(self) -> Halt | None:
        buffer, netfilter = self.buffer, self.netfilter
        tracking = buffer.tracking
        if tracking is None or not self._nat_stands(tracking):
            return None
        asked: list[Decision] = []

        def rules(packet: Packet) -> NatTarget | None:
            buffer.packet = packet
            decision = self._nat_rules(buffer, _Told(self))
            if decision is not None:
                asked.append(decision)
            return None if decision is None else decision.effect.nat

        before = buffer.packet
        result = translate(
            tracking,
            self.hook,
            before,
            table=netfilter.conntrack,
            oracle=netfilter.oracle,
            rules=rules,
            device=buffer.device_out,
        )
        dropped = next((d for d in asked if d.effect.verdict is Verdict.DROP), None)
        if dropped is not None:
            return self._decided(dropped)
        buffer.packet = result.packet
        did, reason, evidence = result.did, result.reason, result.evidence
        cell = asked[-1].cell if asked else f"nat/{self.hook}"
        if tracking.connection is None and not buffer.mine:
            passed = self._passed_over(tracking)
            if passed is not None:
                did, cell = Did.NOT_TRANSLATED, passed.cell
                reason = reason or _not_asked(tracking, passed)
                evidence = tuple(dict.fromkeys((*passed.evidence, *evidence)))
        if did is None:
            return None
        function = netfilter.variant.nat[self.hook]
        self.account.note(
            self.device, function, did, before, reason, after=result.packet, evidence=evidence, cell=cell
        )
        return Halt() if did is Did.DROPPED else None

    def _nat_stands(self, tracking: Tracking) -> bool:
        """True if something translates here: a nat table, or an entry whose rules were not collected."""
        netfilter = self.netfilter
        # One chain anywhere hangs the translation on all hooks (``nf_nat_register_fn``).
        if NAT in netfilter.tables or any(netfilter.native_nat.values()) or netfilter.netns.iptables is None:
            return True
        connection = tracking.connection
        return connection is not None and bool(_TRANSLATED & connection.status)

    def _nat_rules(self, buffer: Buffer, listener: _Told | _Quiet) -> Decision | None:
        """
        The decision of the first nat table or chain that translates or drops, None if none does.

        iptables' tables stand at the priority of the hook's NAT; of the same priority nft comes first.
        """
        native = self.netfilter.native_nat[self.hook]
        own = nat_priority(self.hook)
        asked: list[Callable[[], Decision]] = [
            *(partial(self._walk, n, buffer, listener) for n in native if n.priority <= own),
            *(partial(self._traverse, t, buffer, listener) for t in self.netfilter.tables.get(NAT, ())),
            *(partial(self._walk, n, buffer, listener) for n in native if n.priority > own),
        ]
        for ask in asked:
            decision = ask()
            if decision.effect.verdict is not Verdict.ACCEPT:
                return decision
        return None

    def _passed_over(self, tracking: Tracking) -> Decision | None:
        """The rule that would translate this packet if it were the first of a connection."""
        if tracking.state not in (CtState.INVALID, CtState.UNTRACKED):
            return None
        decision = self._nat_rules(replace(self.buffer, tracking=_FIRST), _Quiet())
        return decision if decision is not None and decision.effect.nat is not None else None


@dataclass(frozen=True, slots=True)
class _Told:
    """A listener that writes down what it hears."""

    visit: _Visit
    function: str = ""

    def doubt(self, text: str) -> None:
        self.visit.account.doubt(f"{self.visit.netfilter.netns.label}: {text}")

    def choose(self, key: str, options: list[str], *, freedom: Freedom, evidence: tuple[Span, ...]) -> str:
        oracle = self.visit.netfilter.oracle
        return oracle.choose(key, options, freedom=freedom, evidence=evidence)

    def changed(self, effect: Effect, rule: Rule, cell: str, before: Packet) -> None:
        visit = self.visit
        visit.account.note(
            visit.device,
            self.function or visit.netfilter.variant.rules,
            effect.did or Did.CHANGED,
            before,
            effect.reason,
            after=visit.buffer.packet,
            evidence=(rule.span,),
            cell=cell,
        )


@dataclass(frozen=True, slots=True)
class _Quiet:
    """A listener of a walk that does not happen: it takes the likeliest and tells nobody."""

    def doubt(self, text: str) -> None:
        """Not told."""

    def choose(self, key: str, options: list[str], *, freedom: Freedom, evidence: tuple[Span, ...]) -> str:  # noqa: ARG002 - the protocol's names
        return options[0]

    def changed(self, effect: Effect, rule: Rule, cell: str, before: Packet) -> None:
        """Nothing changes."""


def attached(tracking: Tracking | None) -> Tracking | None:
    """
    What an answer to a packet is to the tracker: RELATED to the same connection, the other way.

    ``nf_conntrack_attach``: ICMP errors and the RST of a REJECT rule are not looked up again. None for a
    packet without a connection; its answer is looked up like any other.
    """
    if tracking is None or tracking.connection is None or tracking.way is None:
        return None
    way = Way.REPLY if tracking.way is Way.ORIGINAL else Way.ORIGINAL
    why = f"made in answer to a packet of {tracking.connection}"
    return Tracking(CtState.RELATED, way, tracking.connection, None, why, tracking.evidence)


def _not_asked(tracking: Tracking, passed: Decision) -> str:
    kind = "a rule" if passed.effect.nat is None else f"the {passed.effect.nat.kind} rule"
    return (
        f"nat is not asked for {tracking.state} packets: {kind} would have translated this one had it been "
        "the first of a connection"
    )
