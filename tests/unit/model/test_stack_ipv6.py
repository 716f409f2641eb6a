"""What becomes of a packet of IPv6 in one namespace: a table of small worlds."""

from dataclasses import replace

import pytest
from linux_samples import OUTSIDE, device, did, dids, netns, stack, tables

from bothways.facts.address import Mac, address, network
from bothways.facts.device import Device, Neighbour
from bothways.facts.dump import Dump
from bothways.facts.packet import ETH_IP6, ICMP6, TCP, UDP, Ethernet, Flag, Icmp, Ip, Packet, Tcp, Udp
from bothways.facts.route import NextHop, Route
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.model.linux.ndisc import multicast_mac
from bothways.model.linux.passage import Passage

OUT = replace(device("out0", "2001:db8:1::1/64", "fe80::1/64", number=2), mtu=1500)
IN = replace(device("in0", "2001:db8:2::1/64", "fe80::2/64", number=3), mtu=1400)
CLIENT, HERE, BEHIND = "2001:db8:1::9", "2001:db8:1::1", "2001:db8:2::5"
ON = {"net.ipv6.conf.all.forwarding": "1"}


def route(text: str, kind: str = "unicast", table: str = "main", metric: int = 256) -> Route:
    """``2001:db8::/32 dev out0 via fe80::9``."""
    words = text.split()
    pairs = dict(zip(words[1::2], words[2::2], strict=True))
    via = pairs.get("via")
    hops = (NextHop(pairs["dev"], None if via is None else address(via)),) if "dev" in pairs else ()
    return Route(kind, network(words[0]), table, hops, Span("route", text=text), metric=metric)


ROUTES = (
    route("2001:db8:1::/64 dev out0"),
    route("2001:db8:2::/64 dev in0"),
    route("fe80::/64 dev out0"),
    route("fe80::/64 dev in0"),
    route("2001:db8:66::/64 dev lo", "unreachable"),
    route("2001:db8:67::/64 dev lo", "prohibit"),
    route("2001:db8:68::/64 dev lo", "blackhole"),
    route("2001:db8:1::1/128 dev out0", "local", "local", 0),
    route("2001:db8:2::1/128 dev in0", "local", "local", 0),
    route("2001:db8:1::/128 dev out0", "anycast", "local", 0),
    route("fe80::1/128 dev out0", "local", "local", 0),
    route("fe80::2/128 dev in0", "local", "local", 0),
)


def world(sysctls: dict[str, str] | None = None, rules: str = "", ss: str | None = None) -> Netns:
    head = "State Recv-Q Send-Q Local Address:Port Peer Address:Port"
    found = netns(OUT, IN, routes=ROUTES, ss=ss or head, sysctls={**ON, **(sysctls or {})})
    return replace(found, ip6tables=tables(rules), rules6=Dump((), "rule6"))


def packet(
    source: str, target: str, flags: str = "S", *, to: Device = OUT, hops: int = 64, length: int = 0
) -> Packet:
    bits = Flag.SYN if flags == "S" else Flag.ACK if flags == "." else Flag.RST
    return Packet(
        Ethernet(OUTSIDE, to.mac, ETH_IP6),
        ip=Ip(address(source), address(target), TCP, ttl=hops),
        tcp=Tcp(4000, 22, bits, 1000, 7, 64240, length, checksum_ok=True),
        length=74 + length,
    )


def answers(passage: Passage) -> list[tuple[str, int, int]]:
    """Sender, type and code of the ICMPv6 that leaves."""
    return [
        (str(t.packet.ip.src), t.packet.icmp.type, t.packet.icmp.code)
        for t in passage.transmissions
        if t.packet.icmp is not None and t.packet.ip is not None
    ]


def test_a_packet_is_forwarded_through_the_functions_of_ipv6() -> None:
    passage = stack(world()).receive("out0", packet(CLIENT, BEHIND), 0)
    (sent,) = passage.transmissions

    assert (sent.device, str(sent.next_hop)) == ("in0", BEHIND)
    assert sent.packet.ip is not None
    assert sent.packet.ip.ttl == 63
    assert [s.function for s in passage.steps] == ["ipv6_rcv", "ip6_rcv_finish", "ip6_forward", "ip6_output"]


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("2001:db8:77::1", (1, 0)),
        ("2001:db8:66::1", (1, 0)),
        ("2001:db8:67::1", (1, 1)),
        ("2001:db8:68::1", None),
    ],
)
@pytest.mark.parametrize("forwarding", ["0", "1"])
def test_a_route_that_refuses_is_told_whether_the_namespace_forwards_or_not(
    target: str, answer: tuple[int, int] | None, forwarding: str
) -> None:
    space = stack(world({"net.ipv6.conf.all.forwarding": forwarding}))

    assert answers(space.receive("out0", packet(CLIENT, target), 0)) == (
        [] if answer is None else [(HERE, *answer)]
    )


def test_without_forwarding_a_packet_for_others_ends_without_a_word() -> None:
    passage = stack(world({"net.ipv6.conf.all.forwarding": "0"})).receive("out0", packet(CLIENT, BEHIND), 0)

    assert (passage.transmissions, passage.steps[-1].function) == ((), "ip6_forward")
    assert "net.ipv6.conf.all.forwarding=0" in passage.steps[-1].reason


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (packet(CLIENT, BEHIND, hops=1), (3, 0)),
        (packet(CLIENT, BEHIND, ".", length=1400), (2, 0)),
        (packet("fe80::9", BEHIND), (1, 2)),
        (packet("::", BEHIND), None),
        (packet(CLIENT, BEHIND, ".", length=1300), "in0"),
    ],
    ids=["hop limit", "too big", "link-local", "no sender", "fits"],
)
def test_what_ends_on_the_way_on(sent: Packet, answer: tuple[int, int] | str | None) -> None:
    passage = stack(world()).receive("out0", sent, 0)

    if isinstance(answer, str):
        assert [t.device for t in passage.transmissions] == [answer]
    elif answer is None:
        assert passage.transmissions == ()
    else:
        assert [told[1:] for told in answers(passage)] == [answer]


def test_too_big_says_what_fits() -> None:
    passage = stack(world()).receive("out0", packet(CLIENT, BEHIND, ".", length=1400), 0)

    assert [t.packet.icmp.mtu for t in passage.transmissions if t.packet.icmp is not None] == [1400]


@pytest.mark.parametrize(
    ("sent", "sysctl", "reason"),
    [
        (packet(CLIENT, HERE), {"net.ipv6.conf.out0.disable_ipv6": "1"}, "disable_ipv6=1"),
        (packet("::1", HERE), {}, "loopback"),
        (packet(CLIENT, "::1"), {}, "loopback"),
        (packet("ff02::5", HERE), {}, "cannot be a sender"),
    ],
)
def test_what_ipv6_does_not_take(sent: Packet, sysctl: dict[str, str], reason: str) -> None:
    passage = stack(world(sysctl)).receive("out0", sent, 0)

    assert (passage.steps[-1].did, passage.steps[-1].function) == (Did.DROPPED, "ip6_rcv_core")
    assert reason in passage.steps[-1].reason


def test_an_address_of_the_namespace_itself_may_be_a_sender() -> None:
    listens = "LISTEN 0 5 *:22 *:*"
    passage = stack(world(ss=listens)).receive("out0", packet("2001:db8:2::1", HERE), 0)

    assert passage.delivered


def test_tcp_neither_listens_at_an_anycast_address_nor_answers_there() -> None:
    for ss in ("LISTEN 0 5 [::]:22 [::]:*", None):
        passage = stack(world(ss=ss)).receive("out0", packet(CLIENT, "2001:db8:1::"), 0)

        assert (passage.delivered, passage.transmissions) == ((), ())
        assert "anycast" in passage.steps[-1].reason


@pytest.mark.parametrize("target", [HERE, "2001:db8:2::1", "fe80::1"])
def test_addresses_of_all_devices_are_local(target: str) -> None:
    passage = stack(world(ss="LISTEN 0 5 [::]:22 [::]:*")).receive("out0", packet(CLIENT, target), 0)

    assert passage.delivered


def test_a_link_local_address_of_another_device_is_not_reached() -> None:
    passage = stack(world(ss="LISTEN 0 5 [::]:22 [::]:*")).receive("out0", packet(CLIENT, "fe80::2"), 0)

    assert not passage.delivered


def test_a_segment_for_nobody_draws_a_rst() -> None:
    (sent,) = stack(world()).receive("out0", packet(CLIENT, HERE), 0).transmissions

    assert sent.packet.tcp is not None
    assert (sent.packet.tcp.flags, sent.packet.tcp.ack, sent.packet.length) == (Flag.RST | Flag.ACK, 1001, 74)
    assert sent.packet.ethernet.type == ETH_IP6


def test_a_datagram_for_nobody_draws_port_unreachable() -> None:
    ss = "Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port\nudp UNCONN 0 0 [::]:53 [::]:*"
    sent = Packet(
        Ethernet(OUTSIDE, OUT.mac, ETH_IP6),
        ip=Ip(address(CLIENT), address(HERE), UDP, ttl=9),
        udp=Udp(1, 2, 3),
    )

    assert answers(stack(world(ss=ss)).receive("out0", sent, 0)) == [(HERE, 1, 4)]


def test_a_ping_is_answered_unless_a_sysctl_says_otherwise() -> None:
    ping = Packet(
        Ethernet(OUTSIDE, OUT.mac, ETH_IP6),
        ip=Ip(address(CLIENT), address(HERE), ICMP6, ttl=64),
        icmp=Icmp(128, 0, 7, 1),
    )

    assert answers(stack(world()).receive("out0", ping, 0)) == [(HERE, 129, 0)]
    assert answers(stack(world({"net.ipv6.icmp.echo_ignore_all": "1"})).receive("out0", ping, 0)) == []


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("icmp6-port-unreachable", (1, 4)),
        ("icmp6-adm-prohibited", (1, 1)),
        ("icmp6-no-route", (1, 0)),
        ("icmp6-addr-unreachable", (1, 3)),
    ],
)
def test_rules_of_ip6tables_reject_in_the_words_of_ipv6(kind: str, answer: tuple[int, int]) -> None:
    rules = f"*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp -j REJECT --reject-with {kind}\nCOMMIT\n"
    passage = stack(world(rules=rules)).receive("out0", packet(CLIENT, BEHIND), 0)

    assert [told[1:] for told in answers(passage)] == [answer]


def test_rules_of_iptables_meet_no_packet_of_ipv6() -> None:
    rules = tables("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n")
    space = replace(world(), iptables=rules)

    assert stack(space).receive("out0", packet(CLIENT, BEHIND), 0).transmissions
    space = replace(space, ip6tables=rules)
    assert not stack(space).receive("out0", packet(CLIENT, BEHIND), 0).transmissions
    untold = stack(replace(space, ip6tables=None)).receive("out0", packet(CLIENT, BEHIND), 0)
    assert any("ip6tables-save" in text for text in untold.unknown)


# -- neighbour discovery -------------------------------------------------------------------------------


def solicitation(target: str, hops: int = 255) -> Packet:
    group = address(f"ff02::1:ff00:{target.rpartition(':')[2] or '0'}")
    return Packet(
        Ethernet(OUTSIDE, multicast_mac(group), ETH_IP6),
        ip=Ip(address(CLIENT), group, ICMP6, ttl=hops),
        icmp=Icmp(135, 0, target=address(target), source_link=OUTSIDE),
    )


def test_a_question_is_answered_at_the_device_that_holds_the_address() -> None:
    (sent,) = stack(world()).receive("out0", solicitation(HERE), 0).transmissions

    assert sent.packet.icmp is not None
    assert (sent.packet.icmp.type, sent.packet.icmp.target_link) == (136, OUT.mac)
    assert (sent.packet.ethernet.dst, sent.next_hop) == (OUTSIDE, None)
    assert not stack(world()).receive("in0", solicitation(HERE), 0).transmissions


@pytest.mark.parametrize("hook", ["INPUT", "OUTPUT"])
def test_a_firewall_that_drops_icmpv6_cuts_the_neighbours_off(hook: str) -> None:
    rules = f"*filter\n:{hook} DROP [0:0]\nCOMMIT\n"
    passage = stack(world(rules=rules)).receive("out0", solicitation(HERE), 0)

    assert passage.transmissions == ()
    assert did(passage, Did.DROPPED).function == "ip6t_do_table"


def test_a_question_that_a_router_passed_on_is_not_believed() -> None:
    passage = stack(world()).receive("out0", solicitation(HERE, hops=254), 0)

    assert dids(passage)[-1] is Did.DROPPED


def test_a_tentative_address_is_not_answered_for() -> None:
    held = replace(OUT.addresses[0], flags=frozenset({"tentative"}))
    space = replace(world(), devices=Dump((replace(OUT, addresses=(held,)),), "addr"))
    passage = stack(space).receive("out0", solicitation(HERE), 0)

    assert "tentative" in did(passage, Did.IGNORED).reason


def test_a_proxied_neighbour_is_answered_for() -> None:
    row = Neighbour(address("2001:db8:2::5"), "out0", None, frozenset({"PROXY"}), Span("neigh", text="proxy"))
    space = replace(world({"net.ipv6.conf.out0.proxy_ndp": "1"}), neighbours=Dump((row,), "neigh"))

    assert answers(stack(space).receive("out0", solicitation("2001:db8:2::5"), 0)) == [
        ("2001:db8:2::5", 136, 0)
    ]


def test_who_asks_sends_from_the_waiting_packets_address_or_from_the_link_local_one() -> None:
    space = stack(world())
    own = space.ask("out0", address(CLIENT), address(HERE), 0).transmissions[0].packet
    passed = space.ask("out0", address(CLIENT), address(BEHIND), 0).transmissions[0].packet

    assert own.ip is not None
    assert passed.ip is not None
    assert (str(own.ip.src), str(passed.ip.src), str(own.ip.dst)) == (HERE, "fe80::1", "ff02::1:ff00:9")
    assert own.ethernet.dst == Mac("33:33:ff:00:00:09")


def test_a_device_without_a_link_local_address_asks_nobody() -> None:
    bare = replace(OUT, addresses=OUT.addresses[:1])
    space = stack(replace(world(), devices=Dump((bare, IN), "addr")))
    passage = space.ask("out0", address(CLIENT), address(BEHIND), 0)

    assert (passage.transmissions, "no link-local address" in passage.unknown[0]) == ((), True)
