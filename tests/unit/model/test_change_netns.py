"""A namespace after a change: what goes and comes with the thing that was changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from linux_samples import device, netns, route, rule

from bothways.facts.address import address, mac
from bothways.facts.conntrack import Entry, Tuple
from bothways.facts.device import Neighbour
from bothways.facts.dump import Dump
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.facts.span import Span
from bothways.model.change import Applied, NothingToChangeError, apply_change
from bothways.parse.change import parse_change

OUT = device("out0", "192.0.2.1/24", "192.0.2.7/32", number=2, kind="veth", link=3)
IN = device("in0", "10.0.0.1/24", number=3, kind="veth", link=2)
FROM = "from 10.0.0.0/24 table 100"
PINNED = frozenset({"PERMANENT"})
ROUTES = (
    replace(route("192.0.2.1 dev out0", table="local", kind="local"), prefsrc=address("192.0.2.1")),
    replace(route("192.0.2.7 dev out0", table="local", kind="local"), prefsrc=address("192.0.2.7")),
    replace(route("10.0.0.1 dev in0", table="local", kind="local"), prefsrc=address("10.0.0.1")),
    replace(route("192.0.2.0/24 dev out0"), protocol="kernel", prefsrc=address("192.0.2.1")),
    replace(route("10.0.0.0/24 dev in0"), protocol="kernel", prefsrc=address("10.0.0.1")),
    route("default via 192.0.2.254 dev out0"),
    route("198.51.100.0/24 via 10.0.0.9 dev in0"),
)
RULES = (rule(0, "local"), rule(32766, "main"), rule(32767, "default"))


def near(text: str, name: str, station: int, states: frozenset[str]) -> Neighbour:
    return Neighbour(address(text), name, mac(f"02:00:00:00:00:{station:02x}"), states, Span("neigh", 1))


SPACE = replace(
    netns(OUT, IN, routes=ROUTES, rules=RULES, sysctls={}),
    neighbours=Dump(
        (
            near("192.0.2.254", "out0", 0x99, frozenset({"STALE"})),
            near("192.0.2.9", "out0", 3, frozenset({"REACHABLE"})),
            near("10.0.0.9", "in0", 0x98, PINNED),
        ),
        "neigh",
    ),
)
SITE = Snapshot({"host": Host("host", {"blue": SPACE})})


def after(*commands: str, site: Snapshot = SITE) -> Netns:
    for command in commands:
        site = apply_change(site, parse_change(f"host/blue: {command}")).snapshot
    found = site.netns("host", "blue")
    assert found is not None
    return found


def routes_of(space: Netns) -> set[str]:
    return {
        " ".join(
            [
                *([] if r.kind == "unicast" else [r.kind]),
                str(r.destination),
                *(h.device or "" for h in r.hops),
            ]
        )
        for r in space.routes or ()
    }


ALL = routes_of(SPACE)


@pytest.mark.parametrize(
    ("command", "gone", "new"),
    [
        ("ip addr del 192.0.2.7/32 dev out0", {"local 192.0.2.7/32 out0"}, set()),
        ("ip addr del 192.0.2.7 dev out0", {"local 192.0.2.7/32 out0"}, set()),
        ("ip addr del 192.0.2.1/24 dev out0", {"local 192.0.2.1/32 out0", "192.0.2.0/24 out0"}, set()),
        (
            "ip addr del 10.0.0.1/24 dev in0",  # the last one: everything by the device goes
            {"local 10.0.0.1/32 in0", "10.0.0.0/24 in0", "198.51.100.0/24 in0"},
            set(),
        ),
        (
            "ip addr flush dev out0",
            {"local 192.0.2.1/32 out0", "local 192.0.2.7/32 out0", "192.0.2.0/24 out0", "0.0.0.0/0 out0"},
            set(),
        ),
        (
            "ip addr add 203.0.113.1/24 dev in0",
            set(),
            {"local 203.0.113.1/32 in0", "broadcast 203.0.113.255/32 in0", "203.0.113.0/24 in0"},
        ),
        ("ip addr add 203.0.113.1/32 dev in0", set(), {"local 203.0.113.1/32 in0"}),
        ("ip link set in0 down", {"10.0.0.0/24 in0", "198.51.100.0/24 in0"}, set()),
        (
            "ip link del in0",
            {
                *("local 10.0.0.1/32 in0", "10.0.0.0/24 in0", "198.51.100.0/24 in0"),
                # The other end of the pair goes as well.
                *(
                    "local 192.0.2.1/32 out0",
                    "local 192.0.2.7/32 out0",
                    "192.0.2.0/24 out0",
                    "0.0.0.0/0 out0",
                ),
            },
            set(),
        ),
        ("ip route add 203.0.113.0/24 via 10.0.0.9", set(), {"203.0.113.0/24 in0"}),
        ("ip route replace default via 10.0.0.9 dev in0", {"0.0.0.0/0 out0"}, {"0.0.0.0/0 in0"}),
        ("ip route del default", {"0.0.0.0/0 out0"}, set()),
        ("ip route flush dev in0", {"10.0.0.0/24 in0", "198.51.100.0/24 in0"}, set()),
    ],
)
def test_routes_come_and_go_with_what_makes_them(command: str, gone: set[str], new: set[str]) -> None:
    assert routes_of(after(command)) == (ALL - gone) | new


def test_a_device_that_comes_up_again_gets_its_connected_routes_back() -> None:
    down_and_up = routes_of(after("ip link set in0 down", "ip link set in0 up"))

    assert "10.0.0.0/24 in0" in down_and_up
    assert "198.51.100.0/24 in0" not in down_and_up


def test_secondary_addresses_go_with_their_primary_unless_they_are_promoted() -> None:
    two = after("ip addr add 192.0.2.2/24 dev out0").owner_of(address("192.0.2.2"))
    assert two is not None

    plain = after("ip addr add 192.0.2.2/24 dev out0", "ip addr del 192.0.2.1/24 dev out0")
    promoted = after(
        "sysctl net.ipv4.conf.all.promote_secondaries=1",
        "ip addr add 192.0.2.2/24 dev out0",
        "ip addr del 192.0.2.1/24 dev out0",
    )

    assert plain.owner_of(address("192.0.2.2")) is None
    assert promoted.owner_of(address("192.0.2.2")) is not None
    assert "192.0.2.0/24 out0" not in routes_of(plain)
    assert "192.0.2.0/24 out0" in routes_of(promoted)


def neighbours_of(space: Netns) -> set[str]:
    return {f"{n.address} {n.mac}" for n in space.neighbours or ()}


@pytest.mark.parametrize(
    ("command", "left"),
    [
        ("ip neigh flush all", {"10.0.0.9"}),
        ("ip neigh flush dev out0", {"10.0.0.9"}),
        ("ip neigh flush 192.0.2.9", {"192.0.2.254", "10.0.0.9"}),
        ("ip neigh del 10.0.0.9 dev in0", {"192.0.2.254", "192.0.2.9"}),
        ("ip link set out0 down", {"10.0.0.9"}),
        # in0 is the station that 192.0.2.9 was learned at.
        ("ip link set in0 address 02:00:00:00:00:77", {"192.0.2.254", "10.0.0.9"}),
    ],
)
def test_neighbours_that_are_left(command: str, left: set[str]) -> None:
    assert {str(n.address) for n in after(command).neighbours or ()} == left


def test_a_neighbour_is_set() -> None:
    space = after("ip neigh replace 192.0.2.9 lladdr 02:00:00:00:00:55 nud reachable dev out0")

    assert "192.0.2.9 02:00:00:00:00:55" in neighbours_of(space)
    assert len(space.neighbours or ()) == 3


@pytest.mark.parametrize(
    ("commands", "priorities"),
    [
        ([f"ip rule add {FROM}"], [0, 32765, 32766, 32767]),
        ([f"ip rule add {FROM}", "ip rule add to 10.9.0.0/16 table 101"], [0, 32764, 32765, 32766, 32767]),
        ([f"ip rule add {FROM} pref 7"], [0, 7, 32766, 32767]),
        ([f"ip rule add {FROM}", f"ip rule del {FROM}"], [0, 32766, 32767]),
        (["ip rule del pref 32767"], [0, 32766]),
        (["ip rule flush"], [0]),
    ],
)  # fmt: skip
def test_policy_rules(commands: list[str], priorities: list[int]) -> None:
    assert [r.priority for r in after(*commands).rules or ()] == priorities


def test_sysctls() -> None:
    space = after("sysctl -w net.ipv4.conf.in0.forwarding=1", "sysctl -w net.ipv4.ip_forward=0")

    assert {s.name: s.value for s in space.sysctls or () if "forward" in s.name} == {
        "net.ipv4.conf.all.forwarding": "0",
        "net.ipv4.conf.in0.forwarding": "0",
        "net.ipv4.ip_forward": "0",
    }


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("net.ipv4.ip_forward", True),
        ("net.ipv4.conf.all.rp_filter", True),
        ("net.netfilter.nf_conntrack_tcp_loose", True),
        ("net.netfilter.nf_conntrack_tcp_timeout_syn_sent", True),
        ("net.netfilter.nf_conntrack_log_invalid", True),
        ("net.ipv4.tcp_tw_reuse", False),
        ("net.ipv4.ip_forwrad", False),
    ],
)
def test_a_parameter_that_the_model_never_asks_for_is_said(name: str, known: object) -> None:
    applied = apply_change(SITE, parse_change(f"host/blue: sysctl -w {name}=1"))

    assert (applied.unknown == ()) is known


ENTRY = Entry(
    Tuple(6, address("192.0.2.9"), address("192.0.2.7"), 4000, 22),
    Tuple(6, address("10.0.0.4"), address("192.0.2.9"), 22, 4000),
    Span("conntrack", 1),
    "SYN_SENT",
)


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ("-F", 0),
        ("-D", 0),
        ("-D -d 192.0.2.7", 0),
        ("-D -d 10.0.0.4", 1),
        ("-D -r 10.0.0.4", 0),
        ("-D -s 192.0.2.0/24 -p tcp --dport 22", 0),
        ("-D -p udp", 1),
        ("-D --state ESTABLISHED", 1),
        ("-D --state syn_sent", 0),
        ("-D --zone 5", 1),
    ],
)
def test_entries_that_are_left(filters: str, left: int) -> None:
    site = Snapshot({"host": Host("host", {"blue": replace(SPACE, conntrack=Dump((ENTRY,), "conntrack"))})})

    assert len(after(f"conntrack {filters}", site=site).conntrack or ()) == left


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("ip addr del 192.0.2.99/24 dev out0", "does not hold 192.0.2.99"),
        ("ip addr del 192.0.2.1/32 dev out0", "does not hold 192.0.2.1"),
        ("ip addr add 192.0.2.1/24 dev out0", "already"),
        ("ip addr del 192.0.2.1/24 dev eth9", "no device eth9"),
        ("ip link set eth9 up", "no device eth9"),
        ("ip route del 203.0.113.0/24", "no such route"),
        ("ip route add default via 192.0.2.253 dev out0", "already"),
        ("ip route add 203.0.113.0/24 via 172.16.0.1", "behind no device"),
        ("ip route add 203.0.113.0/24 via 192.0.2.9 dev eth9", "no device eth9"),
        ("ip rule del pref 7", "no such policy rule"),
        ("ip neigh del 192.0.2.99 dev out0", "no neighbour 192.0.2.99"),
    ],
)
def test_what_is_not_there_cannot_be_changed(command: str, says: str) -> None:
    with pytest.raises(NothingToChangeError, match=says.replace(".", r"\.")):
        after(command)


# -- where ---------------------------------------------------------------------------------------------------


def applied_to(site: Snapshot, text: str) -> Applied:
    return apply_change(site, parse_change(text))


OTHER = replace(netns(device("up0", "203.0.113.1/24"), routes=(), sysctls={}), name="red")
TWO = Snapshot({
    "one": Host("one", {"root": replace(SPACE, host="one", name="root"), "red": replace(OTHER, host="one")}),
    "two": Host("two", {"root": replace(OTHER, host="two", name="root")}),
})  # fmt: skip


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("one: ip addr del 192.0.2.1/24 dev out0", ("one", "root")),
        ("one/red: ip addr del 203.0.113.1/24 dev up0", ("one", "red")),
        ("ip addr del 192.0.2.1/24 dev out0", ("one", "root")),
        ("ip netns exec red ip addr del 203.0.113.1/24 dev up0", ("one", "red")),
    ],
)
def test_a_place_that_is_left_out_is_the_one_where_it_fits(text: str, place: tuple[str, str]) -> None:
    applied = applied_to(TWO, text)

    assert (applied.host, applied.netns) == place


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ip addr del 203.0.113.1/24 dev up0", "several places: one/red, two"),
        ("three: ip link set up0 up", "no host three"),
        ("one/green: ip link set up0 up", "no namespace green"),
        ("ip netns exec green ip link set up0 up", "any host"),
        ("two: ip link set out0 up", "no device out0"),
        ("one: ovs-vsctl del-port up0", "was collected of one"),
    ],
)
def test_a_place_that_does_not_fit_is_refused(text: str, says: str) -> None:
    with pytest.raises(NothingToChangeError, match=says):
        applied_to(TWO, text)


def test_what_was_not_collected_cannot_be_changed() -> None:
    bare = Snapshot({"host": Host("host", {"blue": Netns("host", "blue")})})

    for command in ("ip link set eth0 up", "ip route del default", "ip rule flush", "iptables -F"):
        with pytest.raises(NothingToChangeError, match="not collected"):
            applied_to(bare, f"host/blue: {command}")
