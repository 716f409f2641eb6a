"""What ``ovs-ofctl`` and OVSDB say of a switch: flows, ports, bridges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bothways.facts.address import IPAddress, Mac
from bothways.facts.conntrack import Entry
from bothways.facts.datapath import DatapathFlow, DatapathPort, MulticastMember, TunnelPort, TunnelRoute
from bothways.facts.dump import Dump
from bothways.facts.openflow_flow import Action, Flow, Term
from bothways.facts.openflow_group import Band, Bucket, Group, Meter
from bothways.facts.openflow_learn import LearnSpec
from bothways.facts.span import Span

__all__ = [
    "LOCAL",
    "Action",
    "Band",
    "Bridge",
    "Bucket",
    "Flow",
    "Group",
    "LearnSpec",
    "LearnedMac",
    "Meter",
    "Mirror",
    "Port",
    "Switch",
    "Term",
    "TunnelNeighbour",
    "TunnelOption",
]

#: OpenFlow's reserved port numbers, OpenFlow 1.3 section A.2.1.
LOCAL = 0xFFFFFFFE


@dataclass(frozen=True, slots=True)
class Port:
    """
    One port of a bridge.

    :param number: OpenFlow port number, ``LOCAL`` for the bridge's own, None if no dump says.
    :param kind: ``""`` (system), ``internal``, ``patch``, ``vxlan`` …, None if no dump says.
    :param options: ``peer``, ``remote_ip``, ``local_ip``, ``key`` … as OVSDB holds them.
    :param mac: ``addr`` of ``ovs-ofctl show``; zero for a port that moved into a namespace.
    :param vlan_mode: ``access``, ``trunk``, ``native-tagged``, ``native-untagged``, ``dot1q-tunnel``, None if
        the column is empty: then a port with *tag* is an access port, one without a trunk.
    :param cvlans: inner VLANs that a ``dot1q-tunnel`` port admits; empty = all.
    :param bond: name of the bond that the port is a member of, None for a port of its own.
    :param bond_mode: ``active-backup`` (also where a bond names none), ``balance-slb``, ``balance-tcp``.
    :param lacp: ``active``, ``passive``, ``off``; None if no dump says.
    :param other_config: columns of the same name of Interface and Port.
    :param protected: True for a port that does not talk to other protected ones.
    :param error: why the switch could not make the port, in its words.
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
    cvlans: tuple[int, ...] = ()
    bond: str | None = None
    bond_mode: str | None = None
    lacp: str | None = None
    other_config: Mapping[str, str] = field(default_factory=dict)
    mtu: int | None = None
    protected: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    """
    What a bridge copies, and where to; ports by name.

    :param select_all: every packet that enters or leaves.
    :param output_vlan: VLAN that copies get in place of a port.
    :param snaplen: bytes of a copy that go out at most, None = all.
    :param filter: an expression that packets must fit, empty: none.
    """

    name: str
    span: Span
    select_all: bool = False
    select_src: tuple[str, ...] = ()
    select_dst: tuple[str, ...] = ()
    select_vlans: tuple[int, ...] = ()
    output: str | None = None
    output_vlan: int | None = None
    snaplen: int | None = None
    filter: str = ""


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
    :param groups: ``ovs-ofctl dump-groups``; *meters* ``dump-meters``; None = not collected.
    :param mirrors: None if no dump says.
    :param tunnel_options: ``ovs-ofctl dump-tlv-map``, None = not collected.
    :param flood_vlans: VLANs in which NORMAL floods instead of learning.
    :param controllers: targets, None if no dump says: a bridge without one is its own master.
    :param spanning_tree: True if STP or RSTP runs; which ports forward stands in their *state*.
    """

    host: str
    name: str
    ports: Mapping[str, Port] = field(default_factory=dict)
    flows: Dump[Flow] | None = None
    fdb: Dump[LearnedMac] | None = None
    datapath: str | None = None
    fail_mode: str | None = None
    groups: Dump[Group] | None = None
    meters: Dump[Meter] | None = None
    mdb: Dump[MulticastMember] | None = None
    mirrors: tuple[Mirror, ...] | None = None
    tunnel_options: Dump[TunnelOption] | None = None
    flood_vlans: tuple[int, ...] = ()
    mcast_snooping: bool = False
    external_ids: Mapping[str, str] = field(default_factory=dict)
    other_config: Mapping[str, str] = field(default_factory=dict)
    controllers: tuple[str, ...] | None = None
    spanning_tree: bool = False

    def port_number(self, number: int) -> Port | None:
        """The port with an OpenFlow number."""
        return next((p for p in self.ports.values() if p.number == number), None)


@dataclass(frozen=True, slots=True)
class TunnelOption:
    """
    One row of ``ovs-ofctl dump-tlv-map``: which option of Geneve a field stands for.

    :param length: bytes of its value.
    :param field: ``tun_metadata0`` to ``tun_metadata63``.
    """

    option_class: int
    type: int
    length: int
    field: str
    span: Span


@dataclass(frozen=True, slots=True)
class TunnelNeighbour:
    """One row of ``ovs-appctl tnl/neigh/show``."""

    address: IPAddress
    mac: Mac
    bridge: str
    span: Span


@dataclass(frozen=True, slots=True)
class Switch:
    """
    Open vSwitch of one host; None = not collected.

    :param conntrack: ``dpctl/dump-conntrack``, of the datapath's own tracker or, with a kernel datapath, the
        kernel's. It has no namespace: its zones are the switch's.
    :param datapath_flows: ``dpctl/dump-flows``: what the datapath has learned from the pipeline.
    :param datapath_ports: ``dpif/show``.
    :param tunnels: ``ofproto/list-tunnels``; *tunnel_listeners* ``tnl/ports/show``.
    :param tunnel_routes: ``ovs/route/show``.
    """

    host: str
    bridges: Mapping[str, Bridge] = field(default_factory=dict)
    tunnel_neighbours: Dump[TunnelNeighbour] | None = None
    conntrack: Dump[Entry] | None = None
    datapath_flows: Dump[DatapathFlow] | None = None
    datapath_ports: Dump[DatapathPort] | None = None
    tunnels: Dump[TunnelPort] | None = None
    tunnel_listeners: Dump[TunnelPort] | None = None
    tunnel_routes: Dump[TunnelRoute] | None = None

    def bridge_of(self, device: str) -> tuple[Bridge, Port] | None:
        """The bridge and port that a device of this host is."""
        for bridge in self.bridges.values():
            port = bridge.ports.get(device)
            if port is not None:
                return bridge, port
        return None
