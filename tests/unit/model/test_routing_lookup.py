"""Policy rules and tables, as `ip route get` would answer; a live test asks a kernel such questions too."""

from collections.abc import Sequence

import pytest
from linux_samples import Told, device, netns, route, rule

from bothways.facts.address import address
from bothways.facts.choice import Freedom
from bothways.facts.dump import Dump
from bothways.facts.route import Route, RoutingRule
from bothways.model.linux.routing import Outcome, Routing, Wanted

ETH0, ETH1 = device("eth0", "192.0.2.1/24", number=2), device("eth1", "198.51.100.1/24", number=3)
LOCAL = (
    route("192.0.2.1 dev eth0", table="local", kind="local"),
    route("198.51.100.1 dev eth1", table="local", kind="local"),
    route("192.0.2.255 dev eth0", table="local", kind="broadcast"),
)
MAIN = (
    route("default via 192.0.2.254 dev eth0"),
    route("192.0.2.0/24 dev eth0"),
    route("198.51.100.0/24 dev eth1"),
    route("203.0.113.0/24 via 198.51.100.9 dev eth1", metric=100),
    route("203.0.113.0/24 via 192.0.2.9 dev eth0", metric=50),
    route("203.0.113.128/25 via 198.51.100.9 dev eth1", metric=900),
    route("203.0.113.200", kind="blackhole"),
    route("203.0.113.201", kind="unreachable"),
    route("203.0.113.202", kind="prohibit"),
)
OTHER = (
    route("default via 198.51.100.77 dev eth1", table="7"),
    route("203.0.113.0/25", table="7", kind="throw"),
)
RULES = (
    rule(0, "local"),
    rule(100, "7", fwmark=0x10, fwmask=0xF0),
    rule(200, "7", src="192.0.2.64/26"),
    rule(300, "7", iif="eth1"),
    rule(400, "7", dst="100.64.0.0/10"),
    rule(500, action="prohibit", dst="198.18.0.0/24"),
    rule(32766, "main"),
    rule(32767, "default"),
)


def look(
    destination: str,
    *,
    source: str | None = None,
    device_in: str = "",
    mark: int = 0,
    routes: Sequence[Route] = (*LOCAL, *MAIN, *OTHER),
    rules: Sequence[RoutingRule] | None = RULES,
    told: Told | None = None,
) -> Outcome:
    space = netns(ETH0, ETH1, routes=routes, rules=rules)
    wanted = Wanted(address(destination), None if source is None else address(source), device_in, mark=mark)
    return Routing(space, told or Told()).lookup(wanted)


def said(outcome: Outcome) -> str:
    """``unicast eth0 192.0.2.254``."""
    parts = [outcome.kind, outcome.device, str(outcome.next_hop) if outcome.next_hop else ""]
    return " ".join(part for part in parts if part)


@pytest.mark.parametrize(
    ("destination", "options", "answer"),
    [
        ("192.0.2.1", {}, "local eth0"),
        ("192.0.2.255", {}, "broadcast eth0"),
        ("192.0.2.7", {}, "unicast eth0 192.0.2.7"),
        ("8.8.8.8", {}, "unicast eth0 192.0.2.254"),
        ("203.0.113.5", {}, "unicast eth0 192.0.2.9"),
        ("203.0.113.130", {}, "unicast eth1 198.51.100.9"),
        ("203.0.113.200", {}, "blackhole"),
        ("203.0.113.201", {}, "unreachable"),
        ("203.0.113.202", {}, "prohibit"),
        ("8.8.8.8", {"mark": 0x10}, "unicast eth1 198.51.100.77"),
        ("8.8.8.8", {"mark": 0x1F}, "unicast eth1 198.51.100.77"),
        ("8.8.8.8", {"mark": 0x20}, "unicast eth0 192.0.2.254"),
        ("192.0.2.1", {"mark": 0x10}, "local eth0"),
        ("203.0.113.5", {"mark": 0x10}, "unicast eth0 192.0.2.9"),
        ("203.0.113.130", {"mark": 0x10}, "unicast eth1 198.51.100.77"),
        ("8.8.8.8", {"source": "192.0.2.65"}, "unicast eth1 198.51.100.77"),
        ("8.8.8.8", {"source": "192.0.2.5"}, "unicast eth0 192.0.2.254"),
        ("8.8.8.8", {"device_in": "eth1"}, "unicast eth1 198.51.100.77"),
        ("8.8.8.8", {"device_in": "eth0"}, "unicast eth0 192.0.2.254"),
        ("100.64.3.4", {}, "unicast eth1 198.51.100.77"),
        ("198.18.0.9", {}, "prohibit"),
    ],
)
def test_a_kernel_would_say_the_same(destination: str, options: dict[str, object], answer: str) -> None:
    assert said(look(destination, **options)) == answer  # type: ignore[arg-type]  # the table's columns


def test_the_line_of_the_route_is_the_evidence_and_the_rule_stands_beside_it() -> None:
    assert [s.text for s in look("192.0.2.7").evidence] == ["192.0.2.0/24 dev eth0"]
    assert [s.text for s in look("8.8.8.8", mark=0x10).evidence] == [OTHER[0].span.text, "rule 100"]
    assert [s.text for s in look("192.0.2.1").evidence] == ["192.0.2.1/24", LOCAL[0].span.text]


@pytest.mark.parametrize(
    ("rules", "answer"),
    [
        (
            (rule(0, "local"), rule(10, action="goto", goto=200), rule(100, "7"), rule(200, "main")),
            "unicast eth0 192.0.2.254",
        ),
        (
            (rule(0, "local"), rule(10, action="nop"), rule(100, "7"), rule(200, "main")),
            "unicast eth1 198.51.100.77",
        ),
        (
            (rule(0, "local"), rule(10, "7", src="192.0.2.0/24", invert=True), rule(200, "main")),
            "unicast eth0 192.0.2.254",
        ),
        ((rule(0, "local"), rule(10, "9"), rule(200, "254")), "unicast eth0 192.0.2.254"),
        ((rule(0, "local"),), "none"),
        (
            (rule(0, "local"), rule(10, "main", unmodelled=("suppress_prefixlen 0",)), rule(20, "7")),
            "unicast eth1 198.51.100.77",
        ),
        (
            (rule(0, "local"), rule(10, "7", unmodelled=("l3mdev",)), rule(20, "main")),
            "unicast eth0 192.0.2.254",
        ),
    ],
)
def test_rules_jump_invert_and_suppress(rules: tuple[RoutingRule, ...], answer: str) -> None:
    assert said(look("8.8.8.8", source="192.0.2.5", rules=rules)) == answer


def test_a_rule_that_cannot_be_evaluated_forks() -> None:
    rules = (rule(0, "local"), rule(10, "7", unmodelled=("uid_start 1000",)), rule(20, "main"))
    told = Told()

    assert said(look("8.8.8.8", rules=rules, told=told)) == "unicast eth0 192.0.2.254"
    assert list(told.freedoms.values()) == [Freedom.UNKNOWN]
    yes = Told({"policy rule 10": "applies"}, last=-1)
    assert said(look("8.8.8.8", rules=rules, told=yes)) == "unicast eth1 198.51.100.77"


def test_rules_that_were_not_collected_are_assumed_to_be_the_kernels_three() -> None:
    told = Told()
    space = netns(ETH0, ETH1, routes=(*LOCAL, *MAIN))
    bare = type(space)(space.host, space.name, devices=space.devices, routes=space.routes)

    assert said(Routing(bare, told).lookup(Wanted(address("8.8.8.8")))) == "unicast eth0 192.0.2.254"
    assert any(a.missing.endswith("ip -j rule") for a in told.assumed)


def test_without_a_route_dump_the_addresses_tell_what_is_connected_and_no_more() -> None:
    told = Told()
    routing = Routing(netns(ETH0, ETH1), told)

    assert said(routing.lookup(Wanted(address("192.0.2.7")))) == "unicast eth0 192.0.2.7"
    assert "has no route for 192.0.2.7 but the one" in told.texts
    assert said(routing.lookup(Wanted(address("198.51.100.1")))) == "local eth1"
    assert said(routing.lookup(Wanted(address("192.0.2.255")))) == "broadcast eth0"
    assert said(routing.lookup(Wanted(address("127.3.4.5")))) == "local lo"
    unknown = routing.lookup(Wanted(address("8.8.8.8")))
    assert (unknown.kind, "routes were not collected" in unknown.reason) == ("unknown", True)


def test_a_dump_without_the_local_table_and_a_filtered_view() -> None:
    assert said(look("192.0.2.1", routes=MAIN)) == "local eth0"
    space = netns(ETH0, ETH1)
    view = type(space)(
        space.host, space.name, devices=space.devices, routes=Dump(MAIN[1:], "route", partial="grep 192")
    )
    assert said(Routing(view, Told()).lookup(Wanted(address("192.0.2.1")))) == "local eth0"
    assert Routing(view, Told()).lookup(Wanted(address("8.8.8.8"))).kind == "unknown"


def test_a_route_by_a_device_that_is_down_does_not_count() -> None:
    down = device("eth0", "192.0.2.1/24", number=2, up=False)
    space = netns(down, ETH1, routes=(*LOCAL, *MAIN))

    assert said(Routing(space, Told()).lookup(Wanted(address("203.0.113.5")))) == "unicast eth1 198.51.100.9"


def test_multipath_is_a_free_choice_that_stays() -> None:
    routes = (*LOCAL, route("default via 192.0.2.9 dev eth0 | via 198.51.100.9 dev eth1"))
    told = Told()

    assert said(look("8.8.8.8", routes=routes, told=told)) == "unicast eth0 192.0.2.9"
    assert list(told.freedoms.values()) == [Freedom.FREE]
    assert said(look("8.8.8.8", routes=routes, told=Told(last=-1))) == "unicast eth1 198.51.100.9"
    assert look("8.8.8.8", routes=routes).devices == {"eth0", "eth1"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("192.0.2.1", "local"),
        ("192.0.2.255", "broadcast"),
        ("255.255.255.255", "broadcast"),
        ("224.0.0.1", "multicast"),
        ("8.8.8.8", "unicast"),
    ],
)
def test_what_an_address_is(text: str, kind: str) -> None:
    assert Routing(netns(ETH0, ETH1, routes=(*LOCAL, *MAIN)), Told()).kind_of(address(text)) == kind
