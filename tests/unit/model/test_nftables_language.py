"""The language of native nft rules, statement by statement: sets, maps, bits, fields, writes, choices."""

from __future__ import annotations

from dataclasses import replace

import pytest
from linux_samples import OUTSIDE, Told, device, did, dids, frame, netns, route, stack, udp

from bothways.facts.address import address
from bothways.facts.choice import Freedom
from bothways.facts.dump import Dump
from bothways.facts.nft import NftTable
from bothways.facts.packet import ETH_ARP, Arp, ArpOp, Ethernet, Packet
from bothways.facts.snapshot import Netns
from bothways.facts.step import Did
from bothways.model.linux.passage import Passage
from bothways.parse.nft_text import parse_nft

OUT, IN = device("out0", "192.0.2.1/24", number=2), device("in0", "10.0.0.1/24", number=3)
ROUTES = (
    route("192.0.2.0/24 dev out0"),
    route("10.0.0.0/24 dev in0"),
    route("192.0.2.1 dev out0", table="local", kind="local"),
    route("10.0.0.1 dev in0", table="local", kind="local"),
)
FORWARD = "type filter hook forward priority 0; policy accept;"
PRE = "type filter hook prerouting priority -310; policy accept;"


def space(nft: str) -> Netns:
    parsed = parse_nft(nft, file="nft.txt")
    assert parsed.problems == ()
    rows = tuple(row for row in parsed.rows if isinstance(row, NftTable))
    return replace(netns(OUT, IN, routes=ROUTES, sysctls={}), nft=Dump(rows, "nft.txt"))


def table(body: str, head: str = FORWARD, rest: str = "", family: str = "ip") -> str:
    rules = "\n".join(f"\t\t{line}" for line in body.split("; ") if line)
    return f"table {family} t {{\n{rest}\n\tchain c {{\n\t\t{head}\n{rules}\n\t}}\n}}\n"


def passed(nft: str, told: Told | None = None, *, flags: str = "S", sport: int = 4000) -> Passage:
    """A segment from outside to a machine behind."""
    return stack(space(nft), told).receive(
        "out0", frame(f"192.0.2.9:{sport}", "10.0.0.5:22", flags, to=OUT), 0
    )


SETS = """
	set near { type ipv4_addr; flags interval; elements = { 192.0.2.0/25, 198.51.100.7 }; }
	set pairs { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/24 . 20-30 }; }
	set seen { type ipv4_addr; size 9; flags dynamic; }
	map fates { type inet_service : verdict; elements = { 22 : drop, 80 : accept }; }
	map marks { type ipv4_addr : mark; elements = { 192.0.2.9 : 0x7 }; }
	chain one {
		ip saddr 192.0.2.9 return
		drop
	}
	chain two {
		drop
	}"""


@pytest.mark.parametrize(
    ("rules", "through"),
    [
        ("ip saddr @near drop", False),
        ("ip saddr != @near drop", True),
        ("ip daddr . tcp dport @pairs drop", False),
        ("ip daddr . tcp dport != @pairs drop", True),
        ("ip saddr . tcp dport { 192.0.2.9 . 23, 192.0.2.8 . 22 } drop", True),
        ("tcp dport vmap @fates", False),
        ("tcp dport vmap { 22 : accept, 80 : drop }; drop", True),
        ("tcp dport vmap { 80 : accept }; drop", False),
        ("tcp dport vmap { 80 : accept, * : drop }", False),
        ("tcp dport vmap { 0-21 : drop, 22 : continue } drop", False),  # a continue goes on in the rule
        ("tcp dport vmap { 80 : drop } drop", True),  # no element ends the rule
        ("tcp dport vmap { 22 : jump one }; accept", True),
        ("tcp dport vmap { 22 : goto one }; drop", True),
        ("tcp dport vmap { 22 : return }; drop", True),
        ('iifname vmap { "in0" : accept, "out0" : drop }', False),
        ('iifname . oifname vmap { "out0" . "in0" : drop }', False),
        ("meta mark set ip saddr map @marks; meta mark 7 drop", False),
        ("meta mark set ip daddr map @marks; meta mark 0 drop", False),
        ("meta mark set tcp dport map { 20-30 : 0x5 }; meta mark & 0x4 != 0 drop", False),
        ("meta mark set 0x5; meta mark set meta mark and 0x4 or 0x2; meta mark 6 drop", False),
        ("meta mark set 0x3; meta mark set meta mark << 2; meta mark 12 drop", False),
        ("meta mark 1-9 drop", True),
        ("meta mark 0x10/28 drop", True),
        ("meta mark { 0-1, 7 } drop", False),
        ("tcp flags syn drop", False),
        ("tcp flags == syn drop", False),
        ("tcp flags syn,rst drop", False),
        ("tcp flags ! syn drop", True),
        ("tcp flags & (syn | ack) == syn drop", False),
        ("tcp flags syn / syn,ack drop", False),
        ("tcp flags { syn, syn | ack } drop", False),
        ("ip saddr & 255.255.255.0 == 192.0.2.0 drop", False),
        ("ip saddr & 0.0.0.7 == 0.0.0.2 drop", True),
        ("@nh,96,32 0xc0000209 drop", False),
        ("@nh,72,8 6 drop", False),
        ("@th,16,16 22 drop", False),
        ("@th,0,32 & 0xffff == 22 drop", False),
        ("th dport 22 drop", False),
        ("th dport != 22 drop", True),
        ("udp dport != 22 drop", True),  # no UDP: the port is not asked
        ("tcp dport < 23 tcp dport >= 22 drop", False),
        ("tcp sport > 4000 drop", True),
        ("ip6 version 6 drop", True),
        ("icmp type != echo-request drop", True),
        ("ether saddr != 02:00:00:00:00:01 drop", False),
        ("fib saddr . iif oif exists drop", False),
        ("fib saddr . iif oif missing drop", True),
        ('fib daddr oifname "in0" drop', False),
        ("fib daddr type local drop", True),
        ("rt nexthop 10.0.0.5 drop", False),
        ("ip ttl { 1, 60-64 } drop", False),
        ("ct state new ct direction original drop", False),
        ("ct state { established, related } drop", True),
        ("ct state != established drop", False),
        ("ct state . meta mark { new . 0x0 } drop", False),
        ("ct original ip daddr 10.0.0.5 ct original proto-dst 22 drop", False),
        ("ct reply ip saddr != 10.0.0.5 drop", True),
        ("ct mark set 0x9; ct mark 9 drop", False),
        ("add @seen { ip saddr }; ip saddr @seen drop", False),
        ("add @seen { ip daddr }; ip saddr @seen drop", True),
        ("add @seen { ip saddr }; delete @seen { ip saddr }; ip saddr @seen drop", True),
        ("update @marks { ip daddr : meta mark }; meta mark set 1; ip daddr @seen drop", True),
        ("tcp option maxseg size set 1400; accept; drop", True),
        ("meta skuid != 0 drop", True),  # what passes through has no socket
        ("jump one; drop", False),
        ("goto one; drop", True),
    ],
)
def test_a_rule_decides(rules: str, through: object) -> None:
    told = Told()
    passage = passed(table(rules, rest=SETS), told)

    assert bool(passage.transmissions) is through
    assert told.asked == {}
    assert passage.unknown == ()


def test_a_set_that_a_rule_filled_is_asked_by_the_next_packet() -> None:
    router = stack(
        space(table("tcp dport 22 add @seen { ip saddr }; tcp dport 80 ip saddr @seen drop", rest=SETS))
    )
    first = router.receive("out0", frame("192.0.2.9:4000", "10.0.0.5:80", to=OUT), 0)
    router.receive("out0", frame("192.0.2.9:4001", "10.0.0.5:22", to=OUT), 1)
    again = router.receive("out0", frame("192.0.2.9:4002", "10.0.0.5:80", to=OUT), 2)

    assert first.transmissions
    assert not again.transmissions


@pytest.mark.parametrize(
    ("rule", "sent"),
    [
        ("ip saddr set 192.0.2.7", ("192.0.2.7:4000", "10.0.0.5:22")),
        ("tcp dport set tcp dport map { 22 : 2222 }", ("192.0.2.9:4000", "10.0.0.5:2222")),
        ("ip saddr set ip saddr map { 192.0.2.9 : 192.0.2.4 }", ("192.0.2.4:4000", "10.0.0.5:22")),
        ("ip daddr 192.0.2.9 ip saddr set 192.0.2.7", ("192.0.2.9:4000", "10.0.0.5:22")),
        ("ip6 saddr set 2001:db8::1", ("192.0.2.9:4000", "10.0.0.5:22")),
        ("udp dport set 5", ("192.0.2.9:4000", "10.0.0.5:22")),
    ],
)
def test_a_write(rule: str, sent: tuple[str, str]) -> None:
    (out,) = passed(table(rule)).transmissions

    assert (str(out.packet.source), str(out.packet.destination)) == sent


def test_a_ttl_and_a_class_of_service() -> None:
    (out,) = passed(table("ip ttl set 9; ip dscp set cs1")).transmissions

    assert out.packet.ip is not None
    assert (out.packet.ip.ttl, out.packet.ip.tos) == (9, 32)


def test_a_port_that_is_written_without_its_checksum_is_doubted() -> None:
    assert any("checksum" in text for text in passed(table("th dport set 23")).unknown)
    assert passed(table("tcp dport set 23")).unknown == ()


NAT = "type nat hook prerouting priority dstnat; policy accept;"


@pytest.mark.parametrize(
    ("rule", "there"),
    [
        ("dnat to ip daddr map { 192.0.2.1 : 10.0.0.5 }", "10.0.0.5:22"),
        ("dnat to ip daddr . tcp dport map { 192.0.2.1 . 22 : 10.0.0.6 . 2222 }", "10.0.0.6:2222"),
        ("dnat to tcp dport map { 22 : 10.0.0.7 }:80", "10.0.0.7:80"),
        ("dnat ip prefix to ip daddr map { 192.0.2.0/24 : 10.0.0.0/24 }", "10.0.0.1:22"),
        ("tcp dport 22 dnat to 10.0.0.9", "10.0.0.9:22"),
        ("dnat to @missing_", ""),
    ],
)
def test_a_destination_out_of_a_map(rule: str, there: str) -> None:
    text = table(rule.replace("@missing_", "ip daddr map { 192.0.2.99 : 10.0.0.5 }"), NAT)
    passage = stack(space(text)).receive("out0", frame("192.0.2.9:4000", "192.0.2.1:22", to=OUT), 0)
    translated = [step.after for step in passage.steps if step.did is Did.TRANSLATED]

    assert [str(packet.destination) for packet in translated if packet is not None][:1] == (
        [there] if there else []
    )


def test_a_number_that_the_kernel_draws_is_a_free_choice() -> None:
    text = table("dnat to numgen random mod 2 map { 0 : 10.0.0.5, 1 : 10.0.0.6 }", NAT)
    told = Told()
    one = stack(space(text), told).receive("out0", frame("192.0.2.9:4000", "192.0.2.1:22", to=OUT), 0)
    other = stack(space(text), Told(last=1)).receive(
        "out0", frame("192.0.2.9:4000", "192.0.2.1:22", to=OUT), 0
    )

    assert [str(p.transmissions[0].packet.destination) for p in (one, other)] == [
        "10.0.0.5:22",
        "10.0.0.6:22",
    ]
    assert list(told.freedoms.values()) == [Freedom.FREE]
    assert one.unknown == ()


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("limit rate 1/second drop", "limit"),
        ("ct count over 5 drop", "ct count"),
        ("meta cpu 1 drop", "meta cpu"),
        ("queue num 1", "queue"),
        ("ip saddr @gone drop", "@gone"),
        ("jump gone", "gone"),
    ],
)
def test_what_cannot_be_told_is_walked_both_ways_and_said(rule: str, words: str) -> None:
    passage = passed(table(rule))

    assert any(words in text for text in passage.unknown)


def test_a_flowtable_is_doubted_for_what_is_established_only() -> None:
    text = table("ct state established flow add @ft; flow add @ft; accept")
    router = stack(space(text))
    first = router.receive("out0", frame("192.0.2.9:4000", "10.0.0.5:22", to=OUT), 0)
    answer = router.receive("in0", frame("10.0.0.5:22", "192.0.2.9:4000", "S.", to=IN, ack=1001), 1)

    assert first.unknown == ()
    assert any("flow add" in text for text in answer.unknown)


# -- below the IP layer ------------------------------------------------------------------------------------


def ingress(rules: str, device_: str = "out0", hook: str = "ingress") -> str:
    return table(
        rules, f'type filter hook {hook} device "{device_}" priority 0; policy accept;', family="netdev"
    )


def test_a_device_drops_writes_and_forwards_what_comes_in() -> None:
    assert not passed(ingress("tcp dport 22 drop")).transmissions
    assert passed(ingress("tcp dport 23 drop")).transmissions
    (written,) = passed(ingress("ip daddr set 10.0.0.8")).transmissions
    assert str(written.packet.destination) == "10.0.0.8:22"
    (sent,) = passed(ingress('fwd to "in0"')).transmissions
    assert (sent.device, sent.next_hop) == ("in0", None)
    (to,) = passed(ingress('fwd ip to 10.0.0.77 device "in0"')).transmissions
    assert (to.device, str(to.next_hop)) == ("in0", "10.0.0.77")


def test_a_mark_of_the_ingress_is_seen_above() -> None:
    text = ingress("meta mark set 0x9") + table("meta mark 9 drop").replace(" t {", " u {")

    assert not passed(text).transmissions


def test_a_device_drops_what_leaves() -> None:
    assert not passed(ingress("tcp dport 22 drop", "in0", "egress")).transmissions
    assert passed(ingress("tcp dport 22 drop", "out0", "egress")).transmissions


def test_an_inet_chain_may_hang_at_a_device() -> None:
    head = 'type filter hook ingress device "out0" priority 0; policy accept;'

    assert not passed(table("ip saddr 192.0.2.9 drop", head, family="inet")).transmissions


def asking(nft: str) -> Passage:
    arp = Arp(ArpOp.REQUEST, OUTSIDE, address("192.0.2.9"), OUT.mac, address("192.0.2.1"))
    packet = Packet(Ethernet(arp.sha, OUT.mac, ETH_ARP), arp=arp)
    return stack(space(nft)).receive("out0", packet, 0)


@pytest.mark.parametrize(
    ("rules", "hook", "answered"),
    [
        ("arp operation request drop", "input", False),
        ("arp operation reply drop", "input", True),
        ("arp daddr ip 192.0.2.1 drop", "input", False),
        ("arp operation reply drop", "output", False),
        ("arp saddr ip 192.0.2.9 arp saddr ether 02:00:00:00:00:99 drop", "input", False),
    ],
)
def test_rules_of_arp(rules: str, hook: str, answered: object) -> None:
    passage = asking(table(rules, f"type filter hook {hook} priority 0;", family="arp"))

    assert bool(passage.transmissions) is answered


def test_an_answer_of_arp_may_be_rewritten() -> None:
    text = table("arp operation reply arp saddr ether set 02:00:00:00:00:55",
                 "type filter hook output priority 0;", family="arp")  # fmt: skip
    (out,) = asking(text).transmissions

    assert out.packet.arp is not None
    assert out.packet.arp.sha == "02:00:00:00:00:55"


def test_udp_and_its_ports() -> None:
    text = table("udp dport vmap { 53 : drop }; meta l4proto . th dport { udp . 54 } drop")

    def sent(port: int) -> bool:
        return bool(
            stack(space(text))
            .receive("out0", udp("192.0.2.9:4000", f"10.0.0.5:{port}", to=OUT), 0)
            .transmissions
        )

    assert [sent(port) for port in (53, 54, 55)] == [False, False, True]
    assert Did.DROPPED in dids(passed(table("drop")))
    assert did(passed(table("drop")), Did.DROPPED).function == "nft_do_chain"
