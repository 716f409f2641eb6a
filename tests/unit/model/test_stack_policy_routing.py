"""Marks and translations that change a packet's way."""

import pytest
from linux_samples import device, frame, netns, route, rule, stack

from bothways.facts.address import address

ETH0, ETH1 = device("eth0", "192.0.2.1/24", number=2), device("eth1", "198.51.100.1/24", number=3)
ROUTES = (
    route("192.0.2.1 dev eth0", table="local", kind="local"),
    route("198.51.100.1 dev eth1", table="local", kind="local"),
    route("default via 192.0.2.254 dev eth0"),
    route("192.0.2.0/24 dev eth0"),
    route("198.51.100.0/24 dev eth1"),
    route("default via 198.51.100.254 dev eth1", table="7"),
)
RULES = (rule(0, "local"), rule(100, "7", fwmark=7), rule(32766, "main"))
STRAIGHT = {"net.ipv4.conf.all.send_redirects": "0", "net.ipv4.conf.eth0.send_redirects": "0"}
MARK = "*mangle\n:{0} ACCEPT [0:0]\n-A {0} -p tcp -m tcp --dport 22 -j MARK --set-mark 0x7\nCOMMIT\n"


def test_a_mark_of_prerouting_chooses_the_table() -> None:
    space = stack(
        netns(ETH0, ETH1, routes=ROUTES, rules=RULES, iptables=MARK.format("PREROUTING"), sysctls=STRAIGHT)
    )
    marked = space.receive("eth0", frame("192.0.2.9:1024", "203.0.113.1:22", to=ETH0), 0)
    plain = space.receive("eth0", frame("192.0.2.9:1024", "203.0.113.1:80", to=ETH0), 0)

    assert [(t.device, t.next_hop) for t in marked.transmissions] == [("eth1", address("198.51.100.254"))]
    assert [(t.device, t.next_hop) for t in plain.transmissions] == [("eth0", address("192.0.2.254"))]


@pytest.mark.parametrize(("guarded", "leaves"), [("eth0", []), ("eth1", ["eth1"])])
def test_a_mark_of_output_routes_the_packet_again_and_filter_sees_the_old_way(
    guarded: str, leaves: list[str]
) -> None:
    guard = f"*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -o {guarded} -j DROP\nCOMMIT\n"
    text = MARK.format("OUTPUT") + guard
    space = stack(netns(ETH0, ETH1, routes=ROUTES, rules=RULES, iptables=text, sysctls={}))

    passage = space.send(frame("192.0.2.1:1024", "203.0.113.1:22"), 0)

    assert [sent.device for sent in passage.transmissions] == leaves


def test_dnat_to_another_host_is_forwarded_out_of_the_device_it_came_in_at() -> None:
    nat = (
        "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
        "-A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.0.2.50:8080\n"
        "-A POSTROUTING -d 192.0.2.50/32 -j MASQUERADE\nCOMMIT\n"
    )
    space = stack(netns(ETH0, ETH1, routes=ROUTES, iptables=nat, sysctls={}))
    (sent,) = space.receive("eth0", frame("192.0.2.9:1024", "192.0.2.1:80", to=ETH0), 0).transmissions
    (back,) = space.receive(
        "eth0", frame("192.0.2.50:8080", "192.0.2.1:1024", "S.", to=ETH0, seq=9, ack=1001), 1
    ).transmissions

    assert (sent.device, str(sent.packet.source), str(sent.packet.destination)) == (
        "eth0",
        "192.0.2.1:1024",
        "192.0.2.50:8080",
    )
    assert (str(back.packet.source), str(back.packet.destination)) == ("192.0.2.1:80", "192.0.2.9:1024")


def test_a_rst_is_routed_without_the_mark_of_what_it_answers() -> None:
    space = stack(
        netns(ETH0, ETH1, routes=ROUTES, rules=RULES, iptables=MARK.format("PREROUTING"), sysctls={})
    )
    (sent,) = space.receive("eth0", frame("203.0.113.9:1024", "192.0.2.1:22", to=ETH0), 0).transmissions

    assert sent.device == "eth0"
