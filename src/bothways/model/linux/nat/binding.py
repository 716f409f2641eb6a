"""
Set a connection's translation up: once per side, while its first packet is on its way.

``nf_nat_setup_info`` and ``nf_nat_alloc_null_binding`` of ``net/netfilter/nf_nat_core.c``. What is decided
stands in the reply tuple. A packet that no rule matches is decided too: the null binding keeps the
addresses, and gives the source another port where the answer would be another connection's.
"""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.choice import Oracle
from bothways.facts.conntrack import Tuple
from bothways.facts.quick import quick
from bothways.model.linux.conntrack.entry import TrackedConnection
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.conntrack.tuple import inverse
from bothways.model.linux.nat.target import NatTarget, Side
from bothways.model.linux.nat.unique import Wanted, unique_tuple

__all__ = ["Binding", "bind"]


@quick
@dataclass(frozen=True, slots=True)
class Binding:
    """What was decided for one side. *how*: a sentence where the choice was not plain, else ""."""

    before: Tuple
    after: Tuple
    how: str = ""

    @property
    def changed(self) -> bool:
        """True if the connection is translated on this side."""
        return self.before != self.after


def bind(
    connection: TrackedConnection,
    side: Side,
    target: NatTarget | None,
    *,
    table: ConntrackTable,
    oracle: Oracle,
    device: str = "",
) -> Binding:
    """
    Decide one side of a connection and write it into the reply tuple.

    :param device: by which the packet leaves; MASQUERADE remembers it.
    """
    before = inverse(connection.reply)
    after, how = unique_tuple(Wanted(side, target, connection, table, oracle), before)
    if after != before:
        connection.reply = inverse(after)
        connection.status.add(side.value)
    connection.status.add(side.done)
    if target is not None:
        connection.bindings[side.value] = target.evidence
        if target.kind == "MASQUERADE":
            connection.masqueraded_at = device
    return Binding(before, after, how)
