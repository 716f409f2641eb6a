"""Lines of the tracer: what is read, what is refused, and that nothing raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.kernel_event import Happening, KernelEvent
from bothways.facts.kernel_trace import HostClock, TraceLost, TraceNote, TraceReady, TraceStart, TraceStop
from bothways.facts.packet import ICMP, TCP, Flag
from bothways.facts.span import Kind
from bothways.parse.kernel_event import parse_kernel_trace
from bothways.parse.kernel_trace import joined, runs_of
from kernel_trace_samples import CLIENT, NAME, Story, headers, reset_story

EVENT: dict[str, Any] = Story().event("drop", 3, "root", "eth0", headers(CLIENT, NAME, "S")).lines[0]


def read(*rows: object) -> Any:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    return parse_kernel_trace(text, file="t.jsonl")


def one(**members: object) -> KernelEvent:
    parsed = read({**EVENT, **members})
    assert parsed.problems == ()
    (event,) = parsed.rows
    assert isinstance(event, KernelEvent)
    return event


def test_a_story_is_understood_whole() -> None:
    parsed = parse_kernel_trace(reset_story().text, file="t.jsonl")

    assert parsed.problems == ()
    kinds = [type(row) for row in parsed.rows]
    assert kinds[:2] == [TraceStart, TraceReady]
    assert kinds[-1] is TraceStop
    assert kinds[2:-1] == [KernelEvent] * 10


def test_an_event_keeps_what_its_line_says() -> None:
    event = one(
        reason="NETFILTER_DROP",
        reason_subsystem="core",
        location="nft_do_chain+0x91",
        mark=7,
        clone_of=2,
        stack=["a+0x1", "b+0x2/0x9 [m]"],
        rule={"table": "filter"},
        hook="FORWARD",
        verdict="DROP",
    )

    assert event.happening is Happening.DROP
    assert (event.host, event.number, event.netns, event.device) == ("h1", 1, "root", "eth0")
    assert (event.reason, event.subsystem, event.where) == ("NETFILTER_DROP", "core", "nft_do_chain")
    assert (event.mark, event.clone_of, event.packet_id) == (7, 2, 3)
    assert event.stack == ("a+0x1", "b+0x2/0x9 [m]")
    assert event.rule == {"table": "filter"}
    assert event.place == "h1:eth0"
    assert event.span.line == 1
    packet = event.packet
    assert packet is not None
    assert packet.packet.tcp is not None
    assert packet.packet.tcp.flags is Flag.SYN
    assert str(packet.packet) == "IP 192.0.2.10.17350 > 192.0.2.100.22: Flags [S], seq 1000, length 0"
    assert packet.length == 60


def test_functions_lose_offsets_and_suffixes() -> None:
    assert one(function="ip_rcv_core.constprop.0+0x12/0x80 [m]").function == "ip_rcv_core"


def test_null_is_as_if_it_were_not_there() -> None:
    bare = {key: value for key, value in EVENT.items() if value is not None}

    assert read(bare).rows[0].packet == read(EVENT).rows[0].packet
    assert one(packet=None, netns=None, device=None).place == "h1"


def test_a_tunnel_carries_a_packet() -> None:
    outer = headers("10.1.0.1", "10.1.0.2", "S", protocol="udp", vni=1086, inner=headers(CLIENT, NAME, "S."))
    packet = one(packet=outer).packet

    assert packet is not None
    assert packet.vni == 1086
    assert packet.packet.udp is not None
    assert str(packet.carried.packet).startswith("IP 192.0.2.10.17350 > 192.0.2.100.22: Flags [S.]")


def test_an_icmp_error_quotes() -> None:
    quoted = headers(CLIENT, NAME, "S", seq=77)
    error = {
        "family": 4,
        "protocol": "icmp",
        "source": NAME,
        "destination": CLIENT,
        "icmp_type": 3,
        "icmp_code": 10,
        "quoted": quoted,
    }
    packet = one(packet=error).packet

    assert packet is not None
    icmp = packet.packet.icmp
    assert icmp is not None
    assert packet.packet.ip is not None
    assert packet.packet.ip.protocol == ICMP
    assert (icmp.type, icmp.code) == (3, 10)
    assert icmp.inner is not None
    assert icmp.inner.tcp is not None
    assert icmp.inner.tcp.seq == 77


def test_a_packet_without_ports_keeps_its_addresses() -> None:
    bare = {"family": 4, "protocol": 47, "source": CLIENT, "destination": NAME}
    packet = one(packet=bare).packet

    assert packet is not None
    assert packet.packet.ip is not None
    assert packet.packet.ip.protocol == 47
    assert one(packet={"family": 4}).packet is not None


def test_the_acknowledgment_number_counts_with_its_flag_only() -> None:
    def number(flags: str) -> int | None:
        packet = one(packet=headers(CLIENT, NAME, flags, ack=9)).packet
        assert packet is not None
        assert packet.packet.tcp is not None
        assert packet.packet.ip is not None
        assert packet.packet.ip.protocol == TCP
        return packet.packet.tcp.ack

    assert (number("S"), number("."), number("R")) == (None, 9, 9)


def test_other_lines() -> None:
    rows = read(
        {"type": "lost", "lost": 3, "total": 5},
        {"type": "problem", "text": "no BTF", "hint": "look"},
        {"type": "clock", "host": "h2", "relative_to": "h1", "low_ns": -5, "high_ns": None},
        {"type": "stop", "events": 1, "cost": {"programs": [{"probe": "p", "runs": 2, "ns": 700}]}},
        "",
    )

    assert rows.problems == ()
    lost, note, clock, stop = rows.rows
    assert isinstance(lost, TraceLost)
    assert (lost.lost, lost.total) == (3, 5)
    assert isinstance(note, TraceNote)
    assert note.hint == "look"
    assert isinstance(clock, HostClock)
    assert (clock.low_ns, clock.high_ns) == (-5, None)
    assert isinstance(stop, TraceStop)
    assert stop.cost[0].ns == 700


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        ("{", Kind.MALFORMED, "not a JSON object"),
        ("[]", Kind.MALFORMED, "an object is expected"),
        ('{"type": "dance"}', Kind.UNMODELLED, "a line of type `dance`"),
        ({**EVENT, "event": "teleport"}, Kind.UNMODELLED, "the event `teleport`"),
        ({**EVENT, "n": "one"}, Kind.MALFORMED, "`n`: `one` stands where a number"),
        ({**EVENT, "n": -1}, Kind.MALFORMED, "a count is expected"),
        ({**EVENT, "time_ns": 1 << 70}, Kind.MALFORMED, "a number is expected"),
        ({**EVENT, "stack": "ip_rcv"}, Kind.MALFORMED, "a list of words"),
        ({**EVENT, "packet": []}, Kind.MALFORMED, "`packet`: `list` stands where an object"),
        ({**EVENT, "packet": {"source": "300.1.1.1"}}, Kind.MALFORMED, "`packet`: `source`"),
        ({**EVENT, "packet": {"flags": "XYZ"}}, Kind.MALFORMED, "no TCP flags"),
        ({**EVENT, "packet": {"protocol": "carrier-pigeon"}}, Kind.UNMODELLED, "carrier-pigeon"),
        ({**EVENT, "packet": {"source_port": 70000}}, Kind.MALFORMED, "70000 is no port"),
        ({**EVENT, "conntrack": {"original": {"source": CLIENT}}}, Kind.MALFORMED, "without both addresses"),
        ({"type": "event", "n": 1, "host": "h"}, Kind.MALFORMED, "without"),
        ({"type": "start", "host": "h", "schema": "bothways/trace/9"}, Kind.UNMODELLED, "bothways/trace/9"),
    ],
)
def test_what_cannot_be_used_is_a_problem_with_its_line(line: object, kind: Kind, said: str) -> None:
    parsed = read(EVENT, line, EVENT)

    assert len(parsed.rows) == 2
    (problem,) = parsed.problems
    assert problem.kind is kind
    assert said in problem.message
    assert problem.span.line == 2


def test_a_member_that_nobody_knows_is_told_once_and_the_line_is_used() -> None:
    parsed = read(
        {**EVENT, "aura": 1}, {**EVENT, "aura": 2}, {**EVENT, "packet": {**EVENT["packet"], "hue": 3}}
    )

    assert len(parsed.rows) == 3
    assert [problem.span.line for problem in parsed.problems] == [1, 3]
    assert "`aura` of `event`" in parsed.problems[0].message
    assert "`hue` of `packet`" in parsed.problems[1].message


def test_packets_in_packets_end_somewhere() -> None:
    packet: dict[str, Any] = headers(CLIENT, NAME, "S")
    for _ in range(9):
        packet = headers(CLIENT, NAME, "S", inner=packet)

    assert "nested" in read({**EVENT, "packet": packet}).problems[0].message
    assert read('{"a":' * 5000 + "1" + "}" * 5000).rows == ()


def test_runs_are_told_apart_by_host_and_start() -> None:
    one_run, other = reset_story(), reset_story(host="h2")
    lines = parse_kernel_trace(one_run.text + other.text + reset_story(at=9).text, file="t").rows

    runs = runs_of(lines, file="t")
    assert [(run.host, len(run.events), run.lost) for run in runs] == [
        ("h1", 10, 0),
        ("h2", 10, 0),
        ("h1", 10, 0),
    ]


def test_a_trace_that_broke_off_does_not_know_its_losses() -> None:
    text = "".join(line + "\n" for line in reset_story().text.splitlines()[:-1])
    (run,) = runs_of(parse_kernel_trace(text, file="t").rows, file="t")

    assert run.stop is None
    assert run.lost is None


def test_rotated_files_are_one_run() -> None:
    lines = reset_story().text.splitlines()
    first = runs_of(parse_kernel_trace("\n".join(lines[:6]), file="a").rows, file="a")
    second = runs_of(parse_kernel_trace("\n".join([*lines[:2], *lines[6:]]), file="b").rows, file="b")

    (run,) = joined([*first, *second])
    assert [event.number for event in run.events] == list(range(1, 11))
    assert run.lost == 0


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*EVENT, "lost", "clock", "probes", "cost"]), _JSON, max_size=12))
def test_no_object_raises(members: dict[str, object]) -> None:
    for kind in ("event", "start", "stop", "lost", "clock"):
        parsed = read({**EVENT, **members, "type": kind})
        assert len(parsed.rows) + len(parsed.problems) >= 1


@given(st.text())
def test_no_text_raises(text: str) -> None:
    parsed = parse_kernel_trace(text, file="t")

    assert len(parsed.rows) + len(parsed.problems) + parsed.irrelevant >= text.count("\n")


_PORT = st.integers(0, 65535)
_WORD = st.integers(0, 0xFFFFFFFF)


@given(
    st.ip_addresses(v=4),
    st.ip_addresses(v=4),
    _PORT,
    _PORT,
    _WORD,
    _WORD,
    st.sets(st.sampled_from("FSRP.UEW")),
    st.sampled_from(list(Happening)),
)
def test_headers_come_back_as_they_were(
    source: Any,
    destination: Any,
    sport: int,
    dport: int,
    seq: int,
    ack: int,
    flags: set[str],
    word: Happening,
) -> None:
    event = one(
        event=str(word),
        packet=headers(
            str(source),
            str(destination),
            "".join(sorted(flags)) or "none",
            seq=seq,
            ack=ack,
            source_port=sport,
            destination_port=dport,
        ),
    )

    assert event.happening is word
    assert event.packet is not None
    packet = event.packet.packet
    assert packet.tcp is not None
    assert packet.ip is not None
    assert (packet.ip.src, packet.ip.dst, packet.tcp.sport, packet.tcp.dport) == (
        source,
        destination,
        sport,
        dport,
    )
    assert packet.tcp.seq == seq
    assert packet.tcp.ack in (None, ack)
