"""The model against a private Open vSwitch, with pipelines and packets that nobody recorded."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from bothways.cli import main
from bothways.conform.openflow_generation import fresh_pipelines
from bothways.conform.openflow_live import Asking
from bothways.conform.openflow_pipeline import DrawnPacket, Pipeline
from bothways.conform.openflow_recording import read_traces
from bothways.conform.openflow_replay import replay_traces
from bothways.conform.openflow_shrink import shrunk
from bothways.conform.openflow_switch import PrivateSwitch

pytestmark = [pytest.mark.live, pytest.mark.needs("ovs-vswitchd", "ovs-ofctl", "ovsdb-server", "unshare")]


def children(pid: int) -> set[int]:
    """Processes that a process started and that are still there."""
    done = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return {int(word) for word in done.stdout.split()}


def runs(pid: int) -> bool:
    """Whether a process is there and not dead: who adopted it may never fetch its exit status."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in ("Z", "X")


def test_fresh_packets_are_asked_kept_and_held_again(tmp_path: Path) -> None:
    kept, small = tmp_path / "fresh.jsonl.gz", tmp_path / "small.jsonl"

    result = CliRunner().invoke(
        main,
        [
            *("conform", "openflow", "--live", "--count", "300", "--seed", "5"),
            *("--record", str(kept), "--shrunk", str(small)),
        ],
    )

    assert "300 traced packets" in result.stdout, result.output
    assert " 0 disagree" in result.stdout, result.stdout
    assert "actions of the flows that were hit: " in result.stdout
    assert result.exit_code == 0
    again = replay_traces(read_traces(kept))
    assert (again.cases, again.disagreements) == (300, 0)
    assert f"{again.agree:,} agree" in result.stdout
    assert not small.exists()


def test_the_same_seed_asks_the_same(tmp_path: Path) -> None:
    asked = []
    for _ in range(2):
        kept = tmp_path / "kept.jsonl"
        CliRunner().invoke(
            main, ["conform", "openflow", "--live", "--count", "60", "--seed", "3", "--record", str(kept)]
        )
        asked.append([(case.args, case.setting.bridges[case.start].flows) for case in read_traces(kept)])

    assert asked[0] == asked[1]
    assert len(asked[0]) == 60


def test_shrinking_keeps_what_matters_and_little_else() -> None:
    with PrivateSwitch() as switch:
        asking = Asking(switch)

        def sends(given: Pipeline, packet: DrawnPacket) -> bool:
            setting = asking.load(given)
            case = None if setting is None else asking.ask(setting, packet, "x")
            return case is not None and any(told.actions not in ("drop", "") for told in case.told)

        pipeline, packet = next(
            (pipeline, packet)
            for pipeline, packets in fresh_pipelines(11)
            if len(pipeline.flows) > 20
            for packet in packets[:5]
            if sends(pipeline, packet)
        )
        small, least = shrunk(pipeline, packet, sends)

        assert sends(small, least)
    assert len(small.flows) < 6
    assert len(least.terms) <= len(packet.terms)


def test_nothing_is_left_when_it_is_killed() -> None:
    words = [
        sys.executable,
        "-c",
        "from bothways.cli import main; main()",
        "conform",
        "openflow",
        "--live",
        "--count",
        "1000000",
    ]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        assert run.stderr is not None
        assert b"asking Open vSwitch" in run.stderr.readline()
        deadline = time.monotonic() + 20
        while len(daemons := children(run.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
        run.wait(timeout=20)
    assert len(daemons) >= 2
    deadline = time.monotonic() + 60
    while any(runs(daemon) for daemon in daemons) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [daemon for daemon in daemons if runs(daemon)] == []
