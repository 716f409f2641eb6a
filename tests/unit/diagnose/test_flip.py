from bothways.diagnose.flip import nat_rules_for, without_address, without_flow
from bothways.diagnose.owners import owners_of
from bothways.facts.address import address, mac, network
from bothways.facts.device import Device, InterfaceAddress, Neighbour
from bothways.facts.dump import Dump
from bothways.facts.iptables import AddressRange, Chain, Match, Rule, Table, Target
from bothways.facts.openflow import Action, Bridge, Flow, Switch, Term
from bothways.facts.route import NextHop, Route
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.facts.span import Span

FLOATING = address("203.0.113.7")
MINE = mac("02:00:00:00:00:01")


def span(line: int) -> Span:
    return Span("x", line)


def site(*, responder: bool = False) -> Snapshot:
    device = Device("qg-1", 2, MINE, span(1), addresses=(InterfaceAddress(FLOATING, 32, span(2)),))
    rule = Rule(
        "nat",
        "PREROUTING",
        (Match("destination", network("203.0.113.7/32")),),
        Target(
            "DNAT", {"to-destination": AddressRange(address("10.0.0.4"), address("10.0.0.4"), None, None)}
        ),
        span(3),
    )
    other = Rule(
        "nat", "PREROUTING", (Match("destination", network("203.0.113.0/24")),), Target("ACCEPT"), span(4)
    )
    table = Table("nat", {"PREROUTING": Chain("PREROUTING", "ACCEPT", (rule, other), span(5))}, span(5))
    router = Netns(
        "net",
        "qrouter",
        devices=Dump((device,), "a"),
        routes=Dump(
            (
                Route("local", network("203.0.113.7/32"), "local", (NextHop("qg-1"),), span(6)),
                Route("unicast", network("203.0.113.0/24"), "main", (NextHop("qg-1"),), span(7)),
            ),
            "r",
        ),
        iptables=Dump((table,), "i"),
    )
    root = Netns(
        "net",
        "root",
        neighbours=Dump((Neighbour(FLOATING, "br-ex", MINE, frozenset({"REACHABLE"}), span(8)),), "n"),
    )
    flows = [
        Flow(
            100,
            512,
            (Term("eth_dst", 0x020000000001, None, "dl_dst=02:00:00:00:00:01", 1),),
            (Action("set_field", {"field": "nw_src", "value": int(FLOATING)}, "", 1),),
            span(9),
        )
    ]
    if responder:
        flows.append(
            Flow(
                20,
                1024,
                (Term("arp_tpa", int(FLOATING), None, "", 1),),
                (Action("load", {"field": "arp_op", "value": 2}, "", 1),),
                span(10),
            )
        )
    bridge = Bridge("compute", "br-int", flows=Dump(tuple(flows), "f"))
    hosts = {
        "net": Host("net", {"root": root, "qrouter": router}),
        "compute": Host("compute", {}, Switch("compute", {"br-int": bridge})),
    }
    return Snapshot(hosts)


def test_an_address_goes_with_its_local_route_its_nat_rules_and_what_was_learned_of_it() -> None:
    before = site()
    router = before.hosts["net"].netns["qrouter"]
    device = router.device("qg-1")
    assert device is not None
    after = without_address(before, router, device, FLOATING).snapshot
    flipped = after.hosts["net"].netns["qrouter"]

    assert list(after.owners_of(FLOATING)) == []
    assert [r.kind for r in flipped.routes or ()] == ["unicast"]
    assert list(nat_rules_for(flipped, FLOATING)) == []
    assert [r.span.line for t in flipped.iptables or () for r in t.chains["PREROUTING"].rules] == [4]
    assert len(after.hosts["net"].netns["root"].neighbours or ()) == 0
    assert list(before.owners_of(FLOATING)), "the flip is a value: the snapshot itself stays"


def test_a_flow_goes_alone() -> None:
    before = site(responder=True)
    switch = before.hosts["compute"].switch
    assert switch is not None
    flow = next(iter(switch.bridges["br-int"].flows or ()))
    after = without_flow(before, "compute", "br-int", flow).snapshot.hosts["compute"].switch
    assert after is not None

    assert [f.table for f in after.bridges["br-int"].flows or ()] == [20]


def test_two_owners_are_a_namespace_and_flows() -> None:
    owners = owners_of(site(responder=True), FLOATING)

    assert owners.two
    assert [o.label for o in owners.namespaces] == ["net/qrouter (qg-1)"]
    (switch,) = owners.switches
    assert [f.table for f in switch.responders] == [20]
    assert [f.table for f in switch.claims] == [100], "the flow takes frames for the namespace's own MAC"


def test_one_owner_is_not_two() -> None:
    assert not owners_of(site(), address("203.0.113.8")).two
