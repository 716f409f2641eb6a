"""Recorded evidence: the incident's text and the captures of its rebuilding."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from bothways.bundle import Bundle, open_bundle
from bothways.correlate import Correlation, correlate
from bothways.facts.filter_tree import admits
from bothways.facts.packet import Ethernet, Flag, TcpOptions
from bothways.facts.sighting import Capture, Sighting
from bothways.facts.snapshot import Snapshot
from bothways.facts.trajectory import Connection, Match, Way
from bothways.parse.filter import parse_filter

SHARED = Path(__file__).parents[4] / "shared"
BUNDLES = ("dual-l3", "neutron-l3-only", "odl-l3-only")
DAY_NS = 86_400_000_000_000
SYNACK = Flag.SYN | Flag.ACK
ROUTER = "qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f"
TAPS = {
    "host1:~# tcpdump -ni any": ("host1", "root", "any"),
    "host5:~# tcpdump -ni any": ("host5", "root", "any"),
    "tcpdump -ni qr-": ("host1", ROUTER, "qr-dcedd015-a5"),
    "tcpdump -ni qg-": ("host1", ROUTER, "qg-5d88ef18-33"),
}

pytestmark = pytest.mark.shared


def asked(capture: Capture, sighting: Sighting) -> bool | None:
    if capture.filter is None:
        return None
    return admits(parse_filter(capture.filter), sighting.packet, sighting.tunnel)


@cache
def bundle(name: str) -> Bundle:
    return open_bundle(SHARED / "bundles" / name)


@cache
def exact(name: str) -> Correlation:
    given = bundle(name)
    return correlate(given.captures, snapshot=given.snapshot, admits=asked)


@pytest.fixture(scope="module")
def incident(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The author's four captures, as files of a bundle."""
    root = tmp_path_factory.mktemp("incident")
    (root / "bundle.toml").write_text('format = "bothways-bundle/1"\ntitle = "incident"\n')
    (text,) = (SHARED / "seed").glob("*.txt")
    file: Path | None = None
    for line in text.read_text(encoding="utf-8").splitlines():
        command = next((tap for words, tap in TAPS.items() if words in line), None)
        if command is not None:
            host, netns, device = command
            file = root / "hosts" / host / "captures" / netns / f"{device}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            filter_ = "tcp port 22 and host not 10.1.0.12" if device == "any" else "tcp port 22"
            file.with_suffix(".capture.json").write_text(json.dumps({"filter": filter_}))
        elif file is not None and re.match(r"\s+\d\d:\d\d:\d\d\.", line):
            with file.open("a") as out:
                out.write(line.strip().removesuffix("<br />").rstrip() + "\n")
        elif line.strip():
            file = None
    return open_bundle(root)


def told(given: Bundle, *without: str) -> Correlation:
    taken = [c for c in given.captures if not any(c.source.endswith(f"{w}.txt") for w in without)]
    return correlate(taken, snapshot=given.snapshot, admits=asked)


def shape(connection: Connection) -> list[tuple[str, str, int, int | None, int]]:
    return [
        (t.way.value, str(int(t.flags)), t.ordinal, t.retransmission_of, len(t.sightings))
        for t in connection.trajectories
    ]


def test_the_incident_bounds_the_clock(incident: Bundle) -> None:
    (clock,) = told(incident).clocks

    assert (clock.host, clock.relative_to) == ("host5", "host1")
    assert (clock.low_ns, clock.high_ns) == (-25_271_000, -25_063_000)


def test_the_incident_is_one_connection(incident: Bundle) -> None:
    (connection,) = told(incident).connections

    assert str(connection.client) == "192.168.111.210:17350"
    assert [str(e) for e in connection.server_names] == ["192.168.111.223:22", "88.88.88.4:22"]
    assert shape(connection) == [
        ("original", "2", 1, None, 4),
        ("reply", "18", 1, None, 5),
        ("original", "16", 1, None, 2),
        ("reply", "4", 1, None, 2),
        ("reply", "18", 2, 1, 5),
        ("original", "4", 1, None, 4),
    ]
    assert {t.match for t in connection.trajectories} == {Match.INFERRED}
    assert [len(t.doubles) for t in connection.trajectories] == [0, 2, 0, 0, 2, 0]


def test_the_incident_s_reset_was_made_in_the_router(incident: Bundle) -> None:
    (connection,) = told(incident).connections
    reset = connection.trajectories[3]

    assert [s.tap.device for s in reset.sightings] == ["qg-5d88ef18-33", "any"]


def test_the_incident_s_answer_is_missing_in_the_router_as_far_as_text_can_tell(incident: Bundle) -> None:
    (connection,) = told(incident).connections
    answer = connection.trajectories[1]

    assert [u.tap.device for u in answer.unseen] == ["qr-dcedd015-a5", "qg-5d88ef18-33"]
    assert not any(u.certain for u in answer.unseen)  # nobody wrote down what tcpdump lost


@pytest.mark.parametrize(
    ("without", "high"),
    [
        (("qr-dcedd015-a5",), -25_041_000),
        (("qg-5d88ef18-33",), -25_063_000),
        (("qr-dcedd015-a5", "qg-5d88ef18-33"), -25_041_000),
    ],
)
def test_the_incident_with_captures_missing(incident: Bundle, without: tuple[str, ...], high: int) -> None:
    found = told(incident, *without)
    (connection,) = found.connections

    assert [(c.low_ns, c.high_ns) for c in found.clocks] == [(-25_271_000, high)]
    assert [t.retransmission_of for t in connection.trajectories] == [None, None, None, None, 1, None]
    assert [str(e) for e in connection.server_names] == ["192.168.111.223:22", "88.88.88.4:22"]


@pytest.mark.parametrize("name", BUNDLES)
def test_clocks_of_one_machine_agree(name: str) -> None:
    """All hosts of the rebuilt cloud are namespaces of one machine, so each bound must admit 0."""
    found = exact(name)

    assert found.reference == "host1"
    assert {c.host for c in found.clocks} >= {"host5", "test51"}
    assert all((c.low_ns or 0) <= 0 <= (c.high_ns or 0) for c in found.clocks)
    assert not [p for p in found.problems if "clock" in p.message]


@pytest.mark.parametrize("name", BUNDLES)
def test_ways_begin_at_the_sender_and_end_at_the_receiver(name: str) -> None:
    (connection,) = exact(name).connections
    for trajectory in connection.trajectories:
        hosts = [s.tap.host for s in trajectory.sightings]
        hosts = [h for i, h in enumerate(hosts) if i == 0 or hosts[i - 1] != h]
        if trajectory.way is Way.REPLY:
            hosts.reverse()

        assert hosts[0] == "host1"
        assert len(hosts) == len(set(hosts))
        assert trajectory.match is Match.EXACT


def test_the_answer_went_round_the_router_for_certain() -> None:
    (connection,) = exact("dual-l3").connections
    answers = [t for t in connection.trajectories if t.flags == SYNACK]

    assert [t.retransmission_of for t in answers] == [None, 1]
    for answer in answers:
        missing = {u.tap.device: u.certain for u in answer.unseen if u.tap.netns == ROUTER}
        assert missing == {"qr-dcedd015-a5": True, "qg-5d88ef18-33": True}


def test_the_reset_s_first_tap_is_where_it_was_made() -> None:
    (connection,) = exact("dual-l3").connections
    reset = next(t for t in connection.trajectories if t.flags & Flag.RST and t.way is Way.REPLY)

    assert reset.sightings[0].tap.device == "qg-5d88ef18-33"
    assert reset.unseen == ()


def test_the_floating_address_is_given_where_its_owner_is_not() -> None:
    (problem,) = exact("dual-l3").problems

    assert "host5 gives packets from 88.88.88.4 the source `192.168.111.223`" in problem.message
    assert exact("odl-l3-only").problems == ()
    assert exact("neutron-l3-only").problems == ()


def abbreviated(given: Sequence[Capture], behind_ns: int) -> Iterable[Capture]:
    """The same captures as the incident's author would have pasted them, with host5's clock behind."""
    for capture in given:
        late = behind_ns if capture.tap.host in ("host5", "test51") else 0
        rows = [
            replace(
                s,
                device=None if s.tap.device == "any" else s.device,
                direction=None,
                time_ns=s.time_ns % DAY_NS - late,
                clock_only=True,
                packet=replace(
                    s.packet,
                    ethernet=Ethernet(),
                    ip=replace(s.packet.ip, ttl=None, id=None),
                    tcp=replace(s.packet.tcp, seq=None, ack=None, length=None, options=TcpOptions()),
                ),
            )
            for s in capture.sightings
            if s.tunnel is None and s.packet.ip is not None and s.packet.tcp is not None
        ]
        yield replace(capture, sightings=tuple(rows), textual=True)


def parts(found: Correlation) -> list[set[tuple[str, int | None]]]:
    (connection,) = found.connections
    return [
        {(str(s.tap), s.span.frame) for s in t.sightings if s.tunnel is None} for t in connection.trajectories
    ]


@pytest.mark.parametrize("behind_ns", [0, 25_000_000, 3_000_000_000])
@pytest.mark.parametrize("name", BUNDLES)
def test_text_without_numbers_is_matched_as_numbers_would(name: str, behind_ns: int) -> None:
    given = bundle(name)
    text = tuple(abbreviated(given.captures, behind_ns))
    found = correlate(text, snapshot=Snapshot(), admits=asked)

    assert parts(found) == parts(exact(name))
    for clock in found.clocks:
        truth = -behind_ns if clock.host in ("host5", "test51") else 0
        assert clock.low_ns is None or clock.low_ns <= truth
        assert clock.high_ns is None or clock.high_ns >= truth
