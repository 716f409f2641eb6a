"""Entries, events and counters of conntrack-tools, and the log of packets that were called INVALID."""

from __future__ import annotations

from dataclasses import replace

import pytest
from parse_samples import SAMPLES, outcomes, problem

from bothways.facts.packet import Flag
from bothways.facts.span import Kind, Span
from bothways.parse.conntrack import parse_counters, parse_entries, parse_events
from bothways.parse.conntrack_xml import parse_entries_xml, parse_events_xml
from bothways.parse.invalid_log import parse_invalid_log

NOWHERE = Span("")
ENDS = "src=192.0.2.1 dst=198.51.100.7 sport=17350 dport=22"
BACK = "src=10.0.0.4 dst=192.0.2.1 sport=22 dport=17350"

# Of the rebuilt incident: the entry dies a second after the handshake failed.
EVENTS = """\
[1795348357.156336]\t    [NEW] ipv4     2 tcp      6 120 SYN_SENT src=192.168.111.210 dst=192.168.111.223 \
sport=17350 dport=22 [UNREPLIED] src=88.88.88.4 dst=192.168.111.210 sport=22 dport=17350 id=83628974
[1795348358.195233]\t[DESTROY] ipv4     2 tcp      6 118 CLOSE src=192.168.111.210 dst=192.168.111.223 \
sport=17350 dport=22 [UNREPLIED] src=88.88.88.4 dst=192.168.111.210 sport=22 dport=17350 id=83628974
"""


@pytest.mark.parametrize(
    ("head", "tail", "field", "expected"),
    [
        ("tcp      6 119 SYN_SENT", "", "state", "SYN_SENT"),
        ("tcp      6 119 SYN_SENT", "", "timeout", 119),
        ("ipv4     2 tcp      6 431997 ESTABLISHED", "", "timeout", 431997),
        ("ipv4     2 tcp      6 431997 ESTABLISHED", "[ASSURED] mark=5 use=1", "mark", 5),
        ("udp      17 29", "[ASSURED] mark=0 zone=64001 use=1", "zone", 64001),
        ("udp      17 29", "[ASSURED] mark=0 use=1", "status", {"ASSURED"}),
        ("tcp      6 ESTABLISHED", "[OFFLOAD] mark=0 use=2", "status", {"OFFLOAD"}),
        ("tcp      6 ESTABLISHED", "[OFFLOAD] mark=0 use=2", "timeout", None),
        ("tcp      6 10 CLOSE", "secctx=system_u:object_r:x:s0 use=1 id=7", "id", 7),
        (
            "tcp      6 10 CLOSE",
            "[start=Mon Nov 23 01:02:03 2026] [stop=Mon Nov 23 01:02:04 2026]",
            "state",
            "CLOSE",
        ),
        ("unknown  89 599", "", "state", None),
    ],
)
def test_parts_of_an_entry(head: str, tail: str, field: str, expected: object) -> None:
    line = f"{head} {ENDS} {BACK} {tail}"
    parsed = parse_entries(line, file="conntrack.txt")

    assert parsed.problems == ()
    assert getattr(parsed.rows[0], field) == expected
    assert parsed.rows[0].span.text == line


def test_both_directions_of_a_translated_connection() -> None:
    (entry,) = parse_entries(f"tcp 6 119 SYN_SENT {ENDS} [UNREPLIED] {BACK} mark=0 use=1", file="f").rows

    assert str(entry.original) == "192.0.2.1:17350 > 198.51.100.7:22"
    assert str(entry.reply) == "10.0.0.4:22 > 192.0.2.1:17350"
    assert entry.status == {"UNREPLIED"}
    assert entry.original.protocol == 6


def test_counters_stand_inside_of_the_directions() -> None:
    line = f"tcp 6 9 CLOSE {ENDS} packets=5 bytes=300 {BACK} packets=4 bytes=200 [ASSURED] mark=0 use=1"
    parsed = parse_entries(line, file="f")

    assert parsed.problems == ()
    assert parsed.rows[0].reply.dport == 17350


def test_icmp_has_type_code_and_id() -> None:
    line = (
        "icmp     1 23 src=88.88.88.1 dst=88.88.88.4 type=8 code=0 id=32329 "
        "src=88.88.88.4 dst=88.88.88.1 type=0 code=0 id=32329 mark=0 use=1 id=362857007"
    )
    (entry,) = parse_entries(line, file="f").rows

    assert (entry.original.icmp_type, entry.original.icmp_code, entry.original.sport) == (8, 0, 32329)
    assert (entry.reply.icmp_type, entry.id) == (0, 362857007)


def test_gre_has_keys_for_ports() -> None:
    there = "src=192.0.2.1 dst=192.0.2.2 srckey=0x0 dstkey=0x2a"
    back = "src=192.0.2.2 dst=192.0.2.1 srckey=0x2a dstkey=0x0"
    line = f"gre 47 599 {there} {back}"
    (entry,) = parse_entries(line, file="f").rows

    assert (entry.original.sport, entry.original.dport) == (0, 0x2A)


@pytest.mark.parametrize(
    ("line", "result"),
    [
        (f"tcp 6 9 CLOSE {ENDS} {BACK}", (1, 0, 0, 0)),
        ("", (0, 1, 0, 0)),
        ("conntrack v1.4.7 (conntrack-tools): 0 flow entries have been shown.", (0, 1, 0, 0)),
        (f"tcp 6 9 CLOSE {ENDS} {BACK} zone-orig=5", (1, 0, 1, 0)),
        (f"tcp 6 9 CLOSE {ENDS} {BACK} newkey=5", (1, 0, 1, 0)),
        (f"tcp 6 9 CLOSE {ENDS}", (0, 0, 0, 1)),
        (f"tcp 6 9 CLOSE {ENDS} src=10.0.0.4", (0, 0, 0, 1)),
        (f"tcp 6 9 9 CLOSE {ENDS} {BACK}", (0, 0, 0, 1)),
        (f"tcp 300 9 CLOSE {ENDS} {BACK}", (0, 0, 0, 1)),
        (f"{ENDS} {BACK}", (0, 0, 0, 1)),
        (f"tcp 6 9 CLOSE {ENDS} {BACK} mark=99999999999", (0, 0, 0, 1)),
        (f"tcp 6 9 CLOSE {ENDS} {BACK} zone=65536", (0, 0, 0, 1)),
        ("udp 17 9 src=x dst=y sport=1 dport=2 src=y dst=x sport=2 dport=1", (0, 0, 0, 1)),
    ],
)
def test_four_outcomes_of_an_entry(line: str, result: tuple[int, ...]) -> None:
    parsed = parse_entries(line, file="f")

    assert outcomes(parsed) == result
    if parsed.problems:
        assert (problem(parsed).span.line, problem(parsed).span.text) == (1, line)


ENTRY = f"tcp 6 9 CLOSE {ENDS} {BACK} mark=0 use=1\n"
CLOSING = "conntrack v1.4.5 (conntrack-tools): {} flow entries have been shown.\n"


def test_a_closing_line_that_counts_otherwise_is_a_contradiction() -> None:
    parsed = parse_entries(ENTRY + CLOSING.format(7), file="f")

    assert (problem(parsed).kind, problem(parsed).span.line) == (Kind.CONTRADICTION, 2)
    assert "counts 7 entries, the file holds 1" in problem(parsed).message
    assert parse_entries(ENTRY * 2 + CLOSING.format(2), file="f").problems == ()


def test_a_closing_line_in_the_midst_of_an_entry_tears_none_apart() -> None:
    torn = ENTRY.replace("use=1", "use=" + CLOSING.format(2) + "1")
    parsed = parse_entries(torn + ENTRY, file="f")

    assert parsed.problems == ()
    assert len(parsed.rows) == 2


def test_events_of_the_rebuilt_incident() -> None:
    parsed = parse_events(EVENTS, file="conntrack-events.txt")

    assert parsed.problems == ()
    new, destroyed = parsed.rows
    assert (new.kind, new.time, new.entry.state, new.entry.id) == (
        "NEW",
        1795348357.156336,
        "SYN_SENT",
        83628974,
    )
    assert (destroyed.kind, destroyed.entry.state, destroyed.span.line) == ("DESTROY", "CLOSE", 2)


@pytest.mark.parametrize(
    ("line", "result"),
    [
        (f"    [NEW] tcp 6 120 SYN_SENT {ENDS} [UNREPLIED] {BACK}", (1, 0, 0, 0)),
        (f" [UPDATE] tcp 6 60 SYN_RECV {ENDS} {BACK}", (1, 0, 0, 0)),
        ("conntrack v1.4.7 (conntrack-tools): 5 flow events have been shown.", (0, 1, 0, 0)),
        (f"tcp 6 60 SYN_RECV {ENDS} {BACK}", (0, 0, 0, 1)),
        ("[NEW] nothing", (0, 0, 0, 1)),
    ],
)
def test_outcomes_of_an_event(line: str, result: tuple[int, ...]) -> None:
    parsed = parse_events(line, file="f")

    assert outcomes(parsed) == result
    assert all(row.time is None for row in parsed.rows)


def test_counters() -> None:
    text = "cpu=0   \tfound=0 invalid=2 insert=0 drop=0 \ncpu=1   \tfound=0 invalid=4 insert=x\ncpu\n"
    parsed = parse_counters(text, file="conntrack-stats.txt")

    assert [(row.cpu, row.values["invalid"]) for row in parsed.rows] == [(0, 2), (1, 4)]
    assert [(p.kind, p.span.line) for p in parsed.problems] == [(Kind.MALFORMED, 2), (Kind.MALFORMED, 3)]


ACK, SYN, RST = Flag.ACK, Flag.SYN, Flag.RST

LOGS = [
    # of our bundles, from NFLOG
    (
        (
            "1795348357.157952 prefix='nf_ct_proto_6: packet (index 3) in dir 0 invalid, state SYN_SENT ' "
            "192.168.111.210:17350 > 192.168.111.223:22 flags=0x10 seq=3615749651 ack=4163297502"
        ),
        ("192.168.111.210:17350", "192.168.111.223:22", ACK, 3615749651, 4163297502, "SYN_SENT", 0),
    ),
    (
        (
            "1795348357.157967 prefix='nf_ct_proto_6: invalid new ' 192.168.111.223:22 > "
            "192.168.111.210:17350 flags=0x04 seq=4163297502 ack=0"
        ),
        ("192.168.111.223:22", "192.168.111.210:17350", RST, 4163297502, 0, None, None),
    ),
    # Linux before 5.19, in the kernel's log
    (
        (
            "[59768.419015] nf_ct_tcp: invalid state IN= OUT= SRC=192.0.2.1 DST=192.0.2.2 LEN=52 TTL=63 "
            "ID=1 DF PROTO=TCP SPT=17350 DPT=22 SEQ=5 ACK=9 WINDOW=229 RES=0x00 ACK URGP=0 OPT (0101)"
        ),
        ("192.0.2.1:17350", "192.0.2.2:22", ACK, 5, 9, None, None),
    ),
    (
        (
            "Nov 23 01:02:03 h1 kernel: [12.5] nf_ct_proto_6: packet (index 1) in dir 1 invalid, "
            "state SYN_SENT IN=qr-1 OUT= MAC=aa:bb "
            "SRC=2001:db8::1 DST=2001:db8::2 PROTO=TCP SPT=22 DPT=1 SEQ=1 ACK=2 ACK SYN"
        ),
        ("[2001:db8::1]:22", "[2001:db8::2]:1", ACK | SYN, 1, 2, "SYN_SENT", 1),
    ),
    # an ICMP error quotes the packet that it is about: that one is not what was logged
    (
        (
            "[1.0] nf_ct_proto_1: bad checksum IN= OUT= SRC=192.0.2.9 DST=192.0.2.1 PROTO=ICMP TYPE=3 CODE=1 "
            "[SRC=192.0.2.1 DST=192.0.2.2 PROTO=TCP SPT=1 DPT=2 SEQ=3 ]"
        ),
        ("192.0.2.9", "192.0.2.1", None, None, None, None, None),
    ),
]


@pytest.mark.parametrize(("line", "expected"), LOGS)
def test_the_log_of_invalid_packets(line: str, expected: tuple[object, ...]) -> None:
    parsed = parse_invalid_log(line, file="conntrack-invalid-log.txt")

    assert parsed.problems == ()
    (row,) = parsed.rows
    found = (str(row.source), str(row.destination), row.flags, row.seq, row.ack, row.state, row.direction)
    assert found == expected
    assert row.reason.startswith("nf_ct_")
    assert "IN=" not in row.reason


def test_only_the_readers_clock_is_a_time() -> None:
    assert parse_invalid_log(LOGS[0][0], file="f").rows[0].time == 1795348357.157952
    assert parse_invalid_log(LOGS[2][0], file="f").rows[0].time is None


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("[1.5] eth0: link up", (0, 1, 0, 0)),
        ("Nov 23 01:02:03 h1 kernel: something else", (0, 1, 0, 0)),
        ("# a comment", (0, 1, 0, 0)),
        ("what is this", (0, 0, 0, 1)),
        ("[1.0] nf_ct_tcp: x IN= OUT= SRC=192.0.2.300 DST=192.0.2.1 PROTO=TCP SPT=1 DPT=2", (0, 0, 0, 1)),
        ("1.0 prefix='nf_ct_proto_6: x ' 192.0.2.1:70000 > 192.0.2.2:22", (0, 0, 0, 1)),
    ],
)
def test_outcomes_of_a_line_of_the_log(line: str, result: tuple[int, ...]) -> None:
    assert outcomes(parse_invalid_log(line, file="f")) == result


XML = SAMPLES["conntrack_xml"].text


def test_xml_says_what_the_text_says() -> None:
    text = (
        "tcp 6 119 SYN_SENT src=192.0.2.1 dst=198.51.100.7 sport=17350 dport=22 [UNREPLIED] "
        "src=10.0.0.4 dst=192.0.2.1 sport=22 dport=17350 mark=5 use=1 id=362857007\n"
        "udp 17 20 src=2001:db8::1 dst=2001:db8::2 sport=5 dport=53 "
        "src=2001:db8::2 dst=2001:db8::1 sport=53 dport=5 [ASSURED] zone=7\n"
    )
    rows = parse_entries_xml(XML, file="f").rows

    assert [(row.span.line, row.span.column) for row in rows] == [(3, 1), (4, 1)]
    assert [replace(row, span=NOWHERE) for row in rows] == [
        replace(row, span=NOWHERE) for row in parse_entries(text, file="f").rows
    ]


@pytest.mark.parametrize("kind", ["new", "update", "destroy"])
def test_events_as_xml(kind: str) -> None:
    rows = parse_events_xml(XML.replace("<flow>", f'<flow type="{kind}">'), file="f").rows

    assert [(row.kind, row.entry.state, row.time) for row in rows] == [
        (kind.upper(), "SYN_SENT", None),
        (kind.upper(), None, None),
    ]


@pytest.mark.parametrize(
    ("text", "rows", "said"),
    [
        (XML[:900], 1, "not a flow of conntrack"),
        (XML.split("\n")[3], 1, ""),
        (XML.replace("\n<flow>", "<flow>"), 2, ""),
        (XML.replace("<src>", "\n<src>"), 2, ""),
        ("<!DOCTYPE x [<!ENTITY a 'aaaa'>]>\n" + XML, 2, "a document type or an entity is refused"),
        (XML.replace("<use>1", "<use>&a;"), 1, "undefined entity"),
        (XML.replace("<flow>", "<flow><!DOCTYPE x>", 1), 1, "not a flow of conntrack"),
        (XML.replace("22</dport>", "70000000000</dport>"), 1, "is no number"),
        (XML.replace("<dst>198.51.100.7</dst>", ""), 1, "it has no original tuple"),
        (XML.replace("192.0.2.1<", "soon<", 1), 1, "not a conntrack entry"),
        (XML.replace("<id>", "x" * 70_000 + "<id>"), 1, "a flow of"),
        ("conntrack: command not found\n", 0, "no flow of conntrack"),
    ],
)
def test_of_xml_that_is_damaged_the_whole_flows_count(text: str, rows: int, said: str) -> None:
    parsed = parse_entries_xml(text, file="f")

    assert len(parsed.rows) == rows
    assert [p.kind for p in parsed.problems] == ([Kind.MALFORMED] if said else [])
    assert all(said in p.message for p in parsed.problems)


def test_a_zone_of_one_direction_is_not_evaluated() -> None:
    parsed = parse_entries_xml(XML.replace("</layer4></meta>", "</layer4><zone>4</zone></meta>", 1), file="f")

    assert problem(parsed).kind is Kind.UNMODELLED
    assert [row.zone for row in parsed.rows] == [0, 7]
