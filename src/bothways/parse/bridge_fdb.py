"""
``bridge fdb``: forwarding entries of bridges and VXLAN devices, and link-layer filters of all others.

As JSON (``bridge -j fdb``) and as text, with the rows of the JSON form. Names as iproute2 prints them
(``bridge/fdb.c``).
"""

from __future__ import annotations

from typing import Final

from bothways.facts.address import address, mac
from bothways.facts.device import FdbEntry
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.json_objects import Record, read_objects
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_fdb", "parse_fdb_text"]

#: Members that send a VXLAN frame another way than *dst* says.
_UNMODELLED: Final = ("port", "src_vni", "nhid")
#: Words of a line that stand alone: flags, and the state.
_FLAGS: Final = frozenset("self master router extern_learn offload sticky locked".split())  # noqa: SIM905 (a word list reads better as words)
_STATES: Final = frozenset("permanent static stale".split())  # noqa: SIM905 (a word list reads better as words)
_VALUED: Final = frozenset("dev vlan dst port vni src_vni via master link-netnsid nhid used".split())  # noqa: SIM905 (a word list reads better as words)


def parse_fdb(text: str, *, file: str, read_at: float | None = None) -> Parsed[FdbEntry]:
    """Read ``bridge -j fdb``: one row per entry; a bridge's have a *master*, a device's own ``self``."""
    return read_objects(text, _entry, file=file, read_at=read_at)


def parse_fdb_text(text: str, *, file: str, read_at: float | None = None) -> Parsed[FdbEntry]:
    """Read plain ``bridge fdb``."""
    reading: Reading[FdbEntry] = Reading()
    for span in lines(text, file=file, read_at=read_at):
        if not span.text.strip() or is_prompt(span.text):
            reading.skip()
            continue
        try:
            reading.rows.append(_line(span, reading))
        except (ValueError, IndexError):
            reading.malformed(span, f"expected `MAC dev DEVICE …`, found {quoted(span.text)}")
    return reading.done()


def _line(span: Span, reading: Reading[FdbEntry]) -> FdbEntry:
    words = span.text.split()
    held, pairs, flags, state = mac(words[0]), {}, set(), ""
    at = 1
    while at < len(words):
        word = words[at]
        if word in _VALUED and at + 1 < len(words):
            pairs[word] = words[at + 1]
            at += 1
        elif word in _STATES:
            state = word
        elif word in _FLAGS:
            flags.add(word)
        at += 1
    odd = [f"{word} {pairs[word]}" for word in _UNMODELLED if word in pairs]
    if odd:
        reading.unmodelled(span, f"the forwarding entry's {quoted(', '.join(odd))} is not evaluated")
    return FdbEntry(
        mac=held,
        device=pairs["dev"] if "dev" in pairs else words[99],
        span=span,
        master=pairs.get("master"),
        vlan=int(pairs["vlan"][:4]) if "vlan" in pairs else None,
        dst=address(pairs["dst"]) if "dst" in pairs else None,
        state=state,
        flags=frozenset(flags - {"master"}),
        vni=int(pairs["vni"][:8]) if "vni" in pairs else None,
        via=pairs.get("via"),
    )


def _entry(record: Record, reading: Reading[FdbEntry]) -> FdbEntry:
    odd = [record.shown(key) for key in _UNMODELLED if record.has(key)]
    if odd:
        reading.unmodelled(record.span, f"the forwarding entry's {quoted(', '.join(odd))} is not evaluated")
    return FdbEntry(
        mac=mac(record.need("mac")),
        device=record.need("ifname"),
        span=record.span,
        master=record.text("master"),
        vlan=record.number("vlan"),
        dst=record.address("dst"),
        state=record.text("state") or "",
        flags=frozenset(record.words("flags")),
        vni=record.number("vni"),
        via=record.text("viaIf"),
    )
