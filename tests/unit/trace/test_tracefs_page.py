"""Pages of the trace buffer, cut into records."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.trace.probe.tracefs_page import PageLayout, Record, records, unread_layout

LAYOUT = PageLayout(16, 8, 4096)

HEADER_PAGE = """\
\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;
\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;
\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;
"""


def page(time: int, body: bytes, flags: int = 0, behind: bytes = b"") -> bytes:
    return (struct.pack("<QQ", time, len(body) | flags) + body + behind).ljust(4096, b"\0")


def short(delta: int, data: bytes) -> bytes:
    return struct.pack("<I", len(data) // 4 | delta << 5) + data


def long(delta: int, data: bytes) -> bytes:
    return struct.pack("<II", delta << 5, len(data) + 4) + data


def extend(kind: int, value: int) -> bytes:
    return struct.pack("<II", kind | (value & (1 << 27) - 1) << 5, value >> 27)


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        (HEADER_PAGE, LAYOUT),
        (HEADER_PAGE.replace("4080", "8176"), PageLayout(16, 8, 8192)),
        (
            HEADER_PAGE.replace("offset:16;\tsize:4080", "offset:12;\tsize:4084").replace(
                "size:8;\tsigned:1", "size:4;\tsigned:1"
            ),
            PageLayout(12, 4, 4096),
        ),
        ("", LAYOUT),
    ],
)
def test_a_page_is_laid_out_as_the_kernel_says(text: str, layout: PageLayout) -> None:
    assert unread_layout(text) == layout


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", []),
        (short(5, b"abcd"), [Record(1005, b"abcd")]),
        (short(5, b"abcd") + short(7, b"efghijkl"), [Record(1005, b"abcd"), Record(1012, b"efghijkl")]),
        (long(3, b"x" * 200), [Record(1003, b"x" * 200)]),
        # a time that does not fit into 27 bits stands before its record
        (extend(30, 1 << 30) + short(1, b"abcd"), [Record(1000 + (1 << 30) + 1, b"abcd")]),
        # an absolute time replaces it
        (extend(31, 1 << 40) + short(1, b"abcd"), [Record((1 << 40) + 1, b"abcd")]),
        # a record that was discarded is passed over; one without a time ends the page
        (struct.pack("<II", 29 | 2 << 5, 8) + b"gone" + short(1, b"abcd"), [Record(1003, b"abcd")]),
        (short(5, b"abcd") + struct.pack("<I", 29) + short(7, b"efgh"), [Record(1005, b"abcd")]),
        # cut short
        (short(5, b"abcd")[:6], []),
        (long(5, b"abcd")[:4], []),
    ],
)
def test_records_are_cut_from_a_page(body: bytes, expected: list[Record]) -> None:
    assert records(page(1000, body), LAYOUT) == (expected, 0)


@pytest.mark.parametrize(
    ("flags", "behind", "lost"),
    [
        (0, b"", 0),
        (1 << 31, b"", None),
        (1 << 31 | 1 << 30, struct.pack("<Q", 17), 17),
        (1 << 30, struct.pack("<Q", 17), 0),
    ],
)
def test_what_was_overwritten_is_told(flags: int, behind: bytes, lost: int | None) -> None:
    found, missed = records(page(0, short(1, b"abcd"), flags, behind), LAYOUT)
    assert found == [Record(1, b"abcd")]
    assert missed == lost


@given(st.binary(max_size=200))
def test_no_page_makes_it_fail(body: bytes) -> None:
    found, _ = records(body, LAYOUT)
    assert all(record.data in body for record in found)
    found, _ = records(page(7, body), LAYOUT)
    assert sum(len(record.data) for record in found) <= len(body)


@given(st.lists(st.tuples(st.integers(0, (1 << 27) - 1), st.binary(min_size=4, max_size=112)), max_size=20))
def test_what_is_written_is_read(rows: list[tuple[int, bytes]]) -> None:
    body, time, expected = b"", 50, []
    for delta, data in rows:
        whole = data.ljust(-(-len(data) // 4) * 4, b"\0")
        body += short(delta, whole)
        time += delta
        expected.append(Record(time, whole))
    assert records(page(50, body), LAYOUT)[0] == expected
