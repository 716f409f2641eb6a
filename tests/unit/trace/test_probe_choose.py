"""Which source of events a host allows, and what is said where it allows none."""

from __future__ import annotations

from typing import Any

import pytest

from bothways.trace.probe import choose
from bothways.trace.probe.options import parse_options
from bothways.trace.probe.parallel import in_parallel
from bothways.trace.probe.program import Refused
from bothways.trace.probe.tiers import Tier

FORBIDDEN = "EPERM at BPF_PROG_LOAD: this process lacks CAP_BPF and CAP_PERFMON"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> list[Tier]:
    """A host's tiers, best first; tracefs last."""
    tiers = [Tier("fentry", None), Tier("kprobe", None), Tier("raw_tracepoint", None), Tier("tracefs", None)]
    monkeypatch.setattr(choose, "judge", lambda _: tiers[:3])
    monkeypatch.setattr(choose, "usable", lambda: tiers[3].why_not)
    monkeypatch.setattr(choose, "Programs", lambda _options, _kernel, tried, *_: ("programs", tried))
    monkeypatch.setattr(choose, "KernelTracing", lambda _options, _kernel, tried, *_: ("tracefs", tried))
    return tiers


def chosen(*words: str) -> tuple[str, list[str]]:
    """The source, and the tiers that it may use."""
    stand_in: Any = choose.choose(parse_options(list(words)))
    kind, tiers = stand_in
    return kind, [tier.name for tier in tiers if tier.why_not is None]


def test_programs_are_taken_where_any_tier_of_theirs_is_allowed(host: list[Tier]) -> None:
    assert chosen() == ("programs", ["fentry", "kprobe", "raw_tracepoint", "tracefs"])
    host[0] = host[1] = Tier("fentry", FORBIDDEN)
    assert chosen()[0] == "programs"


def test_tracefs_is_taken_where_no_program_runs(host: list[Tier]) -> None:
    host[:3] = [Tier(tier.name, FORBIDDEN) for tier in host[:3]]
    assert chosen() == ("tracefs", ["tracefs"])


def test_a_tier_that_was_asked_for_is_the_best_one(host: list[Tier]) -> None:
    assert chosen("--tier", "kprobe") == ("programs", ["kprobe", "raw_tracepoint", "tracefs"])
    assert chosen("--tier", "tracefs") == ("tracefs", ["tracefs"])
    host[1] = Tier("kprobe", "this kernel has no kprobes")
    with pytest.raises(Refused, match=r"^kprobe: this kernel has no kprobes$"):
        chosen("--tier", "kprobe")


def test_a_reason_that_several_tiers_share_is_said_once(host: list[Tier]) -> None:
    host[:3] = [Tier(tier.name, FORBIDDEN) for tier in host[:3]]
    host[3] = Tier("tracefs", "tracefs is for root alone")
    with pytest.raises(Refused) as refused:
        chosen()
    assert (
        str(refused.value)
        == f"fentry, kprobe, raw_tracepoint: {FORBIDDEN}; tracefs: tracefs is for root alone"
    )


def test_programs_that_the_kernel_refuses_leave_tracefs(
    host: list[Tier], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise Refused("too new for it", 22)

    monkeypatch.setattr(choose, "Programs", refuse)
    assert chosen() == ("tracefs", ["tracefs"])
    host[3] = Tier("tracefs", "not mounted")
    with pytest.raises(Refused, match="too new for it; tracefs: not mounted"):
        chosen()


def test_work_in_parallel_keeps_the_order_and_raises_the_first_failure() -> None:
    assert in_parallel(lambda number: number * 2, list(range(20))) == list(range(0, 40, 2))
    assert in_parallel(str, []) == []

    def fail(number: int) -> int:
        if number in {3, 7}:
            raise ValueError(number)
        return number

    with pytest.raises(ValueError, match="3"):
        in_parallel(fail, list(range(10)))
