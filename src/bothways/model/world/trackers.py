"""
Which connection tracker a bridge asks.

The datapath decides. The kernel's shares the table of the host's own namespace: entries of iptables' world
and of Open vSwitch stand side by side, told apart by zone. The userspace datapath has a tracker of its own,
one for all its bridges. ``dpctl/dump-conntrack`` shows either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bothways.facts.choice import Assumption, Oracle
from bothways.facts.openflow import Bridge, Switch
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.stack import Stack
from bothways.model.openflow.kernel_tracker import KernelTracker
from bothways.model.openflow.tracker import Request, Tracked, Tracker
from bothways.model.openflow.userspace_tracker import UserspaceTracker

__all__ = ["Trackers"]


class Trackers:
    """The trackers of one walk, by host and datapath."""

    def __init__(self, snapshot: Snapshot, stacks: Mapping[tuple[str, str], Stack], oracle: Oracle) -> None:
        self._oracle = oracle
        self._kernel: dict[str, Tracker] = {}
        self._userspace: dict[str, Tracker] = {}
        for host in snapshot.hosts.values():
            if host.switch is None:
                continue
            kinds = {bridge.datapath == "netdev" for bridge in host.switch.bridges.values()}
            rows = host.switch.conntrack or ()
            if True in kinds:
                self._userspace[host.name] = UserspaceTracker(oracle, rows)
            if False in kinds:
                stack = stacks.get((host.name, "root"))
                table = _alone(host, host.switch, oracle) if stack is None else stack.conntrack
                self._kernel[host.name] = KernelTracker(table, oracle)

    def of(self, bridge: Bridge) -> Tracker | None:
        """The tracker that ``ct()`` in a bridge asks."""
        if bridge.datapath == "netdev":
            return self._userspace.get(bridge.host)
        tracker = self._kernel.get(bridge.host)
        return tracker if tracker is None or bridge.datapath else _Supposed(tracker, bridge, self._oracle)

    def all(self) -> list[Tracker]:
        """Every tracker."""
        return [*self._kernel.values(), *self._userspace.values()]


class _Supposed:
    """The kernel's tracker, for a bridge of which no dump says what datapath it has."""

    def __init__(self, tracker: Tracker, bridge: Bridge, oracle: Oracle) -> None:
        self._tracker = tracker
        self._bridge = bridge
        self._oracle = oracle
        self.forget = tracker.forget

    def track(self, packet: Packet, request: Request, before: Tracked | None, now_ns: int) -> Tracked:
        """Say what is taken for granted, and ask the kernel's."""
        text = f"{self._bridge.host} {self._bridge.name} uses the kernel's datapath, and its conntrack"
        self._oracle.assume(Assumption(text, missing="ovs-appctl dpif/show"))
        return self._tracker.track(packet, request, before, now_ns)


def _alone(host: Host, switch: Switch, oracle: Oracle) -> ConntrackTable:
    """The table of a host whose own namespace was not collected."""
    root = host.netns.get("root", Netns(host.name, "root"))
    if root.conntrack is None:
        root = replace(root, conntrack=switch.conntrack)
    return ConntrackTable(root, oracle=oracle, kernel=host.kernel)
