"""
Every match and target whose outcome is computed, one rule each, held against the kernel of this machine.

A rule that the kernel or iptables here has no module for is skipped, and so told.
"""

from __future__ import annotations

import os

import pytest
from test_live_netfilter import (
    CLIENT,
    FLOATING,
    MACHINE,
    OUTSIDE_MAC,
    Case,
    Silent,
    Site,
    modelled,
    site,
)

from bothways.facts.address import Mac, address
from bothways.facts.packet import TCP, Ethernet, Flag, Ip, Packet, Tcp, TcpOptions
from bothways.model.linux.stack import Stack

__all__ = ["site"]

pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "iptables")]

MATCHES = """
-s 192.0.2.210
! -s 192.0.2.0/24
-d 198.51.100.0/25
! -d 198.51.100.4
-i qg
-i q+
! -i qr
-o qr
! -o q+
-p tcp
-p 6
! -p udp
-p icmp
-f
! -f
-p tcp -m tcp --sport 20000:65535
-p tcp -m tcp ! --dport 22
-p tcp -m tcp --tcp-flags SYN,RST SYN
-p tcp -m tcp ! --tcp-flags ALL SYN
-p tcp -m tcp --tcp-option 2
-p tcp -m tcp ! --tcp-option 2
-p udp -m udp --dport 22
-p icmp -m icmp --icmp-type 8
-p tcp -m multiport --dports 20:23,80
-p tcp -m multiport ! --sports 1:1024
-p tcp -m multiport --ports 22
-m iprange --src-range 192.0.2.200-192.0.2.220
-m iprange ! --dst-range 198.51.100.1-198.51.100.3
-m ttl --ttl-eq 63
-m ttl --ttl-gt 62
-m ttl --ttl-lt 63
-m length --length 40
-m length ! --length 0:39
-m dscp --dscp 0x00
-m dscp ! --dscp-class EF
-m tos --tos 0x00/0xff
-m tos ! --tos 0x10/0x3f
-m ecn --ecn-ip-ect 0
-p tcp -m ecn --ecn-tcp-ece
-p tcp -m ecn ! --ecn-tcp-cwr
-m mark --mark 0x0
-m mark ! --mark 0x1/0xff
-m connmark --mark 0x0
-m conntrack --ctstate NEW
-m conntrack ! --ctstate ESTABLISHED,RELATED
-m conntrack --ctproto 6
-m conntrack ! --ctorigsrc 192.0.2.210
-m conntrack --ctorigdst 198.51.100.0/24
-m conntrack --ctreplsrc 198.51.100.4
-m conntrack --ctrepldst 192.0.2.0/24
-p tcp -m conntrack --ctorigdstport 22
-p tcp -m conntrack ! --ctreplsrcport 22
-m conntrack --ctstatus NONE
-m conntrack --ctdir ORIGINAL
-m conntrack --ctdir REPLY
-m state --state NEW
-m state ! --state NEW
-m comment --comment x
-m mac --mac-source 02:00:00:00:00:01
-m mac ! --mac-source 02:00:00:00:00:02
-m addrtype --dst-type UNICAST
-m addrtype --src-type LOCAL
-m addrtype ! --dst-type LOCAL,BROADCAST
-m pkttype --pkt-type unicast
-m pkttype ! --pkt-type broadcast
-m physdev --physdev-is-bridged
-m statistic --mode random --probability 1.0
-m recent --set --name bw
-m recent ! --set --name bw
-m helper --helper ftp
-m helper ! --helper ftp
-m cgroup --cgroup 1
-m string --string abcdefghijklmnopqrstuvwxyzabcdefghijklmnop --algo bm
-p esp -m esp --espspi 1
-p sctp -m sctp --dport 22
-m policy --dir in --pol none
-m policy --dir in --pol ipsec
""".strip().splitlines()
BEFORE = "-t mangle -A PREROUTING"
TARGETS = (
    ("-A FORWARD -j ACCEPT\n-A FORWARD -j DROP", MACHINE),
    ("-A FORWARD -j LOG\n-A FORWARD -j DROP", MACHINE),
    ("-A FORWARD -j NFLOG\n-A FORWARD -j REJECT", MACHINE),
    (f"{BEFORE} -j MARK --set-xmark 0x7/0xf\n-A FORWARD -m mark ! --mark 0x7 -j DROP", MACHINE),
    (f"{BEFORE} -j CONNMARK --set-xmark 0x5\n-A FORWARD -m connmark --mark 0x5 -j DROP", MACHINE),
    (
        (
            f"{BEFORE} -j MARK --set-xmark 0x9\n{BEFORE} -j CONNMARK --save-mark\n"
            f"{BEFORE} -j MARK --set-xmark 0x0\n{BEFORE} -j CONNMARK --restore-mark\n"
            "-A FORWARD -m mark --mark 0x9 -j DROP"
        ),
        MACHINE,
    ),
    ("-t raw -A PREROUTING -j NOTRACK\n-A FORWARD -m conntrack --ctstate UNTRACKED -j DROP", MACHINE),
    (f"{BEFORE} -j TTL --ttl-set 9\n-A FORWARD -m ttl --ttl-eq 8 -j DROP", MACHINE),
    (f"{BEFORE} -j TTL --ttl-dec 62\n-A FORWARD -m ttl --ttl-lt 3 -j DROP", MACHINE),
    (f"{BEFORE} -j TTL --ttl-inc 250\n-A FORWARD -m ttl --ttl-gt 250 -j DROP", MACHINE),
    (f"{BEFORE} -j DSCP --set-dscp-class EF\n-A FORWARD -m dscp --dscp 0x2e -j DROP", MACHINE),
    (f"{BEFORE} -j TOS --set-tos 0x1c/0xff\n-A FORWARD -m tos --tos 0x1c/0xff -j DROP", MACHINE),
    (f"{BEFORE} -p tcp -j ECN --ecn-tcp-remove", MACHINE),
    ("-t raw -A PREROUTING -j CT --zone 5", MACHINE),
    ("-t raw -A PREROUTING -j TRACE", MACHINE),
    ("-t mangle -A POSTROUTING -j CLASSIFY --set-class 1:1", MACHINE),
    ("-t mangle -A POSTROUTING -p udp -j CHECKSUM --checksum-fill", MACHINE),
    ("-A FORWARD -j AUDIT --type accept", MACHINE),
    ("-A FORWARD -p tcp --syn -j TCPMSS --set-mss 1400", MACHINE),
    ("-t nat -A PREROUTING -d 203.0.113.0/24 -j NETMAP --to 198.51.100.0/24", "203.0.113.4"),
    (f"-t nat -A PREROUTING -d {FLOATING} -p tcp -j DNAT --to-destination {MACHINE}:2222", FLOATING),
    *(
        (f"-A FORWARD -j REJECT --reject-with {kind}", MACHINE)
        for kind in (
            "icmp-net-unreachable",
            "icmp-host-unreachable",
            "icmp-port-unreachable",
            "icmp-proto-unreachable",
            "icmp-net-prohibited",
            "icmp-host-prohibited",
            "icmp-admin-prohibited",
        )
    ),
)
RULES = (*((f"-A FORWARD {words} -j DROP", MACHINE) for words in MATCHES), *TARGETS)


@pytest.mark.parametrize(("number", "row"), list(enumerate(RULES)), ids=[rule for rule, _ in RULES])
def test_one_rule_and_one_segment(site: Site, number: int, row: tuple[str, str]) -> None:
    rules, destination = row
    try:
        site.load(Case(rules, rules))
    except AssertionError as error:
        pytest.skip(f"not on this machine: {' '.join(str(error).split())[:120]}")
    space = site.dumped()
    found = space.device("qg")
    assert found is not None
    stack = Stack(space, oracle=Silent(), kernel=os.uname().release)
    sport = 30000 + number
    real = site.ask(
        leg="outside",
        source=CLIENT,
        destination=destination,
        sport=sport,
        dport=22,
        flags=Flag.SYN.value,
        ttl=64,
        to=found.mac,
        **{"from": OUTSIDE_MAC},
    )
    packet = Packet(
        Ethernet(Mac(OUTSIDE_MAC), found.mac),
        ip=Ip(address(CLIENT), address(destination), TCP, ttl=64, tos=0, df=False),
        tcp=Tcp(sport, 22, Flag.SYN, 1000, 5001, 64240, 0, TcpOptions(size=0), checksum_ok=True),
        length=54,
    )
    assert modelled(stack, "qg", packet) == real
