"""Records of the kernel's ring, told apart."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from bothways.trace.probe.ring import records

DISCARDED = 1 << 30


def record(data: bytes, *, discarded: bool = False) -> bytes:
    head = struct.pack("<II", len(data) | (DISCARDED if discarded else 0), 0)
    return head + data + bytes(-len(data) % 8)


@given(st.lists(st.tuples(st.binary(max_size=40), st.booleans())))
def test_records_come_in_order_and_without_those_that_were_discarded(
    written: list[tuple[bytes, bool]],
) -> None:
    taken = b"".join(record(data, discarded=discarded) for data, discarded in written)
    assert [bytes(each) for each in records(taken)] == [data for data, discarded in written if not discarded]
