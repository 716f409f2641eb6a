"""What each tap recorded, beside what the dumps alone say that it would."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from bothways.bundle import Bundle, open_bundle
from bothways.diagnose import expect, lay_beside, predict
from bothways.facts.expected import SideBySide
from bothways.facts.packet import Flag, flags_text
from bothways.facts.sighting import Direction, Tap

CASES = Path(__file__).parent
ROUTER = "qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f"
QG = Tap("host1", ROUTER, "qg-5d88ef18-33")
UNDERLAY = Tap("host5", "root", "eth1")


@cache
def bundle(name: str) -> Bundle:
    place = CASES / "data" / name
    return open_bundle(place if place.is_dir() else CASES.parents[1] / "examples" / name)


@cache
def beside(name: str) -> SideBySide:
    return lay_beside(bundle(name))


@pytest.mark.parametrize(
    ("name", "taps", "apart"),
    [
        (
            "dual-l3",
            11,
            {"host5:any"},
        ),  # a station that extgw asked for by ARP in the walk, and knew in truth
        ("dual-legacy", 11, {"host5:any"}),
        ("dual-veth", 11, {"host5:any"}),
        ("dual-read-at-once", 11, set()),
        ("dual-no-dnat", 11, set()),
        ("dual-vm-refuses", 11, set()),
        ("reject-established", 11, set()),
        ("reject-port", 11, set()),
        ("vm-refuses", 11, set()),
    ],
)
def test_taps_show_what_was_predicted(name: str, taps: int, apart: set[str]) -> None:
    compared = beside(name)

    assert compared.why_not == ""
    assert len(compared.taps) == taps
    assert {str(each.tap) for each in compared.taps if not each.agrees} == apart
    assert any(each.rows for each in compared.taps)


def test_the_one_packet_that_differs_was_recorded() -> None:
    (apart,) = (each for each in beside("dual-l3").taps if not each.agrees)

    (row,) = (row for row in apart.rows if not row.agrees)
    assert row.predicted is None
    assert row.recorded is not None
    assert row.recorded.packet.tcp is not None
    assert flags_text(row.recorded.packet.tcp.flags) == "S."


def test_what_is_recorded_after_the_walk_is_not_held_against_it() -> None:
    compared = beside("neutron-l3-only")

    assert {each.later for each in compared.taps if each.rows} - {0}
    assert all(row.predicted or row.recorded for each in compared.taps for row in each.rows)


def test_a_capture_that_stopped_early_is_not_blamed() -> None:
    taps = {each.tap: each for each in beside("dual-read-at-once").taps}

    assert taps[QG].unwatched == 1
    assert taps[QG].agrees


def test_dumps_that_are_too_few_are_said_to_be() -> None:
    compared = beside("incident")

    assert compared.taps == ()
    assert "no collected namespace holds this address" in compared.why_not


def test_a_fact_that_is_taken_away_is_seen_at_the_taps() -> None:
    """The comparison can fail: without the router's NAT rules, the predicted captures are others."""
    whole = bundle("dual-l3")
    host = whole.snapshot.hosts["host1"]
    router = host.netns[ROUTER]
    assert router.iptables is not None
    bare = replace(router, iptables=replace(router.iptables, rows=()))
    changed = replace(host, netns={**host.netns, ROUTER: bare})
    snapshot = replace(whole.snapshot, hosts={**whole.snapshot.hosts, "host1": changed})

    compared = lay_beside(replace(whole, snapshot=snapshot))

    assert len([each for each in compared.taps if not each.agrees]) > 3


def test_without_captures_every_device_that_is_crossed_is_a_tap() -> None:
    dumps = replace(bundle("dual-l3"), captures=())
    walk = predict(dumps).walks[0]

    taps = {each.tap for each in expect(dumps, walk)}

    assert {QG, UNDERLAY, Tap("test51", "root", "eth0")} <= taps
    assert not any(tap.device == "any" for tap in taps)
    assert all(each.crossings for each in expect(dumps, walk))


def test_the_underlay_carries_the_packet_in_its_tunnel() -> None:
    case = bundle("dual-l3")
    (capture,) = (each for each in expect(case, predict(case).walks[0]) if each.tap == UNDERLAY)

    syn = capture.crossings[0]
    assert syn.tunnel is not None
    assert (syn.tunnel.kind, syn.tunnel.vni) == ("vxlan", 1086)
    assert (str(syn.tunnel.src), str(syn.tunnel.dst)) == ("10.1.0.11", "10.1.0.15")
    assert syn.direction is Direction.IN
    assert syn.packet.tcp is not None
    assert syn.packet.tcp.flags == Flag.SYN


def test_a_filter_keeps_out_what_it_kept_out_when_it_ran() -> None:
    case = bundle("dual-l3")
    narrow = tuple(replace(each, filter="arp") for each in case.captures if each.tap == QG)
    (capture,) = expect(replace(case, captures=narrow), predict(case).walks[0])

    assert capture.crossings
    assert all(each.packet.arp is not None for each in capture.crossings)


def test_time_runs_forwards_and_timers_show() -> None:
    walk = predict(bundle("dual-l3")).walks[0]
    times = [each.at_ns for each in walk.crossings]

    assert times == sorted(set(times))
    assert times[-1] > 1_000_000_000
