"""How long an entry lives, and which kernel does what."""

import pytest

from bothways.model.linux.conntrack.tcp import TcpState
from bothways.model.linux.conntrack.timeouts import DEFAULTS, ICMP_TIMEOUTS, TCP_TIMEOUTS, tcp_limit
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
    ("state", "facts", "limit"),
    [
        (TcpState.ESTABLISHED, "seen_reply", 432_000),
        (TcpState.ESTABLISHED, "", 300),
        (TcpState.ESTABLISHED, "seen_reply closed", 300),
        (TcpState.ESTABLISHED, "seen_reply unacknowledged", 300),
        (TcpState.ESTABLISHED, "seen_reply retransmitted", 300),
        (TcpState.SYN_SENT, "closed", 120),
        (TcpState.ESTABLISHED, "seen_reply reset closed", 10),
        (TcpState.ESTABLISHED, "seen_reply reset retransmitted", 300),
        (TcpState.CLOSE, "seen_reply reset retransmitted", 10),
        (TcpState.LAST_ACK, "seen_reply unacknowledged", 30),
    ],
)
def test_a_segment_gives_the_time_that_the_kernel_gives(state: TcpState, facts: str, limit: int) -> None:
    words = ("reset", "seen_reply", "retransmitted", "unacknowledged", "closed")
    name = tcp_limit(state, DEFAULTS.__getitem__, **{word: word in facts.split() for word in words})

    assert DEFAULTS[name] == limit


def test_two_syns_that_crossed_have_no_sysctl() -> None:
    facts = dict.fromkeys(("reset", "seen_reply", "retransmitted", "unacknowledged", "closed"), False)

    assert tcp_limit(TcpState.SYN_SENT2, DEFAULTS.__getitem__, **facts) == ""


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        (None, "since 6.18"),
        ("no number", "since 6.18"),
        ("6.18.44", "since 6.18"),
        ("Linux host1 6.1.0-13-amd64 #1 SMP", "6.1 to 6.2"),
        ("6.0.19", "6.0"),
        ("5.14.0", "5.14 to 5.15"),
        ("5.4.0-26-generic", "5.0 to 5.6"),
        ("4.18.0-348.el8", "before 5.0"),
        ("3.10.0-1160.el7.x86_64", "before 5.0"),
    ],
)
def test_a_release_chooses_its_variant(kernel: str | None, name: str) -> None:
    assert variant_of(kernel).name == name


def test_variants_stand_newest_first() -> None:
    assert [v.since for v in VARIANTS] == sorted((v.since for v in VARIANTS), reverse=True)
