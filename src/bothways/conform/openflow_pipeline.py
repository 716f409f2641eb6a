"""A random pipeline and its packets, in pieces that can be taken away one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bothways.conform.openflow_case import BridgeRecord

__all__ = ["DrawnFlow", "DrawnGroup", "DrawnPacket", "Pipeline"]


@dataclass(frozen=True, slots=True)
class DrawnFlow:
    """One flow: the terms of its match, and its actions."""

    table: int
    priority: int
    match: tuple[str, ...]
    actions: tuple[str, ...]

    def __str__(self) -> str:
        """As ``ovs-ofctl add-flow`` takes it."""
        head = ",".join((f"table={self.table}", f"priority={self.priority}", *self.match))
        return f"{head} actions={','.join(self.actions) or 'drop'}"


@dataclass(frozen=True, slots=True)
class DrawnGroup:
    """One group. *head* is what stands before its buckets; a bucket is its own words and its actions."""

    number: int
    head: str
    buckets: tuple[tuple[str, tuple[str, ...]], ...]

    def __str__(self) -> str:
        """As ``ovs-ofctl add-group`` takes it."""
        buckets = ",".join(
            f"bucket={words}actions={','.join(actions) or 'drop'}" for words, actions in self.buckets
        )
        return f"group_id={self.number},{self.head}" + (f",{buckets}" if buckets else "")


@dataclass(frozen=True, slots=True)
class DrawnPacket:
    """One packet, as terms, and what the tracker says of it."""

    terms: tuple[str, ...]
    ct_next: tuple[str, ...] = ()

    def args(self, bridge: str) -> tuple[str, ...]:
        """The arguments of ``ofproto/trace``."""
        states = [word for state in self.ct_next for word in ("--ct-next", state)]
        return (*states, bridge, ",".join(self.terms))


@dataclass(frozen=True, slots=True)
class Pipeline:
    """
    Everything of one random pipeline.

    :param bridges: the switch; flows and groups of the pipeline go into the first one.
    """

    name: str
    bridges: tuple[BridgeRecord, ...]
    flows: tuple[DrawnFlow, ...]
    groups: tuple[DrawnGroup, ...]

    def records(self) -> tuple[BridgeRecord, ...]:
        """The bridges, with the pipeline in them."""
        first, *others = self.bridges
        flows, groups = _texts(self.flows), _texts(self.groups)
        return (replace(first, flows=flows, groups=groups), *others)


def _texts(items: Sequence[object]) -> tuple[str, ...]:
    """Each item as text."""
    return tuple(str(item) for item in items)
