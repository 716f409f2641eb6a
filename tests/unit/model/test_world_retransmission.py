"""When an unanswered SYN goes out again."""

from __future__ import annotations

import pytest

from bothways.facts.dump import Dump
from bothways.facts.snapshot import Netns, Sysctl
from bothways.facts.span import Span
from bothways.model.world.retransmission import syn_times

SECOND = 1_000_000_000
SYSCTL = "net.ipv4.tcp_syn_linear_timeouts"


@pytest.mark.parametrize(
    ("kernel", "said", "seconds"),
    [
        ("5.15.0-91-generic", None, [1, 3, 7]),
        ("6.4.0", None, [1, 3, 7]),
        ("6.5.0", None, [1, 2, 3, 4, 5, 7]),
        (None, None, [1, 2, 3, 4, 5, 7]),
        ("6.18.44", "0", [1, 3, 7]),
        ("6.18.44", "2", [1, 2, 3, 5]),
    ],
)
def test_times_follow_the_kernel(kernel: str | None, said: str | None, seconds: list[int]) -> None:
    rows = () if said is None else (Sysctl(SYSCTL, said, Span("sysctl.txt", 1)),)
    netns = Netns("host1", "root", sysctls=Dump(rows, "sysctl.txt"))

    assert [each // SECOND for each in syn_times(netns, kernel, 8 * SECOND)] == seconds
