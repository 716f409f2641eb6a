"""
Measures how fast one packet is walked through 5,000 rules of iptables.

Each rule asks for both addresses, the device, the protocol and the state, which all hold, and for a port,
which does not: nothing is decided before the last rule. The limit is what the project promises: 25 ms of
processor time for the packet. Exit 1 if it is missed, or if the packet goes another way.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from typing import Final

from bothways.facts.address import Mac, address, network
from bothways.facts.choice import FirstOption
from bothways.facts.device import Device, InterfaceAddress
from bothways.facts.dump import Dump
from bothways.facts.packet import TCP, Ethernet, Flag, Ip, Packet, Tcp
from bothways.facts.route import NextHop, Route
from bothways.facts.snapshot import Netns, Sysctl
from bothways.facts.span import Span
from bothways.model.linux.stack import Stack
from bothways.parse.iptables import parse_iptables

RULES: Final = 5_000
LIMIT_MS: Final = 25.0
TIMES: Final = 9
_HERE: Final = Span("bench")


def device(name: str, number: int, held: str) -> Device:
    """One device with one address."""
    own = InterfaceAddress(address(held), 24, _HERE)
    return Device(name, number, Mac(f"02:00:00:00:00:0{number}"), _HERE, addresses=(own,))


def namespace() -> Netns:
    """A router with the rules."""
    asked = "-s 192.0.2.0/24 -d 10.0.0.0/24 -i out0 -p tcp -m conntrack --ctstate NEW -m tcp"
    lines = (f"-A FORWARD {asked} --dport {1000 + n} -j DROP" for n in range(RULES))
    text = "\n".join(("*filter", ":FORWARD ACCEPT [0:0]", *lines, "-A FORWARD -j ACCEPT", "COMMIT", ""))
    routes = tuple(
        Route("unicast", network(to), "main", (NextHop(device=name),), _HERE, scope="link")
        for to, name in (("192.0.2.0/24", "out0"), ("10.0.0.0/24", "in0"))
    )
    return Netns(
        "bench",
        "root",
        devices=Dump((device("out0", 2, "192.0.2.1"), device("in0", 3, "10.0.0.1")), "addr"),
        routes=Dump(routes, "route"),
        iptables=Dump(parse_iptables(text, file="rules").rows, "rules"),
        sysctls=Dump((Sysctl("net.ipv4.ip_forward", "1", _HERE),), "sysctl"),
    )


def main() -> int:
    """Print one line: the median of some walks."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    stack = Stack(namespace(), oracle=FirstOption(), kernel=None)
    took = []
    passed = True
    for number in range(TIMES):
        packet = Packet(
            Ethernet(Mac("02:00:00:00:00:99"), Mac("02:00:00:00:00:02")),
            ip=Ip(address("192.0.2.9"), address("10.0.0.5"), TCP, ttl=64),
            tcp=Tcp(4000 + number, 22, Flag.SYN, 1, 0, 64240, 0, checksum_ok=True),
            length=54,
        )
        start = time.process_time()
        passage = stack.receive("out0", packet, number)
        took.append((time.process_time() - start) * 1000)
        passed = passed and len(passage.transmissions) == 1
    middle = statistics.median(took)
    good = passed and middle < LIMIT_MS
    verdict = "ok" if good else "MISSED"
    print(f"rulesets: {RULES} rules in {middle:.1f} ms (limit {LIMIT_MS:.0f} ms): {verdict}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
