"""What a page shows beside the verdict, on the examples: the way, the healthy ladder, excerpts."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from bothways.bundle import Bundle, open_bundle
from bothways.diagnose.case import Case
from bothways.diagnose.excerpts import excerpts_of
from bothways.diagnose.gather import gather
from bothways.diagnose.ladder import ladder_of
from bothways.diagnose.paths import paths_of
from bothways.diagnose.predicted_ladder import expected_of, healthy_of
from bothways.facts.diagnosis import Culprit, Diagnosis, Evidence, Finding, Ladder, Rung, Status
from bothways.facts.path import Path as Way
from bothways.facts.span import Span

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@cache
def bundle(name: str) -> Bundle:
    return open_bundle(EXAMPLES / name)


@cache
def case(name: str, *, captured: bool = True) -> Case:
    opened = bundle(name)
    found, _ = gather(opened if captured else replace(opened, captures=()), None)
    assert found is not None
    return found


def places(path: Way) -> list[str]:
    return [f"{stop.host} {stop.bridge or stop.netns.split('-')[0]}" for stop in path.stops]


def devices(rung: Rung) -> list[str]:
    return [f"{sighting.tap.host} {sighting.tap.device.split('-')[0]}" for sighting in rung.sightings]


def observed(given: Case) -> Ladder:
    assert given.story is not None
    return ladder_of(given.story.connection, given.correlation)


def culprit() -> Culprit:
    host = bundle("dual-l3").snapshot.hosts["host5"]
    assert host.switch is not None
    flow = next(f for f in host.switch.bridges["br-int"].flows or () if "->ip_src" in f.span.text)
    return Culprit("openflow", "host5", "br-int table 100", flow.span.text, Evidence(flow.span))


def test_the_way_leads_over_namespaces_and_bridges_and_divides() -> None:
    there, back = paths_of(case("dual-l3"))

    assert places(there) == [
        "host1 root", "host1 br-ex", "host1 qrouter", "host1 br-int", "host5 br-int", "test51 root",
    ]  # fmt: skip
    assert places(back) == [
        "test51 root", "host5 br-int", "host5 br-ex", "extgw root", "host1 br-ex", "host1 root",
    ]  # fmt: skip
    assert there.stops[2].notes == ("destination becomes 88.88.88.4:22",)
    assert back.stops[1].notes == ("source becomes 192.168.111.223:22 by table=100",)
    assert not there.observed
    assert there.arrived


def test_where_the_model_cannot_walk_captures_tell_the_way() -> None:
    there, back = paths_of(case("incident"))

    assert places(there) == ["host1 root", "host1 qrouter", "host5 root"]
    assert places(back) == ["host5 root", "host1 root"]
    assert there.observed
    assert there.arrived is None


def test_without_the_culprit_the_answer_passes_where_it_was_missed() -> None:
    given = case("dual-l3")
    healthy = healthy_of(given, (culprit(),), observed(given).taps)
    syn, answer, ack, data = healthy.rungs

    assert devices(syn) == [
        "host1 br", "host1 qg", "host1 qr", "host1 eth1", "host5 eth1", "host5 tap2d386740", "test51 eth0",
    ]  # fmt: skip
    assert devices(answer) == devices(syn)[::-1]
    assert devices(ack) == devices(syn)
    assert data.name.startswith("data [P.]")
    assert "without the flow of host5 br-int table 100" in healthy.supposed


def test_without_a_culprit_another_choice_of_the_network_is_shown() -> None:
    given = case("dual-l3")
    healthy = healthy_of(given, (), observed(given).taps)

    assert healthy.supposed.startswith("with another choice of the network: 192.168.111.223 answered by")
    assert "host1 qg" not in devices(healthy.rungs[0])


def test_what_works_needs_no_healthy_ladder_and_what_cannot_be_walked_has_none() -> None:
    assert healthy_of(case("neutron-l3-only"), (), ()) == Ladder()
    assert healthy_of(case("incident"), (), ()) == Ladder()


def test_without_captures_the_walk_is_the_ladder() -> None:
    given = case("dual-l3", captured=False)
    expected = expected_of(given)

    assert [rung.name.split(" ")[0] for rung in expected.rungs][:4] == ["SYN", "SYN/ACK", "ACK", "RST"]
    assert expected.supposed
    assert all(not sighting.span.file for rung in expected.rungs for sighting in rung.sightings)
    assert expected_of(case("dual-l3")) == Ladder()


def test_an_excerpt_holds_the_neighbours_in_the_order_of_the_file() -> None:
    known = culprit().evidence
    assert known is not None
    frame = case("dual-l3").bundle.captures[1].sightings[4].span
    stranger = Span("hosts/host9/nothing.txt", line=3, text="no such file")
    verdict = Diagnosis(
        Status.EXPLAINED,
        None,
        also=(Finding("BW201", "", (known, Evidence(frame), known, Evidence(stranger))),),
    )
    flow, packet = excerpts_of(verdict, bundle("dual-l3"))

    assert flow.span == known.span
    line = known.span.line or 0
    assert [span.line for span in (*flow.before, *flow.after)] == [
        line - 3, line - 2, line - 1, line + 1, line + 2, line + 3,
    ]  # fmt: skip
    assert [span.frame for span in packet.before] == [2, 3, 4]
    assert {span.file for span in packet.after} == {frame.file}
