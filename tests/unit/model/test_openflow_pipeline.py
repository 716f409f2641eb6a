from __future__ import annotations

import pytest
from openflow_samples import Asked, arrival, bridge, ports, sent

from bothways.facts.address import address, mac
from bothways.facts.openflow import Bridge, Port
from bothways.facts.packet import ArpOp, Packet
from bothways.facts.span import Span
from bothways.facts.step import Did, Place
from bothways.model.openflow.passage import Arrival, Passage
from bothways.model.openflow.pipeline import MacTable, process

MACS = "dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02"
SYN = f"tcp,in_port=1,{MACS},nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tp_src=1000,tp_dst=22,tcp_flags=syn"

#: The incident: an ARP responder, floating address to machine, machine to floating address.
INCIDENT = """
table=0,in_port=7,dl_src=fa:16:3e:4b:eb:3c \
actions=set_field:0x43e->tun_id,load:0x1->NXM_NX_REG0[],goto_table:20
table=0,in_port=5 actions=goto_table:20
table=0,in_port=4,tun_id=0x43e actions=goto_table:20
table=20,priority=1024,arp,tun_id=0x43e,arp_tpa=88.88.88.4,arp_op=1 \
actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:fa:16:3e:4b:eb:3c->eth_src,load:0x2->NXM_OF_ARP_OP[],\
move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],\
load:0xfa163e4beb3c->NXM_NX_ARP_SHA[],load:0x58585804->NXM_OF_ARP_SPA[],IN_PORT
table=20,priority=0 actions=goto_table:30
table=30,priority=1024,ip,in_port=5,nw_dst=192.168.111.223 \
actions=set_field:88.88.88.4->ip_dst,load:0x43e->NXM_NX_REG3[],goto_table:40
table=30,priority=0 actions=goto_table:40
table=40,priority=36001,ip,in_port=7,dl_src=fa:16:3e:4b:eb:3c,nw_src=88.88.88.4 actions=goto_table:50
table=40,priority=0 actions=goto_table:50
table=50,priority=0 actions=goto_table:70
table=70,priority=1024,ip,tun_id=0x43e,nw_dst=88.88.88.4 \
actions=set_field:fa:16:3e:4b:eb:3c->eth_dst,goto_table:80
table=70,priority=0 actions=goto_table:80
table=80,priority=0 actions=goto_table:100
table=100,priority=512,ip,tun_id=0x43e,dl_dst=fa:16:3e:91:5f:a0,nw_src=88.88.88.4 \
actions=set_field:fa:16:3e:74:db:c7->eth_src,dec_ttl,set_field:2c:ab:00:9a:04:37->eth_dst,\
set_field:192.168.111.223->ip_src,output:5
table=100,priority=0 actions=goto_table:110
table=110,tun_id=0x43e,dl_dst=fa:16:3e:4b:eb:3c actions=output:7
table=110,priority=0 actions=drop
"""


def through(of: Bridge, what: str = SYN, oracle: Asked | None = None) -> Passage:
    return process(of, arrival(what), MacTable(), oracle or Asked())


def incident() -> Bridge:
    return bridge(INCIDENT, ports(Port("patch-ext", 5, Span("p"), kind="patch"), 4, 7), name="br-int")


def test_the_reply_of_the_machine_is_rewritten_and_leaves_for_the_gateway() -> None:
    passage = through(
        incident(),
        "tcp,in_port=7,dl_src=fa:16:3e:4b:eb:3c,dl_dst=fa:16:3e:91:5f:a0,nw_src=88.88.88.4,"
        "nw_dst=192.168.111.210,nw_ttl=64,tp_src=22,tp_dst=17350,tcp_flags=syn|ack",
    )

    (output,) = passage.outputs
    assert (output.port.name, str(output.packet.source)) == ("patch-ext", "192.168.111.223:22")
    assert output.packet.ip is not None
    assert output.packet.ip.ttl == 63
    assert passage.unknown == ()
    (translated,) = [s for s in output.steps if s.did is Did.TRANSLATED]
    assert (translated.function, translated.evidence[0].line) == ("table=100", 14)
    assert translated.place == Place("h", "", "br-int", "p7")
    assert (str(translated.before.source), str(output.packet.source)) == (
        "88.88.88.4:22",
        "192.168.111.223:22",
    )
    assert "source becomes 192.168.111.223" in translated.reason
    assert [s.function for s in output.steps] == [f"table={n}" for n in (0, 20, 30, 40, 50, 70, 80, 100)]


def test_a_responder_answers_in_the_place_of_a_station() -> None:
    request = arrival(
        "arp,in_port=4,dl_src=fa:16:3e:91:5f:a0,dl_dst=ff:ff:ff:ff:ff:ff,arp_op=1,arp_spa=88.88.88.1,"
        "arp_tpa=88.88.88.4,arp_sha=fa:16:3e:91:5f:a0,arp_tha=00:00:00:00:00:00,tun_id=0x43e"
    )

    (output,) = process(incident(), request, MacTable(), Asked()).outputs

    arp = output.packet.arp
    assert arp is not None
    assert (arp.op, arp.sha, str(arp.spa), arp.tha) == (
        ArpOp.REPLY,
        mac("fa:16:3e:4b:eb:3c"),
        "88.88.88.4",
        mac("fa:16:3e:91:5f:a0"),
    )
    assert output.packet.ethernet.dst == mac("fa:16:3e:91:5f:a0")
    (answered,) = [s for s in output.steps if s.did is Did.ANSWERED]
    assert (answered.place, answered.function) == (Place("h", "", "br-int"), "table=20")
    assert answered.evidence[0].line == 4
    assert output.port.name == "p4"


def test_the_floating_address_becomes_the_machines_and_an_explicit_drop_has_its_line() -> None:
    passage = through(
        incident(), f"tcp,in_port=5,{MACS},nw_src=1.1.1.1,nw_dst=192.168.111.223,nw_ttl=9,tp_src=1,tp_dst=22"
    )

    did = {s.function: s.did for s in passage.steps}
    assert did["table=30"] is Did.TRANSLATED
    assert passage.steps[-1].did is Did.DROPPED
    assert (passage.steps[-1].function, passage.steps[-1].evidence[0].line) == ("table=110", 17)
    assert passage.steps[-1].after is None


@pytest.mark.parametrize(
    ("flows", "expected", "why"),
    [
        ("actions=output:2", ["p2"], ""),
        ("actions=output:1", [], "the packet came in there"),
        ("actions=IN_PORT", ["p1"], ""),
        ("actions=ALL", ["p2", "p3"], ""),
        ("actions=output:9", [], "has no port 9"),
        ("actions=load:0x2->NXM_NX_REG4[],output:NXM_NX_REG4[]", ["p2"], ""),
        ("actions=load:0xfff8->NXM_NX_REG4[],output:NXM_NX_REG4[0..15]", ["p1"], ""),
        ("actions=resubmit(3,1)\ntable=1,in_port=3 actions=output:3", ["p3"], ""),
        ("actions=resubmit(,1),output:2\ntable=1 actions=exit", [], "no action sends"),
        ("actions=resubmit(,9),output:2", ["p2"], ""),
        (
            "actions=write_actions(output:2),goto_table:1\ntable=1 actions=clear_actions",
            [],
            "no action sends",
        ),
        ("actions=write_actions(output:2),goto_table:1\ntable=1 actions=write_actions(output:3)", ["p3"], ""),
        ("actions=note:00.01,set_queue:3,output:2", ["p2"], ""),
        ("actions=", [], "the flow drops it"),
        ("actions=resubmit(,0)", [], "again and again"),
        ("actions=apply_actions(output:2,output:3)", ["p2", "p3"], ""),
    ],
)
def test_where_a_packet_goes(flows: str, expected: list[str], why: str) -> None:
    passage = through(bridge(flows))

    assert sent(passage) == expected
    assert passage.unknown == ()
    if why:
        assert passage.steps[-1].did is Did.DROPPED
        assert why in passage.steps[-1].reason


@pytest.mark.parametrize(
    "actions",
    [
        "ct(commit,zone=5),output:2",
        "ct(table=1,zone=5,nat)",
        "group:7",
        "check_pkt_larger(1500)->NXM_NX_REG0[0],output:2",
        "frobnicate:7,output:2",
        "write_actions(group:7)",
        "load:0x1->NXM_NX_IPV6_LABEL[],move:NXM_NX_PKT_MARK[]->NXM_OF_IP_DST[],output:2",
        "encap(nsh(md_type=1)),output:2",
        "output:nameless",
    ],
)
def test_what_is_not_modelled_is_said(actions: str) -> None:
    passage = through(bridge(f"ip actions={actions}"))

    assert passage.unknown, actions
    assert sent(passage) or passage.steps[-1].did is Did.UNKNOWN


def test_a_copy_for_the_controller_leaves_the_evidence() -> None:
    beside = through(bridge("actions=CONTROLLER:65535,output:2"))
    alone = through(bridge("actions=CONTROLLER:65535"))

    assert (sent(beside), beside.unknown) == (["p2"], ())
    assert any("controller" in s.reason for s in beside.outputs[0].steps)
    assert alone.steps[-1].did is Did.UNKNOWN
    assert any("controller" in text for text in alone.unknown)


@pytest.mark.parametrize(("ttl", "expected"), [(64, ["p2", "p3"]), (1, ["p3"]), (0, ["p3"])])
def test_a_used_up_ttl_ends_its_own_list_only(ttl: int, expected: list[str]) -> None:
    flows = "ip actions=resubmit(,1),output:3\ntable=1,ip actions=dec_ttl,output:2"

    assert sent(through(bridge(flows), SYN.replace("nw_ttl=64", f"nw_ttl={ttl}"))) == expected


def test_a_ttl_that_nobody_knows_is_taken_to_suffice() -> None:
    oracle = Asked()
    known = arrival(SYN).packet
    packet = Packet(known.ethernet, known.with_ttl(None).ip, tcp=known.tcp)

    passage = process(bridge("ip actions=dec_ttl,output:2"), Arrival(1, packet), MacTable(), oracle)

    assert sent(passage) == ["p2"]
    assert oracle.assumed


def test_writes_to_what_a_packet_does_not_have_do_nothing() -> None:
    passage = through(
        bridge("actions=set_field:10.9.9.9->ip_src,output:2"), f"dl_type=0x88cc,in_port=1,{MACS}"
    )

    assert [s.did for s in passage.outputs[0].steps] == [Did.MATCHED]


def test_a_flow_without_dump_most_likely_switches_and_may_drop() -> None:
    first, other = Asked(), Asked({"": "drops"})

    likely, less = through(bridge(None), oracle=first), through(bridge(None), oracle=other)

    assert sent(likely) == ["p2", "p3"]
    assert less.steps[-1].did is Did.UNKNOWN
    assert all("`ovs-ofctl dump-flows br0` was not collected" in p.unknown[0] for p in (likely, less))


def test_a_number_that_no_dump_gives_a_port_is_not_known() -> None:
    passage = through(bridge("actions=output:5", ports(Port("a", None, Span("p")), 1)))

    assert passage.steps[-1].did is Did.UNKNOWN
    assert "`ovs-ofctl show br0` was not collected" in passage.unknown[0]


def tunnel(**options: str) -> dict[str, Port]:
    return ports(1, Port("vx", 4, Span("p"), kind="vxlan", options=options))


@pytest.mark.parametrize(
    ("options", "actions", "expected"),
    [
        ({"remote_ip": "10.1.0.2", "key": "5"}, "output:4", ("10.1.0.2", 5)),
        ({"remote_ip": "10.1.0.2"}, "set_field:0x9->tun_id,output:4", ("10.1.0.2", 0)),
        ({"remote_ip": "10.1.0.2", "key": "flow"}, "load:0x9->NXM_NX_TUN_ID[],output:4", ("10.1.0.2", 9)),
        (
            {"remote_ip": "flow", "key": "flow"},
            "set_field:9->tun_id,set_field:10.1.0.7->tun_dst,output:4",
            ("10.1.0.7", 9),
        ),
        (
            {"remote_ip": "10.1.0.2", "key": "7", "out_key": "flow"},
            "set_field:9->tun_id,output:4",
            ("10.1.0.2", 9),
        ),
    ],
)
def test_where_a_tunnel_leads(options: dict[str, str], actions: str, expected: tuple[str, int]) -> None:
    (output,) = through(bridge(f"actions={actions}", tunnel(**options))).outputs

    assert (output.tun_dst, output.tun_id) == (address(expected[0]), expected[1])


def test_a_tunnel_sends_neither_nowhere_nor_to_itself() -> None:
    of = bridge("actions=output:4", tunnel(remote_ip="flow", key="flow"))
    nowhere = through(of)
    here = Arrival(1, arrival(SYN).packet, 9, address("10.1.0.2"), address("10.1.0.1"))

    back = process(of, here, MacTable(), Asked())

    assert "no flow says where to" in nowhere.steps[-1].reason
    assert "this end of the tunnel" in back.steps[-1].reason


def test_a_port_that_is_down_sends_unless_its_device_may_have_moved() -> None:
    down = frozenset({"PORT_DOWN"})
    for port, expected in (
        (Port("q", 2, Span("p"), kind="internal", mac=mac("02:00:00:00:00:09"), config=down), ["q"]),
        (Port("q", 2, Span("p"), mac=mac("02:00:00:00:00:09"), config=down), ["q"]),
        (Port("q", 2, Span("p"), kind="", mac=mac("00:00:00:00:00:00"), config=down), ["q"]),
        (Port("q", 2, Span("p"), kind="", mac=mac("02:00:00:00:00:09"), config=down), []),
    ):
        assert sent(through(bridge("actions=output:2", ports(1, port)))) == expected


def test_a_port_that_receives_nothing_is_said_to() -> None:
    deaf = Port("p1", 1, Span("p"), config=frozenset({"NO_RECV"}))

    assert "NO_RECV" in through(bridge("actions=output:2", ports(deaf, 2))).steps[-1].reason


def test_changes_behind_another_table_get_a_step_of_their_own() -> None:
    flows = """ip actions=set_field:10.9.0.1->ip_src,resubmit(,1),set_field:10.9.0.2->ip_src,output:2
               table=1,ip actions=set_field:02:00:00:00:00:07->eth_src"""

    (output,) = through(bridge(flows)).outputs

    assert [(s.function, s.did, str(s.before.source)) for s in output.steps] == [
        ("table=0", Did.TRANSLATED, "10.0.0.1:1000"),
        ("table=1", Did.CHANGED, "10.9.0.1:1000"),
        ("table=0", Did.TRANSLATED, "10.9.0.1:1000"),
    ]


def test_an_action_set_has_the_lines_that_wrote_it() -> None:
    flows = """ip actions=write_actions(set_field:10.9.0.1->ip_src),goto_table:1
               table=1 actions=write_actions(output:2)"""

    (output,) = through(bridge(flows)).outputs

    assert str(output.packet.source) == "10.9.0.1:1000"
    assert [span.line for span in output.steps[-1].evidence] == [1, 2]
