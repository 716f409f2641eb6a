"""Filters, routes, rules and settings of a namespace, as the text that makes them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from bothways.facts.route import Route
from bothways.facts.snapshot import Netns

__all__ = ["Filters", "fdb_words", "filters_of", "neighbour_words", "route_words", "rule_words", "sysctls_of"]

#: Rules that every namespace has by itself.
_OWN_RULES: Final = frozenset({0, 32766, 32767})
_SETTINGS: Final = (
    "accept_local",
    "arp_announce",
    "arp_filter",
    "arp_ignore",
    "forwarding",
    "proxy_arp",
    "route_localnet",
    "rp_filter",
    "send_redirects",
)
_NETFILTER: Final = "net.netfilter.nf_conntrack_"
#: Read-only, or of the machine as a whole.
_NOT_SET: Final = frozenset({"buckets", "count", "max", "expect_max", "log_invalid"})


@dataclass(frozen=True, slots=True)
class Filters:
    """Texts for ``iptables-restore``, ``ip6tables-restore`` and ``nft -f``; None where there are none."""

    iptables: str | None = None
    ip6tables: str | None = None
    nft: str | None = None


def filters_of(netns: Netns, text_of: Callable[[str], str | None], missing: list[str]) -> Filters:
    """Return the filters of a namespace as they were dumped."""
    texts: list[str | None] = []
    for dump in (netns.iptables, netns.ip6tables):
        if dump is None:
            texts.append(None)
            continue
        if not dump.whole:
            missing.append(f"{netns.label}: rules that the view `{dump.partial}` of {dump.file} hides")
        texts.append(text_of(dump.file) if len(dump) else None)
    return Filters(texts[0], texts[1], _native(netns, text_of))


def route_words(netns: Netns, missing: list[str]) -> Iterator[str]:
    """What ``ip route replace`` is told, devices' networks first; the kernel makes the local table itself."""
    rows = [row for row in netns.routes or () if row.protocol != "kernel" and row.table != "local"]
    for route in sorted(rows, key=lambda row: any(hop.gateway for hop in row.hops)):
        if route.unmodelled:
            missing.append(f"{netns.label}: the route `{route.span.text.strip()}`")
            continue
        yield _route(route)


def _route(route: Route) -> str:
    words = [] if route.kind == "unicast" else [route.kind]
    words += ["default" if route.destination.prefixlen == 0 else str(route.destination)]
    hops = [
        " ".join(
            (["via", str(hop.gateway)] if hop.gateway else []) + (["dev", hop.device] if hop.device else [])
        )
        for hop in route.hops
    ]
    if len(hops) == 1:
        words += [hops[0]]
    else:
        for hop, text in zip(route.hops, hops, strict=True):
            words += ["nexthop", text, "weight", str(hop.weight)]
    words += ["src", str(route.prefsrc)] if route.prefsrc else []
    words += ["metric", str(route.metric)] if route.metric else []
    words += ["table", route.table] if route.table != "main" else []
    words += ["mtu", str(route.mtu)] if route.mtu else []
    words += ["onlink"] if "onlink" in route.flags else []
    return " ".join(each for each in words if each)


def rule_words(netns: Netns, missing: list[str]) -> Iterator[str]:
    """What ``ip rule add`` is told."""
    for rule in netns.rules or ():
        if rule.priority in _OWN_RULES:
            continue
        if rule.unmodelled or rule.goto is not None:
            missing.append(f"{netns.label}: the rule `{rule.span.text.strip()}`")
            continue
        words = ["not"] if rule.invert else []
        words += ["priority", str(rule.priority), "from", str(rule.src) if rule.src else "all"]
        words += ["to", str(rule.dst)] if rule.dst else []
        words += ["iif", rule.iif] if rule.iif else []
        words += ["oif", rule.oif] if rule.oif else []
        words += ["fwmark", f"{rule.fwmark:#x}/{rule.fwmask:#x}"] if rule.fwmark is not None else []
        words += ["tos", f"{rule.tos:#x}"] if rule.tos else []
        words += ["lookup", str(rule.table)] if rule.action == "lookup" else [rule.action]
        yield " ".join(words)


def neighbour_words(netns: Netns) -> Iterator[str]:
    """What ``ip neigh replace`` is told: entries that no answer can change. The others are found again."""
    for row in netns.neighbours or ():
        if row.pinned and row.mac is not None and "NOARP" not in row.states:
            yield f"{row.address} lladdr {row.mac} dev {row.device} nud permanent"


def fdb_words(netns: Netns) -> Iterator[str]:
    """What ``bridge fdb append`` is told: where VXLAN devices were told to send to. They learn the rest."""
    tunnels = {device.name for device in netns.devices or () if device.kind == "vxlan"}
    for row in netns.fdb or ():
        # the row without a MAC is the device's own `remote`
        if row.device in tunnels and row.dst is not None and row.state == "permanent" and row.mac:
            yield f"{row.mac} dev {row.device} dst {row.dst}" + ("" if row.vni is None else f" vni {row.vni}")


def sysctls_of(netns: Netns) -> dict[str, str]:
    """Settings that change the way of a packet; others keep what the kernel gives a new namespace."""
    chosen = {}
    for row in netns.sysctls or ():
        name, tail = row.name, row.name.rpartition(".")[2]
        if name == "net.ipv4.ip_forward" or (name.startswith("net.ipv4.conf.") and tail in _SETTINGS):
            if ".lo." not in name and ".default." not in name:
                chosen[name] = row.value
        elif name.startswith(_NETFILTER) and name.removeprefix(_NETFILTER) not in _NOT_SET:
            chosen[name] = row.value
    return chosen


def _native(netns: Netns, text_of: Callable[[str], str | None]) -> str | None:
    """
    Tables of ``nft list ruleset`` that nft itself made.

    Those that iptables made stand in its own dump; a dump of both would have every rule twice.
    """
    files = {dump.file for dump in (netns.nft, netns.unmodelled_nft, netns.ingress_drops) if dump is not None}
    for file in sorted(files):
        if not file.endswith(".txt"):
            continue
        ours = {(table.family, table.name) for table in netns.nft or ()}
        blocks = [
            block
            for family, name, block in _blocks(text_of(file) or "")
            if (family, name) in ours or family in {"netdev", "bridge", "arp"}
        ]
        return "".join(blocks) or None
    return None


def _blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """Tables of a listing: family, name, and the text from ``table`` to its closing brace."""
    lines: list[str] = []
    head: list[str] = []
    for line in text.splitlines():
        if line.startswith("table ") and line.rstrip().endswith("{"):
            head, lines = line.split(), []
        if head:
            lines.append(line)
        if head and line.startswith("}"):
            yield head[1], head[2], "\n".join(lines) + "\n"
            head = []
