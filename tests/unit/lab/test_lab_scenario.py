"""Scenario files: what they may say, and what is said of one that says something else."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import pytest

from bothways.lab import Naming, ScenarioError, plan, printed, read_scenario
from bothways.lab.scenario import Expectation
from bothways.lab.site import Member, Place

ROOT = Path(__file__).resolve().parents[3]
SCENARIOS = sorted((ROOT / "scenarios").glob("*/scenario.toml"))

SMALL = """\
format = "bothways-scenario/1"
title = "two hosts on a wire"

[question]
at = "a"
source = "192.0.2.1"
destination = "192.0.2.2"
destination_port = 80

[expect]
status = "healthy"
fate = "works"

[wires.one]
members = ["a:eth0", "b:eth0"]

[hosts.a]
addresses = { eth0 = "192.0.2.1/24" }

[hosts.b]
addresses = { eth0 = "192.0.2.2/24" }
services = [{ kind = "http", address = "192.0.2.2", port = 80 }]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_small_scenario_is_a_site(tmp_path: Path) -> None:
    site = read_scenario(written(tmp_path, SMALL)).site
    assert site.hosts == ("a", "b")
    assert site.wires[0].members == (Member(Place("a"), "eth0"), Member(Place("b"), "eth0"))
    assert site.spaces[Place("b")].services[0].port == 80


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'title = "two',
            'tittle = "two',
            "scenario.toml:2: tittle: no key `tittle` here, did you mean `title`?",
        ),
        (
            "destination_port = 80",
            'destination_port = "80"',
            "scenario.toml:8: question.destination_port: a number",
        ),
        (
            'at = "a"',
            'at = "c"',
            "scenario.toml:5: question.at: no namespace `c` in this scenario, there are a, b",
        ),
        ('"b:eth0"]', '"b"]', "wires.one.members: HOST[/NETNS]:DEVICE is expected, not `b`"),
        ('["a:eth0", "b:eth0"]', '["a:eth0"]', "a wire joins two devices or more"),
        ('kind = "http"', 'kind = "ftp"', "kind is one of banner, echo, http, sshd"),
        ('fate = "works"', "", "expect: `fate` is missing"),
        ("[wires.one]", "[wires.one", "scenario.toml:14: no TOML"),
        ("scenario/1", "scenario/9", "scenario.toml:1: format: `bothways-scenario/1` is expected"),
        ("[hosts.b]", '[hosts.b]\nnft = { template = "nonsense" }', "no template `nonsense` for nft"),
        (
            "[hosts.b]",
            '[hosts.b]\niptables = { template = "neutron-router" }',
            "template `neutron-router`: 'external'",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert old in SMALL
    with pytest.raises(ScenarioError, match=re.escape(said)):
        read_scenario(written(tmp_path, SMALL.replace(old, new)))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.parent.name)
def test_a_seed_changes_every_number_and_keeps_the_site(path: Path, tmp_path: Path) -> None:
    one, other, same = read_scenario(path), read_scenario(path, 3), read_scenario(path, 3)
    assert other == same
    assert len(other.site.spaces) == len(one.site.spaces)
    assert len(other.site.wires) == len(one.site.wires)
    before = numbers(printed(plan(one.site, Naming("x", tmp_path))))
    after = numbers(printed(plan(other.site, Naming("x", tmp_path))))
    assert before
    assert before & after == set()


def numbers(text: str) -> set[str]:
    """Addresses and station MACs of a plan, without those that mean the same everywhere."""
    found = set()
    for word in re.findall(r"(?<![\d.])\d+\.\d+\.\d+\.\d+(?![\d.])", text):
        address = ipaddress.ip_address(word)
        if not (address.is_loopback or address.is_link_local or address.is_unspecified):
            found.add(word)
    return found | set(re.findall(r"(?:fa:16:3e|2c:ab:00)(?::[0-9a-f]{2}){3}", text))


def test_a_base_is_laid_below(tmp_path: Path) -> None:
    written(tmp_path, SMALL)
    upper = tmp_path / "upper"
    upper.mkdir()
    text = 'base = "../scenario.toml"\nremove = ["hosts.b.services"]\n[expect]\nfate = "refused"\n'
    scenario = read_scenario(written(upper, text))
    assert scenario.expectation == Expectation("healthy", "refused")
    assert scenario.site.spaces[Place("b")].services == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('base = "../nowhere.toml"\n', "scenario.toml:1: base: no file"),
        ('base = "scenario.toml"\n', "a circle of bases"),
        (
            'base = "../scenario.toml"\nremove = ["hosts.c"]\n',
            "scenario.toml:2: remove: the base has no `hosts.c`",
        ),
    ],
)
def test_a_base_that_cannot_be_laid_below(text: str, said: str, tmp_path: Path) -> None:
    written(tmp_path, SMALL)
    upper = tmp_path / "upper"
    upper.mkdir()
    with pytest.raises(ScenarioError, match=re.escape(said)):
        read_scenario(written(upper, text))


MESH = """
[mesh.vx1]
vni = 7
[mesh.vx1.members.a]
underlay = "192.0.2.1"
via = "eth0"
overlay = "10.1.0.0"
mac = "02:00:00:00:01:00"
subnet = "10.1.0.0/24"
[mesh.vx1.members.b]
underlay = "192.0.2.2"
via = "eth0"
overlay = "10.2.0.0"
mac = "02:00:00:00:02:00"
subnet = "10.2.0.0/24"
"""


def test_a_mesh_gives_every_host_the_way_to_each_other_one(tmp_path: Path) -> None:
    space = read_scenario(written(tmp_path, SMALL + MESH)).site.spaces[Place("a")]

    assert [(each.name, each.words) for each in space.devices] == [
        ("vx1", "type vxlan id 7 local 192.0.2.1 dstport 4789 dev eth0 nolearning")
    ]
    assert (space.addresses["vx1"], space.macs) == (("10.1.0.0/32",), {"vx1": "02:00:00:00:01:00"})
    assert space.routes == ("10.2.0.0/24 via 10.2.0.0 dev vx1 onlink",)
    assert space.neighbours == ("10.2.0.0 lladdr 02:00:00:00:02:00 dev vx1 nud permanent",)
    assert space.fdb == ("02:00:00:00:02:00 dev vx1 dst 192.0.2.2",)


def test_a_mesh_says_what_its_members_lack(tmp_path: Path) -> None:
    text = SMALL + MESH.replace('subnet = "10.2.0.0/24"', "")
    with pytest.raises(ScenarioError, match=r"mesh\.vx1\.members\.b.*subnet"):
        read_scenario(written(tmp_path, text))
