"""What is offered for a broken site, and what is refused, as it really happened there."""

from functools import cache
from pathlib import Path

import pytest

from bothways.bundle import open_bundle
from bothways.diagnose import diagnose
from bothways.facts.diagnosis import Diagnosis, Remedy

ROOT = Path(__file__).parents[2]
CASES = {
    "dual-l3": ROOT / "examples" / "dual-l3",
    "half": Path(__file__).parent / "data" / "dual-half-odl-inbound",
    "incident": ROOT / "examples" / "incident",
    "healthy": ROOT / "examples" / "neutron-l3-only",
}


@cache
def told(name: str) -> Diagnosis:
    return diagnose(open_bundle(CASES[name]))


def remedy(name: str, *parts: str) -> Remedy:
    """The one remedy whose commands hold all these words."""
    found = [
        r for r in told(name).remedies if all(p in "\n".join(c.command for c in r.change) for p in parts)
    ]
    return min(found, key=lambda r: len(r.change))


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        (("table=20", "table=30", "table=100"), "works"),
        (("ip addr del 192.168.111.223/32", "DNAT", "SNAT"), "works"),
        (("ip neigh replace 192.168.111.223 lladdr fa:16:3e:74:db:c7 nud permanent dev br-ex",), "works"),
        (("table=100",), "depends"),
        (("be_liberal",), "fails"),
        (("tcp_loose=0",), "fails"),
        (("tcp_loose=1",), "fails"),
        (("ignore_invalid_rst",), "fails"),
        (("checksum=0",), "fails"),
        (("rp_filter=2",), "fails"),
        (("timeout_syn_sent=1",), "fails"),
        (("-I FORWARD", "INVALID"), "fails"),
        (("-I INPUT", "INVALID"), "fails"),
        (("-I OUTPUT -o qg-5d88ef18-33", "RST"), "fails"),
        (("--notrack",), "fails"),
    ],
)
def test_it_is_told_as_it_happened(parts: tuple[str, ...], verdict: str) -> None:
    assert remedy("dual-l3", *parts).verdict == verdict


def test_what_works_stands_first_and_breaks_nothing_here() -> None:
    remedies = told("dual-l3").remedies
    verdicts = [r.verdict for r in remedies]

    assert verdicts == sorted(verdicts, key=("works", "depends", "unknown", "fails").index)
    assert [r.breaks for r in remedies if r.verdict == "works"] == [(), (), ()]


def test_a_refused_one_says_why_people_are_wrong_and_what_the_walk_showed() -> None:
    why = remedy("dual-l3", "be_liberal").why

    assert "window" in why
    assert "reset" in why


def test_half_a_removal_hangs_on_who_answers_first() -> None:
    assert "fa:16:3e:74:db:c7" in remedy("dual-l3", "table=100").why


def test_the_mirror_image_is_repaired_by_taking_the_other_half_away_too() -> None:
    assert told("half").cause is not None
    assert told("half").cause.code == "BW102"  # type: ignore[union-attr] # asserted above
    assert remedy("half", "table=20", "table=30").verdict == "works"
    assert remedy("half", "lladdr fa:16:3e:e3:66:3c").verdict == "works"


def test_nothing_is_offered_where_the_way_could_not_be_walked_and_that_is_said() -> None:
    assert told("incident").remedies == ()
    assert any("repair" in text for text in told("incident").unknown)


def test_a_healthy_connection_needs_none() -> None:
    assert told("healthy").remedies == ()


def test_what_a_colleague_would_ask_first_is_refuted_with_its_frame() -> None:
    refuted = {r.cause: r for r in told("dual-l3").ruled_out}

    assert {"BW601", "BW801", "BW109", "BW402"} <= set(refuted)
    assert [code for code, each in refuted.items() if not each.evidence] == []
    assert refuted["BW601"].evidence[0].span.frame
    assert "qrouter" in refuted["BW801"].why
    assert "BW801" not in {r.cause for r in told("half").ruled_out}
