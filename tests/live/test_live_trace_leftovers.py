"""What is left in the kernel by probes that ended, and by probes that were killed: nothing."""

from __future__ import annotations

import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tracefs_place import instances, seen_tracefs

from bothways.trace.probe.syscall import bpf

pytestmark = [pytest.mark.live, pytest.mark.needs("ping")]

PROBE = (sys.executable, "-m", "bothways.trace.probe", "trace", "--stdin-close-stops")
#: commands of bpf(2) that walk the numbers of programs, maps and links: uapi/linux/bpf.h, enum bpf_cmd
NEXT = {"programs": 11, "maps": 12, "links": 31}
SYSCTLS = ("kernel/bpf_stats_enabled", "kernel/perf_event_paranoid", "net/core/bpf_jit_enable")


def numbers(command: int) -> set[int]:
    """Numbers of all programs, maps or links in the kernel."""
    found: set[int] = set()
    number = 0
    while True:
        attribute = bytearray(struct.pack("<III", number, 0, 0))
        try:
            bpf(command, attribute)
        except OSError:
            return found
        number = struct.unpack_from("<I", attribute, 4)[0]
        found.add(number)


def held(pid: int) -> dict[str, set[int]]:
    """Numbers of what a process holds: its descriptors tell them (proc(5), fdinfo)."""
    text = "".join(each.read_text() for each in Path(f"/proc/{pid}/fdinfo").iterdir())
    words = {"programs": "prog_id", "maps": "map_id", "links": "link_id"}
    found = {what: re.findall(rf"^{word}:\s*(\d+)", text, re.MULTILINE) for what, word in words.items()}
    return {what: {int(number) for number in each} for what, each in found.items()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with seen_tracefs(tmp_path_factory.mktemp("tracefs")) as place:
        yield place


def left(root: Path, mine: dict[str, set[int]], pid: int) -> dict[str, object]:
    """What is there of these, and of what carries the process's number in its name."""
    found: dict[str, object] = {what: mine[what] & numbers(command) for what, command in NEXT.items()}
    pinned = {each.name for each in Path("/sys/fs/bpf").glob("*bothways*") if str(pid) in each.name}
    return {**found, "named": pinned | instances(root, pid)}


def nothing_is_left(root: Path, mine: dict[str, set[int]], pid: int) -> bool:
    """Whether all is gone; the kernel takes away what nobody holds after a grace period."""
    for _ in range(50):
        if not any(left(root, mine, pid).values()):
            return True
        time.sleep(0.1)
    return False


def sysctls() -> dict[str, str]:
    return {name: Path(f"/proc/sys/{name}").read_text() for name in SYSCTLS}


def started(options: Sequence[str]) -> subprocess.Popen[bytes]:
    probe = subprocess.Popen([*PROBE, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert probe.stdout is not None
    for line in probe.stdout:
        if b'"ready"' in line or b'"problem"' in line:
            break
    return probe


def finish(probe: subprocess.Popen[bytes]) -> None:
    assert probe.stdin is not None
    assert probe.stdout is not None
    probe.stdin.close()
    probe.stdout.read()
    probe.stdout.close()
    probe.wait()


@pytest.mark.parametrize("options", [(), ("--allow-system-changes",), ("--tier", "tracefs")])
def test_a_probe_that_ends_leaves_nothing(root: Path, options: tuple[str, ...]) -> None:
    before = sysctls()
    for _ in range(2):
        probe = started(options)
        mine = held(probe.pid)
        assert any(left(root, mine, probe.pid).values())
        finish(probe)
        assert probe.returncode == 0
        assert nothing_is_left(root, mine, probe.pid)
    assert sysctls() == before


@pytest.mark.parametrize("options", [(), ("--allow-system-changes",)])
def test_a_probe_that_is_killed_leaves_nothing(root: Path, options: tuple[str, ...]) -> None:
    before = sysctls()
    for _ in range(2):
        probe = started(options)
        mine = held(probe.pid)
        assert any(mine.values())
        probe.send_signal(signal.SIGKILL)
        finish(probe)
        assert nothing_is_left(root, mine, probe.pid)
    assert sysctls() == before


def test_a_probe_whose_reader_goes_ends(root: Path) -> None:
    probe = started(())
    mine = held(probe.pid)
    assert probe.stdout is not None
    probe.stdout.close()
    subprocess.run(["ping", "-c", "3", "-i", "0.2", "127.0.0.1"], check=True, capture_output=True)
    assert probe.wait(10) == 0
    assert probe.stdin is not None
    probe.stdin.close()
    assert nothing_is_left(root, mine, probe.pid)
