"""
``bothways/trace/1``: what the tracer writes, one JSON object a line.

Each kind of line has a table: key -> field and decoder. A key that no table has is told once a file, and the
rest of its line is used; a value of another type than expected makes the line useless. ``null`` is what the
tier could not know, as is a missing key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from bothways.facts.kernel_event import KernelConntrack, KernelEvent
from bothways.facts.kernel_trace import (
    HostClock,
    Moment,
    ProbeState,
    ProgramCost,
    Tier,
    TraceLine,
    TraceLost,
    TraceNote,
    TraceReady,
    TraceStart,
    TraceStop,
)
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.kernel_packet import as_packet, as_tuple
from bothways.parse.kernel_values import (
    Decoder,
    Decoding,
    Table,
    as_count,
    as_function,
    as_happening,
    as_names,
    as_number,
    as_object,
    as_real,
    as_several,
    as_text,
    as_truth,
    as_words,
    built,
)
from bothways.parse.reading import NotModelledError, Reading, lines, quoted

__all__ = ["SCHEMA", "TraceReader", "parse_kernel_trace"]

SCHEMA: Final = "bothways/trace/1"


def _made(table: str, noun: Callable[..., object]) -> Decoder:
    def decode(value: object, reader: Decoding) -> object:
        return built(noun, reader.members(_TABLES[table], as_object(value, reader), table), table)

    return decode


def _cost(value: object, reader: Decoding) -> object:
    programs = as_object(value, reader).get("programs")
    return () if programs is None else as_several(_made("cost", ProgramCost))(programs, reader)


_EVENT: Final[Table] = {
    "n": ("number", as_count), "host": ("host", as_text), "time_ns": ("time_ns", as_number),
    "wall_ns": ("wall_ns", as_number), "cpu": ("cpu", as_count), "task": ("task", as_text),
    "tier": ("tier", as_text), "probe": ("probe", as_text), "event": ("happening", as_happening),
    "function": ("function", as_function), "netns": ("netns", as_text),
    "netns_inode": ("netns_inode", as_count), "device": ("device", as_text),
    "ifindex": ("ifindex", as_number), "skb": ("skb", as_text), "packet_id": ("packet_id", as_count),
    "provoked_by": ("provoked_by", as_count), "clone_of": ("clone_of", as_count),
    "mark": ("mark", as_count), "length": ("length", as_count), "packet": ("packet", as_packet),
    "before": ("before", as_packet), "conntrack": ("conntrack", _made("conntrack", KernelConntrack)),
    "hook": ("hook", as_text), "verdict": ("verdict", as_text), "reason": ("reason", as_text),
    "reason_subsystem": ("subsystem", as_text), "location": ("location", as_text),
    "rule": ("rule", as_object), "stack": ("stack", as_words), "detail": ("detail", as_object),
}  # fmt: skip
_MOMENT: Final[Table] = {
    "monotonic_ns": ("monotonic_ns", as_number), "wall_ns": ("wall_ns", as_number),
    "width_ns": ("width_ns", as_count),
}  # fmt: skip
_TABLES: Final[Mapping[str, Table]] = {
    "conntrack": {
        "info": ("info", as_text), "status": ("status", as_words), "state": ("state", as_text),
        "mark": ("mark", as_count), "zone": ("zone", as_count), "original": ("original", as_tuple),
        "reply": ("reply", as_tuple),
    },
    "tier": {"tier": ("name", as_text), "usable": ("usable", as_truth), "why_not": ("why_not", as_text)},
    "probe": {
        "probe": ("probe", as_text), "tier": ("tier", as_text), "event": ("event", as_text),
        "attached": ("attached", as_truth), "why_not": ("why_not", as_text),
    },
    "moment": _MOMENT,
    "cost": {"probe": ("probe", as_text), "runs": ("runs", as_count), "ns": ("ns", as_count)},
}  # fmt: skip
_HOST: Final[Table] = {"host": ("host", as_text)}

#: Kind of a line -> its noun and its table.
_LINES: Final[Mapping[str, tuple[Callable[..., TraceLine], Table]]] = {
    "event": (KernelEvent, _EVENT),
    "start": (
        TraceStart,
        {
            **_HOST, "schema": ("schema", as_text), "kernel": ("kernel", as_text),
            "machine": ("machine", as_text), "boot_id": ("boot_id", as_text), "tier": ("tier", as_text),
            "tiers": ("tiers", as_several(_made("tier", Tier))),
            "probes": ("probes", as_several(_made("probe", ProbeState))),
            "clock": ("clock", _made("moment", Moment)), "only": ("only", as_object),
        },
    ),
    "ready": (TraceReady, {**_HOST, "seconds": ("seconds", as_real)}),
    "lost": (TraceLost, {**_HOST, "lost": ("lost", as_count), "total": ("total", as_count)}),
    "problem": (TraceNote, {**_HOST, "text": ("text", as_text), "hint": ("hint", as_text)}),
    "clock": (
        HostClock,
        {
            **_HOST, "relative_to": ("relative_to", as_text), "low_ns": ("low_ns", as_number),
            "high_ns": ("high_ns", as_number),
        },
    ),
    "stop": (
        TraceStop,
        {
            **_HOST, "events": ("events", as_count), "lost": ("lost", as_count),
            "seen": ("seen", as_count), "seconds": ("seconds", as_real),
            "namespaces": ("namespaces", as_names), "clock": ("clock", _made("moment", Moment)),
            "cost": ("cost", _cost),
        },
    ),
}  # fmt: skip


@dataclass(slots=True)
class TraceReader:
    """
    Reads lines one by one, as they come.

    :param reading: what was understood so far, and what was not.
    """

    reading: Reading[TraceLine] = field(default_factory=Reading)
    _decoding: Decoding = field(default_factory=Decoding)

    def read(self, span: Span) -> TraceLine | None:
        """Read one line; None if it says nothing, or cannot be used, which is then a problem."""
        if not span.text.strip():
            self.reading.skip()
            return None
        known = len(self._decoding.strange)
        try:
            line = self._line(span)
        except orjson.JSONDecodeError:
            self.reading.malformed(span, "not a JSON object", "the file was cut off or edited")
        except RecursionError:
            self.reading.malformed(span, "nested too deep")
        except ValueError as error:
            self.reading.refuse(span, error)
        else:
            for name in list(self._decoding.strange)[known:]:
                what, _, key = name.partition(".")
                message = f"the member {quoted(key)} of `{what}` is not known, and is left out"
                self.reading.unmodelled(span, message, "the trace was made by a newer bothways")
            self.reading.rows.append(line)
            return line
        return None

    def _line(self, span: Span) -> TraceLine:
        self._decoding.depth = 0
        members = as_object(orjson.loads(span.text), self._decoding)
        kind = members.pop("type", None)
        if not isinstance(kind, str) or kind not in _LINES:
            raise NotModelledError(f"a line of type {quoted(str(kind))} is not known")
        noun, table = _LINES[kind]
        decoded = self._decoding.members(table, members, kind)
        if kind == "start" and decoded.get("schema") not in (None, SCHEMA):
            raise NotModelledError(f"the form {quoted(str(decoded['schema']))} is not `{SCHEMA}`")
        line: TraceLine = built(noun, {"span": span, **decoded}, kind)
        return line


def parse_kernel_trace(text: str, *, file: str, read_at: float | None = None) -> Parsed[TraceLine]:
    """Read a whole file of the tracer."""
    reader = TraceReader()
    for span in lines(text, file=file, read_at=read_at):
        reader.read(span)
    return reader.reading.done()
