"""Whoever reads events may stop in the middle: what is left is told the next time."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from bothways.trace.probe.choose import KernelTracing
from bothways.trace.probe.programs import Programs
from bothways.trace.probe.symbols import Symbols
from bothways.trace.probe.tiers import Tier

EVENTS = [{"n": number, "netns_inode": None, "device": None} for number in range(5)]


class Polled:
    """A source that has its events once."""

    def __init__(self) -> None:
        self.left = [list(EVENTS)]

    def poll(self, _seconds: float) -> list[dict[str, Any]]:
        return self.left.pop() if self.left else []

    def wait(self, _seconds: float) -> None:
        pass


def tracing() -> KernelTracing:
    source = KernelTracing.__new__(KernelTracing)
    source._waiting, source._ended, source._seen = deque(), False, set()  # noqa: SLF001  without a kernel
    source._source = Polled()  # type: ignore[assignment]  # noqa: SLF001
    return source


def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    source = Programs.__new__(Programs)
    polled = Polled()
    source._decoded, source._gatherer = None, polled  # type: ignore[assignment]  # noqa: SLF001
    monkeypatch.setattr(Programs, "_decode", lambda _self: iter(polled.poll(0)))
    return source


@pytest.mark.parametrize("stop_after", [1, 3, 5])
@pytest.mark.parametrize("kind", ["programs", "tracing"])
def test_what_is_left_is_told_the_next_time(
    kind: str, stop_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = programs(monkeypatch) if kind == "programs" else tracing()
    told = []
    for event in source.events(0):
        told.append(event["n"])
        if len(told) == stop_after:
            break
    told += [event["n"] for event in source.events(0)]
    told += [event["n"] for event in source.events(0)]
    assert told == [0, 1, 2, 3, 4]


def test_the_last_tier_says_once_what_a_better_one_would_need() -> None:
    source = tracing()
    source.tiers = [
        Tier("fentry", "this kernel forbids it"),
        Tier("raw_tracepoint", "EPERM: this process lacks CAP_BPF"),
        Tier("tracefs", None),
    ]
    source._told, source._symbols = set(), Symbols(b"0000000000000000 T ip_rcv\n")  # noqa: SLF001
    source._symbols.read()  # noqa: SLF001

    better, names = source.problems()
    assert "raw_tracepoint sees more" in better["text"]
    assert "CAP_SYSLOG" in names["text"]
    assert source.problems() == []
