"""
The incident without Open vSwitch: native nft rules on the VM's host are the second owner.

All three were recorded in namespaces, with Linux bridges and VXLAN of the kernel. ``nft-owner``: a rule of
the family bridge hands the VM's answers to the host, one of the family ip rewrites their sender; as the
host's bridges call the hooks of IP, the second alone would break the connection as well. ``nft-owner-map``:
a rule of a bridge does both, out of a map, and bridges call nothing. ``nft-owner-netdev``: a rule at the
ingress of the VM's port sends them out of another device.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any, Final

import pytest
from renumber import numbering_of, renumber
from verdicts import told

from bothways.bundle import open_bundle
from bothways.facts.diagnosis import Fate
from bothways.model.world import predict

DATA: Final = Path(__file__).parent / "data"
AUTHOR: Final = ("host1", "qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f", "qg-5d88ef18-33")
#: case -> what its culprits read
GUILTY: Final = {
    "nft-owner": ("meta pkttype set host", "ip saddr set 192.168.111.223"),
    "nft-owner-map": ("ip saddr map @out",),
    "nft-owner-netdev": ('fwd to "eth0"',),
}
RULES: Final = "hosts/host5/netns/root/nft.txt"
#: What ``nft -j list ruleset`` prints of the rules of ``nft-owner``.
PAYLOAD: Final = {
    name: {"payload": {"protocol": name.split()[0], "field": name.split()[1]}}
    for name in ("ip saddr", "ip daddr", "ether daddr")
}


def match(left: dict[str, Any], right: object) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": right}}


def mangle(key: dict[str, Any], value: object) -> dict[str, Any]:
    return {"mangle": {"key": key, "value": value}}


OURS: Final = [
    match(PAYLOAD["ip saddr"], "88.88.88.4"),
    match(PAYLOAD["ip daddr"], {"prefix": {"addr": "192.168.111.0", "len": 24}}),
]
REDIRECT: Final = [
    match({"meta": {"key": "iifname"}}, "tap2d386740-3b"),
    *OURS,
    mangle(PAYLOAD["ether daddr"], "fa:16:3e:74:db:c7"),
    mangle({"meta": {"key": "pkttype"}}, "host"),
]
REWRITE: Final = [*OURS, {"notrack": None}, mangle(PAYLOAD["ip saddr"], "192.168.111.223")]


def ruleset() -> str:
    found: list[dict[str, Any]] = [{"metainfo": {"version": "1.0.6", "json_schema_version": 1}}]
    for family, priority, rule in (("bridge", -300, REDIRECT), ("ip", -310, REWRITE)):
        place = {"family": family, "table": "fip"}
        hook = {"type": "filter", "hook": "prerouting", "prio": priority, "policy": "accept"}
        found += [
            {"table": {"family": family, "name": "fip", "handle": 1}},
            {"chain": {**place, "name": "prerouting", "handle": 1, **hook}},
            {"rule": {**place, "chain": "prerouting", "handle": 2, "expr": rule}},
        ]
    return json.dumps({"nftables": found})


def accused(answer: dict[str, Any]) -> list[str]:
    return [culprit["evidence"]["text"] for culprit in answer["culprits"]]


@pytest.mark.parametrize("name", GUILTY)
def test_the_nft_rules_are_the_culprits_and_the_router_the_author(name: str) -> None:
    answer = told(DATA / name)

    assert (answer["status"], answer["cause"]["code"], answer["cause"]["confidence"]) == (
        "explained",
        "BW101",
        "proved",
    )
    assert {(culprit["kind"], culprit["host"]) for culprit in answer["culprits"]} == {("nft", "host5")}
    assert [words in text for words, text in zip(GUILTY[name], accused(answer), strict=True)] == [True] * len(
        GUILTY[name]
    )
    assert [(a["host"], a["netns"], a["device"]) for a in answer["authors"]] == [AUTHOR]


@pytest.mark.parametrize("name", GUILTY)
def test_another_numbering_changes_nothing(name: str, tmp_path: Path) -> None:
    numbering = numbering_of(DATA / name, 5)
    renumber(DATA / name, tmp_path, numbering)
    answer = told(tmp_path)

    assert (answer["status"], answer["cause"]["code"]) == ("explained", "BW101")
    assert {c["host"] for c in answer["culprits"]} == {numbering.hosts.get("host5", "host5")}
    assert len(answer["culprits"]) == len(GUILTY[name])


def as_json(bundle: Path) -> None:
    (bundle / RULES).unlink()
    (bundle / RULES).with_suffix(".json").write_text(ruleset())


def json_in_place_of_words(bundle: Path) -> None:
    (bundle / RULES).write_text(ruleset())


def without_captures(bundle: Path) -> None:
    for file in bundle.glob("hosts/host5/captures/*/*"):
        file.unlink()


@pytest.mark.parametrize("change", [as_json, json_in_place_of_words, without_captures])
def test_other_evidence_of_the_same_is_as_good(change: Callable[[Path], None], tmp_path: Path) -> None:
    copytree(DATA / "nft-owner", tmp_path, dirs_exist_ok=True)
    change(tmp_path)
    answer = told(tmp_path)

    assert (answer["status"], answer["cause"]["code"]) == ("explained", "BW101")
    assert [words in text for words, text in zip(GUILTY["nft-owner"], accused(answer), strict=True)] == [
        True,
        True,
    ]


def fate(bundle: Path) -> Fate:
    opened = open_bundle(bundle)
    assert opened.question is not None
    (walk,) = predict(opened.snapshot, opened.question).walks
    return walk.fate


@pytest.mark.parametrize("name", GUILTY)
def test_dumps_alone_foretell_it_and_without_the_rules_the_connection_lives(
    name: str, tmp_path: Path
) -> None:
    copytree(DATA / name, tmp_path, dirs_exist_ok=True)
    assert fate(tmp_path) is Fate.RESET

    (tmp_path / RULES).write_text("")
    assert fate(tmp_path) is Fate.WORKS


def test_without_the_rules_nobody_is_accused(tmp_path: Path) -> None:
    copytree(DATA / "nft-owner", tmp_path, dirs_exist_ok=True)
    (tmp_path / RULES).unlink()
    answer = told(tmp_path)

    assert [c for c in answer["culprits"] if c["kind"] == "nft"] == []
    assert answer["status"] in ("explained", "undetermined")
