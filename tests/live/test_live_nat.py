"""NAT of the kernel of this machine and of the model: random rulesets, and stories of clashes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import pytest

from bothways.conform.nat_bed import NatBed
from bothways.conform.nat_live import NatConformance, NatDisagreement, hold_case, hold_nat
from bothways.conform.nat_rules import Ruleset
from bothways.facts.address import Mac, address
from bothways.facts.packet import TCP, UDP, Ethernet, Flag, Ip, Packet, Tcp, TcpOptions, Udp

pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "nft", "iptables")]

SYN, ACK, RST, FIN = Flag.SYN, Flag.ACK, Flag.RST, Flag.FIN
ONE, TWO, SERVER, OUTER = "10.77.1.10", "10.77.1.11", "203.0.113.7", "10.77.2.1"


@dataclass
class Script:
    """Packets one after the other; what comes out does not matter."""

    packets: Sequence[tuple[str, Packet]]
    at: int = -1

    def next(self) -> tuple[str, Packet]:
        self.at += 1
        return self.packets[self.at]

    def heard(self, came: Sequence[tuple[str, Packet]]) -> None:
        """Nothing hangs on it."""


def tcp(leg: str, source: str, destination: str, flags: Flag, seq: int, ack: int = 0) -> tuple[str, Packet]:
    (src, sport), (dst, dport) = source.split(":"), destination.split(":")
    segment = Tcp(int(sport), int(dport), flags, seq, ack, 64240, 0, TcpOptions(size=0), checksum_ok=True)
    return leg, Packet(
        Ethernet(Mac("02:00:00:00:00:77")), ip=Ip(address(src), address(dst), TCP, ttl=64), tcp=segment
    )


def udp(leg: str, source: str, destination: str) -> tuple[str, Packet]:
    (src, sport), (dst, dport) = source.split(":"), destination.split(":")
    ip = Ip(address(src), address(dst), UDP, ttl=64)
    return leg, Packet(Ethernet(Mac("02:00:00:00:00:77")), ip=ip, udp=Udp(int(sport), int(dport), 4))


def told(found: NatDisagreement | None) -> str:
    if found is None:
        return ""
    return "\n".join([found.rules.text, *found.sent, "kernel:", *found.kernel, "model:", *found.model])


@pytest.fixture(scope="module")
def bed() -> Iterator[NatBed]:
    with closing(NatBed(f"bwnt{os.getpid()}")) as made:
        yield made


def test_random_rulesets_agree_and_nothing_stays() -> None:
    outcome = hold_nat(25, 2026)

    assert outcome.disagreements == 0, told(outcome.first[0])
    assert outcome.checks == 25 * 24
    assert outcome.translated > 100
    assert outcome.draws > 5
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert f"bwn{os.getpid()}" not in left


CLOSED = [
    tcp("bna", f"{ONE}:40000", f"{SERVER}:80", SYN, 1000),
    tcp("bnb", f"{SERVER}:80", f"{OUTER}:7000", SYN | ACK, 5000, 1001),
    tcp("bna", f"{ONE}:40000", f"{SERVER}:80", ACK, 1001, 5001),
    tcp("bnb", f"{SERVER}:80", f"{OUTER}:7000", RST, 5001),
]
STORIES = {
    "one port, and it is taken: dropped": [*CLOSED[:3], tcp("bna", f"{TWO}:40000", f"{SERVER}:80", SYN, 9)],
    "a closed connection makes room for a higher number": [
        *CLOSED, tcp("bna", f"{TWO}:40000", f"{SERVER}:80", SYN, 2000),
    ],
    "a closed connection makes no room for a lower number": [
        *CLOSED, tcp("bna", f"{TWO}:40000", f"{SERVER}:80", SYN, 900),
    ],
    "udp never makes room": [
        udp("bna", f"{ONE}:40000", f"{SERVER}:53"),
        udp("bna", f"{TWO}:40000", f"{SERVER}:53"),
        udp("bnb", f"{SERVER}:53", f"{OUTER}:7000"),
    ],
    "another server is no clash": [
        udp("bna", f"{ONE}:40000", f"{SERVER}:53"), udp("bna", f"{TWO}:40000", "203.0.113.8:53"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_a_single_port_behind_one_address(bed: NatBed, name: str) -> None:
    rules = "\n".join(f"-A POSTROUTING -p {each} -j SNAT --to-source {OUTER}:7000" for each in ("tcp", "udp"))
    packets = STORIES[name]
    outcome = NatConformance()

    found = hold_case(
        bed, Ruleset(f"*nat\n{rules}\nCOMMIT\n", native=False), Script(packets), len(packets), outcome
    )

    assert found is None, told(found)
    assert outcome.checks == len(packets)
    assert outcome.translated >= 1


@pytest.mark.parametrize("flags", ["", " --persistent"])
def test_the_hash_of_addresses(bed: NatBed, flags: str) -> None:
    """Forty connections over a wide range: one wrong bit of the hash would show."""
    rules = (
        f"*nat\n-A PREROUTING -d 198.18.7.5 -j DNAT --to-destination 10.77.3.16-10.77.3.250{flags}\n"
        f"-A POSTROUTING -j SNAT --to-source 198.51.100.0-198.51.107.255{flags}\nCOMMIT\n"
    )
    packets = [udp("bna", f"10.77.1.{10 + n}:{3000 + n}", f"198.18.7.5:{n + 1}") for n in range(20)]
    packets += [udp("bna", f"10.77.1.99:{3000 + n}", f"203.0.113.{n}:53") for n in range(20)]
    outcome = NatConformance()

    found = hold_case(bed, Ruleset(rules, native=False), Script(packets), len(packets), outcome)

    assert found is None, told(found)
    assert (outcome.translated, outcome.draws) == (40, 0)


@pytest.mark.parametrize("ports", ["8000-8003", "8000-8003/53"])
def test_ports_of_destinations_in_order(bed: NatBed, ports: str) -> None:
    rules = f"*nat\n-A PREROUTING -p udp -d 198.18.7.5 -j DNAT --to-destination 10.77.3.10:{ports}\nCOMMIT\n"
    packets = [udp("bna", f"{ONE}:1025", f"198.18.7.5:{port}") for port in (53, 54, 57, 52, 8002, 60000)]
    outcome = NatConformance()

    found = hold_case(bed, Ruleset(rules, native=False), Script(packets), len(packets), outcome)

    assert found is None, told(found)
    assert outcome.translated == len(packets)


@pytest.mark.parametrize("port", [1, 511, 512, 599, 1023, 1024, 65535])
def test_a_clash_stays_in_its_class(bed: NatBed, port: int) -> None:
    rules = "*nat\n-A POSTROUTING -o bnb -j MASQUERADE\nCOMMIT\n"
    packets = [udp("bna", f"10.77.1.{host}:{port}", f"{SERVER}:53") for host in range(10, 30)]
    outcome = NatConformance()

    found = hold_case(bed, Ruleset(rules, native=False), Script(packets), len(packets), outcome)

    assert found is None, told(found)
    assert outcome.draws == len(packets) - 1
