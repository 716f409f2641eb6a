"""The tool that renumbers bundles, tested by itself: one to one, complete, and read by other programs too."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import pytest
from numbering import Numbering
from renumber import numbering_of, renumber
from truth import BUNDLES

from bothways.bundle import open_bundle

#: One bundle of each kind; every other one is renumbered where verdicts are compared.
TRIED = [
    "incident",
    "dual-l3",
    "odl-l3-only",
    "dual-legacy",
    "dual-veth",
    "checksum-offload",
    "dual-half-odl-inbound",
    "entry-deleted",
]
#: Named alike in every numbering.
KEPT = {"bundle.toml", "collection.jsonl"}
Renumbered = Callable[[str], tuple[Numbering, Path]]


@pytest.fixture(scope="module")
def renumbered(tmp_path_factory: pytest.TempPathFactory) -> Renumbered:
    @cache
    def build(name: str) -> tuple[Numbering, Path]:
        numbering, there = numbering_of(BUNDLES[name], seed=7), tmp_path_factory.mktemp(name)
        renumber(BUNDLES[name], there, numbering)
        return numbering, there

    return build


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", TRIED)
def test_there_and_back_gives_the_same_bytes(name: str, renumbered: Renumbered, tmp_path: Path) -> None:
    numbering, there = renumbered(name)
    renumber(there, tmp_path, numbering.back)

    before, after = content(BUNDLES[name]), content(there)
    assert content(tmp_path) == before
    assert before.keys() & after.keys() <= KEPT
    assert len(after) == len(before)


@pytest.mark.parametrize("name", TRIED)
def test_nothing_of_the_old_numbering_is_left(name: str, renumbered: Renumbered) -> None:
    numbering, there = renumbered(name)
    text = "\n".join(data.decode() for file, data in content(there).items() if not file.endswith(".pcap"))

    gone = [ip_address(old).compressed for old in numbering.addresses]
    gone += [old.to_bytes(6).hex(":") for old in numbering.macs]
    gone += [f"0x{old:x}" for old in (*numbering.macs, *numbering.addresses, *numbering.vnis)]
    gone += numbering.names
    words = set(re.findall(r"[\w.:-]+", text)) | set(
        re.findall(r"[\w.-]+|(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", text)
    )
    assert len(gone) > 10
    assert [word for word in gone if word in words] == []


@pytest.mark.parametrize("name", TRIED)
def test_a_renumbered_bundle_opens_with_the_same_problems(name: str, renumbered: Renumbered) -> None:
    numbering, there = renumbered(name)
    before, after = open_bundle(BUNDLES[name]), open_bundle(there)

    told = sorted((p.kind, numbering.path(p.span.file), p.span.line or 0) for p in before.problems)
    assert sorted((p.kind, p.span.file, p.span.line or 0) for p in after.problems) == told
    assert sorted(map(numbering.path, before.unread)) == sorted(after.unread)
    assert sum(len(c.sightings) for c in before.captures) == sum(len(c.sightings) for c in after.captures)
    assert before.captures


def test_a_seed_gives_its_own_numbering() -> None:
    bundle = BUNDLES["dual-l3"]
    assert numbering_of(bundle, 1) == numbering_of(bundle, 1)
    assert numbering_of(bundle, 1) != numbering_of(bundle, 2)


@pytest.mark.needs("tcpdump")
@pytest.mark.parametrize("name", TRIED[1:])
def test_tcpdump_finds_checksums_as_right_or_wrong_as_before(name: str, renumbered: Renumbered) -> None:
    numbering, there = renumbered(name)
    # inside the namespace, cooked, and with tunnels
    for pcap in (p for device in ("q[rg]-*", "any", "eth1") for p in BUNDLES[name].rglob(f"{device}.pcap")):
        new = there / numbering.path(pcap.relative_to(BUNDLES[name]).as_posix())
        assert judged(new) == judged(pcap)


def judged(pcap: Path) -> list[list[str]]:
    """What tcpdump says of the checksums in each frame, and that no frame confuses it."""
    argv = ["tcpdump", "-nn", "-t", "-v", "-r", str(pcap)]
    text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return [
        re.findall(r"\((?:in)?correct\)|cksum 0x\w+ \((\w+)|bad|\[\|", line) for line in text.splitlines()
    ]


SUMMED = [
    ("dual-l3", "hosts/host5/captures/root/eth1.pcap"),
    ("dual-l3", "hosts/host1/captures/root/any.pcap"),
    ("checksum-offload", "hosts/test51/captures/root/eth0.pcap"),
]


@pytest.mark.needs("tshark")
@pytest.mark.parametrize(("name", "file"), SUMMED)
def test_tshark_agrees_inside_tunnels_too(name: str, file: str, renumbered: Renumbered) -> None:
    numbering, there = renumbered(name)
    before = statuses(BUNDLES[name] / file)

    assert statuses(there / numbering.path(file)) == before
    assert any("Good" in line or "1" in line for line in before)


def statuses(pcap: Path) -> list[str]:
    kinds = ("ip", "tcp", "udp", "icmp")
    check = [word for kind in kinds[:3] for word in ("-o", f"{kind}.check_checksum:TRUE")]
    shown = [word for kind in kinds for word in ("-e", f"{kind}.checksum.status")]
    argv = ["tshark", "-n", "-r", str(pcap), *check, "-T", "fields", "-e", "frame.protocols", *shown]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
