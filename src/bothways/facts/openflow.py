"""What ``ovs-ofctl`` and OVSDB say of a switch: flows, ports, bridges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bothways.facts.address import IPAddress, Mac
from bothways.facts.dump import Dump
from bothways.facts.span import Span

__all__ = [
    "Action",
    "Bridge",
    "Flow",
    "LearnedMac",
    "Port",
    "Switch",
    "Term",
    "TunnelNeighbour",
]

#: OpenFlow's reserved port numbers, OpenFlow 1.3 section A.2.1.
LOCAL = 0xFFFFFFFE


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


@dataclass(frozen=True, slots=True)
class Action:
    """
    One action, with decoded arguments.

    :param name: ``output``, ``goto_table``, ``resubmit``, ``set_field``, ``load``, ``move``, ``drop``,
        ``dec_ttl``, ``normal``, ``in_port``, ``controller``, ``push_vlan``, ``ct`` …, lower case.
    :param args: argument name -> value, see ``parse.openflow``.
    :param modelled: False if the parser kept the text only.
    """

    name: str
    args: Mapping[str, object]
    text: str
    column: int
    modelled: bool = True


@dataclass(frozen=True, slots=True)
class Flow:
    """One row of ``ovs-ofctl dump-flows``. Counters are None where not shown (``--no-stats``)."""

    table: int
    priority: int
    match: tuple[Term, ...]
    actions: tuple[Action, ...]
    span: Span
    cookie: int = 0
    packets: int | None = None
    octets: int | None = None
    duration: float | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """
    One port of a bridge.

    :param number: OpenFlow port number, ``LOCAL`` for the bridge's own, None if no dump says.
    :param kind: ``""`` (system), ``internal``, ``patch``, ``vxlan`` …, None if no dump says.
    :param options: ``peer``, ``remote_ip``, ``local_ip``, ``key`` … as OVSDB holds them.
    :param mac: ``addr`` of ``ovs-ofctl show``; zero for a port that moved into a namespace.
    """

    name: str
    number: int | None
    span: Span
    kind: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    mac: Mac | None = None
    attached_mac: Mac | None = None
    tag: int | None = None
    trunks: tuple[int, ...] = ()
    vlan_mode: str | None = None
    config: frozenset[str] = frozenset()
    state: frozenset[str] = frozenset()
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LearnedMac:
    """One row of ``ovs-appctl fdb/show``."""

    mac: Mac
    port: int
    vlan: int
    age: int | None
    span: Span


@dataclass(frozen=True, slots=True)
class Bridge:
    """
    One bridge.

    :param ports: by name, merged from ``ovs-ofctl show``, ``ovs-vsctl show`` and OVSDB.
    :param datapath: ``netdev`` (userspace), ``system`` (kernel) or None if no dump says.
    :param fail_mode: ``secure``, ``standalone`` or None.
    """

    host: str
    name: str
    ports: Mapping[str, Port] = field(default_factory=dict)
    flows: Dump[Flow] | None = None
    fdb: Dump[LearnedMac] | None = None
    datapath: str | None = None
    fail_mode: str | None = None

    def port_number(self, number: int) -> Port | None:
        """The port with an OpenFlow number."""
        return next((p for p in self.ports.values() if p.number == number), None)


@dataclass(frozen=True, slots=True)
class TunnelNeighbour:
    """One row of ``ovs-appctl tnl/neigh/show``."""

    address: IPAddress
    mac: Mac
    bridge: str
    span: Span


@dataclass(frozen=True, slots=True)
class Switch:
    """Open vSwitch of one host."""

    host: str
    bridges: Mapping[str, Bridge] = field(default_factory=dict)
    tunnel_neighbours: Dump[TunnelNeighbour] | None = None

    def bridge_of(self, device: str) -> tuple[Bridge, Port] | None:
        """The bridge and port that a device of this host is."""
        for bridge in self.bridges.values():
            port = bridge.ports.get(device)
            if port is not None:
                return bridge, port
        return None
