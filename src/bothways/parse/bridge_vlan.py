"""
``bridge vlan``: which VLANs the ports of a bridge take part in.

As JSON (``bridge -j vlan``) and as text: a line begins with the port, those after it that do not belong to
it as well. ``PVID`` takes frames without a tag, ``Egress Untagged`` takes the tag off. Layout as iproute2
prints it (``bridge/vlan.c``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bothways.facts.device import PortVlan
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.json_objects import Document, Record
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_vlan", "parse_vlan_text"]

_HEADER: Final = re.compile(r"\s*port\s+vlan")
_ROW: Final = re.compile(
    r"(?P<port>\S+)?\s+(?P<first>\d{1,4})(?:-(?P<last>\d{1,4}))?(?P<flags>[\sA-Za-z]*)\Z"
)
_NONE: Final = re.compile(r"\S+\s+None\s*\Z")
_PVID: Final = "pvid"
_LAST: Final = 4095


def parse_vlan(text: str, *, file: str, read_at: float | None = None) -> Parsed[PortVlan]:
    """Read ``bridge -j vlan``: one row for each VLAN, or range, of each port."""
    document = Document(text, file=file, read_at=read_at)
    reading: Reading[PortVlan] = Reading()
    for record in document.objects(reading):
        if not record.members:
            reading.skip()
            continue
        try:
            reading.rows.extend(tuple(_of_port(record)))
        except ValueError as error:
            reading.refuse(record.span, error)
    return reading.done()


def _of_port(record: Record) -> Iterator[PortVlan]:
    name = record.need("ifname")
    for row in record.objects("vlans"):
        first = row.number("vlan")
        if first is None:
            raise ValueError(f"a row of {quoted(name)} has no `vlan`")
        flags = {word.lower() for word in row.words("flags")}
        last = row.number("vlanEnd") or first
        yield PortVlan(name, first, last, record.span, _PVID in flags, "egress untagged" in flags)


def parse_vlan_text(text: str, *, file: str, read_at: float | None = None) -> Parsed[PortVlan]:
    """Read plain ``bridge vlan``."""
    reading: Reading[PortVlan] = Reading()
    port = ""
    for span in lines(text, file=file, read_at=read_at):
        line = span.text
        if not line.strip() or _HEADER.match(line) or is_prompt(line) or _NONE.match(line):
            reading.skip()
            continue
        found = _ROW.match(line)
        port = port if found is None else found["port"] or port
        if found is None or not port or int(found["first"]) > _LAST:
            reading.malformed(span, f"expected `PORT VLAN [PVID] [Egress Untagged]`, found {quoted(line)}")
        else:
            reading.rows.append(_row(found, port, span))
    return reading.done()


def _row(found: re.Match[str], port: str, span: Span) -> PortVlan:
    flags, first = found["flags"].lower(), int(found["first"])
    return PortVlan(port, first, int(found["last"] or first), span, _PVID in flags, "untagged" in flags)
