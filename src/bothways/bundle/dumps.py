"""
The dumps of a namespace: which file is read by which parser into which field of :class:`Netns`.

One row a format. Files of formats that no row names stay unread, which is not a problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, cast

from bothways.bundle.ages import Ages
from bothways.bundle.beside import read_beside
from bothways.bundle.completed import completed_devices, marked_routes
from bothways.bundle.folder import Folder
from bothways.bundle.rulesets import with_other_tables
from bothways.facts.device import Device
from bothways.facts.dump import Dump
from bothways.facts.nft import NftTable
from bothways.facts.parsed import Parsed
from bothways.facts.route import Route
from bothways.facts.snapshot import IngressDrop, Netns
from bothways.facts.span import Kind, Span
from bothways.parse.bridge_fdb import parse_fdb, parse_fdb_text
from bothways.parse.bridge_vlan import parse_vlan, parse_vlan_text
from bothways.parse.conntrack import parse_counters, parse_entries, parse_events
from bothways.parse.conntrack_xml import parse_entries_xml, parse_events_xml
from bothways.parse.invalid_log import parse_invalid_log
from bothways.parse.ip_json import parse_addr, parse_neigh, parse_route, parse_rule
from bothways.parse.ip_route_text import parse_neigh_text, parse_route_text, parse_rule_text
from bothways.parse.ip_text import parse_addr_text
from bothways.parse.iptables import parse_iptables
from bothways.parse.nft_text import parse_nft_whole
from bothways.parse.nstat import parse_nstat
from bothways.parse.ss import parse_ss
from bothways.parse.sysctl import parse_sysctl

__all__ = ["DumpReader", "read_netns"]


class _Parser(Protocol):
    def __call__(self, text: str, *, file: str, read_at: float | None = None) -> Parsed[object]: ...


@dataclass(frozen=True, slots=True)
class DumpReader:
    """
    Reads files into dumps.

    :param partial: file -> filter of the view, from ``bundle.toml``.
    """

    folder: Folder
    ages: Ages
    partial: Mapping[str, str] = field(default_factory=dict)

    def parsed(self, parser: _Parser, file: str, read_at: float | None) -> tuple[object, ...] | None:
        """Rows of a file, None if it is not there; problems go to the folder."""
        text = self.folder.text(file)
        if text is None:
            return None
        parsed = parser(text, file=file, read_at=read_at)
        self.folder.problems.extend(parsed.problems)
        return parsed.rows

    def dump(self, parser: _Parser, file: str, read_at: float | None) -> Dump[object] | None:
        """The dump of a file, None if it is not there."""
        rows = self.parsed(parser, file, read_at)
        return None if rows is None else Dump(rows, file, read_at, self.partial.get(file))


#: Field of Netns -> files that fill it with their parsers; the first that is there is read.
_FIELDS: Final[Mapping[str, tuple[tuple[str, _Parser], ...]]] = {
    "devices": (("addr.json", parse_addr), ("addr.txt", parse_addr_text)),
    "routes": (("route.json", parse_route), ("route.txt", parse_route_text)),
    "rules": (("rule.json", parse_rule), ("rule.txt", parse_rule_text)),
    "neighbours": (("neigh.json", parse_neigh), ("neigh.txt", parse_neigh_text)),
    "rules6": (("rule6.json", parse_rule), ("rule6.txt", parse_rule_text)),
    "fdb": (("fdb.json", parse_fdb), ("fdb.txt", parse_fdb_text)),
    "vlans": (("vlan.json", parse_vlan), ("vlan.txt", parse_vlan_text)),
    "iptables": (("iptables-save.txt", parse_iptables),),
    "ip6tables": (("ip6tables-save.txt", parse_iptables),),
    "conntrack": (("conntrack.txt", parse_entries), ("conntrack.xml", parse_entries_xml)),
    "conntrack_events": (
        ("conntrack-events.txt", parse_events),
        ("conntrack-events.xml", parse_events_xml),
    ),
    "conntrack_counters": (("conntrack-stats.txt", parse_counters),),
    "invalid_log": (("conntrack-invalid-log.txt", parse_invalid_log),),
    "sockets": (("ss.txt", parse_ss),),
    "sysctls": (("sysctl.txt", parse_sysctl),),
    "counters": (("nstat.txt", parse_nstat),),
}
#: A table that ``iptables-nft-save`` names in place of showing it.
_INCOMPATIBLE: Final = re.compile(r"^#\s*Table\s+`([^'`\s]+)'\s+is incompatible", re.MULTILINE)
#: ``nft list ruleset`` in words, or with ``-j``; of both, the words.
_NFT: Final = ("nft.txt", "nft.json")
_OTHER_FAMILY: Final = "`ip -6 route`, of IPv6 alone"
_ROUTES6: Final[tuple[tuple[str, _Parser], ...]] = (
    ("route6.json", parse_route),
    ("route6.txt", parse_route_text),
)
_LINKS: Final[tuple[tuple[str, _Parser], ...]] = (("link.json", parse_addr), ("link.txt", parse_addr_text))


def _nft(reader: DumpReader, file: str, read_at: float | None) -> Mapping[str, Dump[object]]:
    """A dump of nft fills three fields: what devices drop, native tables, those that are not evaluated."""
    rows = reader.parsed(parse_nft_whole, file, read_at)
    if rows is None:
        return {}
    partial = reader.partial.get(file)
    kinds: Mapping[str, Callable[[object], bool]] = {
        "ingress_drops": lambda row: isinstance(row, IngressDrop),
        "unmodelled_nft": lambda row: isinstance(row, Span),
        "nft": lambda row: isinstance(row, NftTable),
    }
    return {
        name: Dump(tuple(row for row in rows if belongs(row)), file, read_at, partial)
        for name, belongs in kinds.items()
    }


def _without_doubles(nft: Dump[object], saved: Mapping[str, str]) -> Dump[object]:
    """
    Native tables without those that iptables keeps in nft.

    :param saved: family -> what ``iptables-save`` or ``ip6tables-save`` printed. A table that it cannot show,
        because nft wrote it, is named there, and is nft's own.
    """
    kept = tuple(
        table
        for table in cast("Dump[NftTable]", nft)
        if not table.by_iptables or table.name in _INCOMPATIBLE.findall(saved.get(table.family, ""))
    )
    return replace(nft, rows=kept)


def _with_links(reader: DumpReader, netns: Netns) -> Netns:
    """Devices with what ``ip -d link`` adds to them, where their own dump was made without ``-d``."""
    place = f"hosts/{netns.host}/netns/{netns.name}"
    file, parser = next((s for s in _LINKS if reader.folder.has(f"{place}/{s[0]}")), _LINKS[0])
    rows = reader.parsed(parser, f"{place}/{file}", reader.ages.of_dump(netns.host, netns.name, file))
    if rows is None:
        return netns
    if netns.devices is None:
        message = "devices without their addresses are not used alone, since these decide what is local"
        hint = "put `ip -d -j addr` of the same namespace into addr.json"
        reader.folder.problem(Kind.UNMODELLED, Span(f"{place}/{file}"), message, hint)
        return netns
    return replace(netns, devices=completed_devices(netns.devices, cast("tuple[Device, ...]", rows)))


def _with_routes6(reader: DumpReader, netns: Netns) -> Netns:
    """Routes with those of ``ip -6 route``, where that was a dump of its own."""
    place = f"hosts/{netns.host}/netns/{netns.name}"
    for file, parser in _ROUTES6:
        read_at = reader.ages.of_dump(netns.host, netns.name, file)
        dump = reader.dump(parser, f"{place}/{file}", read_at)
        if dump is None:
            continue
        found = tuple(row for row in cast("tuple[Route, ...]", dump.rows) if row not in (netns.routes or ()))
        if netns.routes is None:
            return replace(netns, routes=Dump(found, dump.file, dump.read_at, dump.partial or _OTHER_FAMILY))
        rows = tuple(row for row in netns.routes if not _doubled(row, found))
        partial = netns.routes.partial or dump.partial
        return replace(netns, routes=replace(netns.routes, rows=(*rows, *found), partial=partial))
    return netns


def _doubled(row: Route, rows: tuple[Route, ...]) -> bool:
    """True for a row that another dump shows as well."""
    return any(
        (row.destination, row.table, row.metric, row.hops, row.kind)
        == (other.destination, other.table, other.metric, other.hops, other.kind)
        for other in rows
    )


def read_netns(reader: DumpReader, host: str, name: str) -> Netns:
    """Read all dumps of one namespace; a field whose file is missing stays None."""
    place = f"hosts/{host}/netns/{name}"
    dumps: dict[str, Dump[object]] = {}
    for target, sources in _FIELDS.items():
        for file, parser in sources:
            dump = reader.dump(parser, f"{place}/{file}", reader.ages.of_dump(host, name, file))
            if dump is not None:
                dumps[target] = dump
                break
    rules = next((file for file in _NFT if reader.folder.has(f"{place}/{file}")), _NFT[0])
    dumps.update(_nft(reader, f"{place}/{rules}", reader.ages.of_dump(host, name, rules)))
    for tool in ("iptables", "ip6tables"):
        tables = with_other_tables(reader.folder, reader.dump, place, tool, dumps.get(tool))
        if tables is not None:
            dumps[tool] = tables
    if "nft" in dumps:
        saves = (("ip", "iptables-save.txt"), ("ip6", "ip6tables-save.txt"))
        texts = {
            f: reader.folder.text(f"{place}/{s}") or "" for f, s in saves if reader.folder.has(f"{place}/{s}")
        }
        dumps["nft"] = _without_doubles(dumps["nft"], texts)
    dumps.update(read_beside(reader.folder, reader.dump, reader.ages, host, name))
    netns = Netns(host, name, **dumps)  # type: ignore[arg-type] # the table pairs each field with its rows
    netns = _with_links(reader, netns)
    return _with_routes6(reader, replace(netns, routes=marked_routes(netns)))
