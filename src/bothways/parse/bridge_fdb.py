"""
``bridge -j fdb``: forwarding entries of bridges and VXLAN devices, and link-layer filters of all others.

Member names as iproute2 prints them (``bridge/fdb.c``).
"""

from __future__ import annotations

from typing import Final

from bothways.facts.address import mac
from bothways.facts.device import FdbEntry
from bothways.facts.parsed import Parsed
from bothways.parse.json_objects import Record, read_objects
from bothways.parse.reading import Reading, quoted

__all__ = ["parse_fdb"]

#: Members that send a VXLAN frame another way than *dst* says.
_UNMODELLED: Final = ("port", "vni", "src_vni", "via", "viaIf", "viaIfIndex", "nhid")


def parse_fdb(text: str, *, file: str, read_at: float | None = None) -> Parsed[FdbEntry]:
    """Read ``bridge -j fdb``: one row per entry; a bridge's have a *master*, a device's own ``self``."""
    return read_objects(text, _entry, file=file, read_at=read_at)


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
    )
