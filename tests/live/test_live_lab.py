"""Every scenario, for real: its connection's fate, and what the diagnosis makes of the evidence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bothways.lab import read_scenario

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted((ROOT / "scenarios").glob("*/scenario.toml"))
BOTHWAYS = Path(sys.executable).with_name("bothways")
pytestmark = [
    pytest.mark.live,
    pytest.mark.needs("ip", "ovs-vswitchd", "ovs-ofctl", "iptables", "nft", "conntrack", "tcpdump"),
    pytest.mark.needs("ethtool", "ping", "sshd"),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Labs of a test live by themselves, and are gone behind it."""
    monkeypatch.setenv("BOTHWAYS_LAB_HOME", str(tmp_path / "labs"))
    yield tmp_path
    bothways("lab", "down", "--all")


def bothways(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run((BOTHWAYS, *words), capture_output=True, text=True, check=False)


def name_of(path: Path) -> str:
    return path.parent.name


def leftovers(prefix: str) -> list[str]:
    """Namespaces of a lab that are still there."""
    return [each.name for each in Path("/run/netns").glob(f"bw-{prefix}--*")]


@pytest.mark.parametrize("path", SCENARIOS, ids=name_of)
@pytest.mark.parametrize("seed", [None, 7], ids=["as-written", "renumbered"])
def test_a_scenario_earns_its_verdict(path: Path, seed: int | None, home: Path) -> None:
    scenario = read_scenario(path, seed)
    wanted = scenario.expectation
    bundle, lab = home / "bundle", f"t{os.getpid()}"
    renumber = () if seed is None else ("--renumber", str(seed))

    ran = bothways("lab", "run", str(path), "-o", str(bundle), "--as", lab, "--json", *renumber)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["fate"] == wanted.fate
    assert leftovers(lab) == []

    verdict = json.loads(bothways("diagnose", str(bundle), "--json").stdout)
    assert verdict["status"] == wanted.status
    assert (verdict["cause"] or {}).get("code") == wanted.cause
    if wanted.author is not None:
        author = verdict["authors"][0]
        assert f"{author['host']}/{author['netns']}:{author['device']}" == wanted.author
    if wanted.culprit is not None:
        assert any(wanted.culprit in f"{each['where']} {each['text']}" for each in verdict["culprits"])
    if wanted.latent is not None:
        assert wanted.latent in {each["code"] for each in verdict["latent"]}


@pytest.mark.usefixtures("home")
def test_up_leaves_it_standing_and_down_removes_it() -> None:
    lab = f"u{os.getpid()}"
    assert bothways("lab", "up", "dual-l3", "--as", lab).returncode == 0
    (row,) = [json.loads(line) for line in bothways("lab", "list", "--json").stdout.splitlines()]
    assert (row["lab"], row["state"]) == (lab, "up")
    inside = bothways("lab", "shell", lab, "test51", "--", "ip", "-br", "addr", "show", "eth0")
    assert "88.88.88.4/24" in inside.stdout
    twice = bothways("lab", "up", "dual-l3", "--as", lab)
    assert twice.returncode == 4
    assert f"hint: bothways lab down {lab}" in twice.stderr
    assert bothways("lab", "down", lab).returncode == 0
    assert leftovers(lab) == []
    assert bothways("lab", "list").stdout == ""


@pytest.mark.parametrize("moment", [0.15, 0.4, 0.7, 1.1, 1.8])
def test_what_a_kill_leaves_over_is_removed(moment: float, home: Path) -> None:
    lab = f"k{os.getpid()}"
    words = (BOTHWAYS, "lab", "run", "dual-l3", "--as", lab, "-o", home / "bundle")
    building = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(moment)
    building.send_signal(signal.SIGKILL)
    building.wait()

    assert bothways("lab", "down", "--all").returncode == 0

    assert leftovers(lab) == []
    assert list((home / "labs").glob("*")) == []
    strays = subprocess.run(("pgrep", "-af", str(home)), capture_output=True, text=True, check=False).stdout
    assert strays == ""
