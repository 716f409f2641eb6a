"""The tracefs tier on this machine's kernel, and what is left of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from router_bed import CLIENT_ADDRESS, FLOATING, Bed, bed
from tracefs_place import instances, seen_tracefs

from bothways.trace.probe.tracefs_mount import leftovers

pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "nft", "ping")]

Event = dict[str, Any]
FILTER = json.dumps([{"host": f"{CLIENT_ADDRESS}/32"}])
PROBE = (sys.executable, "-m", "bothways.trace.probe", "trace", "--tier", "tracefs", "--stdin-close-stops")


@pytest.fixture(scope="module")
def site() -> Iterator[Bed]:
    with bed("bwtf") as each:
        yield each


class Probe:
    """A running probe."""

    def __init__(self, options: Sequence[str] = (), before: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            [*before, *PROBE, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.process.stdout is not None
        self.lines: list[Event] = []
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if self.lines[-1]["type"] in {"ready", "problem"}:
                break

    def stop(self) -> list[Event]:
        """Close its input, and return its events."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.lines += [json.loads(line) for line in self.process.stdout]
        self.process.stdout.close()
        self.process.wait()
        return [line for line in self.lines if line["type"] == "event"]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@contextmanager
def running(*options: str, before: Sequence[str] = ()) -> Iterator[Probe]:
    probe = Probe(options, before)
    try:
        yield probe
    finally:
        if probe.process.poll() is None:
            probe.kill()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with seen_tracefs(tmp_path_factory.mktemp("tracefs")) as place:
        yield place


def mounts() -> list[str]:
    """Where tracefs is mounted for everybody."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if " - tracefs " in line]


def of(events: list[Event], word: str, port: int) -> list[Event]:
    return [
        each
        for each in events
        if each["event"] == word
        and each["packet"]
        and port in (each["packet"]["source_port"], each["packet"]["destination_port"])
    ]


def test_authors_of_resets_are_named(site: Bed) -> None:
    with running("--filter", FILTER) as probe:
        site.connect(9)
        site.bare_ack()
        time.sleep(0.2)
        events = probe.stop()
    (closed,) = of(events, "rst-sent", 9)
    assert (closed["netns"], closed["device"]) == (site.server, f"{site.prefix}s0")
    (bare,) = of(events, "rst-sent", 17350)
    assert (bare["netns"], bare["device"]) == (site.router, site.inner)
    assert bare["netns_inode"] == site.inode(site.router)
    assert bare["packet"]["destination"] == FLOATING
    assert [each.partition("+")[0] for each in bare["stack"]][:2] == ["tcp_v4_send_reset", "tcp_v4_rcv"]
    linked = [each for each in events if each["event"] == "xmit" and each["provoked_by"] == bare["packet_id"]]
    assert linked
    assert linked[0]["netns"] == site.router
    stop = probe.lines[-1]
    assert (stop["type"], stop["lost"]) == ("stop", 0)
    # What this tier cannot know without a probe in the tracker, it does not say.
    start = probe.lines[0]
    if not any(each["probe"] == "nf_conntrack_in" and each["attached"] for each in start["probes"]):
        assert all(each["conntrack"] is None for each in events)


def test_a_rule_that_drops_and_one_that_rejects_are_found(site: Bed) -> None:
    with running() as probe:
        site.connect(7777)
        site.connect(8888)
        time.sleep(0.2)
        events = probe.stop()
    resets = [each for each in events if each["event"] == "rst-sent" and each["netns"] == site.router]
    assert {each["function"] for each in resets} == {"nf_send_reset"}, [
        (each["event"], each["device"], each["netns"], each["stack"]) for each in events if each["device"]
    ]
    drops = [each for each in events if each["event"] == "drop" and each["reason"] == "NETFILTER_DROP"]
    assert {each["netns"] for each in drops if each["device"] == site.inner} == {site.router}


def test_nothing_is_left_at_any_end(root: Path) -> None:
    for number in (None, signal.SIGINT, signal.SIGTERM):
        with running() as probe:
            assert instances(root, probe.process.pid)
            if number is not None:
                probe.process.send_signal(number)
            probe.stop()
        assert probe.process.returncode == 0
        assert not instances(root, probe.process.pid)


def test_what_a_killed_probe_left_goes_with_the_next(root: Path) -> None:
    with running() as probe:
        assert instances(root, probe.process.pid)
        probe.kill()
    with running() as following:
        assert not instances(root, probe.process.pid)
        assert instances(root, following.process.pid)
        following.stop()
    assert not instances(root, following.process.pid)


def test_a_probe_that_lives_is_left_alone(root: Path) -> None:
    with running() as probe:
        mine = instances(root, probe.process.pid)
        assert mine
        leftovers(str(root))
        assert instances(root, probe.process.pid) == mine
        probe.stop()


def test_tracefs_is_mounted_for_the_probe_alone(tmp_path: Path, root: Path) -> None:
    script = tmp_path / "without"
    script.write_text('umount -l /sys/kernel/debug/tracing /sys/kernel/tracing 2>/dev/null; exec "$@"\n')
    before = mounts()
    with running(before=("unshare", "-m", "sh", str(script))) as probe:
        assert probe.lines[-1]["type"] == "ready"
        probe.stop()
    assert mounts() == before
    assert not instances(root, probe.process.pid)


def test_a_full_buffer_is_counted() -> None:
    with running("--ring-size", "65536", "--stack", "all") as probe:
        probe.process.send_signal(signal.SIGSTOP)
        subprocess.run(["ping", "-f", "-q", "-c", "3000", "127.0.0.1"], check=True, capture_output=True)
        probe.process.send_signal(signal.SIGCONT)
        probe.stop()
    assert probe.lines[-1]["lost"] > 0
