"""What all dumps of a bundle say, host by host and namespace by namespace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bothways.facts.address import IPAddress, Mac
from bothways.facts.bypass import Bypass
from bothways.facts.conntrack import ConntrackCounters, ConntrackEvent, Entry, InvalidLog
from bothways.facts.counter import Counter
from bothways.facts.device import Device, FdbEntry, InterfaceAddress, Neighbour, PortVlan
from bothways.facts.dump import Dump
from bothways.facts.ipset import IpSet
from bothways.facts.iptables import Table
from bothways.facts.nft import NftTable
from bothways.facts.openflow import Switch
from bothways.facts.route import Route, RoutingRule
from bothways.facts.socket import Socket
from bothways.facts.span import Span

__all__ = ["Host", "IngressDrop", "Member", "Netns", "Segment", "Snapshot", "Sysctl"]


@dataclass(frozen=True, slots=True)
class Sysctl:
    """One row of ``sysctl -a``."""

    name: str
    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class IngressDrop:
    """A netdev ingress chain without rules whose policy drops what a device receives."""

    device: str
    span: Span


@dataclass(frozen=True, slots=True)
class Netns:
    """
    One network namespace. ``root`` is the host's own. None = not collected.

    :param iptables: tables of ``iptables-save``; *ip6tables* those of ``ip6tables-save``.
    :param ingress_drops: what ``nft.txt`` says of netdev ingress policies.
    :param unmodelled_nft: native nft tables that bothways cannot evaluate yet, as spans.
    :param nft: native nft tables of the families ``ip``, ``ip6`` and ``inet``, in the order of the file.
    :param counters: what the stack counts (``nstat``).
    :param vlans: VLANs of bridge ports (``bridge vlan``).
    :param tc: queues and filters of ``tc``; *bpf* programs of ``bpftool net``; *ipvs* services; *xfrm* IPsec
        policies; *handlers* those of ``/proc/net/ptype``; *hooks* those of ``nft list hooks``.
    :param ipsets: sets of ``ipset save`` or ``ipset list``.
    :param rules6: policy rules of IPv6 (``ip -6 rule``); *rules* are those of IPv4.
    """

    host: str
    name: str
    devices: Dump[Device] | None = None
    routes: Dump[Route] | None = None
    rules: Dump[RoutingRule] | None = None
    neighbours: Dump[Neighbour] | None = None
    fdb: Dump[FdbEntry] | None = None
    iptables: Dump[Table] | None = None
    ip6tables: Dump[Table] | None = None
    conntrack: Dump[Entry] | None = None
    conntrack_events: Dump[ConntrackEvent] | None = None
    conntrack_counters: Dump[ConntrackCounters] | None = None
    invalid_log: Dump[InvalidLog] | None = None
    sockets: Dump[Socket] | None = None
    sysctls: Dump[Sysctl] | None = None
    ingress_drops: Dump[IngressDrop] | None = None
    unmodelled_nft: Dump[Span] | None = None
    nft: Dump[NftTable] | None = None
    counters: Dump[Counter] | None = None
    rules6: Dump[RoutingRule] | None = None
    vlans: Dump[PortVlan] | None = None
    tc: Dump[Bypass] | None = None
    bpf: Dump[Bypass] | None = None
    ipvs: Dump[Bypass] | None = None
    xfrm: Dump[Bypass] | None = None
    handlers: Dump[Bypass] | None = None
    hooks: Dump[Bypass] | None = None
    ipsets: Dump[IpSet] | None = None

    @property
    def label(self) -> str:
        """``host/netns``, or the host alone for its own namespace."""
        return self.host if self.name == "root" else f"{self.host}/{self.name}"

    def device(self, name: str) -> Device | None:
        """A device by name."""
        return next((d for d in self.devices or () if d.name == name), None)

    def owner_of(self, address: IPAddress) -> tuple[Device, InterfaceAddress] | None:
        """The device that holds an address, with that address."""
        for device in self.devices or ():
            for held in device.addresses:
                if held.address == address:
                    return device, held
        return None

    def sysctl(self, name: str) -> Sysctl | None:
        """One sysctl by its dotted name, None if the dump does not hold it."""
        return next((s for s in self.sysctls or () if s.name == name), None)


@dataclass(frozen=True, slots=True)
class Host:
    """One machine: its namespaces by name, and its Open vSwitch if it has one."""

    name: str
    netns: Mapping[str, Netns] = field(default_factory=dict)
    switch: Switch | None = None
    kernel: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """One end of a wire: HOST[/NETNS]:DEVICE."""

    host: str
    netns: str
    device: str

    def __str__(self) -> str:
        """As ``bundle.toml`` writes it."""
        where = self.host if self.netns == "root" else f"{self.host}/{self.netns}"
        return f"{where}:{self.device}"


@dataclass(frozen=True, slots=True)
class Segment:
    """A wire that no dump names: devices on one layer-2 segment."""

    name: str
    members: tuple[Member, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that the dumps of a bundle say."""

    hosts: Mapping[str, Host] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()

    def namespaces(self) -> Iterator[Netns]:
        """Every namespace of every host."""
        for host in self.hosts.values():
            yield from host.netns.values()

    def netns(self, host: str, name: str) -> Netns | None:
        """One namespace."""
        found = self.hosts.get(host)
        return None if found is None else found.netns.get(name)

    def owners_of(self, address: IPAddress) -> Iterator[tuple[Netns, Device, InterfaceAddress]]:
        """Every device that holds an address."""
        for netns in self.namespaces():
            held = netns.owner_of(address)
            if held is not None:
                yield netns, *held

    def devices_with_mac(self, mac: Mac) -> Iterator[tuple[Netns, Device]]:
        """Every device that has a MAC."""
        for netns in self.namespaces():
            for device in netns.devices or ():
                if device.mac == mac:
                    yield netns, device
