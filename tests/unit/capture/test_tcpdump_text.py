"""Texts as people paste them: the incident's, whole sessions with prompts and footers, styles of tcpdump."""

from __future__ import annotations

import pytest

from bothways.capture.order import backwards
from bothways.capture.tcpdump_text import TcpdumpText, read_tcpdump_text
from bothways.facts.packet import Flag
from bothways.facts.sighting import Direction, Tap
from bothways.facts.span import Kind

ANY = Tap("host5", "root", "any")
QG = Tap("host1", "qrouter", "qg-5d88ef18-33")
SEGMENT = "IP 192.0.2.1.1 > 198.51.100.22.22: Flags [.], length 0"
FILE = "hosts/host5/captures/root/any.txt"

INCIDENT = """\
root@host5:~# tcpdump -ni any tcp port 22 and host not 10.1.0.12
19:25:18.028119 IP 192.168.111.210.17350 > 88.88.88.4.22: Flags [S],
19:25:18.031503 IP 88.88.88.4.22 > 192.168.111.210.17350: Flags [S.],
19:25:18.031598 IP 192.168.111.223.22 > 192.168.111.210.17350: Flags [S.],
19:25:18.031596 IP 192.168.111.223.22 > 192.168.111.210.17350: Flags [S.],
19:25:19.228699 IP 88.88.88.4.22 > 192.168.111.210.17350: Flags [S.],
19:25:19.228721 IP 192.168.111.223.22 > 192.168.111.210.17350: Flags [S.],
19:25:19.228699 IP 192.168.111.223.22 > 192.168.111.210.17350: Flags [S.],
19:25:19.228963 IP 192.168.111.210.17350 > 88.88.88.4.22: Flags [R],
"""


def read(text: str, tap: Tap = ANY) -> TcpdumpText:
    return read_tcpdump_text(text, tap=tap, file=FILE)


def test_the_incidents_lines() -> None:
    answer = read(INCIDENT)

    assert answer.problems == ()
    assert [s.span.line for s in answer.sightings] == [2, 3, 4, 5, 6, 7, 8, 9]
    assert [s.position for s in answer.sightings] == list(range(8))
    assert answer.irrelevant == 1
    first = answer.sightings[0]
    assert (first.device, first.direction, first.clock_only) == (None, None, True)
    assert first.packet.tcp is not None
    assert (first.packet.tcp.flags, first.packet.tcp.seq, first.packet.tcp.length) == (Flag.SYN, None, None)
    assert first.span.text == INCIDENT.split("\n")[1]
    assert (first.packet.ethernet.src, first.packet.length) == ("", None)


def test_the_incidents_clock_runs_backwards_twice() -> None:
    (problem,) = backwards(read(INCIDENT).sightings)

    assert (problem.kind, problem.span.line) == (Kind.CONTRADICTION, 5)
    assert problem.message == "time stamps run backwards twice: lines 5 and 8"


def test_a_session_with_everything_around_the_packets() -> None:
    answer = read(
        """\
root@host1:~# ip netns exec qrouter tcpdump -ni qg-5d88ef18-33 tcp port 22
tcpdump: verbose output suppressed, use -v[v]... for full protocol decode
listening on qg-5d88ef18-33, link-type EN10MB (Ethernet), snapshot length 262144 bytes
19:25:18.000001 IP 192.0.2.1.17350 > 198.51.100.22.22: Flags [S], seq 1, win 64240, length 0

^C
1 packet captured
4 packets received by filter
2 packets dropped by kernel
root@host1:~#
""",
        QG,
    )

    assert answer.problems == ()
    assert (answer.captured, answer.received, answer.dropped, answer.snaplen) == (1, 4, 2, 262144)
    assert (len(answer.sightings), answer.sightings[0].device) == (1, "qg-5d88ef18-33")
    assert answer.irrelevant == 5


def test_the_footers_of_two_runs_add_up() -> None:
    answer = read("3 packets captured\n7 packets received by filter\n5 packets captured\n")

    assert (answer.captured, answer.received, answer.dropped) == (8, 7, None)


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("listening on any, link-type LINUX_SLL (Linux cooked v1), capture size 96 bytes", 96),
        ("tcpdump: listening on eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes", 262144),
        ("listening on eth0", None),
    ],
)
def test_the_snapshot_length(line: str, size: int | None) -> None:
    assert read(line).snaplen == size


def test_nothing_is_nothing() -> None:
    assert read("") == TcpdumpText()


def test_a_capture_of_all_devices_names_them_line_by_line() -> None:
    answer = read(
        f"19:25:18.000001 eth0  In  {SEGMENT}\n"
        f"19:25:18.000002 qg-5d88ef18-33 Out {SEGMENT}\n"
        f"19:25:18.000003 ?     In  {SEGMENT}\n"
    )

    assert [(s.device, s.direction) for s in answer.sightings] == [
        ("eth0", Direction.IN),
        ("qg-5d88ef18-33", Direction.OUT),
        (None, Direction.IN),
    ]


def test_relative_numbers_become_absolute() -> None:
    answer = read(
        "1:00:00.0 is no time stamp\n"
        "19:25:18.000001 IP 192.0.2.1.1 > 198.51.100.22.22: Flags [S], seq 3000000000, win 1, length 0\n"
        "19:25:18.000002 IP 198.51.100.22.22 > 192.0.2.1.1: "
        "Flags [S.], seq 4000000000, ack 3000000001, win 1, length 0\n"
        "19:25:18.000003 IP 192.0.2.1.1 > 198.51.100.22.22: Flags [.], ack 1, win 1, length 0\n"
        "19:25:18.000004 IP 198.51.100.22.22 > 192.0.2.1.1: Flags [P.], seq 1:42, ack 1, win 1, length 41\n"
        "19:25:18.000005 IP 192.0.2.1.1 > 198.51.100.22.22: "
        "Flags [.], ack 1, win 1, options [nop,nop,sack 1 {10:42}], length 0\n"
    )
    tcp = [s.packet.tcp for s in answer.sightings]

    assert [(t.seq, t.ack, t.relative) for t in tcp if t] == [
        (3_000_000_000, None, False),
        (4_000_000_000, 3_000_000_001, False),
        (None, 4_000_000_001, False),
        (4_000_000_001, 3_000_000_001, False),
        (None, 4_000_000_001, False),
    ]
    assert tcp[-1] is not None
    assert tcp[-1].options.sack == ((4_000_000_010, 4_000_000_042),)
    assert answer.irrelevant == 1


def test_a_second_run_in_the_same_text_counts_anew() -> None:
    run = """\
listening on eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes
19:25:18.000001 IP 192.0.2.1.1 > 198.51.100.22.22: Flags [S], seq 3000000000, win 1, length 0
19:25:18.000002 IP 192.0.2.1.1 > 198.51.100.22.22: Flags [.], ack {first}, win 1, length 0
19:25:18.000003 IP 192.0.2.1.1 > 198.51.100.22.22: Flags [.], ack 10, win 1, length 0
"""
    answer = read(run.format(first=4_000_000_001) + run.format(first=1_000_000_001))

    assert [s.packet.tcp.ack for s in answer.sightings if s.packet.tcp] == [
        None,
        4_000_000_001,
        4_000_000_010,
        None,
        1_000_000_001,
        1_000_000_010,
    ]


V = """\
19:25:18.000001 IP (tos 0x10, ttl 62, id 7, offset 0, flags [DF], proto TCP (6), length 60)
    192.0.2.1.1 > 198.51.100.22.22: Flags [S], cksum 0x1234 (correct), seq 1, win 1, length 0
19:25:18.000002 IP6 (hlim 64, payload length: 40) 2001:db8::1.1 > 2001:db8::2.22: Flags [R], length 0
"""


def test_v_takes_two_lines_and_the_second_shows_the_packet() -> None:
    first, second = read(V).sightings

    assert first.span.line == 2
    assert first.span.text == V.split("\n")[1]
    assert first.packet.ip is not None
    assert (first.packet.ip.ttl, first.packet.ip.id) == (62, 7)
    assert first.packet.tcp is not None
    assert first.packet.tcp.checksum_ok is True
    assert second.span.line == 3
    assert second.packet.ip is not None
    assert second.packet.ip.ttl == 64


def test_a_v_line_whose_second_was_not_pasted() -> None:
    answer = read(V.split("\n", maxsplit=1)[0] + "\n" + V.split("\n")[2])

    assert [s.span.line for s in answer.sightings] == [2]
    (problem,) = answer.problems
    assert (problem.kind, problem.span.line) == (Kind.MALFORMED, 1)


@pytest.mark.parametrize(
    "text",
    [
        # one line (as reports quote frames), and two (as tcpdump prints them)
        "{time} IP {ends}.4789: VXLAN, flags [I] (0x08), vni 1086 IP {inner}",
        "{time} IP {ends}.4789: VXLAN, flags [I] (0x08), vni 1086\nIP {inner}",
        "{time} IP {ends}.8472: OTV, flags [I] (0x08), overlay 0, instance 1086\nIP {inner}",
        (
            "{time} IP (tos 0x0, ttl 64, id 1, offset 0, flags [DF], proto UDP (17), length 110)\n"
            "    {ends}.4789: [no cksum] VXLAN, flags [I] (0x08), vni 1086\n"
            "IP (tos 0x0, ttl 62, id 7, offset 0, flags [DF], proto TCP (6), length 60)\n    {inner}"
        ),
        (
            "{time} IP {ends}.4789: VXLAN, flags [I] (0x08), vni 1086\n"
            "fa:16:3e:91:5f:a0 > fa:16:3e:4b:eb:3c, ethertype IPv4 (0x0800), length 74: {inner}"
        ),
    ],
)
def test_tunnels(text: str) -> None:
    inner = "88.88.88.4.22 > 192.0.2.1.17350: Flags [S.], seq 5, ack 1, win 1, length 0"
    answer = read(text.format(time="19:25:18.000001", ends="10.1.0.11.51234 > 10.1.0.15", inner=inner))

    assert answer.problems == ()
    (sighting,) = answer.sightings
    assert sighting.tunnel is not None
    assert (sighting.tunnel.vni, str(sighting.tunnel.src), str(sighting.tunnel.dst)) == (
        1086,
        "10.1.0.11",
        "10.1.0.15",
    )
    assert str(sighting.packet.source) == "88.88.88.4:22"
    assert inner in sighting.span.text


def test_a_tunnel_whose_inside_is_not_shown_stays_a_datagram() -> None:
    answer = read(
        "19:25:18.000001 IP 10.1.0.11.1 > 10.1.0.15.4789: VXLAN, flags [I] (0x08), vni 1086\n"
        "19:25:18.000002 IP 192.0.2.1.1 > 198.51.100.22.22: Flags [S], length 0\n"
    )

    assert [s.tunnel for s in answer.sightings] == [None, None]
    assert answer.sightings[0].packet.udp is not None
    assert answer.sightings[0].packet.udp.dport == 4789


def test_a_tunnel_inside_another_kind_of_tunnel_is_not_taken_for_the_outer_one() -> None:
    (sighting,) = read(
        "19:25:18.000001 IP 10.1.0.11.1 > 10.1.0.15.6081: Geneve, Flags [none], vni 0x7: "
        "IP 10.2.0.1.5 > 10.2.0.2.4789: VXLAN, flags [I] (0x08), vni 4242 "
        "IP 192.0.2.1 > 192.0.2.2: ICMP echo reply"
    ).sightings

    assert sighting.tunnel is None
    assert sighting.packet.udp is not None
    assert sighting.packet.udp.dport == 6081


def test_midnight_adds_a_day_and_a_record_out_of_place_does_not() -> None:
    clocks = ["23:59:59.9", "00:00:00.1", "23:59:59.8", "00:00:00.2", "12:00:00.0"]
    answer = read("\n".join(f"{clock} {SEGMENT}" for clock in clocks))
    day = 86_400_000_000_000

    assert [s.time_ns // day for s in answer.sightings] == [0, 1, 0, 1, 1]


def test_dates_are_since_the_epoch() -> None:
    (sighting,) = read(f"2026-11-22 19:25:18.052823 {SEGMENT}").sightings

    assert (sighting.time_ns, sighting.clock_only) == (1_795_375_518_052_823_000, False)


@pytest.mark.parametrize(
    ("line", "kind", "said", "hint"),
    [
        (
            "19:25:18.0 IP a.example.1 > b.example.2: Flags [S]",
            Kind.MALFORMED,
            "an address or port",
            "tcpdump -n",
        ),
        ("19:25:18.0 IP 192.0.2.1.1 > 192.0.2.2.2: tcp 0", Kind.UNMODELLED, "tcpdump -q", "without -q"),
        ("IP 192.0.2.1.1 > 192.0.2.2.2: Flags [S], length 0", Kind.UNMODELLED, "without a time stamp", "-t"),
        ("25:00:00.0 IP 192.0.2.1.1 > 192.0.2.2.2: Flags [S]", Kind.MALFORMED, "no time of day", ""),
        (f"19:25:18.0 {SEGMENT} {'x' * 5000}", Kind.MALFORMED, "characters", ""),
    ],
)
def test_packet_lines_that_cannot_be_read_are_problems_with_their_place(
    line: str, kind: Kind, said: str, hint: str
) -> None:
    answer = read(f"19:25:18.0 {SEGMENT}\n{line}\n19:25:19.0 {SEGMENT}\n")

    assert [s.span.line for s in answer.sightings] == [1, 3]
    (problem,) = answer.problems
    assert (problem.kind, problem.span.line, problem.span.file) == (kind, 2, FILE)
    assert said in problem.message
    assert hint in problem.hint
    assert len(problem.message) < 500


def test_what_is_not_modelled_is_told_once_for_each_reason() -> None:
    answer = read("".join(f"19:25:1{n}.0 IP 192.0.2.1.1 > 192.0.2.2.2: tcp 0\n" for n in range(5)))

    assert [p.span.line for p in answer.problems] == [1]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_line_endings_and_a_byte_order_mark(ending: str) -> None:
    text = "\ufeff" + ending.join(INCIDENT.split("\n"))

    assert [s.span.text for s in read(text).sightings] == INCIDENT.split("\n")[1:9]


def test_separators_that_only_python_knows_do_not_end_a_line() -> None:
    answer = read(f"prose\u2028prose\x0cprose\n19:25:18.0 {SEGMENT}")

    assert [s.span.line for s in answer.sightings] == [2]


def test_hex_dumps_belong_to_no_packet() -> None:
    answer = read(
        f"19:25:18.0 {SEGMENT}\n\t0x0000:  4500 0034 1234 4000\n\t0x0010:  0001\n19:25:19.0 {SEGMENT}"
    )

    assert (len(answer.sightings), answer.problems, answer.irrelevant) == (2, (), 2)


def test_read_at_is_kept() -> None:
    answer = read_tcpdump_text(f"19:25:18.0 {SEGMENT}", tap=ANY, file=FILE, read_at=7.0)

    assert answer.sightings[0].span.read_at == 7.0


@pytest.mark.parametrize("second", ["00:00:00.001000", "00:00:07.5"])
def test_differences_are_no_times_of_day(second: str) -> None:
    packet = "IP 192.0.2.1.1 > 192.0.2.2.22: Flags [S], seq 1, length 0"
    text = f" 00:00:00.000000 {packet}\n {second} {packet}\n00:00:00.000000 {packet}\n"
    again = f"listening on eth0, link-type EN10MB (Ethernet), snapshot length 9 bytes\n{second} {packet}\n"
    answer = read_tcpdump_text(text + again, tap=Tap("a", "root", "eth0"), file="eth0.txt")

    # The next run of tcpdump in the same text may print times again.
    assert [s.span.line for s in answer.sightings] == [5]
    (problem,) = answer.problems
    assert (problem.kind, problem.span.line) == (Kind.UNMODELLED, 1)
    assert "differences" in problem.message
    assert "-tttt" in problem.hint
