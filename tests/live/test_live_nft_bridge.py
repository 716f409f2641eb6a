"""
A bridge whose nft rules take frames away from their receiver: kernel and `model/linux` agree.

A machine behind a bridge sends to the MAC of a gateway that is somewhere else. Rules of the family
``bridge`` may hand the frame to the bridge's own host, which routes it on; the far side tells the sender that
it saw.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bothways.facts.address import Mac, address
from bothways.facts.choice import FirstOption
from bothways.facts.dump import Dump
from bothways.facts.nft import NftTable
from bothways.facts.packet import UDP, Ethernet, Ip, Packet, Udp
from bothways.facts.snapshot import Netns
from bothways.model.linux.stack import Stack
from bothways.parse.ip_json import parse_addr, parse_route, parse_rule
from bothways.parse.nft_text import parse_nft
from bothways.parse.sysctl import parse_sysctl

pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "nft")]

MACHINE, FLOATING, CLIENT = "198.51.100.4", "192.0.2.223", "192.0.2.210"
GATEWAY, BRIDGE, SENDER = "02:00:00:00:00:99", "02:00:00:00:00:0b", "02:00:00:00:00:04"

SETUP = f"""
ip netns add NS-vm; ip netns add NS-h; ip netns add NS-out
ip -n NS-vm link add eth0 address {SENDER} type veth peer name tap0 netns NS-h
ip -n NS-h link add out0 type veth peer name eth0 netns NS-out
ip -n NS-h link add br0 address {BRIDGE} type bridge
ip -n NS-h link set tap0 master br0
for d in lo br0 tap0 out0; do ip -n NS-h link set $d up; done
ip -n NS-vm link set eth0 up; ip -n NS-out link set eth0 up; ip -n NS-out link set lo up
ip -n NS-vm addr add {MACHINE}/24 dev eth0
ip -n NS-vm route add default via 198.51.100.1
ip -n NS-vm neigh replace 198.51.100.1 lladdr {GATEWAY} dev eth0
ip -n NS-h addr add 192.0.2.1/24 dev out0
ip -n NS-h route add 198.51.100.0/24 dev br0
ip -n NS-out addr add {CLIENT}/24 dev eth0
ip -n NS-out route add default via 192.0.2.1
ip netns exec NS-h sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0
"""
#: Tells who sent what it gets, or nothing after a while.
FAR = """
import socket
s = socket.socket(2, 2)
s.bind(("", 9999))
print(flush=True)
while True:
    print(s.recvfrom(99)[1][0], flush=True)
"""
SEND = f"import socket; s=socket.socket(2,2); s.bind(('', 4000)); s.sendto(b'x', ('{CLIENT}', 9999))"

TAKE = f"ether daddr set {BRIDGE} meta pkttype set host"
CASES = {
    "no rule": "",
    "taken": f"iifname tap0 {TAKE}",
    "taken, and rewritten": f"ip saddr {MACHINE} udp sport 4000 {TAKE} ip saddr set {FLOATING}",
    "rewritten, not taken": f"ip saddr set {FLOATING}",
    "taken for another station": f"ether daddr set {BRIDGE}",
    "wrong port": f"udp sport 4001 {TAKE}",
    "by MAC": f"ether saddr {SENDER} ether daddr {GATEWAY} {TAKE}",
    "by another MAC": f"ether saddr != {SENDER} {TAKE}",
    "other type": f"ether type arp {TAKE}",
    "not of the other family": f"ip6 saddr != 2001:db8::1 {TAKE}",
    "by packet type": f"meta pkttype other {TAKE}",
    "not tracked": f"{TAKE} notrack",
    "dropped": f"{TAKE} drop",
    "accepted first": f"accept; {TAKE}",
    "by protocol": f"meta protocol ip meta l4proto udp {TAKE} meta mark set 0x7",
}


def shell(text: str) -> str:
    done = subprocess.run(["sh", "-ec", text], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture(scope="module")
def space() -> Iterator[str]:
    name = f"bwnb{os.getpid()}"
    try:
        shell(SETUP.replace("NS", name))
        yield name
    finally:
        for end in ("vm", "h", "out"):
            subprocess.run(["ip", "netns", "del", f"{name}-{end}"], check=False, capture_output=True)


@pytest.fixture(scope="module")
def far(space: str) -> Iterator[subprocess.Popen[str]]:
    words = [shutil.which("ip") or "ip", "netns", "exec", f"{space}-out", sys.executable, "-c", FAR]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def seen(far: subprocess.Popen[str], seconds: float) -> str:
    assert far.stdout is not None
    return far.stdout.readline().strip() if select.select([far.stdout], [], [], seconds)[0] else ""


def predicted(space: str, ruleset: str) -> tuple[str, tuple[str, ...]]:
    inside = f"ip netns exec {space}-h "
    addr = parse_addr(shell(f"{inside}ip -d -j addr"), file="addr")
    routes = parse_route(shell(f"{inside}ip -j route show table all"), file="route")
    rules = parse_rule(shell(f"{inside}ip -j rule"), file="rule")
    sysctls = parse_sysctl(shell(f"{inside}sysctl -a 2>/dev/null | grep net.ipv4"), file="sysctl")
    rows = tuple(row for row in parse_nft(ruleset, file="nft").rows if isinstance(row, NftTable))
    netns = Netns(
        "h", "root", devices=Dump(addr.rows, "addr"), routes=Dump(routes.rows, "route"),
        rules=Dump(rules.rows, "rule"), iptables=Dump((), "iptables"), nft=Dump(rows, "nft"),
        sysctls=Dump(sysctls.rows, "sysctl"), fdb=Dump((), "fdb"),
    )  # fmt: skip
    packet = Packet(
        Ethernet(Mac(SENDER), Mac(GATEWAY)),
        ip=Ip(address(MACHINE), address(CLIENT), UDP, ttl=64),
        udp=Udp(4000, 9999, 1),
    )
    passage = Stack(netns, oracle=FirstOption(), kernel=None).receive("tap0", packet, 0)
    out = [t.packet.ip for t in passage.transmissions if t.device == "out0"]
    return (str(out[0].src) if out and out[0] is not None else ""), passage.unknown


@pytest.mark.parametrize("name", CASES)
def test_what_a_bridge_hands_to_its_host(space: str, far: subprocess.Popen[str], name: str) -> None:
    rules = CASES[name]
    text = f"table bridge t {{ chain c {{ type filter hook prerouting priority dstnat; {rules}\n }}\n }}"
    shell(f"ip netns exec {space}-h nft 'flush ruleset; {text}\n'")
    listed = shell(f"ip netns exec {space}-h nft list ruleset")
    source, unknown = predicted(space, listed)
    shell(f'ip netns exec {space}-vm {sys.executable} -c "{SEND}"')

    assert unknown == ()
    assert seen(far, 3 if source else 0.2) == source
