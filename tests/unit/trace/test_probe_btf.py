"""Types of a kernel, read from images that are written here."""

from __future__ import annotations

import contextlib
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from probe_samples import Types

from bothways.trace.probe import btf_kinds
from bothways.trace.probe.btf import Array, Btf, Member, Parameter, Unreadable

ANY = frozenset(range(32))


def test_a_struct_is_read_with_its_members() -> None:
    types = Types()
    byte = types.integer("unsigned char", 1)
    text = types.array(byte, 16)
    pointer = types.pointer(0)
    device = types.struct("net_device", 24, [("name", text, 0), ("priv", pointer, 16)])
    read = Btf(types.image())
    assert read.find("net_device", btf_kinds.COMPOSITE) == [device]
    assert read.members(device) == [Member("name", text, 0, 0), Member("priv", pointer, 128, 0)]
    assert (read.size(device), read.size(text), read.size(pointer), read.size(byte)) == (24, 16, 8, 1)
    assert read.array(text) == Array(byte, 16)
    assert read.spelled(pointer) == "void *"
    assert read.spelled(device) == "net_device"


def test_one_name_may_have_several_types_and_a_part_of_a_name_is_none() -> None:
    types = Types()
    number = types.integer("int", 4, signed=True)
    struct = types.struct("flow", 4, [("a", number, 0)])
    pointer = types.pointer(struct)
    function = types.function("flow", [("of", pointer)])
    types.function("flow_more", [])
    read = Btf(types.image())
    assert read.find("flow", ANY) == [struct, function]
    assert read.find("flow", frozenset({btf_kinds.FUNC})) == [function]
    assert read.find("low", ANY) == []
    assert read.find("", ANY) == []
    assert read.parameters(function) == [Parameter("of", pointer)]
    assert read.spelled(pointer) == "flow *"


def test_members_of_bits_and_anonymous_ones() -> None:
    types = Types()
    word = types.integer("unsigned int", 4)
    bits = types.bits("sk_buff", 4, [("cloned", word, 0, 1), ("pkt_type", word, 5, 3)])
    read = Btf(types.image())
    assert read.members(bits) == [Member("cloned", word, 0, 1), Member("pkt_type", word, 5, 3)]


def test_values_of_enums_are_signed_only_where_they_say_so() -> None:
    types = Types()
    plain = types.enum("reason", {"NOT": 0, "HIGH": 0x80000000})
    signed = types.enum("verdict", {"BAD": -1, "GOOD": 1})
    wide = types.enum("flags", {"LOW": 1, "TOP": 1 << 40}, size=8)
    read = Btf(types.image())
    assert read.enumerators(plain) == {"NOT": 0, "HIGH": 0x80000000}
    assert read.enumerators(signed) == {"BAD": -1, "GOOD": 1}
    assert read.enumerators(wide) == {"LOW": 1, "TOP": 1 << 40}
    assert (read.signed(plain), read.signed(signed)) == (False, True)


def test_a_module_continues_the_kernel() -> None:
    kernel = Types()
    word = kernel.integer("unsigned int", 4)
    types = Types(kernel)
    entry = types.struct("nf_conn", 8, [("status", word, 0), ("mark", word, 4)])
    vmlinux = Btf(kernel.image())
    module = Btf(types.image(), vmlinux, "nf_conntrack")
    assert module.find("nf_conn", btf_kinds.COMPOSITE) == [entry]
    assert entry == vmlinux.count
    assert [member.name for member in module.members(entry)] == ["status", "mark"]
    assert module.spelled(word) == "unsigned int"
    assert vmlinux.find("nf_conn", btf_kinds.COMPOSITE) == []


def test_a_name_that_the_kernel_writes_is_found_in_a_module() -> None:
    kernel = Types()
    kernel.integer("unsigned int", 4)
    known = kernel.add("nf_conn", btf_kinds.FWD, 0)
    types = Types(kernel)
    offset = kernel.text("nf_conn")
    types.add("", btf_kinds.STRUCT, 8)
    image = bytearray(types.image())
    image[24:28] = offset.to_bytes(4, "little")
    vmlinux = Btf(kernel.image())
    module = Btf(bytes(image), vmlinux, "nf_conntrack")
    assert module.find("nf_conn", btf_kinds.COMPOSITE) == [known + 1]


def test_a_type_is_seen_through_its_names() -> None:
    types = Types()
    word = types.integer("unsigned int", 4)
    number = types.typedef("u32", types.const(types.typedef("__u32", word)))
    read = Btf(types.image())
    assert read.plain(number).id == word
    assert read.size(number) == 4
    assert read.spelled(number) == "u32"


@pytest.mark.parametrize(
    "words",
    [
        [(btf_kinds.TYPEDEF, 1)],
        [(btf_kinds.POINTER, 1)],
        [(btf_kinds.TYPEDEF, 77)],
    ],
    ids=["a typedef of itself", "a pointer to itself", "a typedef of nothing"],
)
def test_what_refers_in_a_circle_ends(words: list[tuple[int, int]]) -> None:
    types = Types()
    for kind, refers in words:
        types.add("it", kind, refers)
    read = Btf(types.image())
    for ask in (read.size, read.spelled, read.signed, read.plain):
        with contextlib.suppress(Unreadable):
            ask(1)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x9f\xeb\x01\x00", b"\xeb\x9f" + bytes(22), Types().image()[:-1], b"ELF" * 20],
    ids=["empty", "short", "other-order", "cut", "text"],
)
def test_what_is_no_image_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(Unreadable):
        Btf(data)


@given(st.data())
def test_an_image_with_any_damage_is_read_or_refused(data: st.DataObject) -> None:
    types = Types()
    word = types.integer("unsigned int", 4)
    types.struct("a", 8, [("b", types.array(types.pointer(word), 3), 0)])
    types.function("f", [("x", word)])
    types.enum("e", {"one": 1})
    image = bytearray(types.image())
    for _ in range(data.draw(st.integers(1, 4))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = Btf(bytes(image))
    except Unreadable:
        return
    for number in range(read.count):
        with contextlib.suppress(Unreadable):
            read.type(number)
            read.members(number)
            read.parameters(number)
            read.enumerators(number)
            read.placements(number)
            read.size(number)
            read.spelled(number)


def test_sections_and_variables_get_their_places() -> None:
    types = Types()
    word = types.integer("unsigned int", 4)
    first = types.add("first", btf_kinds.VAR, word, [1])
    second = types.add("second", btf_kinds.VAR, word, [1])
    section = types.add(".data", btf_kinds.DATASEC, 0, [first, 0, 4, second, 0, 4], length=2)
    read = Btf(Btf(types.image()).placed({".data": 8}, {"first": 4, "second": 0}))
    assert read.type(section).refers == 8
    assert [(each.type, each.offset) for each in read.placements(section)] == [(second, 0), (first, 4)]


def test_several_threads_may_ask_an_image_that_is_walked_as_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Programs are loaded by several threads; once each walked the types, and all counted."""
    monkeypatch.setattr("bothways.trace.probe.btf._PIECE", 999)
    types = Types()
    for number in range(4000):
        types.struct(f"s{number}", 4, [])
    module = Types(types)
    function = module.function("nf_conntrack_in", [])
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5):
            kernel = Btf(types.image(), at_once=False)
            told: list[list[int]] = []
            together = threading.Barrier(4)

            def ask(
                kernel: Btf = kernel, told: list[list[int]] = told, all_: threading.Barrier = together
            ) -> None:
                all_.wait()
                told.append(
                    kernel.find("s3999", ANY) + Btf(module.image(), kernel, "m").find("nf_conntrack_in", ANY)
                )

            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert told == [[4000, function]] * 4
    finally:
        sys.setswitchinterval(before)
