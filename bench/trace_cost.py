"""
What one run of each of the tracer's programs costs, by the kernel's own accounting. Root.

    trace_cost.py [ROUNDS [OBJECT ...]]

The same datagrams go from one namespace to the other (both are removed again) while programs of an object
are attached whose filter misses, or matches without stacks. Objects (this repository's unless others are
named) take turns, so that what else the machine does meets all of them; told is the best round. An empty
program is measured beside them: what it costs is the accounting itself.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from trace_traffic import TO, Site  # noqa: E402  the path stands above

from bothways.trace.probe import config  # noqa: E402
from bothways.trace.probe.attach import attach_tracepoint  # noqa: E402
from bothways.trace.probe.cost import Accounting, spent  # noqa: E402
from bothways.trace.probe.gather import Gatherer  # noqa: E402
from bothways.trace.probe.kernel import Kernel  # noqa: E402
from bothways.trace.probe.load import Object  # noqa: E402
from bothways.trace.probe.options import parse_options  # noqa: E402
from bothways.trace.probe.program import RAW_TRACEPOINT, Loading, load_program  # noqa: E402
from bothways.trace.probe.ring import Ring  # noqa: E402

OWN = ROOT / "src/bothways/trace/bpf/trace.bpf.o"
ROUNDS = 5
DATAGRAMS = 40_000
PROGRAMS = ("kfree_skb", "consume_skb", "net_dev_queue", "net_dev_start_xmit", "netif_receive_skb")
FILTERS = {
    "miss": '[{"protocol":6,"host":"198.51.100.9/32"}]',
    "match": f'[{{"host":"{TO}/32"}}]',
}
RETURN_ZERO = bytes.fromhex("b700000000000000" + "9500000000000000")


def measure(site: Site, kernel: Kernel, data: bytes, terms: str) -> dict[str, float]:
    """Nanoseconds a run of each program of an object, while the datagrams go by."""
    programs = Object(data, kernel)
    programs.configure("config", config.pack(parse_options(["--stack", "none", "--filter", terms]), kernel))
    if programs.has_variable("consumer_is_told"):
        programs.configure("consumer_is_told", 1)
    programs.create()
    shared = programs.load("packet_program") if "packet_program" in programs.programs else -1
    if shared >= 0:
        programs.maps["packet_programs"].update(struct.pack("<I", 0), struct.pack("<I", shared))
    gatherer = Gatherer(Ring(programs.maps["events"]), 1 << 30)
    gatherer.start()
    accounting = Accounting()
    held = {name: [programs.attach(name).program] for name in PROGRAMS}
    empty = load_program(Loading("empty", RAW_TRACEPOINT, bytearray(RETURN_ZERO), b"GPL\0"))
    link = attach_tracepoint(empty, "net_dev_start_xmit")
    held["(empty)"] = [empty]
    site.send(DATAGRAMS).wait()
    time.sleep(0.05)
    rows = spent(held)
    accounting.close()
    link.close()
    programs.detach()
    gatherer.stop()
    gatherer.close()
    programs.close()
    if shared >= 0:
        os.close(shared)
    return {str(row["probe"]): int(str(row["ns"])) / max(1, int(str(row["runs"]))) for row in rows}


def main(arguments: list[str]) -> int:
    """Measure and print."""
    rounds = int(arguments[0]) if arguments else ROUNDS
    objects = [Path(each) for each in arguments[1:]] or [OWN]
    kernel = Kernel()
    best: dict[tuple[str, str, str], float] = {}
    site = Site()
    try:
        for _ in range(rounds):
            for what, terms in FILTERS.items():
                for path in objects:
                    for name, cost in measure(site, kernel, path.read_bytes(), terms).items():
                        key = (what, name, str(path))
                        best[key] = min(cost, best.get(key, cost))
    finally:
        site.close()
    width = max(len(name) for _, name, _ in best)
    for what in FILTERS:
        for name in (*PROGRAMS, "(empty)"):
            told = " ".join(f"{best[what, name, str(path)]:8.0f}" for path in objects)
            print(f"{what:6} {name:{width}} {told} ns")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
