"""What a packet is to the tracker, and what stands in its table afterwards."""

import pytest
from conntrack_samples import SECOND, Told, icmp, namespace, other, tcp, udp
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.address import address
from bothways.facts.conntrack import Entry, Tuple
from bothways.facts.packet import ICMP, TCP, UDP, Ethernet, Ip, Packet
from bothways.facts.span import Span
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import CtState, Tracking
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.hook import Hook

CLIENT, SERVER, ROUTER = "198.51.100.1:40000", "203.0.113.9:22", "192.0.2.1"
THERE, BACK = (CLIENT, SERVER), (SERVER, CLIENT)
LINE = Span("conntrack.txt", 3, text="a line")


def table(sysctls: dict[str, int] | None = None, *rows: Entry, oracle: Told | None = None) -> ConntrackTable:
    netns = namespace({} if sysctls is None else sysctls, rows or None)
    return ConntrackTable(netns, oracle=oracle or Told(), kernel=None)


def entry(protocol: int = TCP, state: str | None = "ESTABLISHED", timeout: int = 100, *flags: str) -> Entry:
    src, dst = address("198.51.100.1"), address("203.0.113.9")
    return Entry(
        Tuple(protocol, src, dst, 40000, 22),
        Tuple(protocol, dst, src, 22, 40000),
        LINE,
        state,
        timeout,
        frozenset(flags),
    )


def passing(tracker: ConntrackTable, packet: Packet, now_s: float = 0, zone: int = 0) -> Tracking:
    """Let a packet pass all hooks."""
    now = int(now_s * SECOND)
    tracking = tracker.track(packet, now, zone=zone)
    assert tracker.confirm(tracking, now) is None
    return tracking


def test_a_handshake_makes_one_entry() -> None:
    tracker = table()
    seen = [
        passing(tracker, tcp(*THERE, "S", seq=1)),
        passing(tracker, tcp(*BACK, "S.", seq=9, ack=2)),
        passing(tracker, tcp(*THERE, ".", seq=2, ack=10)),
    ]

    assert [(t.state, t.way) for t in seen] == [
        (CtState.NEW, Way.ORIGINAL),
        (CtState.ESTABLISHED, Way.REPLY),
        (CtState.ESTABLISHED, Way.ORIGINAL),
    ]
    assert seen[0].cell == "NONE/original/SYN"
    (one,) = tracker.entries()
    assert (one.state, one.timeout, one.status) == ("ESTABLISHED", 432_000, frozenset({"ASSURED"}))


def test_the_answer_went_another_way() -> None:
    tracker = table()
    syn = passing(tracker, tcp(*THERE, "S"))
    ack = passing(tracker, tcp(*THERE, "."))

    assert (ack.state, ack.way, ack.connection) == (CtState.INVALID, None, None)
    assert ack.cell == "SYN_SENT/original/ACK"
    assert "SYN/ACK" in ack.why
    assert ack.log == "nf_ct_proto_6: packet (index 3) in dir 0 invalid, state SYN_SENT"
    assert ack.refused_by is syn.connection
    (one,) = tracker.entries()
    assert (one.state, one.status) == ("SYN_SENT", frozenset({"UNREPLIED"}))


def test_a_packet_that_is_dropped_on_its_way_leaves_no_entry() -> None:
    tracker = table()
    tracker.track(tcp(*THERE, "S"), 0)

    assert tracker.entries() == ()
    assert passing(tracker, tcp(*BACK, "S.")).state is CtState.INVALID


def test_a_rst_on_an_unanswered_connection_takes_the_entry_away_but_is_still_translated() -> None:
    tracker = table()
    syn = passing(tracker, tcp(*THERE, "S"))
    rst = passing(tracker, tcp(*BACK, "R."))

    assert (rst.state, rst.connection) == (CtState.ESTABLISHED, syn.connection)
    assert tracker.entries() == ()


def test_a_syn_reopens_a_closed_connection() -> None:
    tracker = table({}, entry(TCP, "TIME_WAIT"))
    again = passing(tracker, tcp(*THERE, "S"))

    assert (again.state, again.cell) == (CtState.NEW, "NONE/original/SYN")
    assert [e.state for e in tracker.entries()] == ["SYN_SENT"]
    assert tracker.entries()[0].span != LINE


def test_a_connection_that_was_dumped_is_known_and_quotes_its_line() -> None:
    tracker = table({}, entry())
    data = passing(tracker, tcp(*BACK, "P."))

    assert (data.state, data.way, data.evidence) == (CtState.ESTABLISHED, Way.REPLY, (LINE,))
    assert tracker.entries()[0].span == LINE


@pytest.mark.parametrize("flags", [(), ("UNREPLIED",), ("ASSURED",)])
def test_an_entry_reads_back_as_it_was_dumped(flags: tuple[str, ...]) -> None:
    dumped = entry(TCP, "SYN_RECV", 7, *flags)

    assert table({}, dumped).entries() == (dumped,)


@pytest.mark.parametrize(
    ("sysctls", "state", "words"),
    [
        (None, CtState.NEW, "nf_conntrack_tcp_loose is 1"),
        ({"nf_conntrack_tcp_loose": 1}, CtState.NEW, ""),
        ({"nf_conntrack_tcp_loose": 0}, CtState.INVALID, ""),
    ],
)
def test_a_pick_up_midway_hangs_on_a_sysctl(
    sysctls: dict[str, int] | None, state: CtState, words: str
) -> None:
    oracle = Told()
    tracker = table(sysctls, oracle=oracle)
    found = passing(tracker, tcp(*THERE, "."))

    assert found.state is state
    assert words in oracle.words
    assert bool(oracle.words) == (sysctls is None)
    assert [s.file for s in found.evidence] == ([] if sysctls is None else ["sysctl.txt"])


def test_defaults_are_told_only_when_they_decide() -> None:
    oracle = Told()
    tracker = table(oracle=oracle)
    for packet in (tcp(*THERE, "S"), tcp(*BACK, "S."), tcp(*THERE, ".")):
        passing(tracker, packet)

    assert oracle.assumed == []


@pytest.mark.parametrize(
    ("hook", "sysctls", "ok", "state"),
    [
        (Hook.PREROUTING, {}, False, CtState.INVALID),
        (Hook.PREROUTING, {}, True, CtState.NEW),
        (Hook.PREROUTING, {}, None, CtState.NEW),
        (Hook.PREROUTING, {"nf_conntrack_checksum": 0}, False, CtState.NEW),
        (Hook.OUTPUT, {}, False, CtState.NEW),
    ],
)
def test_a_wrong_checksum(hook: Hook, sysctls: dict[str, int], ok: bool | None, state: CtState) -> None:  # noqa: FBT001 - a column of the table
    oracle = Told()
    found = table(sysctls, oracle=oracle).track(tcp(*THERE, "S", checksum_ok=ok), 0, hook=hook)

    assert found.state is state
    assert ("not left to a device" in oracle.words) == (state is CtState.INVALID)
    assert ("bad checksum" in found.log) == (state is CtState.INVALID)


def test_flags_that_no_tcp_sends() -> None:
    found = passing(table(), tcp(*THERE, "SF"))

    assert (found.state, found.log) == (CtState.INVALID, "nf_ct_proto_6: invalid tcp flag combination")


def test_old_kernels_have_other_words() -> None:
    tracker = ConntrackTable(namespace({}), oracle=Told(), kernel="Linux h 4.4.0-210-generic")
    passing(tracker, tcp(*THERE, "S"))

    assert passing(tracker, tcp(*THERE, ".")).log == "nf_ct_tcp: invalid state"


def test_an_answer_without_its_question_is_invalid() -> None:
    found = passing(table(), tcp(*BACK, "S."))

    assert (found.state, found.log) == (CtState.INVALID, "nf_ct_proto_6: invalid new")
    assert found.refused_by is None


# -- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sysctls", "after_s", "state"),
    [
        ({}, 119, CtState.ESTABLISHED),
        ({}, 120, CtState.INVALID),
        ({"nf_conntrack_tcp_timeout_syn_sent": 5}, 4, CtState.ESTABLISHED),
        ({"nf_conntrack_tcp_timeout_syn_sent": 5}, 5, CtState.INVALID),
    ],
)
def test_an_entry_expires(sysctls: dict[str, int], after_s: int, state: CtState) -> None:
    oracle = Told()
    tracker = table(sysctls, oracle=oracle)
    passing(tracker, tcp(*THERE, "S"))
    late = passing(tracker, tcp(*BACK, "S."), after_s)

    assert late.state is state
    assert ("had expired" in late.why) == (state is CtState.INVALID)
    assert bool(oracle.assumed) == (state is CtState.INVALID and not sysctls)


def test_a_syn_that_is_sent_again_does_not_keep_an_entry_alive() -> None:
    tracker = table()
    passing(tracker, tcp(*THERE, "S"))
    passing(tracker, tcp(*THERE, "S"), 100)

    assert passing(tracker, tcp(*BACK, "S."), 121).state is CtState.INVALID


def test_a_dumped_entry_lives_as_long_as_the_dump_says() -> None:
    assert passing(table({}, entry(timeout=10)), tcp(*BACK, "."), 9).state is CtState.ESTABLISHED
    late = passing(table({}, entry(timeout=10)), tcp(*BACK, "S."), 10)
    assert late.state is CtState.INVALID
    assert "had expired" in late.why
    assert late.evidence == (LINE,)


def test_expired_entries_are_not_listed() -> None:
    tracker = table({}, entry(timeout=10))
    tracker.track(tcp("192.0.2.8:1", SERVER, "S"), 11 * SECOND)

    assert tracker.entries() == ()


# -- other protocols ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "at_s", "timeouts", "assured"),
    [
        ("6.1.0", 1, [30, 30, 30], False),
        ("6.1.0", 3, [30, 30, 120], True),
        (None, 3, [30, 30, 120], True),
        ("4.15.0", 1, [30, 30, 120], True),
    ],
)
def test_udp_becomes_a_stream(kernel: str | None, at_s: int, timeouts: list[int], assured: bool) -> None:  # noqa: FBT001 - a column of the table
    tracker = ConntrackTable(namespace({}), oracle=Told(), kernel=kernel)
    told = []
    for way, now in ((THERE, 0), (BACK, 0), (THERE, at_s)):
        passing(tracker, udp(*way), now)
        told.append(tracker.entries()[0].timeout)

    assert told == timeouts
    assert ("ASSURED" in tracker.entries()[0].status) == assured


def test_an_udp_answer_comes_from_the_same_port() -> None:
    tracker = table()

    assert passing(tracker, udp(*THERE)).state is CtState.NEW
    assert passing(tracker, udp(*THERE)).state is CtState.NEW
    assert passing(tracker, udp("203.0.113.9:23", CLIENT)).state is CtState.NEW
    assert passing(tracker, udp(*BACK)).state is CtState.ESTABLISHED


def test_ping_and_its_answer() -> None:
    tracker = table()
    there, back = ("198.51.100.1", "203.0.113.9"), ("203.0.113.9", "198.51.100.1")

    assert passing(tracker, icmp(*back, 0)).state is CtState.INVALID
    assert passing(tracker, icmp(*there, 8)).state is CtState.NEW
    assert passing(tracker, icmp(*back, 0, number=8)).state is CtState.INVALID
    assert passing(tracker, icmp(*back, 0)).state is CtState.ESTABLISHED
    assert tracker.entries()[0].timeout == 30


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (128, CtState.NEW),
        (129, CtState.INVALID),
        (135, CtState.UNTRACKED),
        (143, CtState.UNTRACKED),
    ],
)
def test_icmp6(kind: int, state: CtState) -> None:
    assert passing(table(), icmp("2001:db8::1", "2001:db8::2", kind)).state is state


@pytest.mark.parametrize(("protocol", "timeout"), [(89, 600), (47, 30)])
def test_other_protocols_are_told_apart_by_addresses(protocol: int, timeout: int) -> None:
    tracker = table()

    assert passing(tracker, other("192.0.2.1", "192.0.2.2", protocol)).state is CtState.NEW
    assert tracker.entries()[0].timeout == timeout
    assert passing(tracker, other("192.0.2.2", "192.0.2.1", protocol)).state is CtState.ESTABLISHED


def test_what_is_not_modelled_is_said() -> None:
    oracle = Told()
    passing(table(oracle=oracle), other("192.0.2.1", "192.0.2.2", 132))

    assert "SCTP" in oracle.words


# -- ICMP errors --------------------------------------------------------------------------------


def test_an_error_is_related_to_the_connection_that_it_quotes() -> None:
    tracker = table()
    syn = tcp(*THERE, "S")
    opened = passing(tracker, syn)
    error = passing(tracker, icmp(ROUTER, "198.51.100.1", 3, number=None, inner=syn))

    assert (error.state, error.way) == (CtState.RELATED, Way.REPLY)
    assert error.connection is opened.connection
    assert error.connection is not None
    assert "SEEN_REPLY" not in error.connection.status


@pytest.mark.parametrize(
    ("to", "inner", "words"),
    [
        ("198.51.100.1", tcp("198.51.100.1:1", SERVER, "S"), "no connection known"),
        ("198.51.100.7", tcp(*THERE, "S"), "about a packet of 198.51.100.1"),
        ("198.51.100.1", None, "not recorded"),
    ],
)
def test_an_error_about_something_else_is_invalid(to: str, inner: Packet | None, words: str) -> None:
    oracle = Told()
    tracker = table(oracle=oracle)
    passing(tracker, tcp(*THERE, "S"))
    found = passing(tracker, icmp(ROUTER, to, 3, number=None, inner=inner))

    assert found.state is CtState.INVALID
    assert words in found.why
    assert bool(oracle.assumed) == (inner is None)


# -- the rest -----------------------------------------------------------------------------------


def test_notrack() -> None:
    tracker = table()
    found = tracker.track(tcp(*THERE, "S"), 0, notrack=True)

    assert (found.state, found.connection, tracker.confirm(found, 0)) == (CtState.UNTRACKED, None, None)
    assert tracker.entries() == ()


def test_zones_do_not_know_each_other() -> None:
    tracker = table()
    passing(tracker, tcp(*THERE, "S"), zone=1)

    assert passing(tracker, tcp(*BACK, "S."), zone=2).state is CtState.INVALID
    assert passing(tracker, tcp(*BACK, "S."), zone=1).state is CtState.ESTABLISHED
    assert [e.zone for e in tracker.entries()] == [1]


def test_two_that_would_have_the_same_answer_clash_when_confirmed() -> None:
    dumped = entry()
    translated = Entry(
        Tuple(TCP, dumped.original.src, address("192.0.2.50"), 40000, 22),
        dumped.reply,
        LINE,
        "ESTABLISHED",
        99,
    )
    tracker = table({}, translated)
    tracking = tracker.track(tcp(*THERE, "S"), 0)
    why = tracker.confirm(tracking, 0)

    assert why is not None
    assert "192.0.2.50" in why
    assert len(tracker.entries()) == 1


def test_forget() -> None:
    tracker = table({}, entry())
    passing(tracker, tcp("192.0.2.7:1", SERVER, "S"))
    tracker.forget(lambda e: e.original.src == address("198.51.100.1"))

    assert [str(e.original.src) for e in tracker.entries()] == ["192.0.2.7"]
    assert passing(tracker, tcp(*BACK, "S.")).state is CtState.INVALID


def test_a_header_that_is_cut_belongs_to_nothing() -> None:
    cut = Packet(Ethernet(), ip=Ip(address("192.0.2.1"), address("192.0.2.2"), TCP))
    oracle = Told()
    tracker = table(oracle=oracle)

    assert passing(tracker, cut).state is CtState.INVALID
    assert oracle.assumed == []
    later = Packet(Ethernet(), ip=Ip(address("192.0.2.1"), address("192.0.2.2"), UDP, offset=1480))
    assert passing(tracker, later).state is CtState.INVALID
    assert "fragment" in oracle.words


def test_an_offloaded_connection_is_said_to_be() -> None:
    oracle = Told()
    tracker = table({}, entry(TCP, "ESTABLISHED", 100, "OFFLOAD"), oracle=oracle)
    passing(tracker, tcp(*BACK, "."))

    assert "offloaded" in oracle.words


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from(["S", "S.", ".", "P.", "F.", "R", "R.", "", "udp", "ping", "pong"]),
            st.integers(0, 500),
        ),
        max_size=12,
    )
)
def test_whatever_passes_the_table_stays_whole(packets: list[tuple[bool, str, int]]) -> None:
    """Both directions of an entry lead to it, none is over, and a valid packet names one."""
    tracker = table()
    now = 0
    for forth, what, wait in packets:
        now += wait
        ends = THERE if forth else BACK
        hosts = tuple(end.partition(":")[0] for end in ends)
        packet = {
            "udp": udp(*ends),
            "ping": icmp(hosts[0], hosts[1], 8),
            "pong": icmp(hosts[0], hosts[1], 0),
        }.get(what) or tcp(*ends, what if what in ("S", "S.", ".", "P.", "F.", "R", "R.") else "")
        found = passing(tracker, packet, now)
        assert (found.connection is None) == (found.state is CtState.INVALID)
        assert bool(found.why)
        for each in tracker.connections():
            assert "CONFIRMED" in each.status
            assert "DYING" not in each.status
            assert each.expires_ns is not None
            assert each.expires_ns > now * SECOND
    assert len(tracker.entries()) == len({(e.original, e.reply) for e in tracker.entries()})
    assert {e.original.protocol for e in tracker.entries()} <= {TCP, UDP, ICMP}


def test_a_packet_without_ports_in_the_dump_is_found() -> None:
    assert passing(table({}, entry(UDP, None)), udp(*BACK)).state is CtState.ESTABLISHED
