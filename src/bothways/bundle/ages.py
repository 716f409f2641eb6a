"""
When each dump was read: the start of the command in ``collection.jsonl`` whose output the file holds.

The record names commands and not files, so a file is matched by host, namespace and the words of the
command. Of several runs the last counts, because a later run replaces the file. Without a match the age is
unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bothways.facts.collection import CommandRun

__all__ = ["Ages"]

_IP: Final = r"(?:^|[ /])ip(?: -(?:n|netns) \S+| -\S+)* "
_IP6: Final = r"(?:^|[ /])ip(?: -(?:n|netns) \S+| -\S+)* -6(?: -(?:n|netns) \S+| -\S+)* "
_OF_BRIDGE: Final = r"(?:.* )?{bridge}(?: |$)"

#: File name -> what its command looks like, words joined by blanks.
_COMMANDS: Final[Mapping[str, re.Pattern[str]]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "addr": _IP + r"(?:a|ad|add|addr|addre|addres|address)(?: |$)",
        "link": _IP + r"(?:l|li|lin|link)(?: |$)",
        "route": _IP + r"(?:r|ro|rou|rout|route)(?: |$)",
        "rule": _IP + r"(?:ru|rul|rule)(?: |$)",
        "route6": _IP6 + r"(?:r|ro|rou|rout|route)(?: |$)",
        "rule6": _IP6 + r"(?:ru|rul|rule)(?: |$)",
        "neigh": _IP + r"(?:n|ne|nei|neig|neigh|neighbor|neighbour)(?: |$)",
        "fdb": r"(?:^|[ /])bridge(?: -\S+)* fdb(?: |$)",
        "vlan": r"(?:^|[ /])bridge(?: -\S+)* vlan(?: |$)",
        "iptables-save": r"(?:^|[ /])iptables(?:-nft|-legacy)?-save(?: |$)",
        "ip6tables-save": r"(?:^|[ /])ip6tables(?:-nft|-legacy)?-save(?: |$)",
        "nft": r"(?:^|[ /])nft .*list ruleset",
        "conntrack": r"(?:^|[ /])conntrack .*(?:-L|--dump)(?: |$)",
        "conntrack-stats": r"(?:^|[ /])conntrack .*(?:-S|--stats)(?: |$)",
        "conntrack-events": r"(?:^|[ /])conntrack .*(?:-E|--event)(?: |$)",
        "tc-qdisc": r"(?:^|[ /])tc(?: -\S+)* q",
        "tc-filter": r"(?:^|[ /])tc(?: -\S+)* f",
        "bpftool-net": r"(?:^|[ /])bpftool(?: -\S+)* net(?: |$)",
        "ipvsadm": r"(?:^|[ /])ipvsadm(?: |$)",
        "ip-xfrm-policy": _IP + r"x\w* p",
        "nft-hooks": r"(?:^|[ /])nft .*list hooks",
        "ipset": r"(?:^|[ /])ipset(?: |$)",
        "nstat": r"(?:^|[ /])nstat(?: |$)",
        "ss": r"(?:^|[ /])ss(?: |$)",
        "sysctl": r"(?:^|[ /])sysctl(?: |$)",
        "kernel": r"(?:^|[ /])uname(?: |$)",
        "show": r"(?:^|[ /])ovs-vsctl .*show(?: |$)",
        "ovsdb": r"(?:^|[ /])ovsdb-client .*dump(?: |$)|(?:^|[ /])ovs-vsctl .*list(?: |$)",
        "list-bridge": r"(?:^|[ /])ovs-vsctl .*list [Bb]ridge(?: |$)",
        "list-port": r"(?:^|[ /])ovs-vsctl .*list [Pp]ort(?: |$)",
        "list-interface": r"(?:^|[ /])ovs-vsctl .*list [Ii]nterface(?: |$)",
        "tnl-neigh-show": r"tnl/neigh/show|tnl/arp/show",
        "tnl-ports-show": r"tnl/ports/show",
        "ovs-route-show": r"ovs/route/show",
        "ofproto-list-tunnels": r"ofproto/list-tunnels",
        "dpif-show": r"dpif/show(?: |$)",
        "dpctl-dump-flows": r"(?:dpctl/dump-flows|ovs-dpctl .*dump-flows)(?: |$)",
        "dpctl-dump-conntrack": r"(?:dpctl/dump-conntrack|ovs-dpctl .*dump-conntrack)(?: |$)",
    }.items()
}
#: Kind of a bridge's file -> command before the bridge's name.
_BRIDGE_COMMANDS: Final[Mapping[str, str]] = {
    "flows": r"(?:^|[ /])ovs-ofctl .*dump-flows ",
    "ports": r"(?:^|[ /])ovs-ofctl (?:.* )?show ",
    "fdb": r"fdb/show ",
    "groups": r"(?:^|[ /])ovs-ofctl .*dump-groups ",
    "meters": r"(?:^|[ /])ovs-ofctl .*dump-meters ",
    "mdb": r"mdb/show ",
    "tlv-map": r"(?:^|[ /])ovs-ofctl .*dump-tlv-map ",
}
_EXEC: Final = re.compile(r"(?:^|[ /])ip netns exec (\S+) ")
_NETNS_OPTION: Final = re.compile(r"(?:^|[ /])ip -(?:n|netns) (\S+) ")


@dataclass(frozen=True, slots=True)
class _Run:
    host: str
    netns: str
    words: str
    start: float


class Ages:
    """The record of commands, asked by place and file."""

    def __init__(self, runs: Sequence[CommandRun] = ()) -> None:
        """:param runs: rows of ``collection.jsonl``, in its order."""
        self._runs = tuple(
            _Run(run.host, _netns(run), " ".join(run.argv), run.start)
            for run in runs
            if run.start is not None and run.exit in {None, 0}
        )

    def of_dump(self, host: str, netns: str, file: str) -> float | None:
        """When a namespace's file (``addr.json``) was read, seconds since the epoch."""
        pattern = _COMMANDS.get(file.partition(".")[0])
        return None if pattern is None else self._last(host, netns, pattern)

    def of_bridge(self, host: str, bridge: str, kind: str) -> float | None:
        """When a bridge's ``flows``, ``ports`` or ``fdb`` were read."""
        words = _BRIDGE_COMMANDS.get(kind)
        if words is None:
            return None
        return self._last(host, None, re.compile(words + _OF_BRIDGE.format(bridge=re.escape(bridge))))

    def of_switch(self, host: str, file: str) -> float | None:
        """When a file of the whole switch (``ovsdb.jsonl``) was read."""
        pattern = _COMMANDS.get(file.partition(".")[0])
        return None if pattern is None else self._last(host, None, pattern)

    def _last(self, host: str, netns: str | None, pattern: re.Pattern[str]) -> float | None:
        starts = [
            run.start
            for run in self._runs
            if run.host == host and netns in {None, run.netns} and pattern.search(run.words)
        ]
        return starts[-1] if starts else None


def _netns(run: CommandRun) -> str:
    """The namespace of a run, also where only the command itself names it."""
    if run.netns != "root":
        return run.netns
    words = " ".join(run.argv)
    found = _EXEC.search(words) or _NETNS_OPTION.search(words)
    return found[1] if found else "root"
