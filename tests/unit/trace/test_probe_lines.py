"""The probe's answer, line by line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bothways.trace.probe.clock import Clock, read_clock
from bothways.trace.probe.lines import Lines, ReaderGone


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for each in (read, write):
        try:
            os.close(each)
        except OSError:
            continue


def test_lines_wait_for_each_other_and_are_written_together(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[0], False)
    lines = Lines(pipe[1])
    lines.add({"type": "event", "n": 1, "netns": "Größe"})
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 1)
    lines.now({"type": "stop"})
    assert [json.loads(line) for line in os.read(pipe[0], 9999).splitlines()] == [
        {"type": "event", "n": 1, "netns": "Größe"},
        {"type": "stop"},
    ]
    lines.flush()
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 1)


def test_many_lines_do_not_wait(tmp_path: Path) -> None:
    with (tmp_path / "lines").open("wb", buffering=0) as file:
        lines = Lines(file.fileno())
        lines.add({"text": "x" * 65000})
        assert (tmp_path / "lines").stat().st_size == 0
        lines.add({"text": "y" * 600})
        assert (tmp_path / "lines").stat().st_size > 65600


def test_a_name_that_is_no_text_is_written_all_the_same(pipe: tuple[int, int]) -> None:
    Lines(pipe[1]).now({"task": b"a\xff".decode("utf-8", "surrogateescape")})
    assert json.loads(os.read(pipe[0], 999))["task"].startswith("a")


def test_a_reader_that_left_is_noticed(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    with pytest.raises(ReaderGone):
        Lines(pipe[1]).now({})


def test_the_wall_of_an_event_is_reckoned_from_one_reading() -> None:
    clock = Clock(monotonic_ns=1_000, wall_ns=5_000_000, width_ns=3)
    assert clock.wall(1_500) == 5_000_500
    now = read_clock()
    assert now.wall(now.monotonic_ns) == now.wall_ns
    assert now.width_ns >= 0
