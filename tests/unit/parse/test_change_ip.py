"""`ip`, as people shorten it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from bothways.facts.address import mac
from bothways.facts.change import Act, AddressEdit, LinkEdit, NeighbourEdit, RouteEdit, RoutingRuleEdit
from bothways.parse.change import ChangeError, parse_change

ADDRESS = ip_address("192.0.2.1")
GATE = "192.0.2.254"
STATION = mac("02:00:00:00:00:01")


@pytest.mark.parametrize(
    ("typed", "edit"),
    [
        ("addr add 192.0.2.1/24 dev eth0", AddressEdit(Act.ADD, "eth0", ADDRESS, 24)),
        ("a a 192.0.2.1/24 dev eth0", AddressEdit(Act.ADD, "eth0", ADDRESS, 24)),
        ("address add dev eth0 192.0.2.1", AddressEdit(Act.ADD, "eth0", ADDRESS, 32)),
        ("-4 addr replace 192.0.2.1/24 brd + dev eth0", AddressEdit(Act.REPLACE, "eth0", ADDRESS, 24)),
        ("addr del 192.0.2.1/32 dev eth0", AddressEdit(Act.DELETE, "eth0", ADDRESS, 32)),
        ("a d 192.0.2.1 dev eth0", AddressEdit(Act.DELETE, "eth0", ADDRESS, None)),
        ("addr flush dev eth0", AddressEdit(Act.FLUSH, "eth0")),
        ("addr flush eth0", AddressEdit(Act.FLUSH, "eth0")),
        ("link set eth0 up", LinkEdit("eth0", up=True)),
        ("link set dev eth0 down", LinkEdit("eth0", up=False)),
        ("link set up dev eth0", LinkEdit("eth0", up=True)),
        ("l set eth0 mtu 1400 up", LinkEdit("eth0", up=True, mtu=1400)),
        ("link set eth0 address 02:00:00:00:00:01", LinkEdit("eth0", mac=STATION)),
        ("link del eth0", LinkEdit("eth0", Act.DELETE)),
        ("link delete dev eth0 type veth", LinkEdit("eth0", Act.DELETE)),
    ],
)
def test_addresses_and_links(typed: str, edit: object) -> None:
    assert parse_change(f"h1: ip {typed}").edits == (edit,)


@pytest.mark.parametrize(
    ("typed", "act", "destination", "device", "gateway", "table"),
    [
        ("route add 198.51.100.0/24 via 192.0.2.254 dev e0", Act.ADD, "198.51.100.0/24", "e0", GATE, "main"),
        ("r a 198.51.100.0/24 via 192.0.2.254", Act.ADD, "198.51.100.0/24", None, GATE, "main"),
        ("route replace default via 192.0.2.254 dev e0 table 7", Act.REPLACE, "0.0.0.0/0", "e0", GATE, "7"),
        ("route del default", Act.DELETE, "0.0.0.0/0", None, None, "main"),
        ("route del 198.51.100.7", Act.DELETE, "198.51.100.7/32", None, None, "main"),
        ("route flush table 100", Act.FLUSH, "0.0.0.0/0", None, None, "100"),
        ("route flush dev eth0", Act.FLUSH, "0.0.0.0/0", "eth0", None, "main"),
    ],
)  # fmt: skip
def test_routes(
    typed: str, act: Act, destination: str, device: str | None, gateway: str | None, table: str
) -> None:
    (edit,) = parse_change(f"h1: ip {typed}").edits

    assert isinstance(edit, RouteEdit)
    assert (edit.act, edit.route.destination, edit.route.table) == (act, ip_network(destination), table)
    hops = [(hop.device, None if hop.gateway is None else str(hop.gateway)) for hop in edit.route.hops]
    assert hops in ([(device, gateway)], [] if (device, gateway) == (None, None) else [(device, gateway)])


def test_a_route_without_a_way() -> None:
    (edit,) = parse_change("ip route add blackhole 198.51.100.0/24").edits

    assert isinstance(edit, RouteEdit)
    assert edit.route.kind == "blackhole"


@pytest.mark.parametrize(
    ("typed", "act", "priority", "numbered", "table", "source"),
    [
        ("rule add from 192.0.2.0/24 table 100 pref 10", Act.ADD, 10, True, "100", "192.0.2.0/24"),
        ("rule add from 192.0.2.0/24 lookup 100", Act.ADD, 32765, False, "100", "192.0.2.0/24"),
        ("ru a fwmark 0x1 table 100 priority 7", Act.ADD, 7, True, "100", None),
        ("rule del from 192.0.2.0/24 table 100", Act.DELETE, 32765, False, "100", "192.0.2.0/24"),
        ("rule del pref 10", Act.DELETE, 10, True, None, None),
        ("rule flush", Act.FLUSH, 32765, False, None, None),
    ],
)
def test_policy_rules(
    typed: str, act: Act, priority: int, numbered: object, table: str | None, source: str | None
) -> None:
    (edit,) = parse_change(f"h1: ip {typed}").edits

    assert isinstance(edit, RoutingRuleEdit)
    assert (edit.act, edit.rule.priority, edit.numbered) == (act, priority, numbered)
    assert (edit.rule.table, edit.rule.src) == (table, None if source is None else ip_network(source))


@pytest.mark.parametrize(
    ("typed", "act", "state"),
    [
        ("neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev eth0", Act.ADD, "PERMANENT"),
        ("n r 192.0.2.1 lladdr 02-00-00-00-00-01 nud reachable dev eth0", Act.REPLACE, "REACHABLE"),
        ("neighbor change 192.0.2.1 dev eth0 lladdr 02:00:00:00:00:01", Act.REPLACE, "PERMANENT"),
    ],
)
def test_neighbours(typed: str, act: Act, state: str) -> None:
    (edit,) = parse_change(f"h1: ip {typed}").edits

    assert isinstance(edit, NeighbourEdit)
    assert edit.act is act
    assert edit.neighbour is not None
    assert (edit.neighbour.address, edit.neighbour.mac, edit.neighbour.device) == (ADDRESS, STATION, "eth0")
    assert edit.neighbour.states == {state}


@pytest.mark.parametrize(
    ("typed", "device", "network"),
    [
        ("neigh flush all", None, None),
        ("neigh flush dev eth0", "eth0", None),
        ("neigh flush 192.0.2.1 dev eth0", "eth0", "192.0.2.1/32"),
        ("neigh flush to 192.0.2.0/24", None, "192.0.2.0/24"),
        ("neigh flush nud all dev eth0", "eth0", None),
    ],
)
def test_neighbours_are_flushed(typed: str, device: str | None, network: str | None) -> None:
    wanted = None if network is None else ip_network(network)

    assert parse_change(f"h1: ip {typed}").edits == (NeighbourEdit(Act.FLUSH, None, device, wanted),)


@pytest.mark.parametrize(
    ("typed", "column"),
    [
        ("ip", 3),
        ("ip monitor", 4),
        ("ip addr", 8),
        ("ip addr show", 9),
        ("ip addr add 192.0.2.1/24", 25),
        ("ip addr add dev eth0", 21),
        ("ip addr add 192.0.2.300/24 dev eth0", 13),
        ("ip addr add 192.0.2.1 peer 192.0.2.2 dev eth0", 23),
        ("ip addr add 192.0.2.1/24 dev eth0 noprefixroute", 35),
        ("ip addr flush dev eth0 scope global", 24),
        ("ip link set eth0", 17),
        ("ip link set eth0 master br0", 18),
        ("ip link set eth0 netns blue", 18),
        ("ip link add veth0 type veth", 9),
        ("ip link set eth0 mtu many", 22),
        ("ip route add", 13),
        ("ip route append 192.0.2.0/24 dev eth0", 10),
        ("ip route get 192.0.2.1", 10),
        ("ip neigh add 192.0.2.1 dev eth0", 32),
        ("ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01", 48),
        ("ip neigh add 192.0.2.1 lladdr 02:00 dev eth0", 31),
        ("ip neigh add proxy 192.0.2.1 dev eth0", 14),
        ("ip neigh flush nud stale dev eth0", 20),
        ("ip rule show", 9),
    ],
)
def test_what_is_not_understood_is_pointed_at(typed: str, column: int) -> None:
    with pytest.raises(ChangeError) as refused:
        parse_change(typed)

    assert refused.value.column == column
    assert refused.value.hint


@pytest.mark.parametrize("option", ["-6", "-f inet6", "-d -6"])
def test_ipv6_is_told_by_an_option_where_no_address_tells_it(option: str) -> None:
    (route,) = parse_change(f"h: ip {option} route del default").edits
    (rule,) = parse_change(f"h: ip {option} rule add iif eth0 table 7").edits

    assert isinstance(route, RouteEdit)
    assert isinstance(rule, RoutingRuleEdit)
    assert (str(route.route.destination), rule.version) == ("::/0", 6)
