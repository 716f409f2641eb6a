"""
Placed dumps of loose evidence, read and put together host by host.

They are read by the readers of a bundle, each under the name that its format has there. Where two are of one
name, the second is read in a layer of its own, and joined: of two whole dumps of the same thing the later one
counts; filtered views of it add up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path, PurePath
from typing import Any, Final, TypeVar

from bothways.bundle.ages import Ages
from bothways.bundle.dumps import DumpReader, read_netns
from bothways.bundle.folder import Folder
from bothways.bundle.item import Item
from bothways.bundle.place import ROOT
from bothways.bundle.requote import Original, requote
from bothways.bundle.switch import read_switch
from bothways.facts.dump import Dump
from bothways.facts.openflow import Bridge, Switch
from bothways.facts.snapshot import Host, Netns
from bothways.facts.span import Problem
from bothways.parse.openflow_ports import parse_ports

__all__ = ["original", "read_hosts"]

Value = TypeVar("Value")

#: Kind -> the bundle's file of that format, for JSON and for text.
_NETNS_FILES: Final[Mapping[str, tuple[str, str]]] = {
    "addr": ("addr.json", "addr.txt"),
    "route": ("route.json", "route.txt"),
    "rule": ("rule.json", "rule.txt"),
    "neigh": ("neigh.json", "neigh.txt"),
    "link": ("link.json", "link.txt"),
    "route6": ("route6.json", "route6.txt"),
    "rule6": ("rule6.json", "rule6.txt"),
    "fdb": ("fdb.json", "fdb.txt"),
    "vlan": ("vlan.json", "vlan.txt"),
    "iptables": ("iptables-save.txt", "iptables-save.txt"),
    "ip6tables": ("ip6tables-save.txt", "ip6tables-save.txt"),
    "iptables-legacy": ("iptables-legacy-save.txt", "iptables-legacy-save.txt"),
    "ip6tables-legacy": ("ip6tables-legacy-save.txt", "ip6tables-legacy-save.txt"),
    "nft": ("nft.txt", "nft.txt"),
    "conntrack": ("conntrack.txt", "conntrack.txt"),
    "conntrack-xml": ("conntrack.xml", "conntrack.xml"),
    "conntrack-events-xml": ("conntrack-events.xml", "conntrack-events.xml"),
    "nstat": ("nstat.txt", "nstat.txt"),
    "conntrack-events": ("conntrack-events.txt", "conntrack-events.txt"),
    "conntrack-stats": ("conntrack-stats.txt", "conntrack-stats.txt"),
    "invalid-log": ("conntrack-invalid-log.txt", "conntrack-invalid-log.txt"),
    "ss": ("ss.txt", "ss.txt"),
    "sysctl": ("sysctl.txt", "sysctl.txt"),
    "tc": ("tc.json", "tc.txt"),
    "bpf": ("bpftool-net.json", "bpftool-net.txt"),
    "ipvs": ("ipvsadm.txt", "ipvsadm.txt"),
    "xfrm": ("ip-xfrm-policy.txt", "ip-xfrm-policy.txt"),
    "handlers": ("ptype.txt", "ptype.txt"),
    "hooks": ("nft-hooks.txt", "nft-hooks.txt"),
    "ipset": ("ipset.txt", "ipset.txt"),
}
_TC_FILTERS: Final = re.compile(r"\btc\s(?:-\S+\s+)*f\w*\s(?P<rest>.*)")
_DEVICE: Final = re.compile(r"\bdev\s+(\S+)")
_SIDE: Final = re.compile(r"\b(ingress|egress)\b")
_BRIDGE_FILES: Final[Mapping[str, str]] = {
    "flows": "{}.flows.txt",
    "ports": "{}.ports.txt",
    "ovs-fdb": "{}.fdb.txt",
    "groups": "{}.groups.txt",
    "tlv-map": "{}.tlv-map.txt",
}
_SWITCH_FILES: Final[Mapping[str, str]] = {
    "vsctl-show": "show.txt",
    "ovsdb": "ovsdb.jsonl",
    "tnl-neigh": "tnl-neigh-show.txt",
    "list-bridge": "list-bridge.txt",
    "list-port": "list-port.txt",
    "list-interface": "list-interface.txt",
}


@dataclass(slots=True)
class _Texts(Folder):
    """A folder whose files are texts that are already at hand."""

    texts: dict[str, str] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        return name in self.texts

    def text(self, name: str) -> str | None:
        return self.texts.get(name)

    def data(self, name: str) -> bytes | None:
        text = self.texts.get(name)
        return None if text is None else text.encode()


def original(item: Item, lines: Mapping[str, tuple[str, ...]]) -> Original:
    """Where an item's text came from."""
    return Original(item.file, lines.get(item.file, ()), item.piece)


def read_hosts(
    items: Sequence[Item], lines: Mapping[str, tuple[str, ...]], problems: list[Problem]
) -> dict[str, Host]:
    """
    Read the dumps of all hosts.

    :param items: placed items; captures and stacks among them give a namespace, no dump.
    :param lines: file -> its lines as they stand.
    :param problems: what was not understood is added here.
    """
    hosts: dict[str, Host] = {}
    for name in dict.fromkeys(item.place.host for item in items if item.place.host and item.evidence):
        own = [item for item in items if item.place.host == name]
        spaces = sorted(
            {item.place.netns or ROOT for item in own if not item.switch and item.kind != "uname"}
        )
        hosts[name] = Host(
            name,
            {space: _netns(name, space, own, lines, problems) for space in spaces},
            _switch(name, [item for item in own if item.switch], lines, problems),
            _kernel(own),
        )
    return hosts


def _kernel(items: Iterable[Item]) -> str | None:
    for item in items:
        words = item.text.split() if item.kind == "uname" else []
        if words:
            # `uname -a` begins with the system's and the host's name.
            return words[2] if words[0] == "Linux" and len(words) > 2 else words[0]  # noqa: PLR2004 (a third word)
    return None


@dataclass(frozen=True, slots=True)
class _Layer:
    """Items under the names that they have in a bundle, each name once."""

    files: Mapping[str, Item]
    origins: Mapping[str, Original]

    def read(self, reader: Callable[[DumpReader], Value], problems: list[Problem]) -> Value:
        """What a bundle's reader makes of them, quoted as the files stand."""
        texts = {name: item.text for name, item in self.files.items()}
        folder = _Texts(Path(), {name: Path() for name in texts}, texts=texts)
        views = {name: item.view for name, item in self.files.items() if item.view}
        value = requote(reader(DumpReader(folder, Ages(), views)), self.origins)
        problems.extend(requote(tuple(folder.problems), self.origins))
        return value


def _layers(named: Iterable[tuple[str, Item]], lines: Mapping[str, tuple[str, ...]]) -> Iterator[_Layer]:
    """Layers in which no name stands twice; a later one has what it does not replace from the first."""
    layers: list[dict[str, Item]] = []
    for name, item in named:
        layer = next((layer for layer in layers if name not in layer), None)
        if layer is None:
            layer = {}
            layers.append(layer)
        layer[name] = item
    for layer in layers:
        files = {**layers[0], **layer}
        yield _Layer(files, {name: original(item, lines) for name, item in files.items()})


def _netns(
    host: str,
    space: str,
    items: Iterable[Item],
    lines: Mapping[str, tuple[str, ...]],
    problems: list[Problem],
) -> Netns:
    place = f"hosts/{host}/netns/{space}"
    named = (
        (f"{place}/{_netns_file(item)}", item)
        for item in items
        if (item.place.netns or ROOT) == space and item.kind in _NETNS_FILES
    )
    whole = Netns(host, space)
    for layer in _layers(named, lines):
        whole = _joined(whole, layer.read(lambda reader: read_netns(reader, host, space), problems))
    return whole


def _netns_file(item: Item) -> str:
    """The bundle's name for an item. A list of tc's filters has its device and side in it."""
    file = _NETNS_FILES[item.kind][not item.json]
    command = None if item.piece is None else item.piece.command
    found = None if command is None or item.kind != "tc" else _TC_FILTERS.search(command.text)
    if found is None:
        return file
    device = _DEVICE.search(found["rest"])
    side = _SIDE.search(found["rest"])
    words = (device[1] if device else "", side[1] if side else "")
    return "-".join(("tc-filter", *(word for word in words if word))) + PurePath(file).suffix


def _joined(old: Netns, new: Netns) -> Netns:
    changed: dict[str, Any] = {}
    for entry in fields(Netns):
        one, two = getattr(old, entry.name), getattr(new, entry.name)
        if isinstance(two, Dump) and two != one:
            changed[entry.name] = _added(one, two)
    return replace(old, **changed)


def _added(old: Dump[Any] | None, new: Dump[Any]) -> Dump[Any]:
    if old is None or new.whole or (not old.whole and old.partial == new.partial):
        return new
    if old.whole:
        return old
    return replace(old, rows=(*old.rows, *new.rows), partial=f"{old.partial}; {new.partial}")


def _file(item: Item) -> str | None:
    if item.kind in _SWITCH_FILES:
        return _SWITCH_FILES[item.kind]
    bridge = item.place.device or _bridge_of(item)
    return None if bridge is None else _BRIDGE_FILES[item.kind].format(bridge.replace("/", "_"))


def _bridge_of(item: Item) -> str | None:
    """``ovs-ofctl show`` names the bridge as its own port."""
    rows = parse_ports(item.text, file=item.file).rows if item.kind == "ports" else ()
    return next((row.name for row in rows if row.number == 0xFFFFFFFE), None)  # noqa: PLR2004 (OFPP_LOCAL)


def _switch(
    host: str, items: Sequence[Item], lines: Mapping[str, tuple[str, ...]], problems: list[Problem]
) -> Switch | None:
    named = ((f"hosts/{host}/ovs/{name}", item) for item in items if (name := _file(item)) is not None)
    whole: Switch | None = None
    for layer in _layers(named, lines):
        switch = layer.read(lambda reader: read_switch(reader, host), problems)
        whole = switch if whole is None or switch is None else _joined_switch(whole, switch)
    return whole


def _joined_switch(old: Switch, new: Switch) -> Switch:
    bridges = dict(old.bridges)
    for name, bridge in new.bridges.items():
        bridges[name] = _joined_bridge(bridges[name], bridge) if name in bridges else bridge
    return replace(new, bridges=bridges)


def _joined_bridge(old: Bridge, new: Bridge) -> Bridge:
    same = old.flows is not None and new.flows is not None and old.flows.rows == new.flows.rows
    if same or new.flows is None:
        return replace(new, flows=old.flows)
    return replace(new, flows=_added(old.flows, new.flows))
