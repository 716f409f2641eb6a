"""What a datapath of Open vSwitch says of itself: its flows, ports, and where tunnels of it lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bothways.facts.address import IPAddress, Mac
from bothways.facts.span import Span

__all__ = [
    "DatapathAction",
    "DatapathFlow",
    "DatapathPort",
    "DatapathTerm",
    "MulticastMember",
    "TunnelPort",
    "TunnelRoute",
]


@dataclass(frozen=True, slots=True)
class DatapathTerm:
    """
    One key of a datapath flow: ``recirc_id(0)``, ``ipv4(dst=10.0.0.1,frag=no)``, ``packets:5`` is none.

    :param name: ``in_port``, ``eth_type``, ``ipv4.dst``, ``tunnel.tun_id``, ``encap.eth_type`` …: the key,
        and its member behind a dot.
    :param value: number, None where it is not one (a port's name, a member without value).
    :param mask: bits that must agree; None = all.
    :param text: value and mask as printed.
    """

    name: str
    value: int | None
    mask: int | None
    text: str
    column: int


@dataclass(frozen=True, slots=True)
class DatapathAction:
    """
    One action of a datapath flow.

    :param name: ``output``, ``drop``, ``recirc``, ``ct``, ``set``, ``push_vlan``, ``tnl_push``, ``clone`` …
    :param args: ``port`` (number or name) of ``output``, ``id`` of ``recirc``; ``actions`` of those that hold
        actions. What else stands in the brackets is in *text*.
    """

    name: str
    args: Mapping[str, object]
    text: str
    column: int
    modelled: bool = True


@dataclass(frozen=True, slots=True)
class DatapathFlow:
    """One row of ``ovs-appctl dpctl/dump-flows``; *used* is None for ``never``, seconds otherwise."""

    match: tuple[DatapathTerm, ...]
    actions: tuple[DatapathAction, ...]
    span: Span
    packets: int | None = None
    octets: int | None = None
    used: float | None = None
    ufid: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatapathPort:
    """
    One port in ``ovs-appctl dpif/show``.

    :param datapath: ``netdev`` (userspace) or ``system`` (kernel).
    :param number: OpenFlow port number, None if the switch could not make the port.
    :param datapath_number: number in the datapath; None for patch ports, which it does not know.
    """

    bridge: str
    name: str
    number: int | None
    datapath_number: int | None
    kind: str
    span: Span
    datapath: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TunnelPort:
    """
    One row of ``ofproto/list-tunnels`` or ``tnl/ports/show``.

    :param name: the port; *kind* its type, such as ``vxlan``.
    :param attributes: ``remote_ip``, ``local_ip``, ``key``, ``dst_port`` … as printed, by name.
    """

    name: str
    kind: str
    span: Span
    number: int | None = None
    datapath_number: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TunnelRoute:
    """
    One row of ``ovs-appctl ovs/route/show``: which way an encapsulated packet leaves a userspace datapath.

    :param cached: True for a route read from the kernel, False for one that a user added.
    """

    destination: IPAddress
    prefix: int
    device: str
    span: Span
    gateway: IPAddress | None = None
    source: IPAddress | None = None
    mark: int | None = None
    cached: bool = True
    local: bool = False
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class MulticastMember:
    """One row of ``ovs-appctl mdb/show``; *group* None for a port with a querier."""

    port: int
    vlan: int
    group: IPAddress | None
    span: Span
    age: int | None = None
    mac: Mac | None = None
