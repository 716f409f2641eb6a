"""
Measures how fast flow dumps are read, every term and action with its place.

The dump is made here: rows of the kinds that Neutron, OpenDaylight and OVN write, no two alike.
On one core, in pairs with the parser of the PyPI package ``ovs`` where that is installed, so that a busy or
slow machine shows in both: the ratio of a pair travels between machines, rows per second do not. That parser
reads values lazily: match and actions are asked for, as whoever evaluates a flow does. The limits are what
the project promises: 15,000 rows per processor second, and twice the other parser. Exit 1 if one is missed,
or if a row is not read whole.
"""

from __future__ import annotations

import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from bothways.parse.openflow import parse_flows

PAIRS: Final = 5
ROWS: Final = 6_000
LIMIT: Final = 15_000
RATIO: Final = 2.0


def ip(n: int) -> str:
    """An address per number."""
    return f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"


def mac(n: int) -> str:
    """A MAC per number."""
    return f"fa:16:3e:{n >> 16 & 255:02x}:{n >> 8 & 255:02x}:{n & 255:02x}"


def body(n: int) -> tuple[int, str]:
    """Table, and match with actions: ten kinds in turn."""
    port, vlan, net = 1 + n % 4000, 1 + n % 4094, 0x400 + n % 4096
    spoken = f"{mac(n)},nw_src={ip(n)}"
    reply = "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],load:0x2->NXM_OF_ARP_OP[]"
    zone = "zone=NXM_NX_REG6[0..15]"
    acl = f"tcp,reg5={port:#x},tp_dst={n * 16 & 0xFFF0:#x}/0xfff0"
    asked = f"arp,tun_id={net:#x},arp_tpa={ip(n)},arp_op=1"
    untag = f"load:{port:#x}->NXM_NX_REG5[],strip_vlan,resubmit(,81)"
    kinds = (
        (0, f"in_port={port},dl_vlan={vlan} actions=mod_vlan_vid:{vlan},resubmit(,60)"),
        (20, f"{asked} actions={reply},set_field:{mac(n)}->eth_src,IN_PORT"),
        (30, f"ip,in_port={port},nw_dst={ip(n)} actions=set_field:{ip(n * 7)}->ip_dst,resubmit(,40)"),
        (40, f"ip,in_port={port},dl_src={spoken} actions=resubmit(,50)"),
        (70, f"ip,tun_id={net:#x},nw_dst={ip(n)} actions=set_field:{mac(n)}->eth_dst,resubmit(,80)"),
        (100, f"ip,dl_dst={mac(n * 7)} actions=set_field:{mac(n * 3)}->eth_src,dec_ttl,output:{1 + n % 50}"),
        (82, f"ct_state=+est-rel-rpl,{acl} actions=resubmit(,92)"),
        (82, f"ct_state=+new-est,tcp,reg5={port:#x} actions=ct(commit,{zone}),output:{port},resubmit(,92)"),
        (60, f"dl_vlan={vlan},dl_dst={mac(n)} actions={untag}"),
        (80, f"udp,reg5={port:#x},dl_src={mac(n)},tp_dst=67 actions=ct(table=82,{zone},nat)"),
    )
    return kinds[n % len(kinds)]


def rows() -> Iterator[str]:
    """Rows as ``ovs-ofctl dump-flows`` prints them."""
    for n in range(ROWS):
        table, text = body(n)
        counted = f"n_packets={n * 977 % 531441}, n_bytes={n * 65537 % 43046721}"
        about = f"cookie={0x8000000 + n % 977:#x}, duration={n * 1.618:.3f}s, table={table}, {counted}"
        yield f" {about}, priority={100 + n % 4000},{text}"


def ours(dump: list[str]) -> int:
    """Rows that are read whole."""
    parsed = parse_flows("\n".join(dump), file="flows.txt")
    return 0 if parsed.problems else len(parsed.rows)


def theirs() -> Callable[[list[str]], int] | None:
    """The other parser, None if it is not installed."""
    try:
        made: Any = importlib.import_module("ovs.flow.ofp").OFPFlow
    except ImportError:
        return None

    def read(dump: list[str]) -> int:
        return len([(flow.match, flow.actions, flow.info) for flow in map(made, dump)])

    return read


def seconds(read: Callable[[list[str]], int], dump: list[str]) -> float:
    """Processor seconds of reading a dump; infinite if not all of it is read."""
    start = time.process_time()
    whole = read(dump) == len(dump)
    return time.process_time() - start if whole else float("inf")


def main() -> int:
    """Print one line: medians of both sides of the pairs, and the median ratio."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    dump, other = list(rows()), theirs()
    seconds(ours, dump)
    pairs = [
        (seconds(ours, dump), seconds(other, [row.strip() for row in dump]) if other else 0.0)
        for _ in range(PAIRS)
    ]
    rate = ROWS / statistics.median(took for took, _ in pairs)
    ratio = statistics.median(their / our for our, their in pairs)
    good = rate >= LIMIT and (other is None or ratio >= RATIO)
    beside = f"{ratio:.1f} x the parser of `ovs`, limit {RATIO:g}" if other else "`ovs` is not installed"
    print(f"{PAIRS} pairs, on one core, Python {sys.version.split()[0]}; medians")
    verdict = "ok" if good else "MISSED"
    print(f"  {ROWS:,} rows: {rate:,.0f} rows a second, limit {LIMIT:,}; {beside}: {verdict}")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
