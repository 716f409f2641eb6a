"""What becomes of a packet in one namespace: a table of small worlds."""

import pytest
from linux_samples import Told, device, did, dids, frame, netns, route, stack, udp

from bothways.facts.address import Endpoint, Mac, address
from bothways.facts.choice import Freedom
from bothways.facts.packet import Ethernet, Flag, Icmp, Ip, Packet
from bothways.facts.step import Did
from bothways.model.linux.stack import Passage

OUT, IN = device("out0", "192.0.2.1/24", number=2), device("in0", "10.0.0.1/24", number=3)
ROUTES = (
    route("192.0.2.0/24 dev out0"),
    route("10.0.0.0/24 dev in0"),
    route("192.0.2.1 dev out0", table="local", kind="local"),
    route("10.0.0.1 dev in0", table="local", kind="local"),
)
SSH = "LISTEN 0 128 0.0.0.0:22 0.0.0.0:*"
CLIENT, HERE, BEHIND = "192.0.2.9:4000", "192.0.2.1:22", "10.0.0.5:22"


def flags(passage: Passage) -> list[Flag]:
    return [t.packet.tcp.flags for t in passage.transmissions if t.packet.tcp is not None]


def icmp(passage: Passage) -> list[tuple[int, int]]:
    return [
        (t.packet.icmp.type, t.packet.icmp.code) for t in passage.transmissions if t.packet.icmp is not None
    ]


# -- sockets -------------------------------------------------------------------------------------------


def test_a_listener_takes_the_syn_and_what_follows() -> None:
    space = stack(netns(OUT, IN, routes=ROUTES, ss=SSH, sysctls={}))
    first = space.receive("out0", frame(CLIENT, HERE, "S", to=OUT), 0)
    second = space.receive("out0", frame(CLIENT, HERE, ".", to=OUT, ack=77), 1)

    assert did(first, Did.DELIVERED).evidence[0].text == SSH
    assert [len(p.delivered) for p in (first, second)] == [1, 1]


@pytest.mark.parametrize(
    "ss",
    [
        "LISTEN 0 128 0.0.0.0:80 0.0.0.0:*",
        "LISTEN 0 128 127.0.0.1:22 0.0.0.0:*",
        "LISTEN 0 128 [::]:22 [::]:*",
    ],
)
def test_another_port_address_or_family_does_not_listen(ss: str) -> None:
    passage = stack(netns(OUT, IN, routes=ROUTES, ss=ss, sysctls={})).receive(
        "out0", frame(CLIENT, HERE, "S", to=OUT, seq=41), 0
    )

    (answer,) = passage.transmissions
    assert answer.packet.tcp is not None
    assert (answer.packet.tcp.flags, answer.packet.tcp.seq, answer.packet.tcp.ack) == (
        Flag.RST | Flag.ACK,
        0,
        42,
    )


def test_a_listener_for_both_families_takes_ipv4() -> None:
    space = stack(netns(OUT, IN, routes=ROUTES, ss="LISTEN 0 128 *:22 *:*", sysctls={}))

    assert space.receive("out0", frame(CLIENT, HERE, "S", to=OUT), 0).delivered


def test_a_rst_is_never_answered() -> None:
    passage = stack(netns(OUT, IN, routes=ROUTES, sysctls={})).receive(
        "out0", frame(CLIENT, HERE, "R", to=OUT), 0
    )

    assert passage.transmissions == ()
    assert passage.steps[-1].did is Did.IGNORED


def test_a_registered_connection_is_known_until_it_is_closed() -> None:
    space = stack(netns(OUT, IN, routes=ROUTES, sysctls={}))
    here, there = Endpoint(address("192.0.2.1"), 22), Endpoint(address("192.0.2.9"), 4000)
    space.connect(here, there)
    assert space.receive("out0", frame(CLIENT, HERE, ".", to=OUT, ack=9), 0).delivered
    space.close(here, there)

    assert flags(space.receive("out0", frame(CLIENT, HERE, ".", to=OUT, ack=9), 0)) == [Flag.RST]


def test_where_ss_was_not_collected_a_syn_forks_and_an_ack_rests_on_an_assumption() -> None:
    space = netns(OUT, IN, routes=ROUTES, ss=None, sysctls={})
    open_, shut = Told(), Told({"listener": "no socket"})

    assert stack(space, open_).receive("out0", frame(CLIENT, HERE, "S", to=OUT), 0).delivered
    assert flags(stack(space, shut).receive("out0", frame(CLIENT, HERE, "S", to=OUT), 0)) == [
        Flag.RST | Flag.ACK
    ]
    assert set(open_.freedoms.values()) == {Freedom.UNKNOWN}
    told = Told()
    assert flags(stack(space, told).receive("out0", frame(CLIENT, HERE, ".", to=OUT, ack=5), 0)) == [Flag.RST]
    assert "no socket of host/blue is connected" in told.texts
    assert any("ss -tan" in a.missing for a in told.assumed)


def test_numbers_that_the_evidence_does_not_show_stay_open() -> None:
    passage = stack(netns(OUT, IN, routes=ROUTES, sysctls={})).receive(
        "out0", frame(CLIENT, HERE, ".", to=OUT, seq=None, ack=None), 0
    )
    (answer,) = passage.transmissions

    assert answer.packet.tcp is not None
    assert answer.packet.tcp.seq is None


def test_udp_without_a_socket_is_answered_by_icmp() -> None:
    ss = "Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port\nudp UNCONN 0 0 0.0.0.0:53 0.0.0.0:*"
    space = stack(netns(OUT, IN, routes=ROUTES, ss=ss, sysctls={}))

    assert space.receive("out0", udp("192.0.2.9:4000", "192.0.2.1:53", to=OUT), 0).delivered
    assert icmp(space.receive("out0", udp("192.0.2.9:4000", "192.0.2.1:54", to=OUT), 0)) == [(3, 3)]


def test_a_ping_is_answered() -> None:
    ping = Packet(
        Ethernet(Mac("02:00:00:00:00:99"), OUT.mac),
        ip=Ip(address("192.0.2.9"), address("192.0.2.1"), 1, ttl=64),
        icmp=Icmp(8, 0, id=7, seq=1),
    )
    (reply,) = stack(netns(OUT, IN, routes=ROUTES, sysctls={})).receive("out0", ping, 0).transmissions

    assert str(reply.packet) == "IP 192.0.2.1 > 192.0.2.9: ICMP type 0 code 0"


# -- forwarding ----------------------------------------------------------------------------------------


def test_forwarding_off_is_silent_and_names_the_sysctl() -> None:
    space = netns(OUT, IN, routes=ROUTES, sysctls={"net.ipv4.ip_forward": "0"})
    passage = stack(space).receive("out0", frame(CLIENT, BEHIND, to=OUT), 0)

    assert passage.transmissions == ()
    assert passage.steps[-1].did is Did.DROPPED
    assert passage.steps[-1].evidence[0].text == "net.ipv4.ip_forward = 0"


def test_forwarding_of_the_device_outranks_the_general_one() -> None:
    settings = {"net.ipv4.ip_forward": "0", "net.ipv4.conf.out0.forwarding": "1"}
    passage = stack(netns(OUT, IN, routes=ROUTES, sysctls=settings)).receive(
        "out0", frame(CLIENT, BEHIND, to=OUT), 0
    )

    assert [t.device for t in passage.transmissions] == ["in0"]


def test_forwarding_that_was_not_collected_is_assumed_and_said() -> None:
    told = Told()
    passage = stack(netns(OUT, IN, routes=ROUTES), told).receive("out0", frame(CLIENT, BEHIND, to=OUT), 0)

    assert [t.device for t in passage.transmissions] == ["in0"]
    assert any(
        a.text.startswith("forwarding is on in host/blue")
        and a.missing == "ip netns exec blue sysctl net.ipv4.ip_forward"
        for a in told.assumed
    )


def test_the_ttl_ends_with_time_exceeded() -> None:
    passage = stack(netns(OUT, IN, routes=ROUTES, sysctls={})).receive(
        "out0", frame(CLIENT, BEHIND, to=OUT, ttl=1), 0
    )

    assert icmp(passage) == [(11, 0)]
    assert str(passage.transmissions[0].packet.source) == "192.0.2.1"


@pytest.mark.parametrize(
    ("kind", "answer"),
    [("blackhole", []), ("unreachable", [(3, 1)]), ("prohibit", [(3, 13)])],
)
def test_a_route_may_refuse(kind: str, answer: list[tuple[int, int]]) -> None:
    space = netns(OUT, IN, routes=(*ROUTES, route("198.51.100.0/24", kind=kind)), sysctls={})
    passage = stack(space).receive("out0", frame(CLIENT, "198.51.100.7:22", to=OUT), 0)

    assert icmp(passage) == answer
    assert kind in next(s for s in passage.steps if s.did in (Did.DROPPED, Did.ANSWERED)).reason


def test_no_route_is_net_unreachable_and_unknown_routes_are_unknown() -> None:
    known = stack(netns(OUT, IN, routes=ROUTES, sysctls={})).receive(
        "out0", frame(CLIENT, "198.51.100.7:1", to=OUT), 0
    )
    unknown = stack(netns(OUT, IN, sysctls={})).receive("out0", frame(CLIENT, "198.51.100.7:1", to=OUT), 0)

    assert icmp(known) == [(3, 0)]
    assert unknown.steps[-1].did is Did.UNKNOWN
    assert any("routes were not collected" in text for text in unknown.unknown)


# -- who may come in -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sysctls", "passes"),
    [
        ({"net.ipv4.conf.all.rp_filter": "0", "net.ipv4.conf.out0.rp_filter": "0"}, True),
        ({"net.ipv4.conf.all.rp_filter": "1", "net.ipv4.conf.out0.rp_filter": "0"}, False),
        ({"net.ipv4.conf.all.rp_filter": "0", "net.ipv4.conf.out0.rp_filter": "1"}, False),
        ({"net.ipv4.conf.all.rp_filter": "1", "net.ipv4.conf.out0.rp_filter": "2"}, True),
    ],
)
def test_the_higher_rp_filter_is_in_force(sysctls: dict[str, str], *, passes: bool) -> None:
    passage = stack(netns(OUT, IN, routes=ROUTES, sysctls=sysctls, ss=SSH)).receive(
        "out0", frame("10.0.0.9:4000", HERE, to=OUT), 0
    )

    assert bool(passage.delivered) is passes
    if not passes:
        assert "10.0.0.9 is reached by in0" in passage.steps[-1].reason
        assert passage.steps[-1].evidence[0].text.endswith("rp_filter = 1")


def test_rp_filter_that_was_not_collected_is_said_only_where_it_matters() -> None:
    space = netns(OUT, IN, routes=ROUTES, ss=SSH)
    straight, crooked = Told(), Told()
    stack(space, straight).receive("out0", frame(CLIENT, HERE, to=OUT), 0)
    stack(space, crooked).receive("out0", frame("10.0.0.9:4000", HERE, to=OUT), 0)

    assert "rp_filter" not in straight.texts
    assert "rp_filter" in crooked.texts


@pytest.mark.parametrize(
    ("source", "reason"), [("192.0.2.1:5", "address of this namespace itself"), ("127.0.0.1:5", "loopback")]
)
def test_a_sender_that_cannot_be_outside_is_dropped(source: str, reason: str) -> None:
    passage = stack(netns(OUT, IN, routes=ROUTES, ss=SSH, sysctls={})).receive(
        "out0", frame(source, HERE, to=OUT), 0
    )

    assert passage.steps[-1].did is Did.DROPPED
    assert reason in passage.steps[-1].reason


def test_another_stations_frame_is_ignored_and_one_without_macs_is_taken() -> None:
    space = stack(netns(OUT, IN, routes=ROUTES, ss=SSH, sysctls={}))

    assert dids(space.receive("out0", frame(CLIENT, HERE, to=IN), 0)) == [Did.IGNORED]
    assert space.receive("out0", frame(CLIENT, HERE), 0).delivered


def test_a_device_that_is_down_and_an_ingress_policy_come_before_everything() -> None:
    down = device("out0", "192.0.2.1/24", up=False)
    shut = netns(OUT, IN, routes=ROUTES, ss=SSH, sysctls={}, drops=["out0"])

    assert dids(stack(netns(down, IN)).receive("out0", frame(CLIENT, HERE, to=down), 0)) == [Did.DROPPED]
    passage = stack(shut).receive("out0", frame(CLIENT, HERE, to=OUT), 0)
    assert [(s.did, s.function) for s in passage.steps] == [(Did.DROPPED, "nf_hook_ingress")]


def test_a_bad_checksum_gets_no_answer() -> None:
    packet = frame(CLIENT, HERE, ".", to=OUT)
    assert packet.tcp is not None
    bad = Packet(
        packet.ethernet,
        ip=packet.ip,
        tcp=type(packet.tcp)(4000, 22, Flag.ACK, 1, 1, checksum_ok=False),
    )
    passage = stack(netns(OUT, IN, routes=ROUTES, sysctls={})).receive("out0", bad, 0)

    assert (passage.transmissions, passage.steps[-1].did) == ((), Did.DROPPED)


def test_what_is_not_collected_or_not_modelled_is_told_where_a_packet_passes() -> None:
    missing = stack(netns(OUT, IN, routes=ROUTES, iptables=None, ss=SSH, sysctls={}))
    native = stack(netns(OUT, IN, routes=ROUTES, ss=SSH, sysctls={}, nft=["table inet guard {"]))

    assert any("iptables-save" in t for t in missing.receive("out0", frame(CLIENT, HERE, to=OUT), 0).unknown)
    assert any(
        "table inet guard" in t for t in native.receive("out0", frame(CLIENT, HERE, to=OUT), 0).unknown
    )
    assert missing.receive("out0", frame(CLIENT, HERE, to=IN), 0).unknown == ()


# -- out -----------------------------------------------------------------------------------------------


def test_a_packet_of_its_own_is_routed_and_leaves() -> None:
    space = stack(netns(OUT, IN, routes=(*ROUTES, route("default via 192.0.2.254 dev out0")), sysctls={}))
    (sent,) = space.send(frame("192.0.2.1:4000", "203.0.113.5:22"), 0).transmissions

    assert (sent.device, sent.next_hop) == ("out0", address("192.0.2.254"))
    assert (
        stack(netns(OUT, IN, routes=ROUTES)).send(frame("192.0.2.1:1", "203.0.113.5:2"), 0).steps[-1].did
        is Did.DROPPED
    )


def test_a_packet_to_itself_never_leaves_and_finds_its_own_listener() -> None:
    space = stack(netns(OUT, IN, routes=ROUTES, ss=SSH, sysctls={}))
    taken = space.send(frame("192.0.2.1:4000", HERE), 0)
    refused = space.send(frame("192.0.2.1:4000", "192.0.2.1:23"), 0)

    assert (len(taken.delivered), taken.transmissions) == (1, ())
    assert "loopback_xmit" in [s.function for s in taken.steps]
    assert [str(p.source) for p in refused.delivered] == []
    assert Did.ANSWERED in dids(refused), "the RST comes back through lo to a socket that nobody registered"


def test_a_device_without_arp_asks_for_no_neighbour() -> None:
    tun = device("tun0", "10.9.0.1/24", number=4, kind="tun", flags=frozenset({"POINTOPOINT", "NOARP"}))
    space = stack(netns(tun, routes=[route("10.9.0.0/24 dev tun0")], sysctls={}))
    (sent,) = space.send(frame("10.9.0.1:4000", "10.9.0.2:22"), 0).transmissions

    assert (sent.device, sent.next_hop) == ("tun0", None)


# -- REJECT --------------------------------------------------------------------------------------------


def reject(chain: str, kind: str, more: str = "") -> str:
    option = f" --reject-with {kind}" if kind else ""
    rule = f"-A {chain} -p tcp -m tcp --dport 22 -j REJECT{option}"
    return f"*filter\n:{chain} ACCEPT [0:0]\n{rule}\nCOMMIT\n{more}"


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("", (3, 3)),
        ("icmp-port-unreachable", (3, 3)),
        ("icmp-admin-prohibited", (3, 13)),
        ("icmp-host-prohibited", (3, 10)),
        ("icmp-net-unreachable", (3, 0)),
    ],
)
def test_reject_tells_the_sender_by_icmp(kind: str, answer: tuple[int, int]) -> None:
    space = netns(OUT, IN, routes=ROUTES, iptables=reject("INPUT", kind), ss=SSH, sysctls={})

    assert icmp(stack(space).receive("out0", frame(CLIENT, HERE, to=OUT), 0)) == [answer]


def test_reject_with_a_reset_names_the_rule_and_not_the_stack() -> None:
    space = netns(OUT, IN, routes=ROUTES, iptables=reject("FORWARD", "tcp-reset"), sysctls={})
    passage = stack(space).receive("out0", frame(CLIENT, BEHIND, to=OUT, seq=10), 0)
    answered = did(passage, Did.ANSWERED)

    assert (answered.function, answered.cell) == ("nf_send_reset", "filter/FORWARD")
    assert "REJECT" in answered.evidence[0].text
    (sent,) = passage.transmissions
    assert sent.device == "out0"
    assert str(sent.packet.source) == BEHIND
    assert flags(passage) == [Flag.RST | Flag.ACK]


def test_the_reset_of_a_rule_behind_dnat_bears_the_name_that_the_client_asked_for() -> None:
    rule = "-A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 2222 -j DNAT --to-destination 10.0.0.5:22"
    nat = f"*nat\n:PREROUTING ACCEPT [0:0]\n{rule}\nCOMMIT\n"
    space = netns(OUT, IN, routes=ROUTES, iptables=reject("FORWARD", "tcp-reset", nat), sysctls={})
    passage = stack(space).receive("out0", frame(CLIENT, "192.0.2.1:2222", to=OUT), 0)

    assert [str(t.packet.source) for t in passage.transmissions] == ["192.0.2.1:2222"]


def test_a_rst_that_a_rule_rejects_is_only_dropped() -> None:
    space = netns(OUT, IN, routes=ROUTES, iptables=reject("FORWARD", "tcp-reset"), sysctls={})
    passage = stack(space).receive("out0", frame(CLIENT, BEHIND, "R", to=OUT), 0)

    assert (passage.transmissions, passage.steps[-1].did) == ((), Did.DROPPED)
