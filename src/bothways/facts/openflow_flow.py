"""One flow of a switch: its match, term by term, and its actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bothways.facts.quick import quick
from bothways.facts.span import Span

__all__ = ["Action", "Flow", "Term"]


@quick
@dataclass(frozen=True, slots=True)
class Term:
    """
    One match term, normalised.

    :param field: OVS field name without prerequisites' shorthand: ``in_port``, ``eth_src``, ``eth_dst``,
        ``eth_type``, ``ip_proto``, ``nw_src``, ``nw_dst``, ``ipv6_src``, ``tp_src``, ``tp_dst``, ``arp_tpa``,
        ``arp_op``, ``tun_id``, ``reg0`` …, ``metadata``, ``vlan_tci``, ``ct_state`` … ``ip`` becomes two
        facts in one: ``eth_type=0x800``; ``tcp`` becomes ``eth_type`` and ``ip_proto``.
    :param value: number, or None if the term is not modelled.
    :param mask: bits that must agree; None = all.
    :param text: the term as printed.
    :param column: 1-based column in the line.
    """

    field: str
    value: int | None
    mask: int | None
    text: str
    column: int

    @property
    def modelled(self) -> bool:
        """False if the parser kept the text only."""
        return self.value is not None


@quick
@dataclass(frozen=True, slots=True)
class Action:
    """
    One action, with decoded arguments.

    :param name: ``output``, ``goto_table``, ``resubmit``, ``set_field``, ``load``, ``move``, ``drop``,
        ``dec_ttl``, ``normal``, ``in_port``, ``controller``, ``push_vlan``, ``ct`` …, lower case.
    :param args: argument name -> value, see ``parse.openflow_actions``; of ``learn`` also *rules*, a tuple of
        ``LearnSpec``.
    :param modelled: False if the parser kept the text only.
    """

    name: str
    args: Mapping[str, object]
    text: str
    column: int
    modelled: bool = True


@quick
@dataclass(frozen=True, slots=True)
class Flow:
    """
    One row of ``ovs-ofctl dump-flows``. Counters are None where not shown (``--no-stats``).

    :param idle_timeout: seconds without a packet after which the switch forgets the flow, 0 = never.
    :param hard_timeout: seconds after which it is forgotten in any case, 0 = never.
    :param idle_age: seconds since the last packet, None where not shown. *hard_age*: since the last change.
    :param flags: ``send_flow_rem``, ``check_overlap``, ``reset_counts``, ``no_packet_counts`` …
    :param unread: match terms, actions and facts of the row that are kept as text only, as printed: what they
        do is not known, and neither is what the flow does.
    :param table_name: name of the table where the dump names it; *table* is then a number that fits it.
    """

    table: int
    priority: int
    match: tuple[Term, ...]
    actions: tuple[Action, ...]
    span: Span
    cookie: int = 0
    packets: int | None = None
    octets: int | None = None
    duration: float | None = None
    idle_timeout: int = 0
    hard_timeout: int = 0
    importance: int = 0
    idle_age: int | None = None
    hard_age: int | None = None
    flags: frozenset[str] = frozenset()
    unread: tuple[str, ...] = ()
    table_name: str | None = None
