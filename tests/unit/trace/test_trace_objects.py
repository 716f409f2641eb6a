"""The compiled programs are what their sources say, and what Python takes them for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bothways import trace
from bothways.trace.probe import config
from bothways.trace.probe.btf import Btf
from bothways.trace.probe.btf_kinds import COMPOSITE
from bothways.trace.probe.elf import Elf
from bothways.trace.probe.probes import BY_NUMBER, PROBES

FOLDER = Path(trace.__file__).parent / "bpf"
ROOT = Path(__file__).resolve().parents[3]
OBJECTS = sorted(path.name for path in FOLDER.glob("*.bpf.o"))
TYPES = Btf(Elf((FOLDER / "trace.bpf.o").read_bytes()).contents(".BTF"), name="object")


def size(struct: str) -> int | None:
    (number,) = TYPES.find(struct, COMPOSITE)
    return TYPES.size(number)


@pytest.mark.skipif(
    not (shutil.which("clang-19") and shutil.which("llvm-strip-19") and Path("/usr/include/bpf").is_dir()),
    reason="clang-19, llvm-19 and libbpf-dev are not installed",
)
def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    subprocess.run([ROOT / "tools" / "build-bpf", tmp_path], check=True)
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(built) == OBJECTS
    assert [name for name in OBJECTS if built[name] != (FOLDER / name).read_bytes()] == []


def test_every_object_says_its_license() -> None:
    for name in OBJECTS:
        assert Elf((FOLDER / name).read_bytes()).contents("license") == b"Dual BSD/GPL\0"
    for source in FOLDER.glob("*.[ch]"):
        assert (
            source.read_text().splitlines()[0].count("SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause") == 1
        )


def test_the_configuration_is_as_long_as_the_programs_have_it() -> None:
    assert size("config") == config.SIZE


def test_every_program_of_a_probe_is_there_and_every_number_is_one_probe() -> None:
    image = Elf((FOLDER / "trace.bpf.o").read_bytes())
    there = {symbol.name for symbol in image.symbols if symbol.function}
    named = {program.partition("@")[0] for probe in PROBES for way in probe.ways for program in way.programs}
    missing = {
        name for name in named if name not in there and not any(each.startswith(name[:-1]) for each in there)
    }
    assert missing == set()
    assert len(BY_NUMBER) == len(PROBES)
    assert max(BY_NUMBER) < 128, "the configuration has a bit for each"


def test_no_stack_is_deeper_than_an_old_kernel_allows() -> None:
    """Before Linux 6.13 all functions that are active share 512 octets, each rounded up to 32."""
    image = Elf((FOLDER / "trace.bpf.o").read_bytes())
    depths = Depths(image)
    assert {name: depth for name, depth in depths.of_programs().items() if depth > 512} == {}


def test_no_loop_goes_round_without_a_jump() -> None:
    """Kernels before 6.3 refuse a way back that is no jump: what falls from a loop's end into its head."""
    found = {}
    for image in (Elf((FOLDER / name).read_bytes()) for name in OBJECTS):
        for symbol in image.symbols:
            if symbol.function:
                code = image.contents(image.sections[symbol.section].name)
                found[symbol.name] = falls_back(code[symbol.value : symbol.value + symbol.size])
    assert len(found) > 40
    assert {name: places for name, places in found.items() if places} == {}


def test_a_loop_that_falls_back_into_itself_is_found() -> None:
    jump_over = bytes((0x05, 0, 1, 0, 0, 0, 0, 0))
    nothing = bytes((0xB7, 0, 0, 0, 0, 0, 0, 0))
    leave = bytes((0x15, 0, 1, 0, 0, 0, 0, 0))
    back = bytes((0x05, 0, 0xFD, 0xFF, 0, 0, 0, 0))
    end = bytes((0x95, 0, 0, 0, 0, 0, 0, 0))
    assert falls_back(jump_over + nothing + leave + back + end) == [(1, 2)]
    assert falls_back(nothing + leave + back[:2] + b"\xfe\xff" + back[4:] + end) == []


def falls_back(code: bytes) -> list[tuple[int, int]]:
    """Walk a function as the kernel does (check_cfg); where the way to the next instruction leads back."""
    state = [NEW] * (len(code) // 8)
    found = []
    stack = [(0, ways_on(code, 0))]
    state[0] = ON_THE_WAY
    while stack:
        at, ways = stack[-1]
        if not ways:
            state[at] = DONE
            stack.pop()
            continue
        following, jumps = ways.pop(0)
        if state[following] == NEW:
            state[following] = ON_THE_WAY
            stack.append((following, ways_on(code, following)))
        elif state[following] == ON_THE_WAY and not jumps:
            found.append((at, following))
    return found


NEW, ON_THE_WAY, DONE = range(3)
JUMP, JUMP32 = 5, 6
ALWAYS, CALL, EXIT = 0x00, 0x80, 0x90
WIDE_LOAD = 0x18


def ways_on(code: bytes, at: int) -> list[tuple[int, bool]]:
    """Where an instruction leads, and whether it is one that may lead back."""
    operation = code[at * 8]
    kind = operation & 0xF0
    offset = int.from_bytes(code[at * 8 + 2 : at * 8 + 4], "little", signed=True)
    if operation & 7 not in {JUMP, JUMP32} or kind == CALL:
        return [(at + (2 if operation == WIDE_LOAD else 1), False)]
    if kind == EXIT:
        return []
    if kind == ALWAYS:
        return [(at + 1 + offset, True)]
    return [(at + 1, True), (at + 1 + offset, True)]


class Depths:
    """How much stack programs use: the lowest place that a function writes or takes the address of."""

    def __init__(self, image: Elf) -> None:
        self.image = image
        self.functions = {
            (symbol.section, symbol.value): symbol for symbol in image.symbols if symbol.function
        }
        self.relocations = image.relocations()

    def of_programs(self) -> dict[str, int]:
        return {
            symbol.name: self.depth(where)
            for where, symbol in self.functions.items()
            if self.image.sections[symbol.section].name != ".text"
        }

    def depth(self, where: tuple[int, int]) -> int:
        symbol = self.functions[where]
        code = self.image.contents(self.image.sections[where[0]].name)[where[1] : where[1] + symbol.size]
        lowest, deepest = 0, 0
        copies: set[int] = set()
        calls = {row.offset: row.symbol for row in self.relocations.get(where[0], ())}
        for at in range(0, len(code), 8):
            operation, registers = code[at], code[at + 1]
            target, source = registers & 15, registers >> 4
            offset = int.from_bytes(code[at + 2 : at + 4], "little", signed=True)
            immediate = int.from_bytes(code[at + 4 : at + 8], "little", signed=True)
            if operation == 0xBF:
                copies.discard(target)
                if source == 10:
                    copies.add(target)
            elif operation == 0x07 and target in copies:
                lowest = min(lowest, immediate)
                copies.discard(target)
            elif operation & 7 in {1, 2, 3} and (source if operation & 7 == 1 else target) == 10:
                lowest = min(lowest, offset)
            elif operation == 0x85 and source == 1:
                called = calls.get(where[1] + at)
                place = (
                    (called.section, called.value + (0 if called.function else (immediate + 1) * 8))
                    if called
                    else (where[0], where[1] + at + (immediate + 1) * 8)
                )
                deepest = max(deepest, self.depth(place))
        return max(32, (-lowest + 31) // 32 * 32) + deepest
