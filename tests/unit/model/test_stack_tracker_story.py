"""The incident's router, walked by hand: it sees the SYN and not the SYN/ACK."""

import pytest
from linux_samples import Told, device, did, dids, frame, netns, route, stack

from bothways.facts.address import address
from bothways.facts.packet import Flag
from bothways.facts.step import Did
from bothways.model.linux.stack import Stack

OUT, IN = device("out0", "192.0.2.222/24", "192.0.2.223/32", number=2), device("in0", "10.0.0.1/24", number=3)
CLIENT, FLOATING = "192.0.2.210:17350", "192.0.2.223:22"
ROUTES = (
    route("default via 192.0.2.1 dev out0"),
    route("192.0.2.0/24 dev out0"),
    route("10.0.0.0/24 dev in0"),
    *(
        route(f"{a} dev {d}", table="local", kind="local")
        for a, d in (("10.0.0.1", "in0"), ("192.0.2.222", "out0"))
    ),
    route("192.0.2.223 dev out0", table="local", kind="local"),
)
NAT = """\
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:agent-PREROUTING - [0:0]
:agent-snat - [0:0]
-A PREROUTING -j agent-PREROUTING
-A POSTROUTING -j agent-snat
-A agent-PREROUTING -d 192.0.2.223/32 -j DNAT --to-destination 10.0.0.4
-A agent-snat -s 10.0.0.4/32 -j SNAT --to-source 192.0.2.223
-A agent-snat -o out0 -j SNAT --to-source 192.0.2.222
COMMIT
"""


def router(iptables: str = NAT) -> Stack:
    return stack(netns(OUT, IN, routes=ROUTES, iptables=iptables, sysctls={}))


def test_the_syn_is_tracked_translated_and_forwarded() -> None:
    passage = router().receive("out0", frame(CLIENT, FLOATING, "S", to=OUT), 0)

    assert did(passage, Did.TRACKED).function == "nf_conntrack_in"
    translated = did(passage, Did.TRANSLATED)
    assert translated.after is not None
    assert str(translated.after.destination) == "10.0.0.4:22"
    assert translated.cell == "nat/PREROUTING/agent-PREROUTING"
    assert "DNAT --to-destination 10.0.0.4" in translated.evidence[0].text
    (sent,) = passage.transmissions
    assert (sent.device, sent.next_hop) == ("in0", address("10.0.0.4"))
    assert sent.packet.ip is not None
    assert sent.packet.ip.ttl == 63
    assert passage.steps[-1].place.device == "in0"
    assert passage.unknown == ()


def test_the_ack_is_invalid_is_not_translated_and_is_reset() -> None:
    space = router()
    space.receive("out0", frame(CLIENT, FLOATING, "S", to=OUT, seq=1000), 0)
    passage = space.receive("out0", frame(CLIENT, FLOATING, ".", to=OUT, seq=1001, ack=5001), 1_000_000)

    invalid = did(passage, Did.INVALID)
    assert invalid.cell == "SYN_SENT/original/ACK"
    assert "no SYN/ACK did" in invalid.reason
    left = did(passage, Did.NOT_TRANSLATED)
    assert "DNAT" in left.evidence[0].text
    local = did(passage, Did.ROUTED)
    assert "192.0.2.223 is an address of out0" in local.reason
    assert local.evidence[0].text == "192.0.2.223/32"
    reset = did(passage, Did.ANSWERED)
    assert (reset.function, reset.place.device) == ("tcp_v4_send_reset", "out0")
    (sent,) = passage.transmissions
    assert (sent.device, sent.next_hop) == ("out0", address("192.0.2.210"))
    assert sent.packet.tcp is not None
    assert (sent.packet.tcp.flags, sent.packet.tcp.seq) == (Flag.RST, 5001)
    assert str(sent.packet.source) == FLOATING


def test_the_rst_that_it_makes_is_invalid_in_its_own_tracker_and_goes_out_as_it_is() -> None:
    space = router()
    space.receive("out0", frame(CLIENT, FLOATING, "S", to=OUT), 0)
    passage = space.receive("out0", frame(CLIENT, FLOATING, ".", to=OUT, seq=1001, ack=5001), 1_000_000)
    after = passage.steps[dids(passage).index(Did.ANSWERED) + 1 :]

    assert [s.did for s in after] == [Did.INVALID, Did.SENT]
    assert after[0].cell == "NONE/original/RST"


def test_the_clients_rst_still_belongs_to_the_entry_and_is_translated() -> None:
    space = router()
    space.receive("out0", frame(CLIENT, FLOATING, "S", to=OUT), 0)
    passage = space.receive("out0", frame(CLIENT, FLOATING, "R", to=OUT, seq=1001), 1_000_000)

    assert [str(t.packet.destination) for t in passage.transmissions] == ["10.0.0.4:22"]


def test_with_the_synack_everything_is_translated_both_ways() -> None:
    space = router()
    space.receive("out0", frame(CLIENT, FLOATING, "S", to=OUT, seq=1000), 0)
    answer = space.receive("in0", frame("10.0.0.4:22", CLIENT, "S.", to=IN, seq=5000, ack=1001), 1)
    ack = space.receive("out0", frame(CLIENT, FLOATING, ".", to=OUT, seq=1001, ack=5001), 2)

    assert [(t.device, str(t.packet.source)) for t in answer.transmissions] == [("out0", FLOATING)]
    assert [(t.device, str(t.packet.destination)) for t in ack.transmissions] == [("in0", "10.0.0.4:22")]


def test_a_synack_whose_syn_went_another_way_leaves_without_its_name() -> None:
    passage = router().receive("in0", frame("10.0.0.4:22", CLIENT, "S.", to=IN, seq=5000, ack=1001), 0)

    assert did(passage, Did.INVALID).cell == "NONE/original/SYN/ACK"
    assert "SNAT --to-source 192.0.2.223" in did(passage, Did.NOT_TRANSLATED).evidence[0].text
    assert [str(t.packet.source) for t in passage.transmissions] == ["10.0.0.4:22"]


@pytest.mark.parametrize("target", ["DROP", "REJECT --reject-with icmp-port-unreachable"])
def test_dropping_invalid_makes_a_hang_of_the_rst(target: str) -> None:
    guard = f"*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m conntrack --ctstate INVALID -j {target}\nCOMMIT\n"
    space = router(NAT + guard)
    space.receive("out0", frame(CLIENT, FLOATING, "S", to=OUT), 0)
    passage = space.receive("out0", frame(CLIENT, FLOATING, ".", to=OUT, seq=1001, ack=5001), 1)

    assert all(t.packet.tcp is None for t in passage.transmissions)


def test_notrack_means_that_the_syn_is_refused() -> None:
    raw = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d 192.0.2.223/32 -j CT --notrack\nCOMMIT\n"
    passage = router(raw + NAT).receive("out0", frame(CLIENT, FLOATING, "S", to=OUT), 0)

    assert Did.UNTRACKED in dids(passage)
    assert "DNAT" in did(passage, Did.NOT_TRANSLATED).evidence[0].text
    (sent,) = passage.transmissions
    assert sent.packet.tcp is not None
    assert (sent.packet.tcp.flags, sent.packet.tcp.ack) == (Flag.RST | Flag.ACK, 1001)


def test_without_a_rule_that_needs_it_there_is_no_tracker() -> None:
    plain = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 23 -j DROP\nCOMMIT\n"
    passage = router(plain).receive("out0", frame(CLIENT, FLOATING, ".", to=OUT, ack=7), 0)

    assert not {Did.TRACKED, Did.INVALID, Did.UNTRACKED} & set(dids(passage))
    assert Did.ANSWERED in dids(passage)


def test_an_old_kernel_names_its_functions_otherwise() -> None:
    space = Stack(netns(OUT, IN, routes=ROUTES, iptables=NAT, sysctls={}), oracle=Told(), kernel="3.10.0-957")
    passage = space.receive("out0", frame(CLIENT, FLOATING, "S", to=OUT), 0)

    assert did(passage, Did.TRACKED).function == "ipv4_conntrack_in"
    assert did(passage, Did.TRANSLATED).function == "iptable_nat_ipv4_in"


def test_a_connection_to_its_own_floating_address_is_translated_at_output() -> None:
    nat = NAT.replace("COMMIT", "-A OUTPUT -d 192.0.2.223/32 -j DNAT --to-destination 10.0.0.4\nCOMMIT")
    passage = router(nat).send(frame("192.0.2.222:4000", FLOATING), 0)

    assert [(t.device, str(t.packet.destination)) for t in passage.transmissions] == [("in0", "10.0.0.4:22")]
