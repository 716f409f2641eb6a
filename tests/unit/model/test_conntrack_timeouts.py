"""How long an entry lives, and which kernel does what."""

import pytest
from conntrack_samples import tcp

from bothways.model.linux.conntrack.tcp import TcpState
from bothways.model.linux.conntrack.timeouts import DEFAULTS, ICMP_TIMEOUTS, TCP_TIMEOUTS, tcp_limits
from bothways.model.linux.conntrack.variant import VARIANTS, variant_of


def test_every_state_with_a_sysctl_has_one_of_its_own() -> None:
    without = {TcpState.NONE, TcpState.SYN_SENT2}

    assert set(TCP_TIMEOUTS) == set(TcpState) - without
    assert len(set(TCP_TIMEOUTS.values())) == len(TCP_TIMEOUTS)
    for state, name in TCP_TIMEOUTS.items():
        assert name == f"nf_conntrack_tcp_timeout_{state.lower()}"


def test_every_named_sysctl_has_a_default() -> None:
    assert {*TCP_TIMEOUTS.values(), *ICMP_TIMEOUTS.values()} <= set(DEFAULTS)


@pytest.mark.parametrize(
    ("state", "letters", "window", "seen_reply", "limit"),
    [
        (TcpState.ESTABLISHED, ".", 100, True, 432_000),
        (TcpState.ESTABLISHED, ".", 100, False, 300),
        (TcpState.ESTABLISHED, ".", 0, True, 300),
        (TcpState.SYN_SENT, "S", 0, False, 120),
        (TcpState.ESTABLISHED, "R", 0, True, 10),
        (TcpState.CLOSE, "R", 0, True, 10),
        (TcpState.LAST_ACK, "F.", 100, True, 30),
    ],
)
def test_a_segment_gives_the_smallest_time(
    state: TcpState, letters: str, window: int, seen_reply: bool, limit: int  # noqa: FBT001 - a column of the table
) -> None:  # fmt: skip
    packet = tcp("192.0.2.1:1", "192.0.2.2:2", letters, window=window).tcp
    assert packet is not None

    assert min(DEFAULTS[name] for name in tcp_limits(state, packet, seen_reply=seen_reply)) == limit


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        (None, "since 5.14"),
        ("no number", "since 5.14"),
        ("Linux host1 6.1.0-13-amd64 #1 SMP", "since 5.14"),
        ("5.14.0", "since 5.14"),
        ("5.4.0-26-generic", "5.0 to 5.13"),
        ("4.18.0-348.el8", "before 5.0"),
        ("3.10.0-1160.el7.x86_64", "before 5.0"),
    ],
)
def test_a_release_chooses_its_variant(kernel: str | None, name: str) -> None:
    assert variant_of(kernel).name == name


def test_variants_stand_newest_first() -> None:
    assert [v.since for v in VARIANTS] == sorted((v.since for v in VARIANTS), reverse=True)
