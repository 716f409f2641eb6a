"""
``tc qdisc`` and ``tc filter show dev DEVICE ingress``, as text.

A filter does not name its device where one was asked for. It is taken from a command that stands above
(``# tc filter show dev eth0 ingress``) or from the file's name (``tc-filter-eth0-ingress.txt``); if neither
tells, the filter counts for every device of its namespace. Layout as iproute2 prints it (``tc/tc_qdisc.c``,
``tc/tc_filter.c``, ``tc/f_flower.c``, ``tc/m_mirred.c``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePath
from typing import Final

from bothways.facts.bypass import Bypass, Side
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.reading import Reading, is_prompt, lines, quoted
from bothways.parse.tc_words import asked_row, filter_row, qdisc_row, selector_of

__all__ = ["parse_tc_text", "place_of_name"]

_COMMAND: Final = re.compile(r"\btc\s(?:.*\s)?(?:filter|qdisc|f|q)\b")
_DEVICE: Final = re.compile(r"\bdev\s+(\S+)")
_SIDE: Final = re.compile(r"\b(ingress|egress)\b")
_ACTION: Final = re.compile(r"\s*action order \d+:\s*(?P<words>.*)")
_NAMED: Final = re.compile(r"tc[-_.]?(?:s[-_.])?filters?[-_.](?P<rest>.+)\Z")
_U32: Final = re.compile(r"\s*match ([0-9a-f]{8})/([0-9a-f]{8}) at (\d+)")
_FIELD: Final = re.compile(r"\s+([a-z_]+) (\S+)")
_SIDES: Final = {"ingress": Side.IN, "egress": Side.OUT, "in": Side.IN, "out": Side.OUT}
_PARENTS: Final = {"ffff:": Side.IN, "ffff:fff1": Side.IN, "ffff:fff2": Side.IN, "ffff:fff3": Side.OUT}
#: Detail lines of queues and statistics.
_SILENT: Final = re.compile(
    r"\s*(?:Sent |backlog |rate |index |Action statistics|random |not_in_hw|in_hw|skip_|used_hw|match "
    r"|cookie |\(rule hit|filter-id|firstused|installed |new_flow|old_flow|maxpacket|new_flows_"
    r"|drop_overlimit|Window|valid |police |action |target |overhead |ref |count |memory |average |pipe|jump"
    r"|key |limit |flows |\d+|\[|\]|\{|\}|\Z)"
)


@dataclass(slots=True)
class _Filter:
    words: str
    span: Span
    device: str
    side: Side
    fields: dict[str, str] = field(default_factory=dict)
    u32: list[tuple[int, int, int]] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)


def place_of_name(file: str) -> tuple[str, Side]:
    """Device and side that a file's name tells: ``tc-filter-eth0-ingress.txt``; "" and any if none."""
    stem = re.sub(r"(?:\.(?:txt|json|log|out))+\Z", "", PurePath(file).name)
    found = _NAMED.match(stem)
    if found is None:
        return "", Side.ANY
    rest = found["rest"].removeprefix("show-").removeprefix("dev-")
    for word, side in _SIDES.items():
        for pattern in (rf"(?:\A|[-_.]){word}\Z", rf"\A{word}[-_.]"):
            device, hits = re.subn(pattern, "", rest)
            if hits:
                return device, side
    return rest, Side.ANY


def parse_tc_text(text: str, *, file: str, read_at: float | None = None) -> Parsed[Bypass]:
    """Read qdiscs and filters, in any mixture. What is harmless is a row as well."""
    reading: Reading[Bypass] = Reading()
    device, side = place_of_name(file)
    current: _Filter | None = None
    for span in lines(text, file=file, read_at=read_at):
        line = span.text
        first = line.split(maxsplit=1)[0] if line.split() else ""
        if _COMMAND.search(line) and first not in ("filter", "qdisc"):
            reading.rows.extend(_finished(current))
            current = None
            device, side = _told(line)
            if "filter" in line:
                reading.rows.append(asked_row(span, device, side))
        elif first == "qdisc":
            reading.rows.extend(_finished(current))
            current = None
            reading.rows.append(qdisc_row(line.split(), span))
        elif first == "filter":
            reading.rows.extend(_finished(current))
            current = _opened(line, span, device, side)
        elif current is not None and first != "class":
            _detail(line, current)
        elif (
            first in ("class", "chain", "") or _SILENT.match(line) or is_prompt(line) or first.startswith("#")
        ):
            reading.skip()
        else:
            reading.malformed(span, f"{quoted(line)} is no line of `tc qdisc` or `tc filter`")
    reading.rows.extend(_finished(current))
    if not reading.rows and not reading.problems and "filter" in PurePath(file).name:
        reading.rows.append(asked_row(Span(file, line=1, text="", read_at=read_at), device, side))
    return reading.done()


def _told(command: str) -> tuple[str, Side]:
    device, side = _DEVICE.search(command), _SIDE.search(command)
    return (device[1] if device else ""), (_SIDES[side[1]] if side else Side.ANY)


def _opened(line: str, span: Span, device: str, side: Side) -> _Filter:
    words = line.split()
    named = _DEVICE.search(line)
    found = _Filter(line.strip(), span, named[1] if named else device, side)
    for word, following in pairwise(words):
        if word == "parent" and side is Side.ANY:
            found.side = _PARENTS.get(following, Side.OUT)
        elif word == "protocol":
            found.fields["protocol"] = following
    if words[1:2] and words[1] in _SIDES:
        found.side = _SIDES[words[1]]
    if words[1:2] == ["root"] and side is Side.ANY:
        found.side = Side.OUT
    return found


def _detail(line: str, current: _Filter) -> None:
    action = _ACTION.match(line)
    if action is not None:
        current.actions.append(action["words"].strip())
        return
    bits = _U32.match(line)
    if bits is not None:
        current.u32.append((int(bits[1], 16), int(bits[2], 16), int(bits[3])))
        return
    if re.match(r"\s*police 0x", line):
        current.actions.append("police")
        return
    one = _FIELD.fullmatch(line.rstrip()) if not current.actions else None
    if one is not None:
        current.fields[one[1]] = one[2]


def _finished(current: _Filter | None) -> Iterator[Bypass]:
    if current is None:
        return
    words = current.words.split()
    bare = not current.fields.keys() - {"protocol"} and not current.u32 and not current.actions
    if bare and not {"handle", "fh"} & set(words):
        return  # the head of a list of filters
    yield filter_row(
        current.words,
        current.actions,
        selector_of(current.fields, current.u32),
        current.span,
        current.device,
        current.side,
    )
