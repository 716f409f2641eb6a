"""
Starts and ends the probe many times, and kills it many times: how long it takes, and what is left. Root.

    trace_cycles.py [CYCLES [KILLS [OPTION ...]]]

200 cycles and 50 kills unless said otherwise; options are those of the probe (``--tier tracefs``). Exit 1 if
anything is left: programs, maps or links of a probe's own, instances, kprobes, changed settings.
"""

from __future__ import annotations

import json
import re
import signal
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from bothways.trace.probe.syscall import bpf  # noqa: E402  the path stands above

PROBE = (sys.executable, "-m", "bothways.trace.probe", "trace", "--stdin-close-stops")
NEXT = {"prog_id": 11, "map_id": 12, "link_id": 31}  # BPF_*_GET_NEXT_ID
SYSCTLS = ("kernel/bpf_stats_enabled", "net/core/bpf_jit_enable", "kernel/perf_event_paranoid")
TRACEFS = Path("/sys/kernel/tracing")
LONGEST_WAIT_S = 5.0


def numbers(command: int) -> set[int]:
    """Numbers of all that is in the kernel."""
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
    """Numbers of what a process holds."""
    text = "".join(each.read_text() for each in Path(f"/proc/{pid}/fdinfo").iterdir())
    return {
        word: {int(number) for number in re.findall(rf"^{word}:\s*(\d+)", text, re.MULTILINE)}
        for word in NEXT
    }


def run(options: list[str], *, kill: bool) -> tuple[float, dict[str, set[int]], int]:
    """One life of a probe: seconds until it was ready, what it held, and its number."""
    probe = subprocess.Popen([*PROBE, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    ready = 0.0
    for line in probe.stdout or ():
        row = json.loads(line)
        if row["type"] == "ready":
            ready = row["seconds"]
            break
        if row["type"] == "problem":
            print(row["text"])
    mine = held(probe.pid)
    if kill:
        probe.send_signal(signal.SIGKILL)
    probe.communicate()
    return ready, mine, probe.pid


def left(mine: dict[str, set[int]]) -> dict[str, set[int]]:
    """What is there of it after the kernel's grace period."""
    until = time.monotonic() + LONGEST_WAIT_S
    while True:
        found = {word: mine[word] & numbers(command) for word, command in NEXT.items()}
        if not any(found.values()) or time.monotonic() > until:
            return {word: each for word, each in found.items() if each}
        time.sleep(0.05)


def named(pids: set[int]) -> list[str]:
    """Instances, kprobes and pins that carry the numbers of these processes."""
    names = [each.name for each in (TRACEFS / "instances").glob("bothways*")] if TRACEFS.is_dir() else []
    kprobes = TRACEFS / "kprobe_events"
    if kprobes.exists():
        names += re.findall(r"bothways_\d+", kprobes.read_text())
    names += [each.name for each in Path("/sys/fs/bpf").glob("*bothways*")]
    return [name for name in names if any(re.search(rf"\b{pid}\b|_{pid}\b", name) for pid in pids)]


def main(cycles: int, kills: int, options: list[str]) -> int:
    """Run them all, and tell."""
    settings = {name: Path(f"/proc/sys/{name}").read_text() for name in SYSCTLS}
    times, wrong, pids = [], 0, set()
    for number in range(cycles + kills):
        ready, mine, pid = run(options, kill=number >= cycles)
        times.append(ready)
        pids.add(pid)
        remains = left(mine)
        if remains:
            wrong += 1
            print(f"cycle {number}: left {remains}")
    # What a killed probe of the tier tracefs leaves goes when the next one starts.
    _, mine, pid = run(options, kill=False)
    wrong += bool(left(mine))
    names = named({*pids, pid})
    changed = {name for name, text in settings.items() if Path(f"/proc/sys/{name}").read_text() != text}
    print(
        f"{cycles} cycles and {kills} kills: ready after {statistics.median(times):.2f} s (median),", end=" "
    )
    print(
        f"{max(times):.2f} s at most; left: {wrong} with objects, names {names}, settings {sorted(changed)}"
    )
    return 1 if wrong or names or changed else 0


if __name__ == "__main__":
    words = sys.argv[1:]
    asked = [int(words.pop(0)) if words and words[0].isdigit() else default for default in (200, 50)]
    sys.exit(main(asked[0], asked[1], words))
