"""Devices, their addresses, neighbours and forwarding entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bothways.facts.address import IPAddress, Mac
from bothways.facts.span import Span

__all__ = ["Device", "FdbEntry", "InterfaceAddress", "Neighbour", "PortVlan"]


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """
    One address of a device. *peer* is set for point-to-point addresses.

    :param flags: ``secondary``, ``tentative``, ``dadfailed``, ``deprecated``, ``temporary`` … as the dump
        says.
    """

    address: IPAddress
    prefix: int
    span: Span
    scope: str = "global"
    peer: IPAddress | None = None
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Device:
    """
    One network device of one namespace, as ``ip -d addr`` shows it.

    :param kind: ``veth``, ``bridge``, ``vxlan``, ``vlan``, ``tun``, ``openvswitch``, … or ""
        if the dump does not say (physical devices, plain ``ip a``).
    :param link: ifindex of the peer (veth) or of the lower device (vlan), None if none.
    :param link_netns: ``link_netnsid`` where the peer is in another namespace.
    :param lower: name of the lower device where the dump names it (``eth0.7@eth0``).
    :param master: name of the bridge, bond or VRF that owns the device.
    :param group: number or name of its group (``ip link set group``), "" if the dump does not say.
    :param info: ``info_data`` of ``ip -d -j``: VXLAN id, VLAN id … as the tool prints them.
    """

    name: str
    index: int
    mac: Mac
    span: Span
    up: bool = True
    carrier: bool = True
    mtu: int | None = None
    kind: str = ""
    link: int | None = None
    link_netns: int | None = None
    lower: str | None = None
    master: str | None = None
    addresses: tuple[InterfaceAddress, ...] = ()
    flags: frozenset[str] = frozenset()
    info: Mapping[str, object] = field(default_factory=dict)
    group: str = ""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One ARP or ND entry. *mac* is None for FAILED and INCOMPLETE ones and for proxies (state ``PROXY``)."""

    address: IPAddress
    device: str
    mac: Mac | None
    states: frozenset[str]
    span: Span

    @property
    def pinned(self) -> bool:
        """True if no reply can change the entry (PERMANENT, NOARP)."""
        return bool(self.states & {"PERMANENT", "NOARP"})


@dataclass(frozen=True, slots=True)
class FdbEntry:
    """
    One row of ``bridge fdb``. *dst* is the remote VTEP of a VXLAN entry.

    :param vni: VNI that the frame is sent with, None for the device's own; *via* the device that it leaves
        by.
    """

    mac: Mac
    device: str
    span: Span
    master: str | None = None
    vlan: int | None = None
    dst: IPAddress | None = None
    state: str = ""
    flags: frozenset[str] = frozenset()
    vni: int | None = None
    via: str | None = None


@dataclass(frozen=True, slots=True)
class PortVlan:
    """
    VLANs that one port of a bridge, or the bridge itself, takes part in: one row of ``bridge vlan``.

    :param first: VLAN; *last* is another one for a range.
    :param pvid: True if frames without a tag belong to it.
    :param untagged: True if its frames leave the port without a tag.
    """

    device: str
    first: int
    last: int
    span: Span
    pvid: bool = False
    untagged: bool = False
