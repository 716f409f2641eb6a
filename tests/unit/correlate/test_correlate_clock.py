"""What packets say of clocks, and what they leave open."""

from dataclasses import replace

import pytest
from correlate_samples import MS, US, only, path, seen, together

from bothways.correlate import corrected_ns, round_trips
from bothways.facts.address import Mac
from bothways.facts.device import Device
from bothways.facts.diagnosis import Clock
from bothways.facts.dump import Dump
from bothways.facts.sighting import Direction, Sighting
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.facts.span import Kind, Span

CLIENT, FLOATING, MACHINE = "192.0.2.9:40000", "203.0.113.5:22", "10.0.0.4:22"
ISN, ANSWER = 3_000_000_000, 1_234_567_890


def question(at: str, time_us: float, number: int = 0) -> Sighting:
    return seen(at, time_us, f"{CLIENT} > {MACHINE}", "P.", seq=ISN + number, ack=ANSWER, length=5)


def answer(at: str, time_us: float, number: int = 0) -> Sighting:
    return seen(at, time_us, f"{MACHINE} > {CLIENT}", "P.", seq=ANSWER + number, ack=ISN, length=5)


def bounds(
    *sightings: Sighting, snapshot: Snapshot | None = None
) -> dict[str, tuple[int | None, int | None]]:
    """Per host, in microseconds."""

    def us(value: int | None) -> int | None:
        return None if value is None else value // US

    clocks = together(*sightings, snapshot=snapshot).clocks
    return {c.host: (us(c.low_ns), us(c.high_ns)) for c in clocks}


def test_a_question_and_its_answer_bound_a_clock_from_both_sides() -> None:
    """b is 1000 us ahead; forth takes 30 us, back 20 us. Nothing but consistency tells who is nearer."""
    found = together(
        question("a:eth0", 0), question("b:eth0", 1030), answer("b:eth0", 1500), answer("a:eth0", 520)
    )
    (clock,) = found.clocks

    assert (found.reference, clock.host, clock.relative_to) == ("a", "b", "a")
    assert (clock.low_ns, clock.high_ns) == (980 * US, 1030 * US)
    assert "does not arrive before it leaves" in clock.assumption
    assert "(1 to b, 1 back)" in clock.assumption
    assert [path(t) for t in only(found).trajectories] == [["a:eth0", "b:eth0"], ["b:eth0", "a:eth0"]]


def test_the_tightest_of_many_packets_counts() -> None:
    rows = []
    for n, (forth, back) in enumerate([(300, 40), (25, 700), (90, 60)]):
        start = n * 10_000
        rows += [question("a:eth0", start, n * 5), question("b:eth0", start + forth + 5000, n * 5)]
        rows += [answer("b:eth0", start + 7000, n * 5), answer("a:eth0", start + 2000 + back, n * 5)]

    assert bounds(*rows) == {"b": (4960, 5025)}


def test_one_way_alone_leaves_a_side_open() -> None:
    """A lower TTL at b says that the packet passed a first; nothing came back."""
    rows = [
        replace_ttl(question("a:eth0", 0), 64),
        replace_ttl(question("b:eth0", 1030), 63),
    ]

    assert bounds(*rows) == {"b": (None, 1030)}


def replace_ttl(sighting: Sighting, ttl: int) -> Sighting:
    return replace(sighting, packet=sighting.packet.with_ttl(ttl))


def test_without_any_hint_of_the_order_nothing_is_said() -> None:
    (clock,) = together(question("a:eth0", 0), question("b:eth0", 1030)).clocks

    assert (clock.low_ns, clock.high_ns) == (None, None)
    assert "tells which of them it passed first" in clock.assumption


def test_of_doubles_the_one_that_surely_left_counts() -> None:
    rows = [
        seen("a:eth0", 0, f"{CLIENT} > {MACHINE}", "S", clock_only=True),
        seen("b:any", 1030, f"{CLIENT} > {MACHINE}", "S", clock_only=True),
        seen("b:any", 1530, f"{MACHINE} > {CLIENT}", "S.", clock_only=True),
        seen("b:any", 1500, f"{MACHINE} > {CLIENT}", "S.", clock_only=True),
        seen("a:eth0", 560, f"{MACHINE} > {CLIENT}", "S.", clock_only=True),
    ]

    assert bounds(*rows) == {"b": (940, 1030)}


def test_what_leaves_in_a_tunnel_is_taken_where_it_leaves() -> None:
    """The sighting before the tunnel is 400 us early; the one in it bounds more tightly."""
    ends, back = "10.1.0.1 > 10.1.0.2", "10.1.0.2 > 10.1.0.1"
    rows = [
        question("a:tap", 0),
        replace(
            question("a:eth1", 400), tunnel=seen("a:eth1", 0, f"{CLIENT} > {MACHINE}", tunnel=ends).tunnel
        ),
        replace(
            question("b:eth1", 1430), tunnel=seen("b:eth1", 0, f"{CLIENT} > {MACHINE}", tunnel=ends).tunnel
        ),
        answer("b:tap", 1600),
        replace(
            answer("b:eth1", 1900), tunnel=seen("b:eth1", 0, f"{CLIENT} > {MACHINE}", tunnel=back).tunnel
        ),
        replace(answer("a:eth1", 940), tunnel=seen("a:eth1", 0, f"{CLIENT} > {MACHINE}", tunnel=back).tunnel),
    ]

    assert bounds(*rows) == {"b": (960, 1030)}


def test_translation_tells_the_order_of_hosts() -> None:
    """a shows both names, b the inner one: whatever the clocks say, the question passed a first."""
    rows = [
        seen("a/r:qg", 0, f"{CLIENT} > {FLOATING}", "S", seq=ISN),
        seen("a/r:qr", 20, f"{CLIENT} > {MACHINE}", "S", seq=ISN),
        seen("b:tap", -25_000, f"{CLIENT} > {MACHINE}", "S", seq=ISN),
    ]
    found = together(*rows)

    assert path(only(found).trajectories[0]) == ["a/r:qg", "a/r:qr", "b:tap"]
    assert [(c.low_ns, c.high_ns) for c in found.clocks] == [(None, -25_020 * US)]


def test_bounds_add_up_along_a_third_host() -> None:
    """Two clients are on a, one on b; a and c never saw the same packet. b is 1000 us ahead, c 3000 us."""
    rows = []
    for n, (near, far, ahead) in enumerate([("a", "b", 1000), ("a", "b", 1000), ("b", "c", 2000)]):
        client, start, isn = f"192.0.2.{n + 1}:40000", n * 100_000, ISN + n * 10**8
        asks, answers = f"{client} > {MACHINE}", f"{MACHINE} > {client}"
        rows += [
            seen(f"{near}:eth0", start, asks, "S", seq=isn),
            seen(f"{far}:eth0", start + ahead + 30, asks, "S", seq=isn),
            seen(f"{far}:eth0", start + ahead + 40, answers, "S.", seq=ANSWER + n * 10**8, ack=isn + 1),
            seen(f"{near}:eth0", start + 80, answers, "S.", seq=ANSWER + n * 10**8, ack=isn + 1),
        ]

    assert bounds(*rows) == {"b": (960, 1030), "c": (960 + 1960, 1030 + 2030)}


def test_a_clock_that_was_set_is_a_problem_and_says_nothing() -> None:
    rows = []
    for n, step in enumerate((0, -3_000_000)):
        start = n * 1_000_000
        rows += [question("a:eth0", start, n * 5), question("b:eth0", start + 30 + step, n * 5)]
        rows += [answer("b:eth0", start + 500 + step, n * 5), answer("a:eth0", start + 530, n * 5)]
    rows = [routed(row) for row in rows]
    found = together(*rows)
    (problem,) = found.problems

    assert problem.kind is Kind.CONTRADICTION
    assert "the clocks of a and b contradict each other by 2999.940 ms" in problem.message
    assert problem.span.file == "b:eth0.pcap"
    assert [(c.low_ns, c.high_ns) for c in found.clocks] == [(None, None)]


def routed(sighting: Sighting) -> Sighting:
    """With the TTL that says which of two hosts a packet passed first: the client is behind a."""
    forth = sighting.packet.source == question("a:eth0", 0).packet.source
    return replace_ttl(sighting, 64 if forth == (sighting.tap.host == "a") else 63)


def test_stamps_that_are_a_little_wrong_are_no_problem() -> None:
    """A capture of all devices stamps within 100 us: bounds that miss each other by less are turned round."""
    rows = [question("a:eth0", 0), question("b:eth0", 1000), answer("b:eth0", 1500), answer("a:eth0", 450)]
    rows = [routed(row) for row in rows]
    found = together(*rows)

    assert found.problems == ()
    assert [(c.low_ns, c.high_ns) for c in found.clocks] == [(1000 * US, 1050 * US)]


def test_dates_and_times_of_day_are_not_compared() -> None:
    """No clock can be read off packets of which one side has a date and the other none, when no day fits."""
    rows = [
        seen("a:eth0", 1_700_000_000e6, f"{CLIENT} > {MACHINE}", "S"),
        seen("b:eth0", 40e6, f"{CLIENT} > {MACHINE}", "S", clock_only=True),
    ]
    found = together(*rows)

    assert len(found.connections) == 2
    assert [(c.low_ns, c.high_ns) for c in found.clocks] == [(None, None)]


@pytest.mark.parametrize(
    ("low", "high", "corrected"),
    [(-30, -10, 1020), (None, 40, 960), (40, None, 960), (None, None, 1000), (-10, 10, 1000)],
)
def test_corrected_time(low: int | None, high: int | None, corrected: int) -> None:
    sighting = question("b:eth0", 0.0)
    sighting = replace(sighting, time_ns=1000)

    assert corrected_ns(sighting, (Clock("c", "a", 5, 5, ""), Clock("b", "a", low, high, ""))) == corrected
    assert (
        corrected_ns(replace(sighting, tap=question("a:x", 0).tap), (Clock("b", "a", low, high, ""),)) == 1000
    )


def mac_of(host: str, mac: str) -> Host:
    span = Span(f"hosts/{host}/addr.json", line=1)
    devices = Dump((Device("eth0", 1, Mac(mac), span),), span.file)
    return Host(host, {"root": Netns(host, "root", devices=devices)})


def test_the_sender_s_mac_tells_the_order_of_hosts() -> None:
    snapshot = Snapshot({"a": mac_of("a", "02:00:00:00:00:0a"), "b": mac_of("b", "02:00:00:00:00:0b")})
    frame = "02:00:00:00:00:0b > 02:00:00:00:00:0a"
    rows = [
        seen(f"{host}:eth0", time, f"{CLIENT} > {MACHINE}", "S", seq=ISN, macs=frame)
        for host, time in (("a", 0), ("b", 700))
    ]
    found = together(*rows, snapshot=snapshot)

    assert found.reference == "b"
    assert path(only(found).trajectories[0]) == ["b:eth0", "a:eth0"]
    assert [(c.host, c.low_ns, c.high_ns) for c in found.clocks] == [("a", None, -700 * US)]


def test_direction_tells_the_order_of_hosts() -> None:
    rows = [
        seen("a:any", 0, f"{CLIENT} > {MACHINE}", "S", seq=ISN, device="e", direction=Direction.IN),
        seen("b:any", 700, f"{CLIENT} > {MACHINE}", "S", seq=ISN, device="e", direction=Direction.OUT),
    ]

    assert path(only(together(*rows)).trajectories[0]) == ["b:any", "a:any"]


def test_round_trips_are_read_at_one_tap() -> None:
    rows = [
        seen("a:eth0", 0, f"{CLIENT} > {MACHINE}", "S", seq=ISN),
        seen("a:eth0", 4000, f"{MACHINE} > {CLIENT}", "S.", seq=ANSWER, ack=ISN + 1),
        seen("a:eth0", 4030, f"{CLIENT} > {MACHINE}", ".", seq=ISN + 1, ack=ANSWER + 1),
        seen("a:eth0", 5000, f"{CLIENT} > {MACHINE}", "P.", seq=ISN + 1, ack=ANSWER + 1, length=10),
        seen("a:eth0", 7500, f"{MACHINE} > {CLIENT}", ".", seq=ANSWER + 1, ack=ISN + 11),
    ]
    trips = round_trips(only(together(*rows)))

    assert [(str(t.tap), t.way.value, t.time_ns) for t in trips] == [
        ("a:eth0", "original", 4 * MS),
        ("a:eth0", "reply", 30 * US),
        ("a:eth0", "original", 2500 * US),
    ]


def test_a_packet_that_was_sent_twice_gives_no_round_trip() -> None:
    rows = [
        seen("a:eth0", 0, f"{CLIENT} > {MACHINE}", "S", seq=ISN),
        seen("a:eth0", 1_000_000, f"{CLIENT} > {MACHINE}", "S", seq=ISN),
        seen("a:eth0", 1_004_000, f"{MACHINE} > {CLIENT}", "S.", seq=ANSWER, ack=ISN + 1),
    ]

    assert round_trips(only(together(*rows))) == ()
