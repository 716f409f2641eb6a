"""The probe's engine on the running kernel: what is lost is counted, and nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bothways.trace import carry, probe
from bothways.trace.probe.choose import choose
from bothways.trace.probe.options import parse_options
from bothways.trace.probe.program import Refused
from bothways.trace.probe.programs import Programs
from bothways.trace.probe.ring import records
from bothways.trace.probe.syscall import bpf

pytestmark = [pytest.mark.live, pytest.mark.needs("ip")]

HERE, THERE = "10.99.81.1", "10.99.81.2"
PORT = 4081
PACKETS = 300
FILTER = [
    "--filter",
    json.dumps([{"protocol": 17, "host": f"{THERE}/32", "port": [PORT, PORT]}]),
    "--stack",
    "none",
]
NEXT_PROGRAM, NEXT_MAP = 11, 12

SEND = f"""
import socket
socket_ = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
socket_.bind(("{HERE}", {PORT + 1}))
socket_.connect(("{THERE}", {PORT}))
for number in range({PACKETS}):
    socket_.send(b"%018d" % number)
"""
TAKE = f"""
import socket, sys
socket_ = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
socket_.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)
socket_.bind(("{THERE}", {PORT}))
print("ready", flush=True)
sys.stdin.read()
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[str, str]]:
    """Two namespaces that know each other's address already: nothing but what is sent passes between them."""
    names = (f"bwe{os.getpid()}-a", f"bwe{os.getpid()}-b")
    try:
        for name in names:
            ip("netns", "add", name)
        ip(
            "link",
            "add",
            "bwe-a",
            "netns",
            names[0],
            "type",
            "veth",
            "peer",
            "name",
            "bwe-b",
            "netns",
            names[1],
        )
        for name, device, address in ((names[0], "bwe-a", HERE), (names[1], "bwe-b", THERE)):
            ip("-n", name, "link", "set", device, "address", f"02:00:00:00:81:0{address[-1]}")
            ip("-n", name, "addr", "add", f"{address}/30", "dev", device)
            ip("-n", name, "link", "set", device, "up")
        ip(
            "-n",
            names[0],
            "neigh",
            "replace",
            THERE,
            "lladdr",
            "02:00:00:00:81:02",
            "dev",
            "bwe-a",
            "nud",
            "permanent",
        )
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def send_all(pair: tuple[str, str], source: Programs) -> None:
    """Send the packets to a socket that keeps them, and detach before it lets them go."""
    taker = subprocess.Popen(
        ["ip", "netns", "exec", pair[1], sys.executable, "-c", TAKE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert taker.stdout is not None
    assert taker.stdout.readline() == b"ready\n"
    ip("netns", "exec", pair[0], sys.executable, "-c", SEND)
    time.sleep(0.2)
    source.detach()
    taker.communicate()


def programs(*words: str) -> Programs:
    try:
        source = choose(parse_options([*FILTER, *words]))
    except Refused as refused:
        pytest.skip(f"this kernel runs no programs: {refused}")
    if not isinstance(source, Programs):
        pytest.skip(f"this kernel runs no programs: {source.tiers}")
    return source


def test_what_is_lost_and_what_is_told_are_together_what_happened(pair: tuple[str, str]) -> None:
    whole = programs()
    send_all(pair, whole)
    happened = list(whole.events(0))
    assert whole.counters()["lost"] == 0
    assert len(happened) >= 3 * PACKETS
    whole.close()

    # A memory of one byte takes no record, so the ring fills and stays full.
    narrow = programs("--ring-size", "65536", "--backlog", "1")
    send_all(pair, narrow)
    lost = narrow.counters()["lost"]
    kept = b"".join(iter_pieces(narrow))
    told = sum(1 for _ in records(kept))
    narrow.close()
    assert lost > 0
    assert told > 0
    assert told + lost == len(happened)


def iter_pieces(source: Programs) -> Iterator[bytes]:
    ring = source._gatherer._ring  # noqa: SLF001  what nobody took out
    while True:
        piece = ring.drain(1 << 20)
        if piece is None:
            return
        yield piece


def started(*command: str) -> subprocess.Popen[bytes]:
    """A probe that is attached."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        kind = json.loads(line)["type"]
        if kind == "problem":
            process.communicate()
            pytest.skip(json.loads(line)["text"])
        if kind == "ready":
            return process
    raise AssertionError(process.communicate()[1])


def held(process: subprocess.Popen[bytes]) -> set[tuple[int, int]]:
    """Programs and maps that a process holds: the command that lists them, and the number."""
    found = set()
    for each in Path(f"/proc/{process.pid}/fdinfo").iterdir():
        fields = dict(line.split(":", 1) for line in each.read_text().splitlines() if ":" in line)
        for key, command in (("prog_id", NEXT_PROGRAM), ("map_id", NEXT_MAP)):
            if key in fields:
                found.add((command, int(fields[key])))
    return found


def still_there(what: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """
    Those of them that the kernel still knows; it lets go of them a moment after the last user.

    They are listed and not opened: who opens an array of programs while it is cleared makes the kernel keep
    it (kernel/bpf/arraymap.c, prog_array_map_clear, schedules its work twice and counts it as done once).
    """
    for _ in range(100):
        left = {(command, number) for command, number in what if is_listed(command, number)}
        if not left:
            return left
        time.sleep(0.1)
    return left


def is_listed(command: int, number: int) -> bool:
    following = bytearray(struct.pack("<III", number - 1, 0, 0))
    with suppress(FileNotFoundError):
        bpf(command, following)
    found: int = struct.unpack("<III", following)[1]
    return found == number


def local(*words: str) -> list[str]:
    return [sys.executable, "-m", probe.__name__, "trace", *FILTER, *words]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_stays_however_it_ends(number: signal.Signals) -> None:
    process = started(*local())
    what = held(process)
    assert {command for command, _ in what} == {NEXT_PROGRAM, NEXT_MAP}
    process.send_signal(number)
    said, _ = process.communicate(timeout=10)
    assert (process.returncode, b'"stop"' in said) == ((-9, False) if number == signal.SIGKILL else (0, True))
    assert still_there(what) == set()


def test_the_end_of_the_input_ends_it_where_that_was_asked_for() -> None:
    process = started(*local("--stdin-close-stops"))
    what = held(process)
    assert process.stdin is not None
    process.stdin.write(b"ping 7\n")
    process.stdin.flush()
    assert process.stdout is not None
    pong = json.loads(process.stdout.readline())
    assert (pong["type"], pong["ping"]) == ("pong", 7)
    assert abs(pong["monotonic_ns"] - time.monotonic_ns()) < 10_000_000_000
    said, _ = process.communicate(timeout=10)
    assert json.loads(said.splitlines()[-1])["type"] == "stop"
    assert still_there(what) == set()


def test_from_memory_it_does_the_same(tmp_path: Path) -> None:
    command = carry.remote_command(["trace", *FILTER, "--timeout", "0.2"], python=sys.executable)
    result = subprocess.run(
        ["/bin/sh", "-c", command],
        input=carry.payload(carry.pack()),
        capture_output=True,
        cwd=tmp_path,
        check=False,
    )
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    if lines[0]["type"] == "problem":
        pytest.skip(lines[0]["text"])
    assert result.returncode == 0, result.stderr
    assert [line["type"] for line in lines if line["type"] != "event"] == ["start", "ready", "stop"]
    assert list(tmp_path.iterdir()) == []


def test_the_cost_is_measured_only_where_it_was_allowed() -> None:
    switch = Path("/proc/sys/kernel/bpf_stats_enabled")
    before = switch.read_text()
    process = started(*local("--allow-system-changes"))
    process.send_signal(signal.SIGTERM)
    stop = json.loads(process.communicate(timeout=10)[0].splitlines()[-1])
    assert {row["probe"] for row in stop["cost"]["programs"]} >= {"skb:kfree_skb"}
    assert switch.read_text() == before
    process = started(*local())
    process.send_signal(signal.SIGTERM)
    assert json.loads(process.communicate(timeout=10)[0].splitlines()[-1])["cost"] is None
