"""What a flow sends packets to beside ports: groups with their buckets, and meters."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.openflow_flow import Action
from bothways.facts.span import Span

__all__ = ["Band", "Bucket", "Group", "Meter"]


@dataclass(frozen=True, slots=True)
class Bucket:
    """
    One bucket of a group.

    :param actions: what happens to a packet in it; empty drops.
    :param weight: share in a ``select`` group as printed; None where it is not: the switch then takes 1 in a
        ``select`` group, and no other kind of group looks at it.
    :param watch_port: number of the port whose liveness decides (fast failover); None if none is watched.
    :param watch_port_name: the port by name (``--names``) as long as its number is not known.
    :param watch_group: number of the group whose liveness decides.
    :param identity: ``bucket_id`` of OpenFlow 1.5 and later, None where it is not shown.
    :param column: 1-based column of the bucket in the line of its group.
    """

    actions: tuple[Action, ...]
    text: str
    column: int
    weight: int | None = None
    watch_port: int | None = None
    watch_port_name: str | None = None
    watch_group: int | None = None
    identity: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """
    One row of ``ovs-ofctl dump-groups``.

    :param kind: ``all``, ``select``, ``indirect`` or ``fast_failover``.
    :param selection_method: of a ``select`` group: ``hash``, ``dp_hash``, or None where it is not shown (the
        switch then chooses with its default).
    :param selection_fields: what ``hash`` looks at: normalised field name and mask, None = all bits;
        ports with the protocol whose ports they are (``tcp_src``).
    :param unread: parts of the row that could not be read, as printed.
    """

    number: int
    kind: str
    buckets: tuple[Bucket, ...]
    span: Span
    selection_method: str | None = None
    selection_param: int = 0
    selection_fields: tuple[tuple[str, int | None], ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Band:
    """
    One band of a meter: what happens to packets above a rate.

    :param kind: ``drop`` or ``dscp_remark``.
    :param rate: in kbit/s or packets/s, as the meter's flags say.
    :param burst: None if none is shown.
    :param level: how many drop precedences ``dscp_remark`` adds.
    """

    kind: str
    rate: int
    burst: int | None = None
    level: int | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """
    One row of ``ovs-ofctl dump-meters``.

    :param flags: ``kbps`` or ``pktps``, ``burst``, ``stats``.
    """

    number: int
    flags: frozenset[str]
    bands: tuple[Band, ...]
    span: Span
