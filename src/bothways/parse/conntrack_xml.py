"""
``conntrack -L -o xml`` and ``-E -o xml``: one ``<flow>`` an entry.

Each flow is decoded on its own, so a file that was cut, filtered by lines or never closed gives the flows
that it holds. A document type and entities are refused: conntrack writes none, and they are how XML is made
to explode. Layout: libnetfilter_conntrack ``snprintf_xml.c``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar
from xml.parsers import expat

from bothways.facts.address import address
from bothways.facts.conntrack import ConntrackEvent, Entry, Tuple
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.reading import Reading, quoted

__all__ = ["parse_entries_xml", "parse_events_xml"]

Row = TypeVar("Row")

#: What may stand around the flows: the XML declaration, the root, and conntrack's own closing line.
_AROUND: Final = re.compile(r"(?:<\?xml[^>]*\?>|</?conntrack>|conntrack v\S+ \(conntrack-tools\):[^\n<]*)?\Z")
_OPEN: Final = "<flow"
_CLOSE: Final = "</flow>"
_LONGEST: Final = 64_000
_KINDS: Final[Mapping[str, str]] = {"new": "NEW", "update": "UPDATE", "destroy": "DESTROY"}
#: Elements of ``independent`` without content -> status of the entry.
_STATUS: Final[Mapping[str, str]] = {"assured": "ASSURED", "unreplied": "UNREPLIED", "offload": "OFFLOAD"}
_WORD32: Final = 0xFFFFFFFF


@dataclass(slots=True)
class _Flow:
    """One flow while it is read: direction and element -> text, and attributes by element."""

    span: Span
    kind: str = ""
    direction: str = ""
    path: list[str] = field(default_factory=list)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    protocols: dict[str, int] = field(default_factory=dict)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if name == "flow":
            self.kind = attributes.get("type", "")
        elif name == "meta":
            self.direction = attributes.get("direction", "")
        elif name == "layer4":
            self.protocols[self.direction] = _number(attributes.get("protonum", ""), 0xFF)
        self.path.append(name)
        self.texts.setdefault((self.direction, name), "")

    def text(self, data: str) -> None:
        """Text inside the innermost element."""
        key = (self.direction, self.path[-1])
        self.texts[key] += data

    def end(self, _name: str) -> None:
        """The innermost element ends."""
        self.path.pop()


def parse_entries_xml(text: str, *, file: str, read_at: float | None = None) -> Parsed[Entry]:
    """Read ``conntrack -L -o xml``; the span of an entry is its flow."""
    reading: Reading[Entry] = Reading()
    for flow in _flows(text, file, read_at, reading):
        entry = _entry(flow, reading)
        if entry is not None:
            reading.rows.append(entry)
    return reading.done()


def parse_events_xml(text: str, *, file: str, read_at: float | None = None) -> Parsed[ConntrackEvent]:
    """
    Read ``conntrack -E -o xml``.

    With ``-o xml,timestamp`` an event has a time of day and no date, which says too little and is not kept.
    """
    reading: Reading[ConntrackEvent] = Reading()
    for flow in _flows(text, file, read_at, reading):
        kind = _KINDS.get(flow.kind)
        if kind is None:
            reading.malformed(flow.span, f"an event of type {quoted(flow.kind)}, not new, update or destroy")
            continue
        entry = _entry(flow, reading)
        if entry is not None:
            reading.rows.append(ConntrackEvent(kind, entry, flow.span))
    return reading.done()


def _flows(text: str, file: str, read_at: float | None, reading: Reading[Row]) -> Iterator[_Flow]:
    text = text.removeprefix("\ufeff")
    at, line, begins = 0, 1, 0
    while True:
        start = text.find(_OPEN, at)
        between = text[at : start if start >= 0 else len(text)]
        _between(between, Span(file, line=line, read_at=read_at), reading)
        if start < 0:
            return
        line += between.count("\n")
        begins = at + between.rfind("\n") + 1 if "\n" in between else begins
        end = text.find(_CLOSE, start)
        at = len(text) if end < 0 else end + len(_CLOSE)
        raw = text[start:at]
        shown = raw.partition("\n")[0].removesuffix("\r")
        span = Span(file, line=line, text=shown, column=start - begins + 1, read_at=read_at)
        flow = _flow(raw, span, reading)
        if flow is not None:
            yield flow
        line += raw.count("\n")
        begins = start + raw.rfind("\n") + 1 if "\n" in raw else begins


def _between(text: str, span: Span, reading: Reading[Row]) -> None:
    """What stands between two flows, line by line."""
    for offset, part in enumerate(text.split("\n")):
        if _AROUND.match(part.strip()):
            reading.skip()
            continue
        place = Span(span.file, line=(span.line or 1) + offset, text=part.strip(), read_at=span.read_at)
        what = "a document type or an entity is refused" if "<!" in part else "no flow of conntrack"
        reading.malformed(place, f"{what}: {quoted(part)}")


def _flow(raw: str, span: Span, reading: Reading[Row]) -> _Flow | None:
    if len(raw) > _LONGEST:
        reading.malformed(span, f"a flow of {len(raw)} characters")
        return None
    flow = _Flow(span)
    parser = expat.ParserCreate()
    parser.StartElementHandler = flow.start
    parser.EndElementHandler = flow.end
    parser.CharacterDataHandler = flow.text
    try:
        parser.Parse(raw.encode(errors="replace"), True)  # noqa: FBT003 - expat takes it by position only
    except expat.ExpatError as error:
        reading.malformed(span, f"not a flow of conntrack: {error}", "the file was cut off or edited")
        return None
    except ValueError as error:
        reading.malformed(span, f"not a conntrack entry: {error}")
        return None
    return flow


def _entry(flow: _Flow, reading: Reading[Row]) -> Entry | None:
    said = {name: text.strip() for (way, name), text in flow.texts.items() if way == "independent"}
    try:
        entry = Entry(
            original=_tuple(flow, "original"),
            reply=_tuple(flow, "reply"),
            span=flow.span,
            state=said.get("state") or None,
            timeout=_number(said["timeout"], _WORD32) if said.get("timeout") else None,
            status=frozenset(status for name, status in _STATUS.items() if name in said),
            mark=_number(said.get("mark") or "0", _WORD32),
            zone=_number(said.get("zone") or "0", 0xFFFF),
            id=_number(said["id"], _WORD32) if said.get("id") else None,
        )
    except ValueError as error:
        reading.malformed(flow.span, f"not a conntrack entry: {error}")
        return None
    odd = [way for way in ("original", "reply") if (way, "zone") in flow.texts]
    if odd:
        reading.unmodelled(flow.span, f"a zone of the {' and '.join(odd)} direction alone is not evaluated")
    return entry


def _tuple(flow: _Flow, way: str) -> Tuple:
    said = {name: text.strip() for (found, name), text in flow.texts.items() if found == way}
    if way not in flow.protocols or "src" not in said or "dst" not in said:
        raise ValueError(f"it has no {way} tuple")
    return Tuple(
        protocol=flow.protocols[way],
        src=address(said["src"]),
        dst=address(said["dst"]),
        sport=_number(said.get("sport") or said.get("srckey") or said.get("id") or "0", _WORD32),
        dport=_number(said.get("dport") or said.get("dstkey") or "0", _WORD32),
        icmp_type=_number(said["type"], 0xFF) if said.get("type") else None,
        icmp_code=_number(said["code"], 0xFF) if said.get("code") else None,
    )


def _number(text: str, limit: int) -> int:
    if not text.isascii() or len(text) > 12:  # noqa: PLR2004 - 32 bits in decimal, or with 0x
        raise ValueError(f"{quoted(text)} is no number")
    value = int(text, 16) if text.startswith("0x") else int(text) if text.isdigit() else -1
    if not 0 <= value <= limit:
        raise ValueError(f"{quoted(text)} is no number up to {limit}")
    return value
