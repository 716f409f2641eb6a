"""A traced packet through the model: across patch ports, and down every branch that is free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bothways.conform.openflow_bridges import BuiltSwitch
from bothways.facts.address import Mac
from bothways.facts.choice import Assumption, Freedom
from bothways.facts.openflow import LOCAL, Bridge, Flow, Port
from bothways.facts.span import Span
from bothways.model.openflow.field import FIELDS, KNOWN, VLAN_PRESENT, Bits
from bothways.model.openflow.given_tracker import GivenTracker
from bothways.model.openflow.here import Here
from bothways.model.openflow.learned import LearnedFlows
from bothways.model.openflow.options import OPTIONS, is_option
from bothways.model.openflow.passage import Arrival, Output
from bothways.model.openflow.pipeline import MacTable, process
from bothways.model.openflow.tracker import CtState

__all__ = ["ModelCopy", "Walked", "walks"]

#: branches that are walked
_BRANCHES: Final = 32
#: copies of all ways, behind which no other is walked: mirrors that copy one another send thousands
_COPIES: Final = 10_000


@dataclass(frozen=True, slots=True)
class ModelCopy:
    """
    A copy that the model sends.

    :param port: OpenFlow port number, LOCAL as 65534.
    :param fields: bits and known bits of every field that a packet has, and of the tunnel where it has one.
    """

    bridge: str
    port: int
    fields: Mapping[str, Bits]


@dataclass(frozen=True, slots=True)
class Walked:
    """
    What the model says of one packet.

    :param finals: fields at the end of each translation in the first bridge.
    :param visited: look-ups in order: bridge, table and flow.
    :param unknown: what the model said that it does not know.
    :param rest: True if it stands for all ways that are not walked any more.
    """

    copies: tuple[ModelCopy, ...]
    finals: tuple[Mapping[str, Bits], ...]
    visited: tuple[tuple[str, int, Flow | None], ...]
    unknown: tuple[str, ...]
    rest: bool = False


class _StillTable(MacTable):
    """MACs as they were: ``ofproto/trace`` has no side effects, so NORMAL learns nothing in it."""

    def learn(self, bridge: Bridge, vlan: int, mac: Mac, port: int) -> None:
        """Learn nothing."""


@dataclass(slots=True)
class _Choosing:
    """An oracle that takes scripted branches where the network is free, else the first option."""

    script: tuple[int, ...] = ()
    asked: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def choose(
        self,
        key: str,
        options: Sequence[str],
        *,
        freedom: Freedom,
        recorded: str | None = None,  # noqa: ARG002 - the protocol has it
        evidence: tuple[Span, ...] = (),  # noqa: ARG002 - the protocol has it
    ) -> str:
        """Take the branch of the script; one that a missing fact decides is noted as unknown."""
        if freedom is Freedom.UNKNOWN:
            self.unknown.append(f"{key.partition(':')[0]}: a fact decides that is not known")
        position = len(self.taken)
        branch = self.script[position] if position < len(self.script) else 0
        branch = min(branch, len(options) - 1)
        self.asked.append(len(options) if freedom is Freedom.FREE else 1)
        self.taken.append(branch)
        return options[branch]

    def assume(self, assumption: Assumption) -> None:
        """Take defaults for granted: a recording holds everything."""


def walks(
    switch: BuiltSwitch,
    start: str,
    arrival: Arrival,
    *,
    size: int | None = None,
    ct_next: tuple[str, ...] = (),
    learns: bool = False,
) -> Iterator[Walked]:
    """
    Walk a packet, once for each combination of what the network is free to choose.

    :param size: of the packet in bytes, None = not known.
    :param ct_next: what the tracker is to say, time after time.
    :param learns: whether the switch learned from the packet (``-generate``).
    """
    if size is not None:
        arrival = replace(arrival, packet=replace(arrival.packet, length=size))
    waiting: list[tuple[int, ...]] = [()]
    ways = copies = 0
    while waiting and ways < _BRANCHES and copies < _COPIES:
        oracle = _Choosing(waiting.pop())
        walked = _walk(switch, start, arrival, oracle, GivenTracker(map(_state, ct_next)), learns=learns)
        ways, copies = ways + 1, copies + len(walked.copies)
        yield walked
        for position in range(len(oracle.script), len(oracle.taken)):
            waiting += [(*oracle.taken[:position], other) for other in range(1, oracle.asked[position])]
    if waiting:
        yield Walked((), (), (), (f"more than {ways} ways are free, and the rest is not walked",), rest=True)


def _walk(
    switch: BuiltSwitch,
    start: str,
    arrival: Arrival,
    oracle: _Choosing,
    tracker: GivenTracker,
    *,
    learns: bool,
) -> Walked:
    macs = MacTable() if learns else _StillTable()
    learned = LearnedFlows(still=not learns)
    for bridge in switch.bridges.values():
        macs.seed(bridge)
    passage = process(
        switch.bridges[start],
        arrival,
        macs,
        oracle,
        tracker,
        learned=learned,
        traced=lambda _bridge, port: _far_end(switch.bridges, tracker, port),
    )
    copies = tuple(_copy(output.bridge or start, output) for output in passage.outputs)
    return Walked(copies, passage.finals, passage.visited, (*passage.unknown, *oracle.unknown))


def _state(text: str) -> int:
    """``trk,est`` or ``est|trk`` as bits; words that are none are passed over."""
    names = (name.strip().upper() for name in text.replace("|", ",").split(","))
    state = CtState(0)
    for name in names:
        state |= CtState.__members__.get(name, CtState(0))
    return state | CtState.TRK


def _far_end(bridges: Mapping[str, Bridge], tracker: GivenTracker, out: Port) -> Here | None:
    """The other end of a patch: each of the two ports names the other."""
    peer = out.options.get("peer")
    for bridge in bridges.values():
        port = bridge.ports.get(peer or "")
        if port is not None and port.number is not None and port.options.get("peer") == out.name:
            return Here.of(bridge, port, tracker)
    return None


def _copy(bridge: str, output: Output) -> ModelCopy:
    number = output.port.number
    port = LOCAL & 0xFFFF if number in (None, LOCAL) and output.port.name == bridge else number or 0
    fields = {name: known.read(output.packet) for name, known in FIELDS.items()}
    fields |= {name: bits for name, bits in output.fields.items() if not is_option(name) or name in OPTIONS}
    tci, known = fields["vlan_tci"]
    if known & VLAN_PRESENT and not tci & VLAN_PRESENT:
        fields["vlan_tci"] = (0, KNOWN)  # what is written about a tag that is not there does not go out
    if output.tun_id is not None:
        fields["tun_id"] = (output.tun_id, -1)
    if output.tun_dst is not None:
        fields["tun_dst" if output.tun_dst.version == 4 else "tun_ipv6_dst"] = (int(output.tun_dst), -1)  # noqa: PLR2004 - IPv4
    return ModelCopy(bridge, port & 0xFFFF, fields)
