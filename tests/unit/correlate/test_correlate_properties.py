"""What must hold for any captures: no exception, nothing lost, names and clocks do not matter."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from correlate_samples import admit_all, captures, seen
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.correlate import Correlation, corrected_ns, correlate, round_trips
from bothways.facts.address import Mac
from bothways.facts.packet import Arp, Ethernet, Flag, Icmp, Ip, Packet, Tcp, TcpOptions, Tunnel, Udp
from bothways.facts.sighting import Capture, Direction, Sighting, Tap
from bothways.facts.snapshot import Snapshot
from bothways.facts.span import Span
from bothways.facts.trajectory import Way

TAPS = [
    Tap(host, netns, device)
    for host in ("a", "b", "c")
    for netns, device in (("root", "any"), ("root", "eth0"), ("r", "qg"), ("r", "qr"))
]
ADDRESSES = [IPv4Address(f"10.0.0.{n}") for n in range(1, 5)]
PORTS = st.sampled_from([0, 22, 80, 40000, 40001])
NUMBERS = st.none() | st.sampled_from([0, 1, 1000, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
MACS = st.sampled_from([Mac(""), Mac("02:00:00:00:00:01"), Mac("02:00:00:00:00:02")])


def transports() -> st.SearchStrategy[Tcp | Udp | Icmp | Arp | None]:
    tcp = st.builds(
        Tcp,
        PORTS,
        PORTS,
        st.integers(0, 255).map(Flag),
        NUMBERS,
        NUMBERS,
        st.none() | st.just(512),
        st.none() | st.sampled_from([0, 1, 1448]),
        st.builds(TcpOptions, timestamp=st.none() | st.tuples(st.integers(0, 3), st.just(0))),
        st.booleans(),
    )
    udp = st.builds(Udp, PORTS, PORTS, st.none() | st.just(9))
    icmp = st.builds(
        Icmp, st.sampled_from([0, 3, 8]), st.just(0), st.none() | st.just(1), st.none() | st.just(2)
    )
    return st.one_of(tcp, tcp, tcp, udp, icmp, st.none())


@st.composite
def sightings(draw: st.DrawFn) -> Sighting:
    transport = draw(transports())
    ip = Ip(
        draw(st.sampled_from(ADDRESSES)),
        draw(st.sampled_from(ADDRESSES)),
        6 if isinstance(transport, Tcp) else 17 if isinstance(transport, Udp) else 1,
        draw(st.none() | st.sampled_from([62, 63, 64])),
        draw(st.none() | st.sampled_from([0, 1, 2])),
    )
    packet = Packet(
        Ethernet(draw(MACS), draw(MACS)),
        draw(st.sampled_from([ip, ip, ip, None])),
        tcp=transport if isinstance(transport, Tcp) else None,
        udp=transport if isinstance(transport, Udp) else None,
        icmp=transport if isinstance(transport, Icmp) else None,
    )
    tap = draw(st.sampled_from(TAPS))
    tunnel = Tunnel("vxlan", 1, ADDRESSES[0], ADDRESSES[1])
    return Sighting(
        tap,
        draw(st.sampled_from([None, "eth0", tap.device])),
        draw(st.none() | st.sampled_from(Direction)),
        draw(st.integers(0, 3_000_000_000) | st.sampled_from([86_399_000_000_000, 1_700_000_000 * 10**9])),
        packet,
        Span("x", frame=1),
        0,
        draw(st.sampled_from([None, None, tunnel])),
        draw(st.booleans()),
    )


def run(rows: Sequence[Sighting]) -> Correlation:
    return correlate(captures(rows), snapshot=Snapshot(), admits=admit_all)


@settings(max_examples=40)  # each draws a dozen sightings with all their fields
@given(st.lists(sightings(), max_size=12))
def test_no_captures_raise_and_no_sighting_is_lost_or_doubled(rows: list[Sighting]) -> None:
    found = run(rows)
    placed = Counter(
        (s.tap, s.position) for c in found.connections for t in c.trajectories for s in t.sightings
    )
    followed = sum(
        s.packet.ip is not None
        and (
            s.packet.tcp is not None
            or s.packet.udp is not None
            or (s.packet.icmp is not None and s.packet.icmp.type != 3)
        )
        for s in rows
    )

    assert set(placed.values()) <= {1}
    assert len(placed) == followed == sum(c.sightings for c in found.connections)
    for connection in found.connections:
        assert connection.client == connection.client_names[0]
        assert connection.server == connection.server_names[0]
        assert all(trip.time_ns >= 0 for trip in round_trips(connection))
        for trajectory in connection.trajectories:
            assert trajectory.sightings
            assert {u.tap for u in trajectory.unseen}.isdisjoint(s.tap for s in trajectory.sightings)
            assert trajectory.retransmission_of is None or trajectory.retransmission_of < trajectory.ordinal
    for clock in found.clocks:
        assert clock.low_ns is None or clock.high_ns is None or clock.low_ns <= clock.high_ns


CLIENT, FLOATING, MACHINE = "192.0.2.9:40000", "203.0.113.5:22", "10.0.0.4:22"
PATH = (
    ("c:eth0", 0, FLOATING, 64),
    ("g/r:qg", 90, FLOATING, 64),
    ("g/r:qr", 120, MACHINE, 63),
    ("m:tap", 400, MACHINE, 63),
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Sighting]:
    """One connection through a translating router, with random delays and lost sightings."""
    isn, answer = draw(st.integers(2**20, 2**32 - 99_000)), draw(st.integers(2**20, 2**32 - 99_000))
    rows, now, sent, said = [], 0, 0, 0
    for turn in range(draw(st.integers(2, 6))):
        back = turn % 2 == 1
        length = 0 if turn < 2 else draw(st.integers(1, 900))
        what = ("S", "S.")[turn] if turn < 2 else "P."
        seq = answer + said if back else isn + sent
        ack = None if turn == 0 else isn + sent if back else answer + said
        for at, late, server, ttl in PATH:
            ends = f"{server} > {CLIENT}" if back else f"{CLIENT} > {server}"
            if turn == 0 or draw(st.integers(0, 9)):
                moment = now + (400 - late if back else late) + draw(st.integers(0, 9))
                hops = 127 - ttl if back else ttl
                rows.append(seen(at, moment, ends, what, seq=seq, ack=ack, length=length, ttl=hops))
        used = length + (turn < 2)
        said, sent = (said + used, sent) if back else (said, sent + used)
        now += draw(st.integers(1000, 400_000))
    return rows


Outline = list[tuple[Way, int, int, int | None, list[tuple[Tap, int]]]]


def outline(found: Correlation) -> Outline:
    return [
        (t.way, int(t.flags), t.ordinal, t.retransmission_of, [(s.tap, s.position) for s in t.sightings])
        for c in found.connections
        for t in c.trajectories
    ]


@given(conversations(), st.sampled_from("cgm"), st.integers(-(10**12), 10**12))
def test_a_clock_that_is_off_moves_its_bounds_and_nothing_else(
    rows: list[Sighting], host: str, off_ns: int
) -> None:
    shifted = [replace(s, time_ns=s.time_ns + off_ns) if s.tap.host == host else s for s in rows]
    before, after = run(rows), run(shifted)

    def moved(bound: int | None, clock_host: str) -> int | None:
        sign = (clock_host == host) - (before.reference == host)
        return None if bound is None else bound + sign * off_ns

    assert outline(after) == outline(before)
    assert after.reference == before.reference
    assert [(c.host, c.low_ns, c.high_ns) for c in after.clocks] == [
        (c.host, moved(c.low_ns, c.host), moved(c.high_ns, c.host)) for c in before.clocks
    ]


@given(conversations())
def test_bounds_hold_the_truth(rows: list[Sighting]) -> None:
    """All hosts of the sample share one clock."""
    for clock in run(rows).clocks:
        assert clock.low_ns is None or clock.low_ns <= 0
        assert clock.high_ns is None or clock.high_ns >= 0


@given(conversations(), st.permutations(["x", "k", "q"]), st.integers(1, 200))
def test_names_and_addresses_do_not_matter(rows: list[Sighting], names: list[str], step: int) -> None:
    hosts = dict(zip("cgm", names, strict=True))

    def other(sighting: Sighting) -> Sighting:
        ip = sighting.packet.ip
        assert ip is not None
        renumbered = replace(ip, src=ip.src + step * 65536, dst=ip.dst + step * 65536)
        tap = replace(sighting.tap, host=hosts[sighting.tap.host])
        return replace(sighting, tap=tap, packet=replace(sighting.packet, ip=renumbered))

    before, after = run(rows), run([other(s) for s in rows])
    back = {new: old for old, new in hosts.items()}

    assert [
        (way, flags, ordinal, of, [(replace(tap, host=back[tap.host]), p) for tap, p in path])
        for way, flags, ordinal, of, path in outline(after)
    ] == outline(before)
    assert {(back[c.host], c.low_ns, c.high_ns) for c in after.clocks} == {
        (c.host, c.low_ns, c.high_ns) for c in before.clocks
    }


@given(conversations())
def test_packets_stay_in_order_of_time(rows: list[Sighting]) -> None:
    found = run(rows)
    for connection in found.connections:
        starts = [min(corrected_ns(s, found.clocks) for s in t.sightings) for t in connection.trajectories]
        assert starts == sorted(starts)


def many(connections: int, packets: int) -> tuple[Capture, ...]:
    rows = []
    for number in range(connections):
        client, isn = f"10.1.{number // 200}.{number % 200 + 1}:{20000 + number}", 70_000 * (number + 1)
        for turn in range(packets):
            for at, late, server, _ in PATH:
                back, start = turn % 2, number * 50 + turn * 2000
                ends = f"{server} > {client}" if back else f"{client} > {server}"
                what = ("S", "S.")[turn] if turn < 2 else "P."
                length = 0 if turn < 2 else 10
                rows.append(
                    seen(
                        at,
                        start + (400 - late if back else late),
                        ends,
                        what,
                        seq=isn + turn * 10,
                        ack=isn + turn * 10 - 9 if turn else None,
                        length=length,
                    )
                )
    return captures(sorted(rows, key=lambda s: s.time_ns))


def test_work_grows_with_the_evidence_and_no_faster() -> None:
    """Eight times the packets take eight times as long, and some; a scan of all pairs took 64 times."""
    spent = []
    for size in (20, 160):
        given_captures = many(size, 6)
        start = time.process_time()
        found = correlate(given_captures, snapshot=Snapshot(), admits=admit_all)
        spent.append(time.process_time() - start)
        assert len(found.connections) == size

    assert spent[1] < 40 * max(spent[0], 0.1)
