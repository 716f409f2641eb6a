"""Translation as stories: what goes in, what comes out, and which rule it rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from conntrack_samples import Told, icmp, namespace, other, tcp, udp

from bothways.facts.address import address
from bothways.facts.conntrack import Entry, Tuple
from bothways.facts.iptables import AddressRange
from bothways.facts.packet import TCP, UDP, Packet
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.model.linux.conntrack.entry import Tracking
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.hook import Hook
from bothways.model.linux.nat import NatTarget, Translation, translate

CLIENT, FLOATING, INSIDE, OUTSIDE = "198.51.100.1", "203.0.113.7", "10.0.0.4", "203.0.113.1"
RULE = Span("iptables-save.txt", 9, text="-A PREROUTING -d 203.0.113.7/32 -j DNAT --to-destination 10.0.0.4")
BACK_RULE = Span(
    "iptables-save.txt", 12, text="-A POSTROUTING -s 10.0.0.4/32 -j SNAT --to-source 203.0.113.7"
)
LINE = Span("conntrack.txt", 1)


def one(low: str, high: str | None = None, ports: tuple[int, int] | None = None) -> AddressRange:
    low_port, high_port = ports or (None, None)
    return AddressRange(address(low), address(high or low), low_port, high_port)


def dnat(*ranges: AddressRange, kind: str = "DNAT", flags: frozenset[str] = frozenset()) -> NatTarget:
    return NatTarget(kind, ranges, flags, (RULE,))


def snat(*ranges: AddressRange, kind: str = "SNAT", flags: frozenset[str] = frozenset()) -> NatTarget:
    return NatTarget(kind, ranges, flags, (BACK_RULE,))


@dataclass
class Router:
    """A namespace that forwards everything; *rules* say what a chain of its nat table answers."""

    rules: Mapping[Hook, NatTarget | None] = field(default_factory=dict)
    oracle: Told = field(default_factory=Told)
    rows: tuple[Entry, ...] = ()
    asked: list[Hook] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.table = ConntrackTable(namespace({}, self.rows or None), oracle=self.oracle, kernel=None)

    def at(self, hook: Hook, tracking: Tracking, packet: Packet) -> Translation:
        def rules(_: Packet) -> NatTarget | None:
            self.asked.append(hook)
            return self.rules.get(hook)

        return translate(tracking, hook, packet, table=self.table, oracle=self.oracle, rules=rules)

    def forward(self, packet: Packet, *hooks: Hook) -> list[Translation]:
        """What each of the hooks made of a packet (PREROUTING and POSTROUTING)."""
        tracking = self.table.track(packet, 0)
        steps = []
        for hook in hooks or (Hook.PREROUTING, Hook.POSTROUTING):
            steps.append(self.at(hook, tracking, packet))
            packet = steps[-1].packet
        assert self.table.confirm(tracking, 0) is None
        return steps


def ends(packet: Packet) -> str:
    return f"{packet.source} > {packet.destination}"


def test_a_floating_address_both_ways() -> None:
    router = Router({Hook.PREROUTING: dnat(one(INSIDE))})
    into, out = router.forward(tcp(f"{CLIENT}:40000", f"{FLOATING}:22", "S"))

    assert (into.did, into.evidence) == (Did.TRANSLATED, (RULE,))
    assert into.reason == f"DNAT: the destination {FLOATING}:22 becomes {INSIDE}:22"
    assert (ends(out.packet), out.did, out.reason) == (f"{CLIENT}:40000 > {INSIDE}:22", None, "")
    back, home = router.forward(tcp(f"{INSIDE}:22", f"{CLIENT}:40000", "S."))
    assert back.did is None
    assert (home.did, home.evidence) == (Did.TRANSLATED, (RULE,))
    assert ends(home.packet) == f"{FLOATING}:22 > {CLIENT}:40000"
    assert router.asked == [Hook.PREROUTING, Hook.POSTROUTING]


def test_later_packets_do_not_ask_the_rules() -> None:
    router = Router({Hook.PREROUTING: dnat(one(INSIDE))})
    syn = tcp(f"{CLIENT}:40000", f"{FLOATING}:22", "S")
    router.forward(syn)
    router.rules = {}
    again, _ = router.forward(syn)

    assert ends(again.packet) == f"{CLIENT}:40000 > {INSIDE}:22"
    assert again.evidence == (RULE,)
    assert len(router.asked) == 2


def test_an_invalid_packet_keeps_its_address_and_names_what_it_missed() -> None:
    router = Router({Hook.PREROUTING: dnat(one(INSIDE))})
    router.forward(tcp(f"{CLIENT}:40000", f"{FLOATING}:22", "S"))
    missed, _ = router.forward(tcp(f"{CLIENT}:40000", f"{FLOATING}:22", "."))

    assert ends(missed.packet) == f"{CLIENT}:40000 > {FLOATING}:22"
    assert (missed.did, missed.evidence) == (Did.NOT_TRANSLATED, (RULE,))
    assert missed.reason == (
        f"an INVALID packet gets no translation: the destination stays {FLOATING}:22 "
        f"and does not become {INSIDE}:22"
    )


def test_an_invalid_packet_that_no_entry_met_is_left_alone() -> None:
    router = Router({Hook.POSTROUTING: snat(one(FLOATING))})
    into, out = router.forward(tcp(f"{INSIDE}:22", f"{CLIENT}:40000", "S."))

    assert [into.did, out.did] == [None, None]
    assert ends(out.packet) == f"{INSIDE}:22 > {CLIENT}:40000"
    assert router.asked == []


def test_untracked_packets_are_left_alone() -> None:
    router = Router({Hook.PREROUTING: dnat(one(INSIDE))})
    syn = tcp(f"{CLIENT}:40000", f"{FLOATING}:22", "S")
    tracking = router.table.track(syn, 0, notrack=True)

    assert router.at(Hook.PREROUTING, tracking, syn) == Translation(syn)
    assert router.asked == []


def test_forward_translates_nothing() -> None:
    router = Router({Hook.FORWARD: snat(one(FLOATING))})

    assert router.forward(tcp(f"{INSIDE}:1024", f"{CLIENT}:80", "S"), Hook.FORWARD)[0].did is None
    assert router.asked == []


def test_a_dumped_connection_is_translated_without_any_rule() -> None:
    row = Entry(
        Tuple(TCP, address(CLIENT), address(FLOATING), 40000, 22),
        Tuple(TCP, address(INSIDE), address(CLIENT), 22, 40000),
        LINE,
        "ESTABLISHED",
        99,
    )
    router = Router(rows=(row,))
    into, _ = router.forward(tcp(f"{CLIENT}:40000", f"{FLOATING}:22", "P."))
    _, home = router.forward(tcp(f"{INSIDE}:22", f"{CLIENT}:40000", "P."))

    assert ends(into.packet) == f"{CLIENT}:40000 > {INSIDE}:22"
    assert ends(home.packet) == f"{FLOATING}:22 > {CLIENT}:40000"
    assert into.evidence == home.evidence == (LINE,)
    assert router.asked == []


def test_a_rule_that_keeps_the_address() -> None:
    router = Router({Hook.POSTROUTING: snat(one(INSIDE))})
    _, out = router.forward(tcp(f"{INSIDE}:1024", f"{CLIENT}:80", "S"))

    assert (out.did, out.reason) == (Did.MATCHED, "SNAT keeps the source")


def test_hairpin_both_sides_of_one_connection() -> None:
    router = Router(
        {Hook.PREROUTING: dnat(one(INSIDE)), Hook.POSTROUTING: snat(one(OUTSIDE), kind="MASQUERADE")}
    )
    _, out = router.forward(tcp(f"{INSIDE}:5000", f"{FLOATING}:80", "S"))
    back, home = router.forward(tcp(f"{INSIDE}:80", f"{OUTSIDE}:5000", "S."))

    assert ends(out.packet) == f"{OUTSIDE}:5000 > {INSIDE}:80"
    assert ends(back.packet) == f"{INSIDE}:80 > {INSIDE}:5000"
    assert ends(home.packet) == f"{FLOATING}:80 > {INSIDE}:5000"


def test_redirect_with_a_port() -> None:
    router = Router({Hook.PREROUTING: dnat(one(OUTSIDE, None, (9697, 9697)), kind="REDIRECT")})
    (into,) = router.forward(tcp(f"{INSIDE}:5000", "169.254.169.254:80", "S"), Hook.PREROUTING)

    assert ends(into.packet) == f"{INSIDE}:5000 > {OUTSIDE}:9697"
    (home,) = router.forward(tcp(f"{OUTSIDE}:9697", f"{INSIDE}:5000", "S."), Hook.POSTROUTING)
    assert ends(home.packet) == f"169.254.169.254:80 > {INSIDE}:5000"


@pytest.mark.parametrize(
    ("hook", "packet", "expected"),
    [
        (
            Hook.PREROUTING,
            udp(f"{CLIENT}:1", "192.0.2.77:53"),
            f"{CLIENT}:1 > 10.1.0.77:53",
        ),
        (
            Hook.POSTROUTING,
            udp("192.0.2.77:53", f"{CLIENT}:1"),
            f"10.1.0.77:53 > {CLIENT}:1",
        ),
    ],
)
def test_netmap_keeps_the_host(hook: Hook, packet: Packet, expected: str) -> None:
    router = Router({hook: dnat(one("10.1.0.0", "10.1.0.255"), kind="NETMAP")})

    assert ends(router.forward(packet, hook)[0].packet) == expected


def test_ipv6() -> None:
    router = Router({Hook.PREROUTING: dnat(one("2001:db8::4", None, (8080, 8080)))})
    into, _ = router.forward(tcp("[2001:db8:1::1]:4000", "[2001:db8:2::7]:80", "S"))

    assert ends(into.packet) == "[2001:db8:1::1]:4000 > [2001:db8::4]:8080"


# -- clashes and free choices --------------------------------------------------------------------


def two_clients() -> tuple[Router, Translation, Translation]:
    """Two machines behind one address use the same port towards the same server."""
    router = Router({Hook.POSTROUTING: snat(one(OUTSIDE))})
    _, first = router.forward(tcp("10.0.0.4:40000", f"{CLIENT}:80", "S"))
    _, second = router.forward(tcp("10.0.0.5:40000", f"{CLIENT}:80", "S"))
    return router, first, second


def test_a_port_that_is_taken_is_changed_and_the_answers_find_home() -> None:
    router, first, second = two_clients()

    assert ends(first.packet) == f"{OUTSIDE}:40000 > {CLIENT}:80"
    source = second.packet.source
    assert source is not None
    assert source.address == address(OUTSIDE)
    assert source.port not in (40000, None)
    assert "drawn from 1024-65535" in second.reason
    assert "any free one of 1024-65535" in router.oracle.words
    back, _ = router.forward(tcp(f"{CLIENT}:80", str(source), "S."))
    assert ends(back.packet) == f"{CLIENT}:80 > 10.0.0.5:40000"


def test_another_server_is_no_clash() -> None:
    router, _, _ = two_clients()
    _, third = router.forward(tcp("10.0.0.6:40000", "198.51.100.2:80", "S"))

    assert ends(third.packet) == f"{OUTSIDE}:40000 > 198.51.100.2:80"


@pytest.mark.parametrize(("port", "low", "high"), [(22, 1, 511), (600, 600, 1023), (5000, 1024, 65535)])
def test_a_port_stays_in_its_class(port: int, low: int, high: int) -> None:
    router = Router({Hook.POSTROUTING: snat(one(OUTSIDE))})
    router.forward(tcp(f"10.0.0.4:{port}", f"{CLIENT}:80", "S"))
    _, second = router.forward(tcp(f"10.0.0.5:{port}", f"{CLIENT}:80", "S"))
    source = second.packet.source

    assert source is not None
    assert source.port is not None
    assert low <= source.port <= high


def test_a_null_binding_changes_a_port_that_would_clash() -> None:
    """The client reaches the machine by its floating address and, from the same port, by its own."""
    router = Router({Hook.PREROUTING: dnat(one(INSIDE))})
    router.forward(tcp(f"{CLIENT}:40000", f"{FLOATING}:22", "S"))
    router.rules = {}
    _, out = router.forward(tcp(f"{CLIENT}:40000", f"{INSIDE}:22", "S"))

    assert out.did is Did.TRANSLATED
    assert "another connection's" in out.reason
    assert out.packet.destination == tcp(f"{CLIENT}:1", f"{INSIDE}:22", "S").destination
    assert out.packet.source != tcp(f"{CLIENT}:40000", f"{INSIDE}:22", "S").source


def test_a_source_keeps_the_address_that_it_has_already() -> None:
    """Its hash towards the second server alone would say another address."""
    wide = {Hook.POSTROUTING: snat(one("203.0.113.0", "203.0.113.255"))}
    router, other_router = Router(wide), Router(wide)
    _, first = router.forward(udp("10.0.0.4:5000", f"{CLIENT}:53"))
    _, second = router.forward(udp("10.0.0.4:5000", "198.51.100.2:53"))
    _, alone = other_router.forward(udp("10.0.0.4:5000", "198.51.100.2:53"))

    assert first.packet.source == second.packet.source
    assert alone.packet.source != second.packet.source
    assert router.oracle.asked == {}


def test_of_two_addresses_that_a_source_has_the_newer_is_taken() -> None:
    router = Router({Hook.POSTROUTING: snat(one("203.0.113.1"))})
    router.forward(udp("10.0.0.4:5000", f"{CLIENT}:53"))
    router.rules = {Hook.POSTROUTING: snat(one("203.0.113.2"))}
    router.forward(udp("10.0.0.4:5000", "198.51.100.2:53"))
    router.rules = {Hook.POSTROUTING: snat(one("203.0.113.1", "203.0.113.2"))}
    _, third = router.forward(udp("10.0.0.4:5000", "198.51.100.3:53"))

    assert ends(third.packet) == "203.0.113.2:5000 > 198.51.100.3:53"


@pytest.mark.parametrize("flag", ["random", "random-fully"])
def test_a_port_that_is_drawn_is_said_to_be(flag: str) -> None:
    router = Router({Hook.POSTROUTING: snat(one(OUTSIDE), flags=frozenset({flag}))})
    _, out = router.forward(tcp("10.0.0.4:40000", f"{CLIENT}:80", "S"))

    assert "drawn from 1024-65535" in out.reason
    assert router.oracle.assumed


def test_a_port_range_is_used_up_in_order_for_destinations() -> None:
    router = Router({Hook.PREROUTING: dnat(one(INSIDE, None, (8000, 8001)))})
    into, _ = router.forward(tcp(f"{CLIENT}:40000", f"{FLOATING}:80", "S"))

    assert ends(into.packet) == f"{CLIENT}:40000 > {INSIDE}:8000"
    assert router.oracle.assumed == []


def test_when_no_port_is_left_the_packet_is_dropped_on_confirmation() -> None:
    router = Router({Hook.POSTROUTING: snat(one(OUTSIDE, None, (7000, 7000)))})
    router.forward(tcp("10.0.0.4:40000", f"{CLIENT}:80", "S"))
    syn = tcp("10.0.0.5:40000", f"{CLIENT}:80", "S")
    tracking = router.table.track(syn, 0)
    out = router.at(Hook.POSTROUTING, tracking, syn)

    assert "every port of 7000-7000 is taken" in out.reason
    assert "insert_failed" in (router.table.confirm(tracking, 0) or "")


# -- ICMP and others -----------------------------------------------------------------------------


def test_pings_of_two_machines_behind_one_address() -> None:
    router = Router({Hook.POSTROUTING: snat(one(OUTSIDE))})
    _, first = router.forward(icmp("10.0.0.4", CLIENT, 8, number=7))
    _, second = router.forward(icmp("10.0.0.5", CLIENT, 8, number=7))

    assert first.packet.icmp is not None
    assert second.packet.icmp is not None
    assert first.packet.icmp.id == 7
    assert second.packet.icmp.id != 7
    back, _ = router.forward(icmp(CLIENT, OUTSIDE, 0, number=second.packet.icmp.id))
    assert ends(back.packet) == f"{CLIENT} > 10.0.0.5"
    assert back.packet.icmp is not None
    assert back.packet.icmp.id == 7


def test_an_icmp_error_is_translated_inside_too() -> None:
    router = Router({Hook.PREROUTING: dnat(one(INSIDE))})
    into, _ = router.forward(tcp(f"{CLIENT}:40000", f"{FLOATING}:22", "S"))
    error = icmp("10.0.0.1", CLIENT, 3, number=None, inner=into.packet)
    back, home = router.forward(error)

    assert back.did is None
    assert home.did is Did.TRANSLATED
    assert ends(home.packet) == f"{FLOATING} > {CLIENT}"
    assert home.packet.icmp is not None
    assert home.packet.icmp.inner is not None
    assert ends(home.packet.icmp.inner) == f"{CLIENT}:40000 > {FLOATING}:22"
    assert home.evidence == (RULE,)


def test_an_icmp_error_from_outside_reaches_the_machine_behind() -> None:
    router = Router({Hook.POSTROUTING: snat(one(OUTSIDE))})
    _, out = router.forward(udp("10.0.0.4:5000", f"{CLIENT}:53"))
    back, _ = router.forward(icmp("192.0.2.1", OUTSIDE, 11, number=None, inner=out.packet))

    assert ends(back.packet) == "192.0.2.1 > 10.0.0.4"
    assert back.packet.icmp is not None
    assert back.packet.icmp.inner is not None
    assert ends(back.packet.icmp.inner) == f"10.0.0.4:5000 > {CLIENT}:53"


@pytest.mark.parametrize(("target", "did"), [(snat(one(OUTSIDE)), Did.DROPPED), (None, None)])
def test_a_redirect_about_a_translated_connection_is_dropped(
    target: NatTarget | None, did: Did | None
) -> None:
    router = Router({Hook.POSTROUTING: target})
    _, out = router.forward(udp("10.0.0.4:5000", f"{CLIENT}:53"))
    to = OUTSIDE if target else "10.0.0.4"
    back, _ = router.forward(icmp("192.0.2.1", to, 5, number=None, inner=out.packet))

    assert back.did is did


def test_protocols_without_ports() -> None:
    router = Router({Hook.POSTROUTING: snat(one(OUTSIDE))})
    _, out = router.forward(other("10.0.0.4", CLIENT, 50))
    back, _ = router.forward(other(CLIENT, OUTSIDE, 50))

    assert ends(out.packet) == f"{OUTSIDE} > {CLIENT}"
    assert ends(back.packet) == f"{CLIENT} > 10.0.0.4"


def test_udp_is_translated_like_tcp() -> None:
    router = Router({Hook.OUTPUT: dnat(one(INSIDE, None, (5353, 5353)))})
    (out,) = router.forward(udp(f"{OUTSIDE}:5000", f"{FLOATING}:53"), Hook.OUTPUT)

    assert ends(out.packet) == f"{OUTSIDE}:5000 > {INSIDE}:5353"
    assert router.table.entries()[0].original.protocol == UDP
