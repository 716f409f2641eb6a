"""One tracked connection as conntrack-tools print it: ``-L`` without, ``-E`` with its kind in brackets."""

from __future__ import annotations

from typing import Final

from bothways.facts.conntrack import Entry, Tuple

__all__ = ["entry_words", "event_words"]

_NAMES: Final = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 47: "gre", 58: "icmpv6", 132: "sctp"}
_KIND: Final = 9
_NAME: Final = 8


def event_words(kind: str, entry: Entry) -> str:
    """Return a line of ``conntrack -E``; an entry that is gone has no time left."""
    return f"{f'[{kind}]':>{_KIND}} {entry_words(entry, timed=kind != 'DESTROY')}"


def entry_words(entry: Entry, *, timed: bool = True) -> str:
    """Return a line of ``conntrack -L``."""
    number = entry.original.protocol
    words = [f"{_NAMES.get(number, 'unknown'):<{_NAME}} {number}"]
    if timed and entry.timeout is not None:
        words.append(str(entry.timeout))
    if entry.state is not None:
        words.append(entry.state)
    words.append(_tuple_words(entry.original))
    if "UNREPLIED" in entry.status:
        words.append("[UNREPLIED]")
    words.append(_tuple_words(entry.reply))
    words.extend(f"[{flag}]" for flag in sorted(entry.status - {"UNREPLIED"}))
    if entry.mark:
        words.append(f"mark={entry.mark}")
    if entry.zone:
        words.append(f"zone={entry.zone}")
    return " ".join(words)


def _tuple_words(one: Tuple) -> str:
    ends = f"src={one.src} dst={one.dst}"
    if one.icmp_type is not None:
        return f"{ends} type={one.icmp_type} code={one.icmp_code or 0} id={one.sport}"
    return f"{ends} sport={one.sport} dport={one.dport}"
