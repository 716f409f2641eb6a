"""
``tc -j qdisc`` and ``tc -j filter show dev DEVICE ingress``; several arrays may follow each other.

The device of a filter is told as in ``tc_text``. Members as iproute2 prints them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import Final

from bothways.facts.bypass import Bypass, Side
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.json_objects import Record, read_objects
from bothways.parse.tc_text import parse_tc_text, place_of_name
from bothways.parse.tc_words import asked_row, filter_row, qdisc_row, selector_of

__all__ = ["parse_tc"]

_PARENTS: Final = {"ffff:": Side.IN, "ffff:fff1": Side.IN, "ffff:fff2": Side.IN, "ffff:fff3": Side.OUT}


def parse_tc(text: str, *, file: str, read_at: float | None = None) -> Parsed[Bypass]:
    """Read qdiscs and filters, as JSON or as text."""
    if not text.lstrip().startswith("["):
        return parse_tc_text(text, file=file, read_at=read_at)
    place = place_of_name(file)
    parsed = read_objects(text, lambda record, _: _row(record, place), file=file, read_at=read_at)
    if parsed.rows or parsed.problems or "filter" not in PurePath(file).name:
        return parsed
    return replace(parsed, rows=(asked_row(Span(file, line=1, text="[]", read_at=read_at), *place),))


def _row(record: Record, place: tuple[str, Side]) -> Bypass:
    kind = record.need("kind")
    if "pref" not in record.members and "protocol" not in record.members:
        device = record.text("dev") or ""
        names = record.inner("options").members
        return qdisc_row(["qdisc", kind, record.text("handle") or "", "dev", device, *names], record.span)
    device, side = record.text("dev") or place[0], place[1]
    if side is Side.ANY:
        side = _side(record)
    options = record.inner("options")
    flags = " ".join(name for name, value in options.members.items() if value is True)
    keys = {name: str(value) for name, value in options.inner("keys").members.items()}
    keys.setdefault("protocol", record.text("protocol") or "")
    told = f"filter {kind} {flags} {'direct-action' if options.has('direct-action') else ''}"
    actions = [_action(each) for each in options.objects("actions")]
    return filter_row(told, actions, selector_of(keys), record.span, device, side)


def _side(record: Record) -> Side:
    parent = record.text("parent")
    if record.has("ingress") or parent == "ingress":
        return Side.IN
    if record.has("egress") or parent == "egress" or record.has("root"):
        return Side.OUT
    return Side.ANY if parent is None else _PARENTS.get(parent, Side.OUT)


def _action(record: Record) -> str:
    """An action in the words that text has for it."""
    kind = record.text("kind") or "?"
    if kind == "mirred":
        told = f"{record.text('direction') or ''} {record.text('mirred_action') or ''}"
        return f"mirred ({told.strip()} to device {record.text('to_dev') or '?'})"
    if kind == "gact":
        return f"gact action {record.inner('control_action').text('type') or '?'}"
    return kind
