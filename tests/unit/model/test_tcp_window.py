"""
Windows alone: what lies inside, what outside, and what a side remembers.

Numbers are small or wrap around on purpose. The kernel's own answers to the same questions are in the
recording (class ``window``); these tables say which rule answers what.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from conntrack_samples import SECOND, Told, namespace

from bothways.facts.address import IPAddress, address
from bothways.facts.packet import TCP, Flag, Ip, Packet, Tcp, TcpOptions
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.conntrack.tcp import TcpState
from bothways.model.linux.conntrack.tcp_memory import TcpMemory
from bothways.model.linux.conntrack.tcp_window import (
    TOLERATED,
    Outside,
    Side,
    check,
    end_of,
    numbered,
    open_windows,
    past,
)
from bothways.model.linux.conntrack.variant import VARIANTS, Variant, variant_of

WORD = 1 << 32
NONE = TcpOptions(size=0)
FLAGS = {"F": Flag.FIN, "S": Flag.SYN, "R": Flag.RST, "P": Flag.PSH, "A": Flag.ACK}


def tcp(
    letters: str, seq: int, ack: int | None = None, *, win: int = 1000, length: int = 0,
    options: TcpOptions = NONE,
) -> Tcp:  # fmt: skip
    flags = Flag(sum(FLAGS[letter] for letter in letters))
    return Tcp(1025, 22, flags, seq % WORD, None if ack is None else ack % WORD, win, length, options)


def held(
    sender: Side, receiver: Side, one: Tcp, *, reply: bool = False, opening: bool = False,
    syn_sent: bool = False, be_liberal: bool = False, variant: Variant = VARIANTS[0],
) -> Outside | None:  # fmt: skip
    return check(
        sender, receiver, one, reply=reply, opening=opening, syn_sent=syn_sent, be_liberal=be_liberal,
        variant=variant,
    )  # fmt: skip


def opened(
    *, base: int = 0, scales: tuple[int | None, int | None] = (None, None), sack: bool = True, win: int = 1000
) -> tuple[Side, Side]:
    """Both sides after SYN, SYN/ACK and ACK; the client counts from *base*, the server from *base* + 5000."""
    client, server = Side(), Side()
    ours, theirs = (
        TcpOptions(wscale=scale, sack_ok=sack, size=8 if sack or scale is not None else 0) for scale in scales
    )
    open_windows(client, server, tcp("S", base, options=ours, win=win))
    answer = tcp("SA", base + 5000, base + 1, options=theirs, win=win)
    assert held(server, client, answer, reply=True, opening=True, syn_sent=True) is None
    assert held(client, server, tcp("A", base + 1, base + 5001, win=win), opening=True) is None
    return client, server


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (2, 1, True),
        (1, 1, False),
        (1, 2, False),
        (0, WORD - 1, True),
        (WORD - 1, 0, False),
        (5, WORD - 5, True),
    ],
)
def test_past_in_a_space_that_wraps(*, one: int, other: int, expected: bool) -> None:
    assert past(one, other) is expected


@pytest.mark.parametrize(
    ("one", "end"),
    [
        (tcp("A", 10, 1), 10),
        (tcp("S", 10), 11),
        (tcp("FA", 10, 1, length=5), 16),
        (tcp("PA", WORD - 3, 1, length=5), 2),
        (replace(tcp("A", 10, 1), relative=True), None),
        (replace(tcp("A", 10, 1), seq=None), None),
    ],
)
def test_where_a_segment_ends(one: Tcp, end: int | None) -> None:
    assert end_of(one) == end


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (tcp("A", 1, 1), True),
        (tcp("R", 1), True),
        (tcp("A", 1), False),
        (replace(tcp("A", 1, 1), window=None), False),
        (replace(tcp("A", 1, 1), length=None), False),
        (replace(tcp("A", 1, 1), seq=None), False),
        (replace(tcp("A", 1, 1), relative=True), False),
        (tcp("S", 1, options=TcpOptions()), False),
        (tcp("S", 1, options=TcpOptions(mss=1460)), True),
        (tcp("A", 1, 1, options=TcpOptions()), True),
    ],
)
def test_what_has_to_be_shown(*, one: Tcp, expected: bool) -> None:
    assert numbered(one) is expected


def between(ends: tuple[IPAddress, IPAddress], way: int, one: Tcp) -> Packet:
    """A segment of the first end (0) or of the second (1)."""
    sport, dport = (1025, 22) if way == 0 else (22, 1025)
    return Packet(ip=Ip(ends[way], ends[1 - way], TCP), tcp=replace(one, sport=sport, dport=dport))


REFUSED, PASSED = True, False


@pytest.mark.parametrize(
    "base", [0, WORD - 3, WORD - 5003, 1 << 31], ids=["low", "wrap", "peer wraps", "half"]
)
@pytest.mark.parametrize(
    ("one", "refused", "words"),
    [
        (tcp("PA", 1, 5001, length=1000), None, ""),  # exactly the window
        (tcp("A", 1001, 5001), None, ""),  # begins at its edge, and is empty
        (
            tcp("A", 1002, 5001),
            PASSED,
            "2 bytes more than expected",
        ),  # one past it: let through, and believed
        (tcp("PA", 1003, 5001, length=997), PASSED, "1000 bytes more than expected"),
        (tcp("PA", 1003, 5001, length=998), REFUSED, "SEQ is over upper bound"),
        (tcp("A", 1, 5002), REFUSED, "ACK is over upper bound"),
        (tcp("A", 1 - 999, 5001), None, ""),
        (tcp("A", 1 - 1000, 5001), None, ""),
        (tcp("A", 1 - 1001, 5001), PASSED, "SEQ is under lower bound"),
        (tcp("A", 1, 5001 - 66_000), None, ""),
        (tcp("A", 1, 5001 - 66_001), PASSED, "ignored ACK under lower bound"),
        (tcp("R", 1), None, ""),
        (tcp("RA", 1, 0), None, ""),  # a RST that acknowledges nothing
    ],
)
def test_the_four_bounds(*, base: int, one: Tcp, refused: bool | None, words: str) -> None:
    client, server = opened(base=base, sack=False)
    moved = replace(
        one,
        seq=((one.seq or 0) + base) % WORD,
        ack=one.ack if not one.ack else (one.ack + base) % WORD,
    )

    outside = held(client, server, moved)

    assert (None if outside is None else outside.refused) == refused
    assert words in ("" if outside is None else outside.log)


@pytest.mark.parametrize("liberal", ["sysctl", "side"])
def test_a_liberal_tracker_takes_what_is_outside(liberal: str) -> None:
    client, server = opened()
    before = replace(client)
    client.liberal = before.liberal = liberal == "side"

    assert held(client, server, tcp("A", 1, 9999), be_liberal=liberal == "sysctl") is TOLERATED
    assert client == before


@pytest.mark.parametrize(
    ("release", "one", "refused", "words"),
    [
        ("6.18", tcp("A", 1002, 5001), PASSED, "nf_ct_proto_6: 2 bytes more than expected"),
        ("6.0", tcp("A", 1002, 5001), REFUSED, "bytes more than expected"),
        ("5.15", tcp("A", 1002, 5001), REFUSED, "nf_ct_proto_6: SEQ is over the upper bound"),
        ("5.4", tcp("A", 1002, 5001), REFUSED, "nf_ct_tcp: SEQ is over the upper bound"),
        ("6.1", tcp("A", -2000, 5001), PASSED, "SEQ is under lower bound"),
        ("6.0", tcp("A", -2000, 5001), REFUSED, "SEQ is under the lower bound (already ACKed data"),
        (
            "5.4",
            tcp("A", 1, 5001 - 70_000),
            REFUSED,
            "ACK is under the lower bound (possible overly delayed ACK)",
        ),
    ],
)
def test_bounds_of_older_kernels(*, release: str, one: Tcp, refused: bool, words: str) -> None:
    client, server = opened(sack=False)

    outside = held(client, server, one, variant=variant_of(release))

    assert outside is not None
    assert outside.refused is refused
    assert words in outside.log


def test_what_overshoots_the_window_counts_as_sent() -> None:
    client, server = opened()

    assert held(client, server, tcp("A", 1002, 5001)) is not None

    assert client.end == 1002
    assert held(server, client, tcp("A", 5001, 1002), reply=True) is None


@pytest.mark.parametrize(
    ("scales", "edge"),
    [
        ((None, None), 1 + 1000),
        ((2, 3), 1 + (1000 << 3)),
        ((None, 3), 1 + 1000),  # RFC 7323: both or none
        ((2, None), 1 + 1000),
        ((2, 14), 1 + (1000 << 14)),
        ((2, 15), 1 + (1000 << 14)),  # the largest that counts
        ((0, 0), 1 + 1000),
    ],
)
def test_window_scaling(scales: tuple[int | None, int | None], edge: int) -> None:
    client, server = opened(scales=scales)

    assert held(server, client, tcp("A", 5001, 1), reply=True) is None

    assert client.edge == edge


def test_the_window_of_a_syn_is_never_scaled() -> None:
    client, server = Side(), Side()
    options = TcpOptions(wscale=7, size=4)
    open_windows(client, server, tcp("S", 0, options=options, win=100))
    held(
        server, client, tcp("SA", 5000, 1, options=options, win=100), reply=True, opening=True, syn_sent=True
    )

    assert (client.window, server.window, client.edge) == (100, 100, 101)


@pytest.mark.parametrize(("sack", "refused"), [(True, None), (False, False)])
def test_a_selective_acknowledgement_counts_as_the_highest(*, sack: bool, refused: bool | None) -> None:
    """An old ACK that reports later data is no old segment, if the connection agreed on SACK."""
    client, server = opened(sack=sack)
    for start in range(1, 80_001, 1000):
        assert held(client, server, tcp("PA", start, 5001, length=1000)) is None
        assert held(server, client, tcp("A", 5001, start + 1000), reply=True) is None
    late = tcp("A", 5001, 1, options=TcpOptions(sack=((79_001, 80_001),), size=12))

    outside = held(server, client, late, reply=True)

    assert (None if outside is None else outside.refused) is refused


def test_a_selective_acknowledgement_of_what_was_not_sent_is_refused() -> None:
    client, server = opened()

    outside = held(
        server, client, tcp("A", 5001, 1, options=TcpOptions(sack=((50, 60),), size=12)), reply=True
    )

    assert outside is not None
    assert outside.refused


def test_both_open_at_once() -> None:
    """Two SYNs that cross: the second opens its side, and is taken without a look at its numbers."""
    client, server = Side(), Side()
    open_windows(client, server, tcp("S", 100, win=500))

    assert held(server, client, tcp("S", 7000, win=700), reply=True, syn_sent=True, opening=True) is TOLERATED
    assert (server.end, server.edge, server.window) == (7001, 7001, 700)
    assert held(client, server, tcp("SA", 100, 7001, win=500)) is None
    assert held(server, client, tcp("SA", 7000, 101, win=700), reply=True) is None
    assert (client.edge, server.edge) == (801, 7501)


def test_a_connection_picked_up_midway_refuses_nothing() -> None:
    client, server = Side(), Side()
    open_windows(client, server, tcp("PA", 1000, 5000, length=100))

    assert client.liberal
    assert server.liberal
    assert (client.end, client.edge) == (1100, 2100)
    assert held(server, client, tcp("A", 5000, 1100), reply=True) is None
    assert held(client, server, tcp("A", 900_000, 800_000)) is TOLERATED


def test_a_new_syn_opens_a_side_anew() -> None:
    """A SYN/ACK with a higher number than the last one, while the connection is being opened."""
    client, server = Side(), Side()
    open_windows(client, server, tcp("S", 100))
    held(server, client, tcp("SA", 5000, 101), reply=True, opening=True, syn_sent=True)

    assert held(server, client, tcp("SA", 6000, 101), reply=True, opening=True) is None
    assert server.end == 6001


def test_a_closed_window_is_remembered_as_one_byte() -> None:
    client, server = opened()

    assert held(server, client, tcp("A", 5001, 1, win=0), reply=True) is None

    assert client.edge == 1001  # a window never shrinks for the tracker


def test_data_is_unacknowledged_until_all_of_it_is_acknowledged() -> None:
    client, server = opened()

    held(client, server, tcp("PA", 1, 5001, length=10))
    assert client.unacknowledged
    held(server, client, tcp("A", 5001, 6), reply=True)
    assert client.unacknowledged
    held(server, client, tcp("A", 5001, 11), reply=True)
    assert not client.unacknowledged


def test_the_flags_that_ctnetlink_shows() -> None:
    memory = TcpMemory(
        original=Side(scaling=True, sack=True), reply=Side(closing=True, acked=7, liberal=True)
    )

    assert memory.shown_flags == (("WINDOW_SCALE", "SACK_PERM"), ("CLOSE_INIT", "BE_LIBERAL", "MAXACK_SET"))


@pytest.mark.parametrize(
    ("client", "server"), [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")], ids=["ipv4", "ipv6"]
)
def test_a_whole_connection_is_the_same_in_both_families(client: str, server: str) -> None:
    """Table, windows, timeouts and reasons hang on no address family."""
    table = ConntrackTable(
        namespace({"nf_conntrack_tcp_timeout_established": 777}), oracle=Told(), kernel="6.18"
    )
    ends = (address(client), address(server))
    sent = [
        (0, tcp("S", 0)), (1, tcp("SA", 5000, 1)), (0, tcp("A", 1, 5001)), (0, tcp("PA", 1, 5001, length=9)),
        (1, tcp("A", 5001, 10)), (1, tcp("A", 5001, 11)), (1, tcp("R", 5003)), (0, tcp("FA", 10, 5001)),
        (1, tcp("FA", 5001, 11)), (0, tcp("A", 11, 5002)),
    ]  # fmt: skip
    told = []
    for way, one in sent:
        tracking = table.track(between(ends, way, one), 0)
        table.confirm(tracking, 0)
        (entry,) = table.connections()
        assert entry.tcp is not None
        assert entry.expires_ns is not None
        told.append((str(tracking.state), entry.tcp.state, entry.expires_ns // SECOND, tracking.log))

    assert [(verdict, state.value, time) for verdict, state, time, _ in told] == [
        ("NEW", "SYN_SENT", 120),
        ("ESTABLISHED", "SYN_RECV", 60),
        ("ESTABLISHED", "ESTABLISHED", 777),
        ("ESTABLISHED", "ESTABLISHED", 300),
        ("ESTABLISHED", "ESTABLISHED", 777),
        ("INVALID", "ESTABLISHED", 777),
        ("ESTABLISHED", "ESTABLISHED", 10),
        ("ESTABLISHED", "FIN_WAIT", 120),
        ("ESTABLISHED", "LAST_ACK", 30),
        ("ESTABLISHED", "TIME_WAIT", 120),
    ]
    assert "ACK is over upper bound 11" in told[5][3]
    assert told[-1][1] is TcpState.TIME_WAIT


def test_a_segment_without_numbers_says_that_its_window_is_not_known() -> None:
    table = ConntrackTable(namespace(), oracle=Told(), kernel="6.18")
    ends = (address("192.0.2.1"), address("192.0.2.2"))
    sent = [(0, tcp("S", 0)), (1, tcp("SA", 5000, 1)), (0, replace(tcp("A", 1, 5001), seq=None, window=None))]
    whys = []
    for way, one in sent:
        tracking = table.track(between(ends, way, one), 0)
        table.confirm(tracking, 0)
        whys.append(tracking.why)

    assert ["window is not known" in why for why in whys] == [False, False, True]
