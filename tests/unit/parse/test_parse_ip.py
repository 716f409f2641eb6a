"""``ip`` and ``bridge``, as JSON and as plain text."""

from __future__ import annotations

import json
from ipaddress import ip_network

import pytest
from parse_samples import outcomes, problem

from bothways.facts.address import UNKNOWN_MAC
from bothways.facts.device import Device
from bothways.facts.span import Kind
from bothways.parse.bridge_fdb import parse_fdb
from bothways.parse.ip_json import parse_addr, parse_neigh, parse_route, parse_rule
from bothways.parse.ip_route_text import parse_neigh_text, parse_route_text, parse_rule_text
from bothways.parse.ip_text import parse_addr_text

# As the incident's author pasted it: no indentation, no index at one device, nothing of the loopback.
INCIDENT = """\
7: qr-dcedd015-a5: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN group default
link/ether fa:16:3e:91:5f:a0 brd ff:ff:ff:ff:ff:ff
inet 88.88.88.1/24 brd 88.88.88.255 scope global qr-dcedd015-a5

18: qg-5d88ef18-33: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UNKNOWN group default
link/ether fa:16:3e:e3:66:3c brd ff:ff:ff:ff:ff:ff
inet 192.168.111.223/32 brd 192.168.111.223 scope global qg-5d88ef18-33
"""


def device(**members: object) -> Device:
    text = json.dumps([{"ifindex": 2, "ifname": "eth0", "flags": ["UP", "LOWER_UP"], **members}])
    parsed = parse_addr(text, file="addr.json")
    assert parsed.problems == ()
    return parsed.rows[0]


def test_the_incidents_devices() -> None:
    parsed = parse_addr_text(INCIDENT, file="addr.txt")

    assert outcomes(parsed) == (2, 2, 0, 0)
    inside, outside = parsed.rows
    assert (inside.name, inside.index, inside.mac, inside.mtu) == (
        "qr-dcedd015-a5",
        7,
        "fa:16:3e:91:5f:a0",
        1450,
    )
    assert (str(outside.addresses[0].address), outside.addresses[0].prefix) == ("192.168.111.223", 32)
    assert (outside.span.line, outside.addresses[0].span.line) == (5, 7)
    assert outside.addresses[0].span.text.startswith("inet 192.168.111.223/32")


@pytest.mark.parametrize(
    ("members", "field", "expected"),
    [
        ({"address": "02:00:00:00:00:01"}, "mac", "02:00:00:00:00:01"),
        ({"address": "192.0.2.1"}, "mac", UNKNOWN_MAC),  # a GRE device
        ({}, "mac", UNKNOWN_MAC),
        ({"flags": ["NO-CARRIER", "UP"]}, "carrier", False),
        ({"flags": ["UP"], "operstate": "UNKNOWN"}, "carrier", True),
        ({"flags": ["UP"], "operstate": "LOWERLAYERDOWN"}, "carrier", False),
        ({"flags": ["BROADCAST"], "operstate": "DOWN"}, "up", False),
        ({"master": "br0"}, "master", "br0"),
        ({"link_index": 9, "link_netnsid": 0}, "link", 9),
        ({"link_index": 9, "link_netnsid": 0}, "link_netns", 0),
        ({"link": "eth1"}, "lower", "eth1"),
        ({"linkinfo": {"info_kind": "vxlan", "info_data": {"id": 5}}}, "info", {"id": 5}),
        ({"linkinfo": {"info_slave_kind": "bridge"}}, "info", {"info_slave_kind": "bridge"}),
    ],
)
def test_members_of_a_device(members: dict[str, object], field: str, expected: object) -> None:
    assert getattr(device(**members), field) == expected


def test_a_lower_device_that_the_dump_names_gets_its_index() -> None:
    text = (
        '[{"ifindex":2,"ifname":"eth0","flags":[]},{"ifindex":3,"ifname":"v7","link":"eth0","flags":[]},'
        '{"ifindex":4,"ifname":"v8","link":"gone","flags":[]}]'
    )
    rows = parse_addr(text, file="f").rows

    assert [row.link for row in rows] == [None, 2, None]


@pytest.mark.parametrize(
    ("text", "result", "message"),
    [
        ("[{}]", (0, 1, 0, 0), ""),
        ('[{"ifname":"eth0","flags":[]}]', (0, 0, 0, 1), "device `eth0` has no `ifindex`"),
        ('[{"ifindex":2,"ifname":"","flags":[]}]', (0, 0, 0, 1), "`ifname` is missing"),
        ('[{"ifindex":2,"ifname":"a","flags":5}]', (0, 0, 0, 1), "`flags` is of type `int`"),
        (
            '[{"ifindex":2,"ifname":"a","flags":[],"addr_info":[{"local":"192.0.2.1","prefixlen":33}]}]',
            (1, 0, 0, 1),
            "`prefixlen` 33 does not fit 192.0.2.1",
        ),
        (
            '[{"ifindex":2,"ifname":"a","flags":[],"addr_info":[{"local":"x","prefixlen":3}]}]',
            (1, 0, 0, 1),
            "'x' does not appear to be",
        ),
    ],
)
def test_devices_that_cannot_be_read(text: str, result: tuple[int, ...], message: str) -> None:
    parsed = parse_addr(text, file="f")

    assert outcomes(parsed) == result
    if message:
        assert message in problem(parsed).message


def test_an_address_has_a_place_of_its_own() -> None:
    text = '[{"ifindex":2,"ifname":"a","flags":[],"addr_info":[{"local":"192.0.2.1","prefixlen":24}]}]'
    held = parse_addr(text, file="f").rows[0].addresses[0]

    assert held.span.text == '{"local":"192.0.2.1","prefixlen":24}'
    assert held.span.column == text.index('{"local"') + 1


def test_a_point_to_point_address_in_both_forms() -> None:
    as_json = device(
        addr_info=[{"family": "inet", "local": "10.0.0.1", "address": "10.0.0.2", "prefixlen": 32}]
    ).addresses[0]
    as_text = parse_addr_text(
        "2: a: <UP> mtu 1500 state UP\n    inet 10.0.0.1 peer 10.0.0.2/32 scope global a\n", file="f"
    ).rows[0].addresses[0]  # fmt: skip

    for held in (as_json, as_text):
        assert (str(held.address), held.prefix, str(held.peer)) == ("10.0.0.1", 32, "10.0.0.2")


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("    inet 192.0.2.1/24 scope global eth0", (1, 0, 0, 0)),
        ("    altname enp0s3", (1, 1, 0, 0)),
        ("    veth numtxqueues 1", (1, 0, 0, 0)),
        ("root@h1:~# ip a", (1, 1, 0, 0)),
        ("    something new 5", (1, 0, 1, 0)),
        ("    inet 192.0.2.300/24 scope global eth0", (1, 0, 0, 1)),
        ("    inet 192.0.2.1/33 scope global eth0", (1, 0, 0, 1)),
        ("    inet", (1, 0, 0, 1)),
    ],
)
def test_four_outcomes_of_a_line_of_ip_addr(line: str, result: tuple[int, ...]) -> None:
    header = "2: eth0: <UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000"
    parsed = parse_addr_text(f"{header}\n{line}", file="f")

    assert outcomes(parsed) == result
    if parsed.problems:
        assert (problem(parsed).span.line, problem(parsed).span.text) == (2, line)


@pytest.mark.parametrize(
    ("text", "kind", "destination", "table", "flags"),
    [
        ("default via 192.0.2.254 dev eth0", "unicast", "0.0.0.0/0", "main", set()),
        ("default via fe80::1 dev eth0 metric 1024", "unicast", "::/0", "main", set()),
        ("default dev eth0 metric 1 pref medium", "unicast", "::/0", "main", set()),
        ("local 192.0.2.1 dev eth0 table local scope host", "local", "192.0.2.1/32", "local", set()),
        ("blackhole 10.66.0.0/16", "blackhole", "10.66.0.0/16", "main", set()),
        ("10.0.0.0/8 via inet6 2001:db8::9 dev eth0", "unicast", "10.0.0.0/8", "main", set()),
        ("10.1.0.0/16 via 192.0.2.2 dev eth0 table 100 onlink", "unicast", "10.1.0.0/16", "100", {"onlink"}),
        ("10.2.0.0/16 dev eth0 scope link linkdown", "unicast", "10.2.0.0/16", "main", {"linkdown"}),
    ],
)
def test_routes_as_text(text: str, kind: str, destination: str, table: str, flags: set[str]) -> None:
    parsed = parse_route_text(text, file="route.txt")

    assert parsed.problems == ()
    (row,) = parsed.rows
    assert (row.kind, row.destination, row.table) == (kind, ip_network(destination), table)
    assert set(row.flags) == flags
    assert (row.span.line, row.span.text) == (1, text)


def test_next_hops_on_lines_of_their_own() -> None:
    text = (
        "10.0.0.0/8 proto static\n"
        "\tnexthop via 192.0.2.1 dev a weight 2\n"
        "\tnexthop via 192.0.2.2 dev b weight 1\n"
    )
    (row,) = parse_route_text(text, file="f").rows

    assert [(str(hop.gateway), hop.device, hop.weight) for hop in row.hops] == [
        ("192.0.2.1", "a", 2), ("192.0.2.2", "b", 1),
    ]  # fmt: skip
    six = parse_route_text("default \n\tnexthop via fe80::1 dev a weight 1\n", file="f").rows[0]
    assert str(six.destination) == "::/0"


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("10.0.0.0/8 dev eth0", (1, 0, 0, 0)),
        ("", (0, 1, 0, 0)),
        ("10.0.0.0/8 tos 0x10 dev eth0", (1, 0, 0, 0)),
        ("10.0.0.0/8 tos what dev eth0", (0, 0, 0, 1)),
        ("10.0.0.0/8 encap mpls 100 via 192.0.2.1", (1, 0, 1, 0)),
        ("10.0.0.0/99 dev eth0", (0, 0, 0, 1)),
        ("unreachable", (0, 0, 0, 1)),
        ("default via nowhere dev eth0", (0, 0, 0, 1)),
        ("10.0.0.0/8 dev eth0 metric x", (0, 0, 0, 1)),
    ],
)
def test_four_outcomes_of_a_route(line: str, result: tuple[int, ...]) -> None:
    assert outcomes(parse_route_text(line, file="f")) == result


@pytest.mark.parametrize(
    ("members", "result", "message"),
    [
        ({"dst": "10.0.0.0/8", "dev": "eth0"}, (1, 0, 0, 0), ""),
        ({"dst": "10.0.0.0/8", "dev": "eth0", "tos": "0x10"}, (1, 0, 0, 0), ""),
        ({"dst": "10.0.0.0/8", "dev": "eth0", "encap": "mpls"}, (1, 0, 1, 0), "the route's `encap mpls`"),
        ({"dst": "10.0.0.0/8", "from": "all", "dev": "eth0"}, (1, 0, 0, 0), ""),
        ({"dev": "eth0"}, (0, 0, 0, 1), "`dst` is missing"),
        ({"dst": "10.0.0.0/8", "metric": "x"}, (0, 0, 0, 1), "`metric` is `x`, not a number"),
        ({"dst": "10.0.0.0/8", "nexthops": [5]}, (0, 0, 0, 1), "`nexthops`"),
    ],
)
def test_routes_as_json(members: dict[str, object], result: tuple[int, ...], message: str) -> None:
    parsed = parse_route(json.dumps([members]), file="f")

    assert outcomes(parsed) == result
    if message:
        assert message in problem(parsed).message


RULES = [
    ("0:\tfrom all lookup local", {"priority": 0, "src": "all", "table": "local"}),
    ("50:\tfrom 192.0.2.0/24 lookup 100", {"priority": 50, "src": "192.0.2.0", "srclen": 24, "table": "100"}),
    (
        "60:\tfrom all fwmark 0x10/0xff iif eth0 lookup 101",
        {"priority": 60, "src": "all", "fwmark": "0x10", "fwmask": "0xff", "iif": "eth0", "table": "101"},
    ),
    (
        "61:\tnot from all to 10.0.0.0/8 lookup 102",
        {"priority": 61, "not": None, "src": "all", "dst": "10.0.0.0", "dstlen": 8, "table": "102"},
    ),
    ("63:\tfrom 192.0.2.4 prohibit", {"priority": 63, "src": "192.0.2.4", "action": "prohibit"}),
    ("64:\tfrom all goto 32766", {"priority": 64, "src": "all", "goto": 32766}),
    ("68:\tfrom all nop", {"priority": 68, "src": "all", "nop": None}),
    (
        "65:\tfrom all tos 0x10 oif d0 [detached] lookup 55",
        {"priority": 65, "src": "all", "tos": "0x10", "oif": "d0", "oif_detached": None, "table": "55"},
    ),
    (
        "66:\tfrom all uidrange 0-99 ipproto tcp sport 10-20 dport 80 lookup 7 suppress_prefixlength 3",
        {
            "priority": 66,
            "src": "all",
            "uid_start": 0,
            "uid_end": 99,
            "ipproto": "tcp",
            "sport_start": 10,
            "sport_end": 20,
            "dport": 80,
            "table": "7",
            "suppress_prefixlen": 3,
        },
    ),
    ("67:\tfrom all lookup [l3mdev-table]", {"priority": 67, "src": "all", "l3mdev": None}),
    ("69:\tfrom 2001:db8::/32 lookup 7", {"priority": 69, "src": "2001:db8::", "srclen": 32, "table": "7"}),
]


@pytest.mark.parametrize(("text", "members"), RULES, ids=[text[:12].strip() for text, _ in RULES])
def test_a_policy_rule_is_the_same_in_both_forms(text: str, members: dict[str, object]) -> None:
    one, other = parse_rule_text(text, file="f"), parse_rule(json.dumps([members]), file="f")

    assert one.problems == other.problems == ()
    for field in ("priority", "action", "table", "src", "dst", "iif", "oif", "fwmark", "fwmask", "tos",
                  "invert", "goto", "protocol", "source_ports", "destination_ports", "users",
                  "suppress_prefixlength", "l3mdev", "detached"):  # fmt: skip
        assert getattr(one.rows[0], field) == getattr(other.rows[0], field)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("62:\tfrom all tun_id 7 lookup 103", Kind.UNMODELLED),
        ("66:\tfrom all lookup main suppress_ifgroup 5", Kind.UNMODELLED),
        ("67:\tfrom all ipproto nonsense lookup main", Kind.MALFORMED),
        ("from all lookup main", Kind.MALFORMED),
        ("5:\tfrom 192.0.2.0/99 lookup main", Kind.MALFORMED),
        ("5:\tfrom all fwmark x lookup main", Kind.MALFORMED),
    ],
)
def test_policy_rules_that_are_not_understood(text: str, kind: Kind) -> None:
    parsed = parse_rule_text(text, file="f")

    assert problem(parsed).kind is kind
    assert problem(parsed).span.text == text
    assert bool(parsed.rows) is (kind is Kind.UNMODELLED)


@pytest.mark.parametrize(
    ("text", "mac", "states"),
    [
        ("192.0.2.1 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE", "02:00:00:00:00:01", {"REACHABLE"}),
        ("192.0.2.2 dev eth0  FAILED", None, {"FAILED"}),
        (
            "192.0.2.3 dev eth0 lladdr 02:00:00:00:00:03 ref 1 used 1/1/1 probes 1 STALE",
            "02:00:00:00:00:03",
            {"STALE"},
        ),
        ("fe80::1 dev eth0 lladdr 02:00:00:00:00:04 router PERMANENT", "02:00:00:00:00:04", {"PERMANENT"}),
        ("192.0.2.5 dev gre1 lladdr 192.0.2.9 NOARP", None, {"NOARP"}),
    ],
)
def test_neighbours_as_text(text: str, mac: str | None, states: set[str]) -> None:
    parsed = parse_neigh_text(text, file="f")

    assert parsed.problems == ()
    assert (parsed.rows[0].mac or None, set(parsed.rows[0].states)) == (mac, states)


@pytest.mark.parametrize("text", ["192.0.2.1", "192.0.2.1 dev", "nobody dev eth0 STALE", "dev eth0 STALE"])
def test_neighbours_that_cannot_be_read(text: str) -> None:
    assert outcomes(parse_neigh_text(text, file="f")) == (0, 0, 0, 1)


def test_a_proxied_neighbour_is_the_same_in_both_forms() -> None:
    (one,) = parse_neigh('[{"dst":"192.0.2.9","dev":"eth0","proxy":null}]', file="f").rows
    (other,) = parse_neigh_text("192.0.2.9 dev eth0 proxy", file="f").rows

    assert (one.mac, one.states) == (other.mac, other.states) == (None, frozenset({"PROXY"}))
    assert outcomes(parse_neigh('[{"dst":"192.0.2.9","proxy":null}]', file="f")) == (0, 1, 1, 0)


@pytest.mark.parametrize(
    ("members", "result"),
    [
        ({"mac": "02:00:00:00:00:01", "ifname": "vx0", "dst": "192.0.2.2", "flags": ["self"]}, (1, 0, 0, 0)),
        ({"mac": "02:00:00:00:00:01", "ifname": "vx0", "master": "br0", "vlan": 7}, (1, 0, 0, 0)),
        ({"mac": "02:00:00:00:00:01", "ifname": "vx0", "dst": "192.0.2.2", "vni": 5}, (1, 0, 0, 0)),
        ({"mac": "02:00:00:00:00:01", "ifname": "vx0", "dst": "192.0.2.2", "port": 5}, (1, 0, 1, 0)),
        ({"mac": "02:00:00:00:00:01"}, (0, 0, 0, 1)),
        ({"mac": "nothing", "ifname": "vx0"}, (0, 0, 0, 1)),
        ({"mac": "02:00:00:00:00:01", "ifname": "vx0", "dst": "x"}, (0, 0, 0, 1)),
    ],
)
def test_forwarding_entries(members: dict[str, object], result: tuple[int, ...]) -> None:
    assert outcomes(parse_fdb(json.dumps([members]), file="f")) == result


ROUTES = [
    (
        "1.2.3.0/24 tos 0x10 via 192.0.2.9 dev a",
        {"dst": "1.2.3.0/24", "tos": "0x10", "gateway": "192.0.2.9", "dev": "a"},
    ),
    (
        "2001:db8:1::/64 from 2001:db8:5::/64 via 2001:db8::9 dev a metric 1024 pref high",
        {
            "dst": "2001:db8:1::/64", "from": "2001:db8:5::/64", "gateway": "2001:db8::9", "dev": "a",
            "metric": 1024, "pref": "high",
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "members"), ROUTES)
def test_a_route_is_the_same_in_both_forms(text: str, members: dict[str, object]) -> None:
    (one,) = parse_route_text(text, file="f").rows
    (other,) = parse_route(json.dumps([members]), file="f").rows

    for field in ("kind", "destination", "hops", "metric", "tos", "source", "preference"):
        assert getattr(one, field) == getattr(other, field)


def test_a_next_hop_of_several_has_flags_of_its_own() -> None:
    text = "10.0.0.0/8 \n\tnexthop via 192.0.2.1 dev a weight 1 dead linkdown \n\tnexthop dev b weight 1 \n"
    (row,) = parse_route_text(text, file="f").rows

    assert [set(hop.flags) for hop in row.hops] == [{"dead", "linkdown"}, set()]


def test_what_an_address_is_marked_with_in_both_forms() -> None:
    held = {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link", "tentative": True}
    as_json = device(addr_info=[held]).addresses[0]
    text = "2: a: <UP> mtu 1500 state UP\n    inet6 fe80::1/64 scope link tentative\n"
    as_text = parse_addr_text(text, file="f").rows[0].addresses[0]

    assert as_json.flags == as_text.flags == {"tentative"}
