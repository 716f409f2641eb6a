"""UDP, ICMP, zones of one direction, clashes and a full table, story by story."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bothways.facts.address import address
from bothways.facts.choice import Assumption, Freedom
from bothways.facts.conntrack import Entry, Tuple
from bothways.facts.dump import Dump
from bothways.facts.packet import ICMP, ICMP6, TCP, UDP, Flag, Icmp, Ip, Packet, Tcp, Udp
from bothways.facts.snapshot import Netns, Sysctl
from bothways.facts.span import Span
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import CtState, Tracking
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.hook import Hook

A, B = address("192.0.2.1"), address("198.51.100.1")
A6, B6 = address("2001:db8:1::1"), address("2001:db8:2::1")
SECOND = 1_000_000_000


class Taker:
    """Takes the option that holds a word, else the first; remembers what it was asked and told."""

    def __init__(self, word: str = "") -> None:
        self.word = word
        self.asked: list[str] = []
        self.assumed: list[Assumption] = []

    def choose(
        self,
        key: str,
        options: Sequence[str],
        *,
        freedom: Freedom,
        recorded: str | None = None,
        evidence: tuple[Span, ...] = (),
    ) -> str:
        del freedom, recorded, evidence
        self.asked.append(key)
        return next((each for each in options if self.word and self.word in each), options[0])

    def assume(self, assumption: Assumption) -> None:
        self.assumed.append(assumption)


def table(
    *rows: Entry, kernel: str | None = None, oracle: Taker | None = None, **sysctls: int
) -> ConntrackTable:
    settings = tuple(
        Sysctl(f"net.netfilter.{name}", str(value), Span("sysctl.txt", line=1))
        for name, value in sysctls.items()
    )
    netns = Netns("host1", "root", conntrack=Dump(rows, "conntrack"), sysctls=Dump(settings, "sysctl"))
    return ConntrackTable(netns, oracle=oracle or Taker(), kernel=kernel)


def udp(*, back: bool = False, sport: int = 4000, length: int | None = 8, **more: bool) -> Packet:
    src, dst = (B, A) if back else (A, B)
    ports = (53, sport) if back else (sport, 53)
    return Packet(ip=Ip(src, dst, UDP), udp=Udp(*ports, length, **more))


def icmp(kind: int, *, code: int = 0, ident: int = 7, back: bool = False, six: bool = False) -> Packet:
    src, dst = (A6, B6) if six else (A, B)
    src, dst = (dst, src) if back else (src, dst)
    return Packet(ip=Ip(src, dst, ICMP6 if six else ICMP), icmp=Icmp(kind, code, ident, 1))


def about(quoted: Packet, kind: int = 3) -> Packet:
    """An error that goes to the sender of *quoted*."""
    assert quoted.ip is not None
    return Packet(ip=Ip(quoted.ip.dst, quoted.ip.src, ICMP), icmp=Icmp(kind, 3, inner=quoted))


def taken(tracker: ConntrackTable, packet: Packet, now: float = 0, **how: object) -> Tracking:
    when = round(now * SECOND)
    found = tracker.track(packet, when, **how)  # type: ignore[arg-type]  # the keywords of track
    assert tracker.confirm(found, when) is None
    return found


def row(sport: int = 4000, *, status: frozenset[str] = frozenset(), zone: int = 0) -> Entry:
    one, back = Tuple(UDP, A, B, sport, 53), Tuple(UDP, B, A, 53, sport)
    return Entry(one, back, Span("conntrack.txt", line=sport), timeout=20, status=status, zone=zone)


@pytest.mark.parametrize(
    ("kernel", "when", "assured", "left"),
    [
        ("6.18.0", 1.9, False, 30),
        ("6.18.0", 2.0, False, 30),  # later than two seconds, not at two
        ("6.18.0", 2.1, True, 120),
        ("5.15.0", 1.9, True, 30),
        ("5.15.0", 2.1, True, 120),
        ("4.19.0", 0.1, True, 120),
    ],
)
def test_when_udp_is_a_stream(kernel: str, when: float, *, assured: bool, left: int) -> None:
    tracker = table(kernel=kernel)
    taken(tracker, udp())
    first = taken(tracker, udp(back=True), 0.05)
    assert first.connection is not None
    assert first.connection.status & {"ASSURED"} == set()  # the answer that comes first does not count

    found = taken(tracker, udp(), when).connection

    assert found is not None
    assert ("ASSURED" in found.status) is assured
    assert found.expires_ns == round((when + left) * SECOND)


@pytest.mark.parametrize(
    ("packet", "log"),
    [
        (udp(checksum_ok=False), "nf_ct_proto_17: bad checksum"),
        (udp(header_ok=False), "nf_ct_proto_17: truncated/malformed packet"),
        (udp(header_ok=False, length=None), "nf_ct_proto_17: short packet"),
        (Packet(ip=Ip(A, B, UDP)), ""),  # not even ports
        (Packet(ip=Ip(A, B, ICMP)), "nf_ct_proto_1: short packet"),
        (Packet(ip=Ip(A6, B6, ICMP6)), "nf_ct_proto_58: short packet"),
        (icmp(19), "nf_ct_proto_1: invalid icmp type"),
        (icmp(0), ""),  # an answer to nothing
        (icmp(9), ""),
        (icmp(129, six=True), ""),
        (icmp(153, six=True), ""),
        (icmp(137, six=True), "nf_ct_proto_58: invalid saddr or hoplimit for redirect"),
    ],
)
def test_what_is_refused_in_the_kernels_words(packet: Packet, log: str) -> None:
    found = table().track(packet, 0)

    assert (found.state, found.log) == (CtState.INVALID, log)
    assert found.why


def test_a_bad_checksum_counts_where_packets_come_in_and_if_a_sysctl_says_so() -> None:
    bad = udp(checksum_ok=False)

    assert table().track(bad, 0, hook=Hook.OUTPUT).state is CtState.NEW
    assert table(nf_conntrack_checksum=0).track(bad, 0).state is CtState.NEW
    refused = table(nf_conntrack_checksum=1).track(bad, 0)
    assert refused.evidence[0].file == "sysctl.txt"


@pytest.mark.parametrize(("kernel", "state"), [("6.18.0", CtState.UNTRACKED), ("5.10.0", CtState.INVALID)])
def test_how_multicast_routers_are_found_is_left_out_since_a_release(kernel: str, state: CtState) -> None:
    assert table(kernel=kernel).track(icmp(151, six=True), 0).state is state


@pytest.mark.parametrize("query", [8, 13, 15, 17])
def test_a_query_and_its_answer(query: int) -> None:
    tracker = table()
    answer = {8: 0, 13: 14, 15: 16, 17: 18}[query]

    assert taken(tracker, icmp(query)).state is CtState.NEW
    assert tracker.track(icmp(answer, back=True, ident=8), 0).state is CtState.INVALID
    assert tracker.track(icmp(answer, back=True, code=1), 0).state is CtState.INVALID
    assert taken(tracker, icmp(answer, back=True)).state is CtState.ESTABLISHED


def test_an_error_follows_what_it_quotes() -> None:
    tracker = table()
    taken(tracker, udp())
    astray = replace(about(udp()), ip=Ip(B, address("192.0.2.9"), ICMP))

    assert taken(tracker, about(udp())).way is Way.REPLY
    assert taken(tracker, about(udp(back=True))).way is Way.ORIGINAL
    assert tracker.track(about(udp(sport=4001)), 0).state is CtState.INVALID
    refused = tracker.track(astray, 0)
    assert refused.log == "nf_ct_proto_1: outer daddr 192.0.2.9 != inner 192.0.2.1"
    for nothing in (icmp(3), icmp(9)):
        assert tracker.track(about(nothing), 0).state is CtState.INVALID


def test_an_error_without_its_quote_is_said_to_be_unknown() -> None:
    oracle = Taker()

    assert table(oracle=oracle).track(icmp(3), 0).state is CtState.INVALID
    assert "not recorded" in oracle.assumed[0].text


def test_a_zone_for_one_direction() -> None:
    """``--zone-orig 1``: the answers come back in zone 0, and two flows with the same answers clash."""
    tracker = table()
    first = taken(tracker, udp(), zone=1, half=Way.ORIGINAL)

    assert first.state is CtState.NEW
    assert tracker.track(udp(), 0).state is CtState.NEW  # zone 0 does not know it in its original direction
    answer = taken(tracker, udp(back=True))
    assert (answer.state, answer.connection) == (CtState.ESTABLISHED, first.connection)
    again = taken(tracker, udp(), zone=1, half=Way.ORIGINAL)
    assert (again.state, again.connection) == (CtState.ESTABLISHED, first.connection)


def test_two_zones_for_originals_share_the_answers() -> None:
    tracker = table(kernel="6.18.0")
    syn = Packet(ip=Ip(A, B, TCP), tcp=Tcp(1, 2, Flag.SYN, 1, None, 100, 0))
    taken(tracker, syn, zone=1, half=Way.ORIGINAL)
    other = tracker.track(syn, 0, zone=2, half=Way.ORIGINAL)

    assert other.state is CtState.NEW
    assert "insert_failed" in (tracker.confirm(other, 0) or "")


def test_what_stands_behind_another_is_found_again() -> None:
    tracker = table()
    first = taken(tracker, udp(), zone=1)
    second = taken(
        tracker, udp(back=True), zone=1, half=Way.ORIGINAL
    )  # its original looks like those answers

    assert second.connection is not first.connection
    assert {each.original for each in tracker.entries()} == {
        Tuple(UDP, A, B, 4000, 53), Tuple(UDP, B, A, 53, 4000),
    }  # fmt: skip
    assert second.connection is not None
    tracker.kill(second.connection)
    assert taken(tracker, udp(back=True), zone=1).connection is first.connection


def test_two_first_packets_of_one_udp_flow() -> None:
    tracker = table()
    one, other = tracker.track(udp(), 0), tracker.track(udp(), 0)

    assert one.connection is not other.connection
    assert tracker.confirm(one, 0) is None
    assert tracker.confirm(other, 0) is None  # goes on as a packet of the first
    assert len(tracker.entries()) == 1


def test_two_first_packets_of_one_query() -> None:
    tracker = table()
    one, other = tracker.track(icmp(8), 0), tracker.track(icmp(8), 0)

    assert tracker.confirm(one, 0) is None
    assert "insert_failed" in (tracker.confirm(other, 0) or "")


def translated(found: Tracking, port: int) -> Tracking:
    assert found.connection is not None
    found.connection.reply = replace(found.connection.reply, src=address("203.0.113.9"), dport=port)
    found.connection.status |= {"DST_NAT", "SRC_NAT_DONE", "DST_NAT_DONE"}
    return found


@pytest.mark.parametrize(("kernel", "lost"), [("6.18.0", False), ("5.6.0", True)])
def test_two_first_packets_translated_differently(kernel: str, *, lost: bool) -> None:
    """The later one is found by its answers alone, for a second; before 5.7 it was dropped."""
    tracker = table(kernel=kernel)
    one, other = translated(tracker.track(udp(), 0), 4000), translated(tracker.track(udp(), 0), 4001)
    assert tracker.confirm(one, 0) is None

    why = tracker.confirm(other, 0)

    assert (why is not None) is lost
    if lost:
        return
    assert other.connection is not None
    assert other.connection.status >= {"NAT_CLASH", "FIXED_TIMEOUT", "CONFIRMED"}
    assert tracker.track(udp(), 0).connection is one.connection
    answer = Packet(ip=Ip(address("203.0.113.9"), A, UDP), udp=Udp(53, 4001, 8))
    for when in (0.5, 0.9):
        found = tracker.track(answer, round(when * SECOND))
        assert found.connection is other.connection
    assert "ASSURED" not in other.connection.status
    assert tracker.track(answer, round(1.1 * SECOND)).connection is not other.connection


ASSURED = frozenset({"ASSURED"})


def test_a_full_table_drops() -> None:
    oracle = Taker()
    tracker = table(row(status=ASSURED), oracle=oracle, nf_conntrack_max=1)

    found = tracker.track(udp(sport=5000), 0)

    assert found.dropped
    assert found.log == "nf_conntrack: table full, dropping packet"
    assert oracle.asked == []
    assert not tracker.track(udp(), 0).dropped  # those that it knows go on


@pytest.mark.parametrize(("word", "dropped", "left"), [("packet is dropped", True, 1), ("removed", False, 1)])
def test_who_goes_for_another_is_open(word: str, *, dropped: bool, left: int) -> None:
    oracle = Taker(word)
    tracker = table(row(), oracle=oracle, nf_conntrack_max=1)

    found = tracker.track(udp(sport=5000), 0)
    tracker.confirm(found, 0)

    assert found.dropped is dropped
    assert oracle.asked == ["conntrack full host1"]
    assert len(tracker.entries()) == left
    assert (tracker.entries()[0].original.sport == 4000) is dropped


@pytest.mark.parametrize(
    ("sysctls", "dropped"),
    [
        ({}, False),  # nobody knows the limit
        ({"nf_conntrack_max": 0}, False),  # none
        ({"nf_conntrack_max": 2}, False),
        ({"nf_conntrack_max": 2, "nf_conntrack_count": 2}, True),  # the dump shows fewer than there were
        ({"nf_conntrack_max": 9, "nf_conntrack_count": 1}, False),
    ],
)
def test_when_a_table_is_full(sysctls: dict[str, int], *, dropped: bool) -> None:
    tracker = table(row(status=ASSURED), **sysctls)  # type: ignore[arg-type]  # names of sysctls only

    assert tracker.track(udp(sport=5000), 0).dropped is dropped


def test_labels_of_a_dump_stay() -> None:
    tracker = table(replace(row(), label=5))

    assert [each.label for each in tracker.entries()] == [5]


def test_a_udp_line_of_a_dump_is_old_enough_to_be_a_stream() -> None:
    found = table(row()).track(udp(), 0).connection

    assert found is not None
    assert found.expires_ns == 120 * SECOND
    assert "ASSURED" in found.status
