"""
Measures how fast packets are walked and explained through a pipeline of twelve tables.

The pipeline is made here: twelve tables of eighty flows, of the kinds that OpenDaylight and Neutron write
(classifier, ARP, ACL, routing, rewriting, egress). Each walk passes all twelve and tells the flow of every
one. On one core, in pairs with a plain loop of dictionary look-ups, so that a busy or slow machine shows in
both: the ratio of a pair travels between machines, walks per second do not. The limit is what the project
promises: 2,000 walks per processor second. Exit 1 if it is missed, or if a packet goes another way.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Final

from bothways.conform.openflow_bridges import built
from bothways.conform.openflow_case import BridgeRecord, Setting
from bothways.conform.openflow_packet import arrival_of, read_packet
from bothways.facts.choice import FirstOption
from bothways.facts.openflow import Bridge
from bothways.model.openflow.passage import Arrival
from bothways.model.openflow.pipeline import MacTable, process

PAIRS: Final = 5
WALKS: Final = 1_000
LIMIT: Final = 2_000
TABLES: Final = 12
FLOWS: Final = 80
STATIONS: Final = 40


def flows() -> Iterator[str]:
    """Twelve tables: what a station is, what it may do, where it goes, and what it looks like there."""
    for n in range(STATIONS):
        mac, ip = f"02:00:00:00:00:{n:02x}", f"10.0.0.{n + 1}"
        at = f"in_port={n + 1},dl_src={mac}"
        yield f"table=0,priority=100,{at} actions=load:{n}->NXM_NX_REG0[],goto_table:1"
        yield f"table=1,priority=100,arp,arp_tpa={ip},arp_op=1 actions=IN_PORT"
        yield f"table=2,priority=100,ip,reg0={n},nw_src={ip} actions=goto_table:3"
        yield f"table=3,priority=100,tcp,tp_dst={n + 8000} actions=drop"
        yield f"table=4,priority=100,udp,reg0={n},tp_dst=67 actions=CONTROLLER:65535"
        yield f"table=5,priority=100,ip,nw_dst=172.16.{n}.0/24 actions=output:{n + 1}"
        yield f"table=6,priority=100,ip,nw_dst={ip} actions=set_field:{mac}->eth_dst,dec_ttl,goto_table:7"
        yield f"table=7,priority=100,dl_dst={mac} actions=load:{n + 1}->NXM_NX_REG7[],goto_table:8"
        yield f"table=8,priority=100,ip,metadata={n + 1:#x}/0xffff actions=drop"
        yield f"table=9,priority=100,tcp,reg7={n + 1},tcp_flags=+syn-ack,tp_dst=25 actions=drop"
        yield f"table=10,priority=100,reg7={n + 1},vlan_tci=0x1000/0x1000 actions=pop_vlan,goto_table:11"
        yield f"table=11,priority=100,reg7={n + 1} actions=output:{n + 1}"
    for table in range(1, TABLES - 1):
        for filler in range(FLOWS - STATIONS - 1):
            match = f"ip,nw_src=192.168.{filler}.0/24,nw_proto=6"
            yield f"table={table},priority={200 + filler},{match} actions=drop"
        yield f"table={table},priority=0 actions=goto_table:{table + 1}"


def switch() -> Bridge:
    """Make the bridge."""
    ports = tuple({"name": f"p{n + 1}", "ofport": n + 1, "type": "dummy"} for n in range(STATIONS))
    return built(Setting({"br0": BridgeRecord("br0", ports, tuple(flows()))})).bridges["br0"]


def packets() -> list[Arrival]:
    """A TCP segment from each station to another one."""
    found = []
    for n in range(STATIONS):
        to = (n * 7 + 3) % STATIONS
        text = f"tcp,in_port={n + 1},dl_src=02:00:00:00:00:{n:02x},dl_dst=02:00:00:00:ff:ff"
        text += f",nw_src=10.0.0.{n + 1}"
        text += f",nw_dst=10.0.0.{to + 1},nw_ttl=64,tp_src={17350 + n},tp_dst=22,tcp_flags=syn"
        found.append(arrival_of(read_packet(text)))
    return found


def looping() -> float:
    """Processor seconds of a fixed amount of plain Python."""
    table = {n: n + 1 for n in range(1000)}
    start = time.process_time()
    total = 0
    for _ in range(300):
        for n in range(1000):
            total += table[n]
    return time.process_time() - start


def walking(bridge: Bridge, arrivals: list[Arrival]) -> float:
    """Processor seconds of the walks."""
    macs, oracle = MacTable(), FirstOption()
    start = time.process_time()
    for number in range(WALKS):
        process(bridge, arrivals[number % len(arrivals)], macs, oracle)
    return time.process_time() - start


def wrong(bridge: Bridge, arrivals: list[Arrival]) -> int:
    """How many packets do not pass all twelve tables to the right port, told table by table."""
    count = 0
    for n, arrival in enumerate(arrivals):
        passage = process(bridge, arrival, MacTable(), FirstOption())
        ports = [output.port.number for output in passage.outputs]
        told = sum(step.function.startswith("table=") for output in passage.outputs for step in output.steps)
        good = ports == [(n * 7 + 3) % STATIONS + 1] and len(passage.visited) == TABLES and told >= TABLES
        count += not good
    return count


def main() -> int:
    """Print one line: medians of both sides of the pairs, and the median ratio."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    bridge, arrivals = switch(), packets()
    astray = wrong(bridge, arrivals)
    walking(bridge, arrivals)
    pairs = [(looping(), walking(bridge, arrivals)) for _ in range(PAIRS)]
    _, took = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    rate = WALKS / took
    rows = len(tuple(flows()))
    verdict = "ok" if rate >= LIMIT and not astray else "MISSED"
    print(f"{PAIRS} pairs, on one core, Python {sys.version.split()[0]}; medians")
    print(
        f"  {TABLES} tables, {rows} flows: {rate:,.0f} explained walks a second, {astray} astray, "
        f"{ratio:.1f} x 300,000 dictionary look-ups, limit {LIMIT:,}: {verdict}"
    )
    return 0 if verdict == "ok" else 1


if __name__ == "__main__":
    raise SystemExit(main())
