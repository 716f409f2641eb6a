"""What is in a bundle and what was understood of it, counted: hosts, namespaces, bridges, captures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bothways.bundle import Bundle
from bothways.facts.dump import Dump
from bothways.facts.kernel_event import Happening
from bothways.facts.kernel_stack import KernelStack
from bothways.facts.openflow import Bridge
from bothways.facts.sighting import Capture, Tap
from bothways.facts.snapshot import Host, Netns
from bothways.model.linux.bypass import bypasses_of

__all__ = [
    "DUMPS",
    "BridgeRow",
    "CaptureRow",
    "DumpRow",
    "HostRow",
    "NetnsRow",
    "TraceRow",
    "hosts_of",
    "stack_rows",
    "taps_of",
    "trace_rows",
]

#: Dump of a namespace -> the command that shows it.
DUMPS: Final = {
    "devices": "ip addr",
    "routes": "ip route",
    "rules": "ip rule",
    "neighbours": "ip neigh",
    "fdb": "bridge fdb",
    "iptables": "iptables-save",
    "ip6tables": "ip6tables-save",
    "nft": "nft list ruleset",
    "conntrack": "conntrack -L",
    "conntrack_events": "conntrack -E",
    "conntrack_counters": "conntrack -S",
    "invalid_log": "nf_conntrack_log_invalid",
    "sockets": "ss",
    "sysctls": "sysctl",
}
#: Dumps that are told of where they were collected, and not missed where they were not.
_BESIDE: Final = {
    "rules6": "ip -6 rule",
    "vlans": "bridge vlan",
    "tc": "tc",
    "bpf": "bpftool net",
    "ipvs": "ipvsadm",
    "xfrm": "ip xfrm policy",
    "handlers": "/proc/net/ptype",
    "hooks": "nft list hooks",
    "ipsets": "ipset",
}


@dataclass(frozen=True, slots=True)
class DumpRow:
    """
    One dump that was collected.

    :param command: what shows it; *partial* the filter of a filtered view.
    :param read_at: seconds since the epoch on the host's clock, None = unknown.
    """

    command: str
    file: str
    rows: int
    partial: str | None = None
    read_at: float | None = None


@dataclass(frozen=True, slots=True)
class NetnsRow:
    """
    One namespace.

    :param devices: None if they were not collected, else names with their addresses.
    :param bypasses: what goes round the model (tc, XDP, IPVS …), one phrase each.
    """

    name: str
    dumps: tuple[DumpRow, ...]
    missing: tuple[str, ...]
    devices: tuple[tuple[str, tuple[str, ...]], ...] | None = None
    bypasses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BridgeRow:
    """One Open vSwitch bridge; a count is None if the dump was not collected."""

    name: str
    datapath: str | None
    ports: int
    flows: DumpRow | None
    macs: int | None
    groups: int | None
    tunnel_options: int | None


@dataclass(frozen=True, slots=True)
class HostRow:
    """One host."""

    name: str
    kernel: str | None
    netns: tuple[NetnsRow, ...]
    bridges: tuple[BridgeRow, ...]


@dataclass(frozen=True, slots=True)
class CaptureRow:
    """
    One capture.

    :param first: time of its earliest packet, nanoseconds since the epoch, with *clock_only* since midnight;
        None if it holds none.
    """

    tap: Tap
    file: str
    packets: int
    first: int | None
    last: int | None
    clock_only: bool
    filter: str | None
    dropped: int | None
    textual: bool


@dataclass(frozen=True, slots=True)
class TraceRow:
    """
    One run of the tracer on one host.

    :param tier: how the kernel was asked, None if the trace does not say.
    :param events: all of them; *resets*, *errors* and *drops* are those of a RST or ICMP error sent, or of a
        drop.
    :param first: time of its earliest event, nanoseconds since the epoch; None if it holds none.
    :param lost: None if the trace broke off.
    """

    host: str
    file: str
    tier: str | None
    events: int
    resets: int
    errors: int
    drops: int
    first: int | None
    last: int | None
    lost: int | None


def hosts_of(bundle: Bundle) -> Iterator[HostRow]:
    """Every host, in the order of the snapshot."""
    for host in bundle.snapshot.hosts.values():
        spaces = tuple(_netns(each) for each in host.netns.values())
        yield HostRow(host.name, host.kernel, spaces, tuple(_bridges(host)))


def taps_of(bundle: Bundle) -> Iterator[CaptureRow]:
    """Every capture, in the order of the bundle."""
    return (_capture(each) for each in bundle.captures)


def stack_rows(bundle: Bundle) -> Iterator[tuple[KernelStack, str]]:
    """Every call stack with the file that it stands in."""
    for stack in bundle.stacks:
        yield stack, stack.frames[0].span.file if stack.frames else ""


def trace_rows(bundle: Bundle) -> Iterator[TraceRow]:
    """Every run of the tracer, in the order of the bundle."""
    for trace in bundle.traces:
        kinds = Counter(event.happening for event in trace.events)
        moments = [event.wall_ns for event in trace.events if event.wall_ns is not None]
        yield TraceRow(
            trace.host,
            trace.file,
            trace.tier,
            len(trace.events),
            kinds[Happening.RST_SENT],
            kinds[Happening.ICMP_SENT],
            kinds[Happening.DROP],
            min(moments, default=None),
            max(moments, default=None),
            trace.lost,
        )


def _netns(netns: Netns) -> NetnsRow:
    dumps = {name: getattr(netns, name) for name in DUMPS}
    beside = {name: getattr(netns, name) for name in _BESIDE}
    devices = None
    if netns.devices is not None:
        devices = tuple(
            (d.name, tuple(f"{a.address}/{a.prefix}" for a in d.addresses)) for d in netns.devices
        )
    return NetnsRow(
        netns.name,
        (
            *(_dump(DUMPS[name], dump) for name, dump in dumps.items() if dump is not None),
            *(_dump(_BESIDE[name], dump) for name, dump in beside.items() if dump is not None),
        ),
        tuple(DUMPS[name] for name, dump in dumps.items() if dump is None),
        devices,
        tuple(dict.fromkeys(row.does for row in bypasses_of(netns) if not row.harmless)),
    )


def _dump(command: str, dump: Dump[object]) -> DumpRow:
    return DumpRow(command, dump.file, len(dump), dump.partial, dump.read_at)


def _bridges(host: Host) -> Iterator[BridgeRow]:
    bridges: tuple[Bridge, ...] = () if host.switch is None else tuple(host.switch.bridges.values())
    for bridge in bridges:
        flows = None if bridge.flows is None else _dump("ovs-ofctl dump-flows", bridge.flows)
        macs = None if bridge.fdb is None else len(bridge.fdb)
        groups = None if bridge.groups is None else len(bridge.groups)
        options = None if bridge.tunnel_options is None else len(bridge.tunnel_options)
        yield BridgeRow(bridge.name, bridge.datapath, len(bridge.ports), flows, macs, groups, options)


def _capture(capture: Capture) -> CaptureRow:
    times = [each.time_ns for each in capture.sightings]
    return CaptureRow(
        capture.tap,
        capture.source,
        len(times),
        min(times, default=None),
        max(times, default=None),
        any(each.clock_only for each in capture.sightings),
        capture.filter,
        capture.dropped,
        capture.textual,
    )
