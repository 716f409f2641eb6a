"""
Pages of the kernel's trace buffer, as ``trace_pipe_raw`` hands them out.

A page starts with a time and a length, and holds records of a compressed header (5 bits of type or length,
27 bits of time since the record before) and data: kernel/trace/ring_buffer.c,
``/sys/kernel/tracing/events/header_page`` and ``header_event``. Records are read as bytes and not as text,
so that addresses are whole and no wording can change.
"""

import re
import struct
from typing import List, NamedTuple, Optional, Tuple

__all__ = ["PageLayout", "Record", "records", "unread_layout"]

_PADDING, _EXTEND, _STAMP = 29, 30, 31  # types of records that carry no data; 1 to 28 are lengths in words
_DELTA_BITS = 27
_MISSED = 1 << 31  # events were overwritten before this page
_MISSED_STORED = 1 << 30  # … and how many stands behind the data
_LENGTH = (1 << 27) - 1
_WORD = 4
_HEAD = struct.Struct("<I")
_HEADS = struct.Struct("<II")
_TIME = struct.Struct("<Q")
_STAMP_LOW = (1 << 59) - 1  # an absolute stamp has 59 bits; those above are the page's

_FIELD = re.compile(r"field:\s*[^;]*?(\w+)(?:\[\w*\])?;\s*offset:(\d+);\s*size:(\d+);")


class PageLayout(NamedTuple):
    """Where a page's data starts, how wide its length is, and how long a page is at most (bytes)."""

    data: int
    length_width: int
    size: int


class Record(NamedTuple):
    """One record: its time on the buffer's clock (ns), and its bytes from the common fields on."""

    time: int
    data: bytes


def unread_layout(text: str) -> PageLayout:
    """
    Read the layout of pages from the text of ``events/header_page``.

    What it leaves out is that of 64 bits.
    """
    fields = {name: (int(offset), int(size)) for name, offset, size in _FIELD.findall(text)}
    data, room = fields.get("data", (16, 4080))
    return PageLayout(data, fields.get("commit", (8, 8))[1], data + room)


def records(page: bytes, layout: PageLayout) -> Tuple[List[Record], Optional[int]]:
    """
    Cut a page into its records.

    :returns: the records in order, and how many were overwritten before them: 0 mostly, None where the page
        says that some were and not how many.
    """
    if len(page) < layout.data:
        return [], 0
    (time,) = _TIME.unpack_from(page)
    (commit,) = _HEAD.unpack_from(page, 8)
    end = min(layout.data + (commit & _LENGTH), len(page))
    found: List[Record] = []
    append = found.append
    at, base = layout.data, time
    while at + _WORD <= end:
        (head,) = _HEAD.unpack_from(page, at)
        kind, delta = head & 31, head >> 5
        at += _WORD
        if kind > 0 and kind < _PADDING:
            length = kind * _WORD
            time += delta
            if at + length > end:
                break
            append(Record(time, page[at : at + length]))
            at += length
            continue
        if at + _WORD > end:
            break
        (word,) = _HEAD.unpack_from(page, at)
        if kind == 0:
            time += delta
            length = word  # the length counts its own word
            if length < _WORD or at + length > end:
                break
            append(Record(time, page[at + _WORD : at + length]))
            at += length + -length % _WORD
        elif kind == _PADDING:
            if delta == 0:
                break  # the rest of the page is empty
            time += delta
            at += word
        else:
            value = (word << _DELTA_BITS) + delta
            time = time + value if kind == _EXTEND else (base & ~_STAMP_LOW) | value
            at += _WORD
    return found, _missed(page, commit, layout)


def _missed(page: bytes, commit: int, layout: PageLayout) -> Optional[int]:
    if not commit & _MISSED:
        return 0
    at = layout.data + (commit & _LENGTH)
    if not commit & _MISSED_STORED or at + _TIME.size > len(page):
        return None
    return int(_TIME.unpack_from(page, at)[0])
