"""The way between two switches of Open vSwitch: what a host does to the datagrams of its tunnels."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from bothways.bundle import open_bundle
from bothways.facts.question import Question
from bothways.facts.snapshot import Host, Snapshot
from bothways.facts.step import Did, Step
from bothways.model.change import apply_change
from bothways.model.world import predict
from bothways.parse.change import parse_change

EXAMPLE = Path(__file__).parents[3] / "examples" / "neutron-l3-only"


@cache
def site(datapath: str) -> tuple[Snapshot, Question]:
    bundle = open_bundle(EXAMPLE)
    assert bundle.question is not None
    hosts = {name: with_datapath(host, datapath) for name, host in bundle.snapshot.hosts.items()}
    return replace(bundle.snapshot, hosts=hosts), bundle.question


def with_datapath(host: Host, datapath: str) -> Host:
    if host.switch is None:
        return host
    bridges = {name: replace(each, datapath=datapath) for name, each in host.switch.bridges.items()}
    return replace(host, switch=replace(host.switch, bridges=bridges))


def lost(snapshot: Snapshot, question: Question) -> tuple[set[str], list[Step]]:
    """Fates, and the steps that say that what carries a frame does not arrive."""
    prediction = predict(snapshot, question)
    steps = [
        step
        for walk in prediction.walks
        for journey in walk.journeys
        for branch in journey.branches
        for step in branch.steps
        if step.reason.startswith("what carries it to ")
    ]
    return {str(walk.fate) for walk in prediction.walks}, steps


@pytest.mark.parametrize(
    ("command", "where", "function", "words"),
    [
        ("host1: iptables -I INPUT -p udp --dport 4789 -j DROP", "host1", "ipt_do_table", "a rule drops it"),
        ("host5: iptables -A OUTPUT -p udp --dport 4789 -j DROP", "host5", "ipt_do_table", "a rule drops it"),
        ("host5: iptables -A OUTPUT -d 10.1.0.11 -j REJECT", "host5", "nf_send_unreach", "a rule rejects it"),
        ("host1: iptables -I INPUT -s 10.1.0.15 -j REJECT", "host1", "nf_send_unreach", "a rule rejects it"),
        ("host5: ip route del 10.1.0.0/24 dev br-phy", "host5", "ip_route_output_flow", "has no route"),
        ("host5: ip link set br-phy down", "host5", "netif_rx", "br-phy is down"),
    ],
)
def test_what_a_host_does_to_a_datagram_is_the_fate_of_the_frame(
    command: str, where: str, function: str, words: str
) -> None:
    snapshot, question = site("system")

    fates, steps = lost(apply_change(snapshot, parse_change(command)).snapshot, question)

    assert fates == {"timeout"}
    assert {(step.place.host, step.function, step.did) for step in steps} == {(where, function, Did.DROPPED)}
    assert all(words in step.reason for step in steps)


@pytest.mark.parametrize(
    "command",
    [
        "host1: iptables -I INPUT -p udp --dport 4790 -j DROP",  # another port
        "host1: iptables -I INPUT -p udp --dport 4789 -m limit --limit 1/s -j DROP",  # open: may pass
        "host1: iptables -I FORWARD -p udp --dport 4789 -j DROP",
    ],
)
def test_what_is_not_sure_loses_nothing(command: str) -> None:
    snapshot, question = site("system")

    assert lost(apply_change(snapshot, parse_change(command)).snapshot, question) == ({"works"}, [])


def test_without_a_change_all_arrives() -> None:
    assert lost(*site("system")) == ({"works"}, [])


def test_a_userspace_datapath_passes_no_firewall_of_its_host() -> None:
    snapshot, question = site("netdev")
    command = "host1: iptables -I INPUT -p udp --dport 4789 -j DROP"

    assert lost(apply_change(snapshot, parse_change(command)).snapshot, question) == ({"works"}, [])


def test_where_routes_were_not_collected_nothing_is_told() -> None:
    snapshot, question = site("system")
    hosts = dict(snapshot.hosts)
    for name in ("host1", "host5"):
        root = replace(hosts[name].netns["root"], routes=None)
        hosts[name] = replace(hosts[name], netns={**hosts[name].netns, "root": root})

    assert lost(replace(snapshot, hosts=hosts), question)[1] == []
