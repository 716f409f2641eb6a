"""``collection.jsonl``: every command that was run for a bundle, one JSON object per line."""

from __future__ import annotations

import json

from bothways.facts.collection import CommandRun
from bothways.facts.parsed import Parsed
from bothways.parse.json_objects import Record
from bothways.parse.reading import Reading, lines

__all__ = ["parse_collection"]


def parse_collection(text: str, *, file: str, read_at: float | None = None) -> Parsed[CommandRun]:
    """Read ``collection.jsonl``. A record without ``netns`` is of the host's own namespace."""
    reading: Reading[CommandRun] = Reading()
    for span in lines(text, file=file, read_at=read_at):
        if not span.text.strip():
            reading.skip()
            continue
        try:
            members = json.loads(span.text)
            reading.rows.append(_run(Record(members if isinstance(members, dict) else {}, span)))
        except (ValueError, RecursionError) as error:
            reading.malformed(span, f"cannot read this record: {error}")
    return reading.done()


def _run(record: Record) -> CommandRun:
    return CommandRun(
        host=record.need("host"),
        netns=record.text("netns") or "root",
        argv=record.words("argv"),
        span=record.span,
        start=record.real("start"),
        seconds=record.real("seconds"),
        exit=record.number("exit"),
        octets=record.number("bytes"),
        stderr=record.text("stderr") or "",
    )
