"""The model against the hooks and routes of the kernel of this machine, with rulesets nobody recorded."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from bothways.cli import main
from bothways.conform.netfilter_conformance import hold_netfilter
from bothways.conform.netfilter_recording import read_netfilter

pytestmark = [
    pytest.mark.live,
    pytest.mark.needs("ip", "nft", "iptables-restore", "ip6tables-restore", "ss", "sysctl"),
]


def test_fresh_rulesets_are_asked_kept_and_held_again(tmp_path: Path) -> None:
    kept, small = tmp_path / "fresh.jsonl.gz", tmp_path / "small.jsonl"

    result = CliRunner().invoke(
        main,
        [
            *("conform", "netfilter", "--live", "--count", "300", "--seed", "2026"),
            *("--record", str(kept), "--shrunk", str(small)),
        ],
    )

    assert ", 300 packets" in result.stdout, result.output
    assert " 0 disagree" in result.stdout, result.stdout
    assert "targets of iptables that decided (" in result.stdout
    assert result.exit_code == 0
    again = hold_netfilter(read_netfilter(kept))
    assert (again.packets, again.disagreements) == (300, 0)
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert f"bwf{os.getpid()}" not in left
