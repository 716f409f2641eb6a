"""
A site as it is to be built: hosts, namespaces, wires, switches, services, and the connection to try.

It says what shall be there, not how: :mod:`bothways.lab.plan` turns it into commands. A place is written
``HOST`` or ``HOST/NETNS``, a device ``HOST[/NETNS]:DEVICE``, as in a bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "ROOT",
    "Bridge",
    "Check",
    "Device",
    "Member",
    "Place",
    "Port",
    "Question",
    "Service",
    "Site",
    "Space",
    "Wire",
]

#: Name of a host's own namespace.
ROOT = "root"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A namespace of a host; *netns* is ``root`` for the host's own."""

    host: str
    netns: str = ROOT

    def __str__(self) -> str:
        return self.host if self.netns == ROOT else f"{self.host}/{self.netns}"

    @classmethod
    def read(cls, text: str) -> Place:
        """Read ``HOST`` or ``HOST/NETNS``."""
        host, _, netns = text.partition("/")
        return cls(host, netns or ROOT)


@dataclass(frozen=True, slots=True)
class Member:
    """A device at a place: one end of a wire, or a tap."""

    place: Place
    device: str

    def __str__(self) -> str:
        return f"{self.place}:{self.device}"

    @classmethod
    def read(cls, text: str) -> Member:
        """
        Read ``HOST[/NETNS]:DEVICE``.

        :raises ValueError: if there is no device in it.
        """
        place, colon, device = text.partition(":")
        if not (place and colon and device):
            raise ValueError(f"HOST[/NETNS]:DEVICE is expected, not `{text}`")
        return cls(Place.read(place), device)


@dataclass(frozen=True, slots=True)
class Wire:
    """
    A layer-2 segment that joins devices: a veth pair, or with more than two ends a bridge between them.

    :param loss: share of the packets that get lost at each end, in percent.
    """

    name: str
    members: tuple[Member, ...]
    mtu: int | None = None
    loss: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """
    A device that the kernel makes inside a namespace.

    :param words: what ``ip link add`` is told behind the name: ``type bridge``, ``type vxlan id 5 …``.
    :param members: devices that become ports of it.
    """

    name: str
    words: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """
    Something that listens.

    :param kind: ``sshd``, ``http``, ``echo`` or ``banner`` (says a line and closes).
    """

    kind: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Space:
    """
    One namespace and what is in it.

    :param addresses: device -> addresses with prefix, ``192.0.2.1/24``, and what ``ip addr add`` may be told.
    :param routes: what ``ip route replace`` is told; *rules* and *neighbours* likewise, and *fdb* what
        ``bridge fdb append`` is.
    :param iptables: text for ``iptables-restore``; *ip6tables* likewise; *nft* for ``nft -f``.
    :param macs: device -> MAC; *mtus* device -> MTU.
    :param announce: whether its addresses are told to the neighbours with a gratuitous ARP, as Neutron does.
    :param offload: devices whose checksum and segmentation offloads stay on.
    :param router: what Neutron's template was filled in with, None where it was not.
    """

    place: Place
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    routes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    iptables: str | None = None
    ip6tables: str | None = None
    nft: str | None = None
    devices: tuple[Device, ...] = ()
    services: tuple[Service, ...] = ()
    macs: Mapping[str, str] = field(default_factory=dict)
    mtus: Mapping[str, int] = field(default_factory=dict)
    announce: bool = False
    offload: tuple[str, ...] = ()
    router: Mapping[str, Any] | None = None
    fdb: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Port:
    """
    A port of an Open vSwitch bridge.

    :param kind: type of the interface: ``""`` for a device that is there, ``internal``, ``patch`` …
    :param netns: namespace of the host that an internal port is moved into.
    """

    name: str
    kind: str = ""
    number: int | None = None
    netns: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    tag: int | None = None
    trunks: tuple[int, ...] = ()
    vlan_mode: str | None = None
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bridge:
    """An Open vSwitch bridge; *flows* and *groups* as ``ovs-ofctl`` reads them, one on a line."""

    host: str
    name: str
    ports: tuple[Port, ...] = ()
    flows: str | None = None
    groups: str | None = None
    fail_mode: str | None = None
    mac: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """
    The connection to try.

    :param at: where its client runs.
    :param say: what the client sends once it is connected; None waits for the server to speak.
    """

    at: Place
    source: str
    destination: str
    destination_port: int
    source_port: int | None = None
    protocol: str = "tcp"
    say: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Another connection that is tried behind the question, and the fate that it must have."""

    question: Question
    fate: str


@dataclass(frozen=True, slots=True)
class Site:
    """
    The whole of it.

    :param taps: where to capture.
    :param pings: who pings whom before the connection is tried, so that switches know their stations.
    :param ipv6: whether IPv6 is left on.
    :param clocks: host -> seconds that its captures' clock is ahead.
    :param checks: what else must work there, or must not.
    :param winners: for an address that several stations answer for: name -> MAC. *contested* names the place,
        device and address whose neighbour entry is pinned.
    """

    title: str
    spaces: Mapping[Place, Space]
    bridges: tuple[Bridge, ...] = ()
    wires: tuple[Wire, ...] = ()
    question: Question | None = None
    taps: tuple[Member, ...] = ()
    pings: tuple[tuple[Place, str], ...] = ()
    ipv6: bool = False
    clocks: Mapping[str, float] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    contested: tuple[Member, str] | None = None
    winners: Mapping[str, str] = field(default_factory=dict)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host, in the order of its first namespace."""
        return tuple(dict.fromkeys(place.host for place in self.spaces))

    def bridges_of(self, host: str) -> tuple[Bridge, ...]:
        """The switches of one host."""
        return tuple(bridge for bridge in self.bridges if bridge.host == host)
