"""Addresses and ports as Linux 6.18 chose them, one row per choice; made with the router of ``conform``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from conntrack_samples import Told, namespace, tcp, udp
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.address import address
from bothways.facts.conntrack import Tuple
from bothways.facts.iptables import AddressRange
from bothways.facts.packet import UDP, Packet, TcpOptions
from bothways.facts.step import Did
from bothways.model.linux.conntrack.entry import Tracking
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.hook import Hook
from bothways.model.linux.nat import NatTarget, Translation, translate
from bothways.model.linux.nat.draw import Draw, Drawer
from bothways.model.linux.nat.spread import jhash2, spread

ONE, TWO, SERVER, OUTER = "10.77.1.10", "10.77.1.11", "203.0.113.7", "10.77.2.1"


class Drawn(Told):
    """An oracle that knows which port was drawn."""

    def __init__(self, port: int | None) -> None:
        super().__init__()
        self.port = port
        self.seen: list[Draw] = []

    def draw(self, draw: Draw) -> int | None:
        self.seen.append(draw)
        return self.port


class Router:
    """Forwards everything; *rules* say what a hook's chain answers."""

    def __init__(self, rules: Mapping[Hook, NatTarget], oracle: Told | None = None) -> None:
        self.rules, self.oracle = rules, oracle or Told()
        self.table = ConntrackTable(namespace({}), oracle=self.oracle, kernel=None)

    def forward(self, packet: Packet, device: str = "") -> tuple[str, str | None]:
        """What leaves, and why it is dropped."""
        tracking = self.table.track(packet, 0)
        for hook in (Hook.PREROUTING, Hook.POSTROUTING):
            made = self._at(hook, tracking, packet, device)
            packet = made.packet
            if made.did is Did.DROPPED:
                return ends(packet), made.reason
        return ends(packet), self.table.confirm(tracking, 0)

    def _at(self, hook: Hook, tracking: Tracking, packet: Packet, device: str) -> Translation:
        def rules(_: Packet) -> NatTarget | None:
            return self.rules.get(hook)

        return translate(
            tracking, hook, packet, table=self.table, oracle=self.oracle, rules=rules, device=device
        )


def ends(packet: Packet) -> str:
    return f"{packet.source} > {packet.destination}"


def to(
    low: str | None, high: str | None = None, *ports: int, kind: str = "DNAT", flags: str = ""
) -> NatTarget:
    first = None if low is None else address(low)
    last = first if high is None else address(high)
    bounds = (*ports, None, None, None)[:3]
    return NatTarget(kind, (AddressRange(first, last, *bounds),), frozenset(flags.split()))


# -- addresses -----------------------------------------------------------------------------------

SOURCES, MACHINES = ("198.51.100.0", "198.51.107.255"), ("10.77.3.16", "10.77.3.250")


@pytest.mark.parametrize(
    ("source", "destination", "range_", "persistent", "picked"),
    [
        (ONE, "198.18.7.5", MACHINES, False, "10.77.3.204"),
        (TWO, "198.18.7.5", MACHINES, False, "10.77.3.93"),
        (ONE, "198.18.7.5", MACHINES, True, "10.77.3.183"),
        (TWO, "198.18.7.5", MACHINES, True, "10.77.3.179"),
        (ONE, "10.77.3.204", SOURCES, False, "198.51.105.107"),
        (TWO, "10.77.3.93", SOURCES, False, "198.51.105.2"),
        (ONE, "203.0.113.7", SOURCES, False, "198.51.105.161"),
        (ONE, "203.0.113.8", SOURCES, False, "198.51.107.14"),
        ("10.77.1.12", "203.0.113.8", SOURCES, False, "198.51.102.187"),
        (ONE, "203.0.113.8", SOURCES, True, "198.51.105.176"),
        (TWO, "10.77.3.179", SOURCES, True, "198.51.105.143"),
        ("10.77.1.12", "203.0.113.8", SOURCES, True, "198.51.102.10"),
    ],
)
def test_the_hash_says_which_address(
    source: str,
    destination: str,
    range_: tuple[str, str],
    persistent: bool,  # noqa: FBT001 - a column
    picked: str,
) -> None:
    now = Tuple(UDP, address(source), address(destination), 1025, 53)
    low, high = (address(each) for each in range_)

    assert str(spread(now, low, high, source=range_ is SOURCES, persistent=persistent)) == picked


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 65535))
def test_the_hash_stays_in_the_range(source: int, one: int, other: int, zone: int) -> None:
    low, high = sorted((one, other))
    now = Tuple(UDP, IPv4Address(source), address("192.0.2.1"), 1, 2)

    picked = spread(now, IPv4Address(low), IPv4Address(high), source=True, zone=zone)

    assert low <= int(picked) <= high or high - low == 2**32 - 1


def test_the_hash_of_ipv6_stays_in_the_range() -> None:
    low, high = address("2001:db8::10"), address("2001:db8::4f")
    picked = {
        spread(Tuple(UDP, address(f"2001:db8:1::{n:x}"), address("2001:db8:2::1")), low, high, source=True)
        for n in range(64)
    }

    assert len(picked) > 20
    assert all(low <= each <= high for each in picked)  # type: ignore[operator]  # one family


def test_the_hash_of_nothing_is_its_beginning() -> None:
    assert jhash2((), 0) == 0xDEADBEEF


# -- ports in order ------------------------------------------------------------------------------

ORDERED, SHIFTED = to("10.77.3.10", None, 8000, 8003), to("10.77.3.10", None, 8000, 8003, 53)


@pytest.mark.parametrize(
    ("target", "asked", "given_"),
    [
        (ORDERED, (53, 54, 57, 52), (8000, 8001, 8002, 8003)),
        (SHIFTED, (53, 54, 57, 52), (8000, 8001, 8002, 8003)),
        (ORDERED, (8002, 53), (8002, 8000)),
        (SHIFTED, (8002, 54), (8001, 8002)),
        (to(None, None, 8080, 8080), (1, 2), (8080, 8080)),
    ],
)
def test_ports_of_destinations_are_tried_in_order(
    target: NatTarget, asked: tuple[int, ...], given_: tuple[int, ...]
) -> None:
    """The same client, so that answers from the same port would be mixed up."""
    router = Router({Hook.PREROUTING: target})

    left = [router.forward(udp(f"{ONE}:1025", f"198.18.7.5:{port}"))[0] for port in asked]

    assert [int(each.rpartition(":")[2]) for each in left] == list(given_)


def test_when_the_range_is_used_up_the_last_port_stays_and_the_source_port_changes() -> None:
    router = Router({Hook.PREROUTING: SHIFTED})
    for port in (53, 54, 57, 52):
        router.forward(udp(f"{ONE}:1025", f"198.18.7.5:{port}"))

    left, why = router.forward(udp(f"{ONE}:1025", "198.18.7.5:8002"))

    assert why is None
    assert left.endswith("> 10.77.3.10:8000")
    assert not left.startswith(f"{ONE}:1025 ")


# -- ports that are drawn ------------------------------------------------------------------------


def test_who_knows_which_port_was_drawn_is_asked() -> None:
    oracle = Drawn(50123)
    assert isinstance(oracle, Drawer)
    router = Router({Hook.POSTROUTING: to(OUTER, kind="SNAT", flags="random")}, oracle)

    left, why = router.forward(udp(f"{ONE}:40000", f"{SERVER}:53"))

    assert (left, why) == (f"{OUTER}:50123 > {SERVER}:53", None)
    (draw,) = oracle.seen
    assert (draw.low, draw.high) == (1024, 65535)
    assert [draw.free(port) for port in (1023, 1024, 65535)] == [False, True, True]
    assert oracle.assumed == []


def test_a_port_that_another_has_is_not_free() -> None:
    oracle = Drawn(7001)
    router = Router({Hook.POSTROUTING: to(OUTER, None, 7000, 7001, kind="SNAT")}, oracle)
    router.forward(udp(f"{ONE}:7000", f"{SERVER}:53"))
    router.forward(udp(f"{TWO}:7000", f"{SERVER}:53"))
    _, why = router.forward(udp("10.77.1.12:7000", f"{SERVER}:53"))

    assert [draw.free(port) for draw in oracle.seen[-1:] for port in (7000, 7001)] == [False, False]
    assert "insert_failed" in (why or "")


# -- connections that make room ------------------------------------------------------------------

SINGLE = {Hook.POSTROUTING: to(OUTER, None, 7000, 7000, kind="SNAT")}


def whole(source: str, destination: str, letters: str, *, seq: int, ack: int) -> Packet:
    """A segment of which everything is known."""
    made = tcp(source, destination, letters, seq=seq, ack=ack, checksum_ok=True)
    assert made.tcp is not None
    return replace(made, tcp=replace(made.tcp, options=TcpOptions(size=0)))


def closed(router: Router, *, rst: bool = True) -> None:
    router.forward(whole(f"{ONE}:40000", f"{SERVER}:80", "S", seq=1000, ack=0))
    router.forward(whole(f"{SERVER}:80", f"{OUTER}:7000", "S.", seq=5000, ack=1001))
    router.forward(whole(f"{ONE}:40000", f"{SERVER}:80", ".", seq=1001, ack=5001))
    if rst:
        router.forward(whole(f"{SERVER}:80", f"{OUTER}:7000", "R", seq=5001, ack=0))


@pytest.mark.parametrize(
    ("rst", "seq", "dropped"),
    [(True, 2000, False), (True, 900, True), (True, 1000, True), (False, 2000, True)],
)
def test_a_closed_connection_makes_room_for_a_higher_number(
    rst: bool,  # noqa: FBT001 - a column
    seq: int,
    dropped: bool,  # noqa: FBT001 - a column
) -> None:
    router = Router(SINGLE)
    closed(router, rst=rst)

    left, why = router.forward(whole(f"{TWO}:40000", f"{SERVER}:80", "S", seq=seq, ack=0))

    assert left == f"{OUTER}:7000 > {SERVER}:80"
    assert (why is not None) is dropped
    (entry,) = router.table.entries()
    assert str(entry.original.src) == (ONE if dropped else TWO)


# -- the device that a connection was masqueraded at ---------------------------------------------


def test_a_masqueraded_connection_that_leaves_elsewhere_is_forgotten() -> None:
    router = Router({Hook.POSTROUTING: to(OUTER, kind="MASQUERADE")})
    first = udp(f"{ONE}:5000", f"{SERVER}:53")

    assert router.forward(first, "wan1")[1] is None
    assert router.forward(first, "wan1")[1] is None
    assert "masqueraded at wan1 and now leaves by wan2" in (router.forward(first, "wan2")[1] or "")
    assert router.table.entries() == ()


def test_a_source_that_a_rule_names_may_leave_elsewhere() -> None:
    router = Router({Hook.POSTROUTING: to(OUTER, kind="SNAT")})
    first = udp(f"{ONE}:5000", f"{SERVER}:53")

    assert [router.forward(first, device)[1] for device in ("wan1", "wan2")] == [None, None]


# -- a packet to its own sender ------------------------------------------------------------------


def test_a_connection_to_itself_is_answered_by_what_is_sent_again() -> None:
    router = Router({})
    router.forward(udp(f"{ONE}:80", f"{ONE}:80"))
    assert [entry.status for entry in router.table.entries()] == [frozenset({"UNREPLIED"})]

    router.forward(udp(f"{ONE}:80", f"{ONE}:80"))

    assert [entry.status for entry in router.table.entries()] == [frozenset()]


@pytest.mark.parametrize(
    ("taken", "port", "may_be"),
    [(1, 8081, True), (1, 8080, False), (1, 9000, False), (2, 8080, True), (2, 8081, True), (2, 9000, False)],
)
def test_where_no_port_is_free_the_kernel_ends_with_one_that_is_taken(
    taken: int, port: int, *, may_be: bool
) -> None:
    """A drawn port: a free one, or where there is none the last that was tried; seen live with one port."""
    oracle = Drawn(None)
    drawn = NatTarget(
        "DNAT", (AddressRange(address(SERVER), address(SERVER), 8080, 8081),), frozenset({"random"})
    )
    router = Router({Hook.PREROUTING: drawn}, oracle)
    for number in range(taken):
        router.forward(udp(f"{ONE}:512", f"{OUTER}:{50 + number}"))
    router.forward(udp(f"{ONE}:512", f"{OUTER}:53"))

    last = [each for each in oracle.seen if each.high == 8081][-1]
    assert last.may_be(port) is may_be
