"""
A site of OVN: two chassis, two networks, a router, ACLs, Geneve with the port in an option.

Recorded from OVN 23.03 in namespaces. There the connections to port 22 were answered over both networks, and
one to port 80 got no answer.
"""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from bothways.bundle import open_bundle
from bothways.diagnose import diagnose
from bothways.facts.address import address
from bothways.facts.diagnosis import Fate
from bothways.facts.prediction import Walk
from bothways.facts.question import Question
from bothways.facts.step import Did
from bothways.model.world import predict

SITE = Path(__file__).parent / "data/ovn.tar.gz"
ROUTED = Question("tcp", address("10.0.1.11"), address("10.0.2.13"), 22, 40000)
SWITCHED = replace(ROUTED, destination=address("10.0.1.12"))
REFUSED = replace(ROUTED, destination_port=80)
MAP = "{}/ovs/br-int.tlv-map.txt"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The site, to be changed."""
    with tarfile.open(SITE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def rewrite(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def the_walk(site: Path, question: Question) -> Walk:
    (walk,) = predict(open_bundle(site).snapshot, question).walks
    return walk


def dropped(walk: Walk) -> list[tuple[str, str, str]]:
    steps = (step for journey in walk.journeys for branch in journey.branches for step in branch.steps)
    return [(step.place.host, step.place.device, step.function) for step in steps if step.did is Did.DROPPED]


@pytest.mark.parametrize("question", [SWITCHED, ROUTED])
def test_a_connection_works_over_both_chassis(question: Question) -> None:
    walk = the_walk(SITE, question)

    assert (walk.fate, walk.unknown, walk.assumptions) == (Fate.WORKS, (), ())
    steps = [step for journey in walk.journeys for branch in journey.branches for step in branch.steps]
    assert {step.place.host for step in steps if step.did is Did.DECAPSULATED} == {"h1", "h2"}


def test_a_port_that_no_acl_lets_in_is_dropped_where_its_port_is() -> None:
    walk = the_walk(SITE, REFUSED)

    assert (walk.fate, walk.unknown) == (Fate.TIMEOUT, ())
    assert {host for host, device, _ in dropped(walk) if device == "br-int"} == {"h2"}
    verdict = diagnose(open_bundle(SITE), REFUSED)
    assert "that flow counted 2 packets" in " ".join(verdict.unknown)


def test_who_answers_arp_for_a_port_with_its_own_mac_is_no_second_owner() -> None:
    assert diagnose(open_bundle(SITE), REFUSED).latent == ()


def test_each_chassis_may_use_another_field_for_the_option(site: Path) -> None:
    for name in ("flows", "tlv-map"):
        file = site / f"hosts/h2/ovs/br-int.{name}.txt"
        file.write_text(
            file.read_text()
            .replace("tun_metadata0", "tun_metadata7")
            .replace("TUN_METADATA0", "TUN_METADATA7")
        )

    assert the_walk(site, ROUTED).fate is Fate.WORKS
    (site / "hosts/h2/ovs/br-int.tlv-map.txt").unlink()
    assert the_walk(site, ROUTED).fate is not Fate.WORKS


def test_an_option_that_the_other_chassis_does_not_know_is_not_guessed(site: Path) -> None:
    rewrite(site / "hosts/h2/ovs/br-int.tlv-map.txt", " 0x80 ", " 0x81 ")

    assert all(walk.unknown for walk in predict(open_bundle(site).snapshot, ROUTED).walks)


def test_without_the_maps_the_same_field_is_taken_for_the_same_option(site: Path) -> None:
    for host in ("h1", "h2"):
        (site / f"hosts/{host}/ovs/br-int.tlv-map.txt").unlink()
    walk = the_walk(site, ROUTED)

    assert walk.fate is Fate.WORKS
    assert {(each.text.partition(" ")[0], each.missing) for each in walk.assumptions} == {
        ("tun_metadata0", "ovs-ofctl dump-tlv-map br-int")
    }
