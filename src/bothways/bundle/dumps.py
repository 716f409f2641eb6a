"""
The dumps of a namespace: which file is read by which parser into which field of :class:`Netns`.

One row a format. Files of formats that no row names stay unread, which is not a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, cast

from bothways.bundle.ages import Ages
from bothways.bundle.completed import completed_devices, marked_routes
from bothways.bundle.folder import Folder
from bothways.facts.device import Device
from bothways.facts.dump import Dump
from bothways.facts.nft import NftTable
from bothways.facts.parsed import Parsed
from bothways.facts.snapshot import IngressDrop, Netns
from bothways.facts.span import Kind, Span
from bothways.parse.bridge_fdb import parse_fdb
from bothways.parse.conntrack import parse_counters, parse_entries, parse_events
from bothways.parse.conntrack_xml import parse_entries_xml, parse_events_xml
from bothways.parse.invalid_log import parse_invalid_log
from bothways.parse.ip_json import parse_addr, parse_neigh, parse_route, parse_rule
from bothways.parse.ip_route_text import parse_neigh_text, parse_route_text, parse_rule_text
from bothways.parse.ip_text import parse_addr_text
from bothways.parse.iptables import parse_iptables
from bothways.parse.nft_text import parse_nft
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
    "fdb": (("fdb.json", parse_fdb),),
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
_NFT: Final = "nft.txt"
_LINKS: Final[tuple[tuple[str, _Parser], ...]] = (("link.json", parse_addr), ("link.txt", parse_addr_text))


def _nft(reader: DumpReader, file: str, read_at: float | None) -> Mapping[str, Dump[object]]:
    """``nft.txt`` fills three fields: what devices drop, native tables, and those that are not evaluated."""
    rows = reader.parsed(parse_nft, file, read_at)
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
    dumps.update(_nft(reader, f"{place}/{_NFT}", reader.ages.of_dump(host, name, _NFT)))
    netns = Netns(host, name, **dumps)  # type: ignore[arg-type] # the table pairs each field with its rows
    netns = _with_links(reader, netns)
    return replace(netns, routes=marked_routes(netns))
