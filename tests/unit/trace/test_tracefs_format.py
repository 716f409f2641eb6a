"""Formats of trace events, as three kernels print them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.trace.probe.tracefs_format import read_format

COMMON = """\
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

"""
KFREE = (
    "name: kfree_skb\nID: 1319\n"
    + COMMON
    + """\
\tfield:void * skbaddr;\toffset:8;\tsize:8;\tsigned:0;
\tfield:void * location;\toffset:16;\tsize:8;\tsigned:0;
\tfield:unsigned short protocol;\toffset:24;\tsize:2;\tsigned:0;
\tfield:enum skb_drop_reason reason;\toffset:28;\tsize:4;\tsigned:0;

print fmt: "skbaddr=%p reason: %s", REC->skbaddr, __print_symbolic(REC->reason, { 1, "NOT_SPECIFIED" }, { 0x2, "NO_SOCKET" }, { TCP_LISTEN, "LISTEN" })
"""  # noqa: E501  the kernel prints it in one line
)
START = (
    "name: net_dev_start_xmit\nID: 1316\n"
    + COMMON
    + """\
\tfield:__data_loc char[] name;\toffset:8;\tsize:4;\tsigned:1;
\tfield:const void * skbaddr;\toffset:16;\tsize:8;\tsigned:0;
\tfield:int network_offset;\toffset:24;\tsize:4;\tsigned:1;
\tfield:__u8 saddr[4];\toffset:28;\tsize:4;\tsigned:0;
\tfield:char comm[16];\toffset:32;\tsize:16;\tsigned:0;
"""
)


def record(*parts: bytes) -> bytes:
    return struct.pack("<HBBi", 1, 0, 0, 42) + b"".join(parts)


def test_fields_are_read_by_name() -> None:
    form = read_format(KFREE)
    assert form is not None
    assert (form.name, form.id) == ("kfree_skb", 1319)
    data = record(struct.pack("<QQHxxI", 0xFFFF8881_00000000, 77, 2048, 2))
    assert form.number(data, "common_pid") == 42
    assert form.number(data, "skbaddr") == 0xFFFF8881_00000000
    assert form.number(data, "protocol") == 2048
    assert form.word(data, "reason") == "NO_SOCKET"
    assert form.has("skbaddr", "reason")
    assert not form.has("skbaddr", "rx_sk")


def test_text_and_bytes_are_read_from_where_they_are() -> None:
    form = read_format(START)
    assert form is not None
    fixed = struct.pack("<HHxxxxQi4s16s", 48, 5, 9, -14, b"\xc0\x00\x02\x01", b"ncat\0rubbish")
    data = record(fixed, b"eth0\0")
    assert form.text(data, "name") == "eth0"
    assert form.number(data, "network_offset") == -14
    assert form.octets(data, "saddr") == b"\xc0\x00\x02\x01"
    assert form.text(data, "comm") == "ncat"


@pytest.mark.parametrize("name", ["rx_sk", "reason"])
def test_what_is_not_there_is_none(name: str) -> None:
    form = read_format(KFREE)
    assert form is not None
    cut = record(struct.pack("<QQ", 1, 2))
    assert form.value(cut, name) is None
    assert form.word(cut, name) is None


def test_values_without_a_word_and_words_without_a_number_are_none() -> None:
    form = read_format(KFREE)
    assert form is not None
    assert form.words == {"reason": {1: "NOT_SPECIFIED", 2: "NO_SOCKET"}}
    assert form.word(record(struct.pack("<QQHxxI", 1, 2, 3, 99)), "reason") is None


@pytest.mark.parametrize("text", ["", "name: x\n", "ID: 3\n", "name:\nID: 3", "name: x\nID: y\n"])
def test_what_is_no_format_is_none(text: str) -> None:
    assert read_format(text) is None


@given(st.text(max_size=300), st.binary(max_size=80))
def test_no_text_and_no_record_makes_it_fail(text: str, data: bytes) -> None:
    read_format(text)
    form = read_format(START + text)
    if form is not None:
        for name in form.fields:
            form.value(data, name)
