"""
Whether the tracer keeps what programs send at a high rate. Root.

    trace_rate.py [DATAGRAMS [SENDERS [RATE [OPTION ...]]]]

Senders in one namespace send while all packets are traced: so many datagrams a second together, or as fast
as they can (RATE 0, the default); options are those of the probe. A datagram makes about three events. Told:
events a second as they were made, lost, and how long it took to write them all as JSON behind.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from trace_traffic import TO, Site  # noqa: E402  the path stands above

PROBE = (sys.executable, "-m", "bothways.trace.probe", "trace", "--stdin-close-stops", "--stack", "none")
EVERYTHING = json.dumps([{"host": f"{TO}/32"}])
DATAGRAMS, SENDERS = 200_000, 2
EVENT = b'{"type":"event"'


class Reader(threading.Thread):
    """Counts events, and keeps the last line of each other kind."""

    def __init__(self, probe: subprocess.Popen[bytes]) -> None:
        super().__init__()
        self.probe = probe
        self.ready = threading.Event()
        self.events = 0
        self.last: dict[str, dict[str, int]] = {}
        self.memory_kib = 0

    def run(self) -> None:
        """Read to the end."""
        for line in self.probe.stdout or ():
            if line.startswith(EVENT):
                self.events += 1
                continue
            said = json.loads(line)
            self.last[said["type"]] = said
            if said["type"] == "ready":
                self.ready.set()


def main(arguments: list[str]) -> int:
    """Measure and print."""
    given = [int(word) for word in arguments[:3]]
    count, senders, rate = *given, *(DATAGRAMS, SENDERS, 0)[len(given) :]
    site = Site()
    try:
        words = [*PROBE, "--filter", EVERYTHING, *arguments[3:]]
        probe = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT / "src")
        reader = Reader(probe)
        reader.start()
        reader.ready.wait()
        began = time.monotonic()
        for each in [site.send(count // senders, rate // senders) for _ in range(senders)]:
            each.wait()
        sent = time.monotonic() - began
        memory = next(
            line for line in Path(f"/proc/{probe.pid}/status").read_text().splitlines() if "VmHWM" in line
        )
        if probe.stdin is not None:
            probe.stdin.close()
        reader.join()
        told = time.monotonic() - began
    finally:
        site.close()
    stop = reader.last["stop"]
    made = stop["events"] + stop["lost"]
    print(f"{made} events in {sent:.1f} s: {made / sent:,.0f} a second, {stop['lost']} of them lost")
    written = reader.events / told
    print(f"written after {told:.1f} s: {written:,.0f} a second; memory: {memory.split()[1]} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
