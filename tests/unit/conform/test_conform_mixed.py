"""Recordings beyond TCP over IPv4: read, held, written, and damaged."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bothways.capture.layers import Layers
from bothways.capture.network_layer import decode_ip_by_version
from bothways.conform.datagram import ENDS, ip_header, octets_of
from bothways.conform.generation import fresh_cases
from bothways.conform.mixed_router import BASE, MixedRouter
from bothways.conform.recording import Case, RecordingError, line_of, read_recording
from bothways.conform.replay import replay
from bothways.conform.words import conformance_json, conformance_text

RECORDED = Path(__file__).parent / "data" / "conntrack-mixed-6.18.jsonl.gz"
ASK: dict[str, Any] = {"dir": "A", "proto": "udp", "len": 8}
ANSWER = {**ASK, "dir": "B"}
RESULT = {"verdict": "NEW", "delivery": "forwarded", "state": "TRACKED"}
SYN: dict[str, Any] = {"dir": "A", "flags": "S", "seq": 1, "ack": 0, "win": 1, "len": 0}


def case(
    *segments: dict[str, Any], family: int = 4, nat: bool = False, sysctls: dict[str, int] | None = None
) -> Case:
    settings = tuple(sorted((sysctls or {}).items()))
    return Case("one", "hand", nat, settings, segments, (), family, mixed=True)


def told(one: Case) -> list[dict[str, Any]]:
    router = MixedRouter(one)
    return [router.receive(each) for each in one.segments]


def verdicts(one: Case) -> list[str]:
    return [f"{each['verdict']} {each.get('ctdir', '')}".strip() for each in told(one)]


def test_what_a_kernel_made_of_them_is_what_the_model_says() -> None:
    cases = list(read_recording(RECORDED))

    outcome = replay(cases, kernel="6.18.44")

    assert outcome.disagreements == 0, conformance_text(outcome)
    assert outcome.checks > 2000
    assert {each.family for each in cases} == {4, 6}
    assert {kind.split(" over ")[0] for kind in outcome.kinds} >= {
        "udp", "icmp", "error", "generic", "zones", "untracked", "expiry", "stream", "session", "window",
    }  # fmt: skip
    said = Counter(each["verdict"] for one in cases for each in one.results)
    assert min(said[each] for each in ("NEW", "ESTABLISHED", "INVALID", "RELATED", "UNTRACKED")) > 40


def test_an_older_kernel_is_held_against_its_own_rules() -> None:
    """A recording of 6.18 is not what 5.4 would have said: ASSURED comes at once there."""
    cases = [each for each in read_recording(RECORDED) if each.kind == "udp"]

    assert replay(cases, kernel="5.4.0").fields["status"] > 5


@pytest.mark.parametrize("settings", [{"nf_conntrack_checksum": 0}, {"nf_conntrack_udp_timeout": 7}])
def test_another_setting_makes_it_disagree(settings: dict[str, int]) -> None:
    cases = [
        replace(each, sysctls=tuple(sorted({**dict(each.sysctls), **settings}.items())))
        for each in read_recording(RECORDED)
    ]

    assert replay(cases, kernel="6.18.44").disagreements > 5


def test_they_are_written_as_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "again.jsonl"
    path.write_text("".join(map(line_of, read_recording(RECORDED))))

    assert list(read_recording(path)) == list(read_recording(RECORDED))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"famly": 6}, "unknown key 'famly'"),
        ({"family": 5}, "family is 4 or 6, not 5"),
        ({"sysctl": {"nf_conntrack_tcp_lose": 1}}, "unknown sysctl 'nf_conntrack_tcp_lose'"),
        ({"segments": [{**ASK, "tll": 3}]}, "segment 0: unknown key 'tll'"),
        ({"segments": [{**SYN, "type": 3}]}, "segment 0: unknown key 'type'"),
        ({"segments": [{**SYN, "ttl": 3}]}, "segment 0: unknown key 'ttl'"),
        ({"segments": [{**SYN, "opts": {"mms": 3}}]}, "segment 0 is damaged"),
        ({"segments": [{**ASK, "proto": "sctp"}]}, "proto cannot be 'sctp'"),
        ({"segments": [{**ASK, "proto": 17}]}, "protocol 17 has a name"),
        ({"segments": [{**ASK, "proto": 256}]}, "proto cannot be 256"),
        ({"segments": [{**ASK, "proto": []}]}, "proto cannot be []"),
        ({"segments": [{**ASK, "flow": 4}]}, "flow cannot be 4"),
        ({"segments": [{**ASK, "wait": -1}]}, "wait cannot be -1"),
        ({"segments": [{**ASK, "wait": "1"}]}, "wait cannot be '1'"),
        ({"segments": [{**ASK, "half": "both"}]}, "half cannot be 'both'"),
        ({"segments": [{**ASK, "zone": 65536}]}, "zone cannot be 65536"),
        ({"segments": [{**ASK, "dir": "C"}]}, "dir cannot be 'C'"),
        ({"segments": [{"dir": "A", "proto": "icmp"}]}, "'type' is missing"),
        ({"segments": [{"dir": "A", "proto": "icmp", "type": 3, "quote": 3}]}, "what is quoted: no segment"),
        (
            {"segments": [{"dir": "A", "proto": "icmp", "type": 3, "quote": {**ASK, "x": 1}}]},
            "what is quoted: unknown key 'x'",
        ),
        (
            {"segments": [{"dir": "A", "proto": "icmp", "type": 3, "quote": {"dir": "B", "flags": "S"}}]},
            "what is quoted: 'ack' is missing",
        ),
        ({"segments": [{**SYN, "flow": 1, "seq": -1}]}, "segment 0 is damaged"),
    ],
)
def test_what_is_not_known_is_an_error_with_its_place(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    line = {"id": "x", "class": "y", "nat": False, "sysctl": {}, "segments": [ASK], "results": [RESULT]}
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(line) + "\n" + json.dumps({**line, **changed}) + "\n")

    with pytest.raises(RecordingError) as caught:
        list(read_recording(path))

    assert str(caught.value).startswith(f"{path}:2: ")
    assert said in str(caught.value)


def test_a_udp_flow_is_a_stream_after_two_seconds() -> None:
    results = told(case(ASK, ANSWER, {**ASK, "wait": 1.9}, {**ANSWER, "wait": 0.2}))

    assert [(each["timeout"], "ASSURED" in each["status"]) for each in results] == [
        (30, False), (30, False), (30, False), (120, True),
    ]  # fmt: skip


def test_time_passes_only_where_a_sequence_waits() -> None:
    settings = {"nf_conntrack_udp_timeout": 1}
    again = {**ASK, "wait": 1.1}

    assert verdicts(case(ASK, ANSWER, ASK, sysctls=settings))[-1] == "ESTABLISHED original"
    assert verdicts(case(ASK, ANSWER, again, sysctls=settings))[-1] == "NEW original"


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("nat", [False, True])
def test_an_error_is_related_and_translated_inside(family: int, nat: bool) -> None:  # noqa: FBT001 (a table)
    ends = ENDS[family]
    unreachable, code = (3, 3) if family == 4 else (1, 4)
    error = {"dir": "B", "proto": "icmp", "type": unreachable, "code": code, "quote": ASK, "hop": 1}

    result = told(case(ASK, error, family=family, nat=nat))[1]

    assert (result["verdict"], result["ctdir"]) == ("RELATED", "reply")
    if nat:
        assert result["src"] == str(ends.floating)  # also of a router on the way: B's name is not shown
        assert result["dst"] == str(ends.of["A"])
        assert result["quoted"] == [str(ends.of["A"]), str(ends.floating)]
    else:
        assert "quoted" not in result


def test_zones_keep_the_same_flow_apart() -> None:
    assert verdicts(case({**ASK, "zone": 1}, {**ANSWER, "zone": 2}, {**ANSWER, "zone": 1})) == [
        "NEW original", "NEW original", "ESTABLISHED reply",
    ]  # fmt: skip


def test_json_tells_the_classes() -> None:
    outcome = replay(read_recording(RECORDED), kernel="6.18.44")

    reach: Any = conformance_json(outcome)["reach"]
    assert reach["class"] == dict(sorted(outcome.kinds.items()))
    assert "classes (" in conformance_text(outcome, classes=True)


def test_a_wire_shows_what_the_model_is_given() -> None:
    """Sound segments, put on a wire and read back as a capture would: addresses, ports, type and checksum."""
    held = 0
    for one in fresh_cases(17, 400):
        for segment in one.segments if one.mixed else ():
            body, packet = octets_of(segment, ENDS[one.family], BASE, nat=one.nat)
            assert packet.ip is not None
            raw = ip_header(packet.ip, len(body)) + body
            layers = decode_ip_by_version(raw, len(raw))
            if segment.keys() & {"trunc", "ulen", "doff"} or not isinstance(layers, Layers):
                continue
            held += 1
            seen = layers.packet
            assert seen.ip is not None
            assert (seen.ip.src, seen.ip.dst, seen.ip.protocol) == (
                packet.ip.src, packet.ip.dst, packet.ip.protocol,
            )  # fmt: skip
            if seen.udp is not None and packet.udp is not None:
                assert (seen.udp, seen.udp.checksum_ok) == (packet.udp, packet.udp.checksum_ok)
            if seen.icmp is not None and packet.icmp is not None:
                assert (seen.icmp.type, seen.icmp.code) == (packet.icmp.type, packet.icmp.code)
                assert seen.icmp.checksum_ok == packet.icmp.checksum_ok
            if seen.tcp is not None and packet.tcp is not None:
                assert (seen.tcp.sport, seen.tcp.flags, seen.tcp.seq) == (
                    packet.tcp.sport, packet.tcp.flags, packet.tcp.seq,
                )  # fmt: skip
    assert held > 300
