"""
conntrack-tools: entries (``-L``), events (``-E``) and counters (``-S``).

One entry is a row of words: ``[ipv4 2] tcp 6 [timeout] [STATE]``, then ``key=value`` and ``[FLAG]``. The
first ``src=`` begins the original tuple, the second the reply tuple. ``-o extended`` adds the layer-3 name,
``-o id`` the id, ``-o timestamp`` (events) a time in brackets, ``-o ktimestamp`` start and stop.
``/proc/net/nf_conntrack`` reads alike. Layout: libnetfilter_conntrack ``snprintf_default.c``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from bothways.facts.address import address
from bothways.facts.conntrack import ConntrackCounters, ConntrackEvent, Entry, Tuple
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.reading import Reading, lines, quoted

__all__ = ["parse_counters", "parse_entries", "parse_events"]

Row = TypeVar("Row")

_TOTAL: Final = re.compile(
    r"conntrack v\S+ \(conntrack-tools\): (\d+) (?:flow entries|flow events|expectations) have been shown\.?"
)
_KERNEL_TIME: Final = re.compile(r"\[(?:start|stop)=[^\[\]]{0,80}\]")
_TIME: Final = re.compile(r"\s*\[(\d{1,12}\.\d{1,9})\s*\]\s*")
_EVENT: Final = re.compile(r"\s*\[(NEW|UPDATE|DESTROY)\]\s*")
_CPU: Final = re.compile(r"cpu=(\d{1,6})\s")
_FLAG: Final = re.compile(r"\[([A-Z_]+)\]")
_LAYER3: Final = frozenset({"ipv4", "ipv6"})

#: Keys of a tuple. GRE has keys in place of ports, ICMP an id.
_TUPLE_KEYS: Final = frozenset("src dst sport dport srckey dstkey type code id".split())  # noqa: SIM905 (a word list reads better as words)
#: Keys that say nothing about the fate of a packet.
_IRRELEVANT: Final = frozenset("use packets bytes secctx delta-time helper labels labels-mask".split())  # noqa: SIM905 (a word list reads better as words)
_WORD32: Final = 0xFFFFFFFF


@dataclass(slots=True)
class _Draft:
    """Words of one entry while it is read."""

    tuples: list[dict[str, str]] = field(default_factory=list)
    rest: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    head: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def word(self, word: str) -> None:
        """Sort one word."""
        key, equals, value = word.partition("=")
        flag = _FLAG.fullmatch(word)
        if flag:
            self.flags.add(flag[1])
        elif not equals:
            (self.unknown if self.tuples else self.head).append(word)
        elif key == "src":
            self.tuples.append({key: value})
        elif key in _TUPLE_KEYS and self._open(key):
            self.tuples[-1].setdefault(key, value)
        elif key in ("mark", "zone", "id", "zone-orig", "zone-reply"):
            self.rest[key] = value
        elif key not in _IRRELEVANT:
            self.unknown.append(word)

    def _open(self, key: str) -> bool:
        # After an ICMP tuple, `id=` is its own; after all else it is the entry's.
        return bool(self.tuples) and (
            key != "id" or ("type" in self.tuples[-1] and "id" not in self.tuples[-1])
        )


def parse_entries(text: str, *, file: str, read_at: float | None = None) -> Parsed[Entry]:
    """Read ``conntrack -L``; a closing line that names another number of entries is a contradiction."""
    reading: Reading[Entry] = Reading()
    total: tuple[int, Span] | None = None
    seen = 0
    torn = ""
    for span in lines(text, file=file, read_at=read_at):
        line, torn = torn + span.text, ""
        # The closing line goes to stderr, so a file that holds both may have it in the midst of an entry,
        # whose rest then is the next line.
        closing = _TOTAL.search(line)
        if closing:
            alone = not closing.start() and closing.end() == len(line.rstrip())
            total = (int(closing[1][:18]), span) if alone else None
            line = line[: closing.start()] + line[closing.end() :]
            if line.endswith("="):
                torn, line = line, ""
        if not line.strip():
            reading.skip()
            continue
        seen += 1
        entry = _read(line, span, reading)
        if entry is not None:
            reading.rows.append(entry)
    if total is not None and total[0] != seen:
        message = f"the closing line counts {total[0]} entries, the file holds {seen}"
        reading.contradiction(total[1], message, "the output was filtered or cut after it was collected")
    return reading.done()


def parse_events(text: str, *, file: str, read_at: float | None = None) -> Parsed[ConntrackEvent]:
    """Read ``conntrack -E``; the time is there only with ``-o timestamp``."""
    reading: Reading[ConntrackEvent] = Reading()
    for span in lines(text, file=file, read_at=read_at):
        if not span.text.strip() or _TOTAL.match(span.text):
            reading.skip()
            continue
        time = _TIME.match(span.text)
        rest = span.text[time.end() :] if time else span.text
        kind = _EVENT.match(rest)
        if kind is None:
            reading.malformed(span, f"expected [NEW], [UPDATE] or [DESTROY] in {quoted(span.text)}")
            continue
        entry = _read(rest[kind.end() :], span, reading)
        if entry is not None:
            reading.rows.append(ConntrackEvent(kind[1], entry, span, float(time[1]) if time else None))
    return reading.done()


def parse_counters(text: str, *, file: str, read_at: float | None = None) -> Parsed[ConntrackCounters]:
    """Read ``conntrack -S``: one row per CPU."""
    reading: Reading[ConntrackCounters] = Reading()
    for span in lines(text, file=file, read_at=read_at):
        cpu = _CPU.match(span.text)
        if not span.text.strip():
            reading.skip()
        elif cpu is None:
            reading.malformed(span, f"expected `cpu=N name=value …`, found {quoted(span.text)}")
        else:
            values = dict(_counters(span, span.text[cpu.end() :], reading))
            reading.rows.append(ConntrackCounters(int(cpu[1]), values, span))
    return reading.done()


def _counters(span: Span, text: str, reading: Reading[ConntrackCounters]) -> list[tuple[str, int]]:
    found = []
    for word in text.split():
        name, equals, value = word.partition("=")
        if equals and value.isascii() and value.isdigit():
            found.append((name, int(value[:20])))
        else:
            reading.malformed(span, f"{quoted(word)} is no counter")
    return found


def _read(text: str, span: Span, reading: Reading[Row]) -> Entry | None:
    draft = _Draft()
    for word in _KERNEL_TIME.sub(" ", text).split():
        draft.word(word)
    try:
        entry = _entry(draft, span)
    except ValueError as error:
        reading.malformed(span, f"not a conntrack entry: {error}")
        return None
    odd = draft.unknown + [f"{k}={draft.rest[k]}" for k in ("zone-orig", "zone-reply") if k in draft.rest]
    if odd:
        reading.unmodelled(span, f"{quoted(' '.join(odd))} of this entry is not evaluated")
    return entry


def _entry(draft: _Draft, span: Span) -> Entry:
    if len(draft.tuples) != 2:  # noqa: PLR2004 (original and reply)
        raise ValueError(f"it has {len(draft.tuples)} tuples, not two")
    if set(draft.tuples[0]) != set(draft.tuples[1]):
        raise ValueError("its tuples do not have the same members")
    head = draft.head
    if head and head[0] in _LAYER3:
        head = head[2:]
    if len(head) < 2 or not _digits(head[1]):  # noqa: PLR2004 (two words)
        raise ValueError("it does not begin with a protocol and its number")
    protocol = int(head[1])
    numbers = [word for word in head[2:] if _digits(word)]
    states = [word for word in head[2:] if not _digits(word)]
    if protocol > 0xFF or len(numbers) > 1 or len(states) > 1:  # noqa: PLR2004 (8 bits)
        raise ValueError(f"{quoted(' '.join(draft.head))} is not protocol, timeout and state")
    return Entry(
        original=_tuple(protocol, draft.tuples[0]),
        reply=_tuple(protocol, draft.tuples[1]),
        span=span,
        state=states[0] if states else None,
        timeout=int(numbers[0]) if numbers else None,
        status=frozenset(draft.flags),
        mark=_number(draft.rest.get("mark", "0"), _WORD32),
        zone=_number(draft.rest.get("zone", "0"), 0xFFFF),
        id=_number(draft.rest["id"], _WORD32) if "id" in draft.rest else None,
    )


def _tuple(protocol: int, words: Mapping[str, str]) -> Tuple:
    if "dst" not in words:
        raise ValueError("a tuple has no `dst`")
    source = words.get("sport") or words.get("srckey") or words.get("id") or "0"
    destination = words.get("dport") or words.get("dstkey") or "0"
    return Tuple(
        protocol=protocol,
        src=address(words["src"]),
        dst=address(words["dst"]),
        sport=_number(source, _WORD32),
        dport=_number(destination, _WORD32),
        icmp_type=_number(words["type"], 0xFF) if "type" in words else None,
        icmp_code=_number(words["code"], 0xFF) if "code" in words else None,
    )


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10  # noqa: PLR2004 (32 bits)


def _number(text: str, limit: int) -> int:
    value = int(text, 0) if text.startswith("0x") else int(text if _digits(text) else "x")
    if not 0 <= value <= limit:
        raise ValueError(f"{quoted(text)} is too large")
    return value
