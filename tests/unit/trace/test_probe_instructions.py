"""Programs put together: field offsets, maps, functions, numbers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from probe_samples import R_BPF_64_32, R_BPF_64_64, Types, elf, extension

from bothways.trace.probe.btf import Btf
from bothways.trace.probe.elf import Elf, Malformed, Symbol
from bothways.trace.probe.extension import Extension
from bothways.trace.probe.instructions import Linked, Linker, Reference, with_constants
from bothways.trace.probe.kernel import Kernel
from bothways.trace.probe.relocate import BYTE_OFFSET, VALUE, Relocator

CODE = "raw_tp/kfree_skb"


def instruction(operation: int, registers: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("<BBhi", operation, registers, offset, immediate)


def wide(number: int, registers: int = 1) -> bytes:
    low, high = number & 0x7FFFFFFF, number >> 32
    return instruction(0x18, registers, 0, low) + instruction(0, 0, 0, high)


EXIT = instruction(0x95)
LOAD = instruction(0x61, 0x12, 8)  # r2 = *(u32 *)(r1 + 8)
ADD = instruction(0x07, 0x01, 0, 8)  # r1 += 8
CALL = instruction(0x85, 0x10, 0, -1)


def running() -> Kernel:
    types = Types()
    word, wide_word = types.integer("unsigned int", 4), types.integer("unsigned long", 8)
    signed = types.integer("long", 8, signed=True)
    types.struct("sk_buff", 200, [("len", word, 112), ("hash", wide_word, 120), ("delta", signed, 128)])
    types.enum("limits", {"MOST": 1 << 33}, size=8)
    return Kernel(types.image(), {})


def link(
    code: bytes,
    records: list[tuple[int, str, str, int]],
    *,
    text: bytes = b"",
    functions: list[tuple[str, str, int, int]] | None = None,
    relocations: list[tuple[int, int, str]] | None = None,
) -> Linked:
    """
    Put the program ``watch`` together.

    :param records: offset of the instruction, name of the type, access, kind.
    """
    types = Types()
    word = types.integer("unsigned int", 4)
    members = [
        ("len", word, 0),
        ("hash", word, 4),
        ("delta", types.integer("int", 4, signed=True), 8),
        ("gone", word, 12),
    ]
    numbers = {"sk_buff": types.struct("sk_buff", 16, members)}
    numbers["limits"] = types.enum("limits", {"MOST": 1 << 32}, size=8)
    beside = extension(types, [(CODE, at, numbers[name], access, kind) for at, name, access, kind in records])
    sections = {CODE: code, ".text": text, ".maps": bytes(32), ".rodata": bytes(16)}
    symbols = [
        ("watch", CODE, 0, len(code), True),
        ("events", ".maps", 0, 32, False),
        ("config", ".rodata", 8, 8, False),
        *((name, section, at, size, True) for name, section, at, size in functions or []),
    ]
    image = Elf(elf(sections, symbols, {CODE: relocations or []}))
    local = Btf(types.image(), name="object")

    def refer(symbol: Symbol) -> Reference:
        return Reference(5, value=False) if symbol.name == "events" else Reference(6, value=True)

    linker = Linker(image, Extension(beside, local.string), Relocator(local, running()), refer)
    return linker.link(next(symbol for symbol in image.symbols if symbol.name == "watch"))


def decoded(linked: Linked) -> list[tuple[int, int, int, int]]:
    return list(struct.iter_unpack("<BBhi", bytes(linked.instructions)))


def test_offsets_are_put_into_loads_and_sums() -> None:
    linked = link(LOAD + ADD + EXIT, [(0, "sk_buff", "0:0", BYTE_OFFSET), (8, "sk_buff", "0:1", BYTE_OFFSET)])
    assert decoded(linked)[:2] == [(0x61, 0x12, 112, 8 - 8), (0x07, 0x01, 0, 120)]
    assert linked.missing == {}


def test_a_load_takes_the_width_that_the_field_has_here() -> None:
    linked = link(LOAD + EXIT, [(0, "sk_buff", "0:1", BYTE_OFFSET)])
    assert decoded(linked)[0] == (0x79, 0x12, 120, 0)


def test_a_signed_load_of_another_width_is_not_run() -> None:
    linked = link(LOAD + EXIT, [(0, "sk_buff", "0:2", BYTE_OFFSET)])
    number = decoded(linked)[0][3]
    assert decoded(linked)[0][0] == 0x85
    assert linked.missing == {number: "sk_buff.delta"}


def test_a_missing_field_becomes_a_call_that_no_kernel_has() -> None:
    linked = link(ADD + LOAD + EXIT, [(0, "sk_buff", "0:3", BYTE_OFFSET), (8, "sk_buff", "0:3", BYTE_OFFSET)])
    rows = decoded(linked)
    assert [row[0] for row in rows] == [0x85, 0x85, 0x95]
    assert len({rows[0][3], rows[1][3]}) == 2
    assert set(linked.missing.values()) == {"sk_buff.gone"}


def test_a_value_of_64_bits() -> None:
    linked = link(wide(1 << 32) + EXIT, [(0, "limits", "0", VALUE)])
    assert decoded(linked)[:2] == [(0x18, 1, 0, 0), (0, 0, 0, 2)]


def test_maps_and_data_are_referred_to() -> None:
    linked = link(
        wide(0) + wide(4) + EXIT, [], relocations=[(0, R_BPF_64_64, "events"), (16, R_BPF_64_64, "config")]
    )
    rows = decoded(linked)
    assert rows[0] == (0x18, 0x11, 0, 5)
    assert rows[1][3] == 0
    assert rows[2] == (0x18, 0x21, 0, 6)
    assert rows[3][3] == 8 + 4


def test_functions_are_appended_once_and_calls_go_to_them() -> None:
    text = instruction(0xB7) + EXIT + instruction(0xB7, 0, 0, 1) + EXIT
    linked = link(
        CALL + CALL + CALL + EXIT,
        [],
        text=text,
        functions=[("first", ".text", 0, 16), ("second", ".text", 16, 16)],
        relocations=[(0, R_BPF_64_32, "second"), (8, R_BPF_64_32, "first"), (16, R_BPF_64_32, "second")],
    )
    rows = decoded(linked)
    assert len(rows) == 8
    assert [rows[at + 1 + rows[at][3]][3] for at in (0, 1, 2)] == [1, 0, 1]
    assert linked.functions == [(0, CODE, 0), (4, ".text", 16), (6, ".text", 0)]


def test_the_address_of_a_function() -> None:
    linked = link(
        wide(0) + EXIT,
        [],
        text=instruction(0xB7) + EXIT,
        functions=[("each", ".text", 0, 16)],
        relocations=[(0, R_BPF_64_64, "each")],
    )
    assert decoded(linked)[0] == (0x18, 0x41, 0, 2)


def test_a_function_of_the_same_section_is_called_without_a_relocation() -> None:
    code = instruction(0x85, 0x10, 0, 1) + EXIT + instruction(0xB7, 0, 0, 7) + EXIT
    types = Types()
    beside = extension(types, [])
    image = Elf(elf({CODE: code}, [("watch", CODE, 0, 16, True), ("inner", CODE, 16, 16, True)]))
    local = Btf(types.image(), name="object")
    linker = Linker(
        image,
        Extension(beside, local.string),
        Relocator(local, running()),
        lambda _: Reference(0, value=False),
    )
    rows = decoded(linker.link(image.symbols[1]))
    assert [row[0] for row in rows] == [0x85, 0x95, 0xB7, 0x95]
    assert rows[0][3] == 1


def test_what_is_not_in_the_object_is_refused() -> None:
    image = elf(
        {CODE: wide(0) + EXIT},
        [("watch", CODE, 0, 24, True), ("jiffies", "", 0, 0, False)],
        {CODE: [(0, 1, "jiffies")]},
    )
    types = Types()
    beside = extension(types, [])
    local = Btf(types.image(), name="object")
    linker = Linker(
        Elf(image),
        Extension(beside, local.string),
        Relocator(local, running()),
        lambda _: Reference(0, value=False),
    )
    with pytest.raises(Malformed, match="jiffies"):
        linker.link(Elf(image).symbols[1])


def test_numbers_of_a_program_that_serves_many_are_changed_in_a_copy() -> None:
    code = bytearray(wide(0x70726F6265206964) + wide(3) + EXIT)
    changed = with_constants(code, {0x70726F6265206964: 41})
    assert list(struct.iter_unpack("<BBhi", bytes(changed)))[:4] == [
        (0x18, 1, 0, 41),
        (0,) * 4,
        (0x18, 1, 0, 3),
        (0,) * 4,
    ]
    assert code == bytearray(wide(0x70726F6265206964) + wide(3) + EXIT)


@given(st.data())
def test_an_object_with_any_damage_is_read_or_refused(data: st.DataObject) -> None:
    types = Types()
    packet = types.struct("sk_buff", 4, [("len", types.integer("unsigned int", 4), 0)])
    beside = bytearray(extension(types, [(CODE, 0, packet, "0:0", BYTE_OFFSET)]))
    image = bytearray(
        elf(
            {CODE: LOAD + wide(0) + EXIT, ".maps": bytes(8)},
            [("watch", CODE, 0, 32, True), ("events", ".maps", 0, 8, False)],
            {CODE: [(8, 1, "events")]},
        )
    )
    for target in (image, beside):
        for _ in range(data.draw(st.integers(0, 3))):
            target[data.draw(st.integers(0, len(target) - 1))] = data.draw(st.integers(0, 255))
    local = Btf(types.image(), name="object")
    try:
        read = Elf(bytes(image))
        linker = Linker(
            read,
            Extension(bytes(beside), local.string),
            Relocator(local, running()),
            lambda _: Reference(1, value=False),
        )
        for symbol in read.symbols:
            if symbol.function and symbol.section < len(read.sections):
                linker.link(symbol)
    except Malformed:
        pass
