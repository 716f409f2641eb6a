"""The tracer under a user who may not trace: what is lacking is named, and nothing breaks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bothways.trace import carry

pytestmark = [pytest.mark.live, pytest.mark.needs("setpriv")]

BOTHWAYS = Path(sys.executable).parent / "bothways"
#: of the system, which every user may run; the one that runs these tests may stand in somebody's home
PYTHON = Path("/usr/bin/python3")
CANNOT = 4


def as_nobody(*capabilities: str) -> list[str]:
    """Begin a command line that runs as a user without rights but these."""
    held = ",".join(f"+{each}" for each in capabilities)
    sets = ["--inh-caps", held or "-all", "--ambient-caps", held or "-all"]
    bounds = ["--bounding-set", f"-all,{held}" if held else "-all"]
    return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *sets, *bounds]


@pytest.mark.parametrize("words", [("tcp", "--timeout", "1"), ("--list",)])
def test_the_command_names_the_capabilities(words: tuple[str, ...]) -> None:
    """Also where the user may not even run the Python of the installation a second time."""
    begin = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    run = subprocess.run(
        [*begin, BOTHWAYS, "trace", *words], capture_output=True, text=True, check=False, cwd="/"
    )
    assert (run.returncode, run.stdout) == (CANNOT, ""), run.stderr
    assert "this process lacks CAP_BPF and CAP_PERFMON" in run.stderr
    assert "hint: run it as root, or with CAP_BPF, CAP_PERFMON and CAP_SYSLOG" in run.stderr
    assert "bug" not in run.stderr


def probe(*capabilities: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the probe as it runs on another host, under a user who may read everything of it."""
    command = carry.remote_command(
        ["trace", "--timeout", "0.2", "--profile-events", "drop"], python=str(PYTHON)
    )
    run = subprocess.run(
        [*as_nobody(*capabilities), "sh", "-c", command],
        input=carry.payload(carry.pack()),
        capture_output=True,
        check=False,
        cwd="/",
    )
    return run.returncode, [json.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.skipif(not PYTHON.exists(), reason="this system has no Python of its own")
@pytest.mark.parametrize(
    ("capabilities", "lacks"),
    [
        ((), "CAP_BPF and CAP_PERFMON"),
        (("bpf",), "CAP_PERFMON"),
        (("perfmon",), "CAP_BPF"),
    ],
)
def test_the_probe_names_what_it_lacks(capabilities: tuple[str, ...], lacks: str) -> None:
    status, lines = probe(*capabilities)
    (problem,) = lines
    assert status == CANNOT
    assert problem["type"] == "problem"
    assert f"this process lacks {lacks};" in problem["text"]
    assert "CAP_SYSLOG" in problem["hint"]


@pytest.mark.skipif(not PYTHON.exists(), reason="this system has no Python of its own")
def test_two_capabilities_are_enough_to_trace() -> None:
    status, lines = probe("bpf", "perfmon")
    kinds = [line["type"] for line in lines if line["type"] != "event"]
    assert (status, kinds[0], kinds[-1]) == (0, "start", "stop"), lines
    assert next(row for row in lines[0]["probes"] if row["probe"] == "skb:kfree_skb")["attached"]
    assert "ready" in kinds
