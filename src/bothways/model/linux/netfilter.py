"""
The hooks of one namespace: what hangs there takes a packet in the order of ``stages``.

A table that no dump shows has no stage. The tracker runs only where something needs it (``iptables.uses``).

NAT is asked for packets of a connection only. One that is INVALID or UNTRACKED passes as it is; the rule
that would have translated it, had it been the first of a connection, is looked up and told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.choice import Oracle
from bothways.facts.iptables import Rule, Table
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Netns
from bothways.facts.step import Did
from bothways.facts.trajectory import Way
from bothways.model.linux.addresses import redirected, select
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.bypass import Bypasses
from bothways.model.linux.conntrack.entry import CtState, Tracking
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.family import Family, version_of
from bothways.model.linux.functions import in_family
from bothways.model.linux.hook import Hook
from bothways.model.linux.hook_listener import Quiet, Told
from bothways.model.linux.iptables.chain import Decision, traverse
from bothways.model.linux.iptables.probe import Probe
from bothways.model.linux.iptables.sets import written_sets
from bothways.model.linux.iptables.targets import Verdict
from bothways.model.linux.learned import Learned
from bothways.model.linux.nat import NatTarget, translate
from bothways.model.linux.nftables import FUNCTION, Memory, walk
from bothways.model.linux.passage import Account
from bothways.model.linux.path_mtu import path_mtu
from bothways.model.linux.routing import Routing
from bothways.model.linux.stages import (
    CONFIRM,
    CONNTRACK,
    NAT,
    Native,
    Stage,
    nat_priority,
)
from bothways.model.linux.variants import variant_of

__all__ = ["Halt", "Netfilter", "Visit"]

_TRANSLATED: Final = frozenset({"SRC_NAT", "DST_NAT"})
_FIRST: Final = Tracking(CtState.NEW, Way.ORIGINAL, None, None, "")


@dataclass(frozen=True, slots=True)
class Halt:
    """
    The packet goes no further.

    :param reject: what a REJECT answers with, "" for a drop. The step of a reject is the answer's.
    :param forward: the device by which a rule sends it out instead (``fwd``), and *next_hop* for whom.
    """

    reject: str = ""
    rule: Rule | None = None
    cell: str = ""
    forward: str = ""
    next_hop: IPAddress | None = None


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
        self.families = {version: Family(netns, version) for version in (4, 6)}
        self.memory: Memory = {}
        self.learned = Learned()
        self.bypasses = Bypasses(netns)
        self.written_sets = frozenset(written_sets((*(netns.iptables or ()), *(netns.ip6tables or ()))))

    def run(
        self,
        hook: Hook,
        buffer: Buffer,
        account: Account,
        now_ns: int,
        *,
        after: Callable[[str], Halt | None] | None = None,
    ) -> Halt | None:
        """
        Take a packet through all stages of a hook; None if it goes on.

        :param after: called behind each stage with its name: looks whether the packet now takes another way.
            Chains of nft do not look, unless their type is ``route``; they are called "" then.
        """
        family = self.families[version_of(buffer)]
        for text in family.doubts:
            account.doubt(text)
        if self.bypasses:
            device = buffer.device_out or buffer.device_in
            account.steps.extend(self.bypasses.at_hook(hook, device, buffer.mark, buffer.packet))
        visit = Visit(self, hook, buffer, account, now_ns)
        for stage in family.stages[hook]:
            halt = visit.stage(stage) or (after(_watched(stage)) if after is not None else None)
            if halt is not None:
                return halt
        return None

    def masquerade(self, buffer: Buffer) -> IPAddress | None:
        """The source address that MASQUERADE takes: of the device that the packet leaves by."""
        ip = buffer.packet.ip
        # a route without a gateway asks with the destination as it is now (``rt_nexthop``)
        asks = ip is not None and (buffer.on_link or ip.src.version != 4)  # noqa: PLR2004 - IPv4
        toward = ip.dst if asks and ip is not None else buffer.next_hop
        return select(self.netns, buffer.device_out, toward)

    def mtu(self, buffer: Buffer) -> int | None:
        """What fits on the way of the packet and back to its sender."""
        return path_mtu(self.netns, self.routing, self.learned, buffer)

    def redirect(self, buffer: Buffer) -> IPAddress | None:
        """The destination that REDIRECT takes: an address of the device that the packet came in at."""
        device, ip = self.netns.device(buffer.device_in), buffer.packet.ip
        return None if device is None or ip is None else redirected(device, ip.dst)


@dataclass(slots=True)
class Visit:
    """One packet at one hook."""

    netfilter: Netfilter
    hook: Hook
    buffer: Buffer
    account: Account
    now_ns: int
    #: Rules see the device by which it was to leave when it came to the hook (``nf_hook_state``).
    device_out: str = field(init=False)

    def __post_init__(self) -> None:
        """Keep the device."""
        self.device_out = self.buffer.device_out

    @property
    def family(self) -> Family:
        """What hangs here for the packet's IP version."""
        return self.netfilter.families[version_of(self.buffer)]

    def named(self, function: str) -> str:
        """A function of the kernel as it is called for the packet's IP version."""
        return in_family(function, self.family.version)

    @property
    def label(self) -> str:
        """The namespace, as doubts name it."""
        return self.netfilter.netns.label

    @property
    def oracle(self) -> Oracle:
        """Who is asked where the rules do not tell."""
        return self.netfilter.oracle

    def _told(self) -> Told:
        return Told(self, self.named(self.netfilter.variant.rules))

    @property
    def device(self) -> str:
        """The device that a step at this hook is told of."""
        late = self.hook in (Hook.OUTPUT, Hook.POSTROUTING)
        return self.buffer.device_out if late else self.buffer.device_in

    def stage(self, name: Stage) -> Halt | None:
        """One stage of the hook."""
        if isinstance(name, Native):
            return self._decided(self._walk(name, self.buffer, Told(self, FUNCTION)), FUNCTION)
        actions: dict[str, Callable[[], Halt | None]] = {
            CONNTRACK: self._track,
            NAT: self._translate,
            CONFIRM: self._confirm,
        }
        action = actions.get(name)
        return self._filter(name) if action is None else action()

    # -- tables ---------------------------------------------------------------------------------

    def _filter(self, name: str) -> Halt | None:
        for table in self.family.tables.get(name, ()):
            halt = self._decided(self._traverse(table, self.buffer, self._told()))
            if halt is not None:
                return halt
        return None

    def _traverse(self, table: Table, buffer: Buffer, listener: Told | Quiet) -> Decision:
        return traverse(table, self.hook, buffer, self._probe, self.netfilter, listener)

    def _walk(self, native: Native, buffer: Buffer, listener: Told | Quiet) -> Decision:
        memory = self.netfilter.memory
        if isinstance(listener, Quiet):  # a walk that does not happen leaves nothing behind
            memory = {place: dict(learned) for place, learned in memory.items()}
        return walk(native, self.hook, buffer, self._probe, self.netfilter, listener, memory)

    def _decided(self, decision: Decision, function: str = "") -> Halt | None:
        effect = decision.effect
        if effect.verdict is Verdict.REJECT:
            return Halt(effect.reject, decision.rule, decision.cell)
        if effect.did is not None:
            self.account.note(
                self.device,
                function or self.named(self.netfilter.variant.rules),
                effect.did,
                self.buffer.packet,
                effect.reason,
                evidence=decision.evidence,
                cell=decision.cell,
            )
        if effect.verdict is Verdict.DROP:
            return Halt("", decision.rule, decision.cell, effect.forward, effect.next_hop)
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
            self.device_out if outgoing else "",
            buffer.mark,
            buffer.seen,
            buffer.mine,
            netfilter.routing.kind_of,
            self._holder_of,
            netfilter.routing.lookup,
            self._is_anycast,
            netfilter.netns.ipsets,
            netfilter.written_sets,
            buffer.port_in,
            buffer.port_out,
            netfilter.netns,
            lambda: netfilter.mtu(buffer),
        )

    def _holder_of(self, address: IPAddress) -> str:
        row = self.netfilter.routing.route_of(address)
        return "" if row is None or not row.hops else row.hops[0].device or ""

    def _is_anycast(self, address: IPAddress) -> bool:
        row = self.netfilter.routing.route_of(address)
        return row is not None and row.kind == "anycast"

    # -- the tracker ----------------------------------------------------------------------------

    def _track(self) -> Halt | None:
        buffer, netfilter = self.buffer, self.netfilter
        if not self.family.tracks or buffer.tracking is not None:
            return None
        found = netfilter.conntrack.track(
            buffer.packet,
            self.now_ns,
            zone=buffer.zone,
            hook=self.hook,
            notrack=buffer.untracked,
            half=buffer.half,
        )
        buffer.tracking = found
        if netfilter.conntrack.events is not None:
            netfilter.conntrack.events.tracked(found)
        did = {CtState.INVALID: Did.INVALID, CtState.UNTRACKED: Did.UNTRACKED}.get(found.state, Did.TRACKED)
        did = Did.DROPPED if found.dropped else did
        reason = found.why if did is not Did.TRACKED else f"{found.state}: {found.why}"
        function = self.named(netfilter.variant.tracker[self.hook])
        self.account.note(
            self.device, function, did, buffer.packet, reason, evidence=found.evidence, cell=found.cell
        )
        return Halt() if found.dropped else None

    def _confirm(self) -> Halt | None:
        buffer = self.buffer
        if buffer.tracking is None:
            return None
        conntrack = self.netfilter.conntrack
        why = conntrack.confirm(buffer.tracking, self.now_ns)
        if why is None:
            if conntrack.events is not None:
                conntrack.events.confirmed(buffer.tracking.connection, self.now_ns)
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
            decision = self._nat_rules(buffer, self._told())
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
        function = self.named(netfilter.variant.nat[self.hook])
        self.account.note(
            self.device, function, did, before, reason, after=result.packet, evidence=evidence, cell=cell
        )
        return Halt() if did is Did.DROPPED else None

    def _nat_stands(self, tracking: Tracking) -> bool:
        """True if something translates here: a nat table, or an entry whose rules were not collected."""
        family = self.family
        # One chain anywhere hangs the translation on all hooks (``nf_nat_register_fn``).
        if NAT in family.tables or any(family.native_nat.values()) or family.collected is None:
            return True
        connection = tracking.connection
        return connection is not None and bool(_TRANSLATED & connection.status)

    def _nat_rules(self, buffer: Buffer, listener: Told | Quiet) -> Decision | None:
        """
        The decision of the first nat table or chain that translates or drops, None if none does.

        iptables' tables stand at the priority of the hook's NAT; of the same priority nft comes first.
        """
        native = self.family.native_nat[self.hook]
        own = nat_priority(self.hook)
        asked: list[Callable[[], Decision]] = [
            *(partial(self._walk, n, buffer, listener) for n in native if n.priority <= own),
            *(partial(self._traverse, t, buffer, listener) for t in self.family.tables.get(NAT, ())),
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
        decision = self._nat_rules(replace(self.buffer, tracking=_FIRST), Quiet())
        return decision if decision is not None and decision.effect.nat is not None else None


def _watched(stage: Stage) -> str:
    """The name of a stage that looks whether it changed the way of a packet, else ""."""
    if isinstance(stage, str):
        return stage
    return "route" if stage.chain.kind == "route" else ""


def _not_asked(tracking: Tracking, passed: Decision) -> str:
    kind = "a rule" if passed.effect.nat is None else f"the {passed.effect.nat.kind} rule"
    return (
        f"nat is not asked for {tracking.state} packets: {kind} would have translated this one had it been "
        "the first of a connection"
    )
