"""
Sites of OVN: two chassis, two networks, a router, ACLs, floating IPs, Geneve with the port in an option.

Recorded from OVN 23.03 in namespaces. There the connections to port 22 were answered over both networks, and
one to port 80 got no answer. Floating IPs were answered, and what machines asked outside came from their
floating IP, or from that of the router.
"""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from bothways.bundle import open_bundle
from bothways.diagnose import diagnose
from bothways.diagnose.owners import owners_of
from bothways.facts.address import IPAddress, address
from bothways.facts.diagnosis import Fate
from bothways.facts.prediction import Walk
from bothways.facts.question import Question
from bothways.facts.step import Did
from bothways.model.world import predict

DATA = Path(__file__).parent / "data"
SITE = DATA / "ovn-acl.tar.gz"
FLOATING = [DATA / "ovn-gateway.tar.gz", DATA / "ovn-distributed.tar.gz"]
ROUTED = Question("tcp", address("10.0.1.11"), address("10.0.2.13"), 22, 40000)
SWITCHED = replace(ROUTED, destination=address("10.0.1.12"))
REFUSED = replace(ROUTED, destination_port=80)
OUTSIDE, FLOATING_IP = address("203.0.113.9"), address("203.0.113.50")
ROUTER = address("203.0.113.1")


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

    for walk in predict(open_bundle(site).snapshot, ROUTED).walks:
        assert any("hosts/h2/ovs/br-int.tlv-map.txt lacks tun_metadata0" in text for text in walk.unknown)


def test_without_the_maps_the_same_field_is_taken_for_the_same_option(site: Path) -> None:
    for host in ("h1", "h2"):
        (site / f"hosts/{host}/ovs/br-int.tlv-map.txt").unlink()
    walk = the_walk(site, ROUTED)

    assert walk.fate is Fate.WORKS
    assert [(each.text, each.missing) for each in walk.assumptions] == [
        (
            "tun_metadata0: the same option of Geneve on h1 br-int and h2 br-int",
            "ovs-ofctl dump-tlv-map br-int",
        )
    ]


def delivered(walk: Walk, host: str, netns: str) -> set[tuple[str, str]]:
    """Source and destination of the packets that a namespace took."""
    steps = (step for journey in walk.journeys for branch in journey.branches for step in branch.steps)
    taken = (
        step
        for step in steps
        if step.did is Did.DELIVERED and (step.place.host, step.place.netns) == (host, netns)
    )
    return {
        (str(step.before.ip.src), str(step.before.ip.dst)) for step in taken if step.before.ip is not None
    }


@pytest.mark.parametrize("folder", FLOATING, ids=lambda path: path.name)
def test_a_floating_ip_is_translated_and_answers(folder: Path) -> None:
    walk = the_walk(folder, Question("tcp", OUTSIDE, FLOATING_IP, 22, 40000))

    assert (walk.fate, walk.unknown) == (Fate.WORKS, ())
    assert delivered(walk, "h2", "vm2") == {("203.0.113.9", "10.0.1.12")}
    assert delivered(walk, "ext", "root") == {("203.0.113.50", "203.0.113.9")}


@pytest.mark.parametrize("folder", FLOATING, ids=lambda path: path.name)
@pytest.mark.parametrize(("machine", "seen"), [("10.0.1.11", ROUTER), ("10.0.1.12", FLOATING_IP)])
def test_what_a_machine_asks_outside_comes_from_its_floating_ip_or_the_router(
    folder: Path, machine: str, seen: IPAddress
) -> None:
    walk = the_walk(folder, Question("tcp", address(machine), OUTSIDE, 22, 40000))

    assert (walk.fate, walk.unknown) == (Fate.WORKS, ())
    assert delivered(walk, "ext", "root") == {(str(seen), "203.0.113.9")}


@pytest.mark.parametrize("folder", FLOATING, ids=lambda path: path.name)
def test_a_floating_ip_of_ovn_has_one_owner(folder: Path) -> None:
    bundle = open_bundle(folder)
    owners = owners_of(bundle.snapshot, FLOATING_IP)

    assert {owner.host for owner in owners.switches} == {"h1", "h2"}
    assert not owners.two
    assert diagnose(bundle).latent == ()
