"""
The incident on the bridges of the real Neutron agents (29.0): local VLANs, ``learn``, a second owner's flow.

``neutron-agent`` was recorded with that flow on host5, ``neutron-agent-alone`` a few seconds
before it was added.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any, Final

import pytest
from renumber import numbering_of, renumber
from verdicts import told

DATA: Final = Path(__file__).parent / "data"
ROUTER: Final = "qrouter-4dfdbf51-3ad8-4fa0-bd26-936d828ebd74"
GATE: Final = "qg-3bb0388f-ea"
SECOND_OWNER: Final = "cookie=0xd1,"


def test_the_second_owners_flow_is_the_culprit_and_the_router_the_author() -> None:
    answer = told(DATA / "neutron-agent")

    assert (answer["status"], code(answer), answer["cause"]["confidence"]) == ("explained", "BW101", "proved")
    assert [culprit["host"] for culprit in answer["culprits"]] == ["host5"]
    assert all(SECOND_OWNER in text for text in accused(answer))
    assert [(a["host"], a["netns"], a["device"]) for a in answer["authors"]] == [("host1", ROUTER, GATE)]
    assert answer["unknown"] == []


def test_its_healthy_twin_is_healthy() -> None:
    answer = told(DATA / "neutron-agent-alone")

    assert (answer["status"], answer["cause"], answer["culprits"]) == ("healthy", None, [])
    assert answer["accounted"]["unexplained"] == []


def test_another_numbering_changes_nothing(tmp_path: Path) -> None:
    numbering = numbering_of(DATA / "neutron-agent", 3)
    renumber(DATA / "neutron-agent", tmp_path, numbering)
    answer = told(tmp_path)
    host = numbering.hosts.get("host5", "host5")

    assert (answer["status"], code(answer)) == ("explained", "BW101")
    assert [culprit["host"] for culprit in answer["culprits"]] == [host]
    assert all(SECOND_OWNER in text for text in accused(answer))


def without(*patterns: str) -> Callable[[Path], None]:
    def change(bundle: Path) -> None:
        for pattern in patterns:
            for path in bundle.glob(pattern):
                rmtree(path) if path.is_dir() else path.unlink()

    return change


def before_anything_was_learned(bundle: Path) -> None:
    """A dump in which no ``learn`` has acted yet: frames are flooded into the tunnels."""
    for file in bundle.glob("hosts/*/ovs/br-tun.flows.txt"):
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(line for line in lines if "hard_timeout=300, priority" not in line))


@pytest.mark.parametrize(
    "change",
    [
        without("hosts/*/captures"),
        without("hosts/*/ovs/ovsdb.jsonl"),
        without("hosts/*/ovs/show.txt"),
        without("hosts/*/ovs/*.fdb.txt", "hosts/*/netns/*/neigh.json"),
        before_anything_was_learned,
    ],
    ids=[
        "no captures",
        "no database",
        "no ovs-vsctl show",
        "nothing learned by switches",
        "nothing learned by flows",
    ],
)
def test_with_less_evidence_it_is_still_found(change: Callable[[Path], None], tmp_path: Path) -> None:
    copytree(DATA / "neutron-agent", tmp_path, dirs_exist_ok=True)
    change(tmp_path)
    answer = told(tmp_path)

    assert (answer["status"], code(answer)) == ("explained", "BW101")
    assert accused(answer)
    assert all(SECOND_OWNER in text for text in accused(answer))


def test_without_the_flows_of_the_second_owners_bridge_nobody_is_accused(tmp_path: Path) -> None:
    copytree(DATA / "neutron-agent", tmp_path, dirs_exist_ok=True)
    without("hosts/host5/ovs/br-int.flows.txt")(tmp_path)

    assert accused(told(tmp_path)) == []


def code(answer: dict[str, Any]) -> object:
    return answer["cause"] and answer["cause"]["code"]


def accused(answer: dict[str, Any]) -> list[str]:
    return [(culprit["evidence"] or {}).get("text", "") for culprit in answer["culprits"]]
