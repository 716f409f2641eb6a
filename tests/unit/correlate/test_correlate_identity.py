"""Which sightings are one packet, and which packets one connection."""

from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from correlate_samples import (
    admit_all,
    captures,
    datagram,
    echo,
    end,
    only,
    path,
    seen,
    together,
)

from bothways.correlate import correlate, find
from bothways.facts.address import address
from bothways.facts.dump import Dump
from bothways.facts.iptables import AddressRange, Chain, Rule, Table, Target
from bothways.facts.iptables import Match as RuleMatch
from bothways.facts.question import Question
from bothways.facts.sighting import Direction, Sighting
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.facts.span import Span
from bothways.facts.trajectory import Match, Way

CLIENT, FLOATING, MACHINE = "192.0.2.9:40000", "203.0.113.5:22", "10.0.0.4:22"
ISN, ANSWER = 3_000_000_000, 1_234_567_890


def handshake(
    at: str,
    start: float,
    client: str,
    server: str,
    isn: int = ISN,
    answer: int = ANSWER,
    *,
    ttl: int | None = None,
) -> Iterator[Sighting]:
    """SYN, SYN/ACK and ACK at one tap, a millisecond apart."""
    yield seen(at, start, f"{client} > {server}", "S", seq=isn, ttl=ttl)
    yield seen(at, start + 1000, f"{server} > {client}", "S.", seq=answer, ack=isn + 1, ttl=ttl)
    yield seen(at, start + 2000, f"{client} > {server}", ".", seq=isn + 1, ack=answer + 1, ttl=ttl)


def test_one_packet_on_both_sides_of_a_translation() -> None:
    found = together(
        *handshake("gw:out", 0, CLIENT, FLOATING, ttl=64),
        *handshake("gw:in", 50, CLIENT, MACHINE, ttl=63),
    )
    connection = only(found)

    assert (connection.client, connection.server) == (end(CLIENT), end(FLOATING))
    assert connection.server_names == (end(FLOATING), end(MACHINE))
    assert [len(t.sightings) for t in connection.trajectories] == [2, 2, 2]
    assert {t.match for t in connection.trajectories} == {Match.EXACT}
    assert [t.way for t in connection.trajectories] == [Way.ORIGINAL, Way.REPLY, Way.ORIGINAL]
    assert connection.sightings == 6


def test_masquerading_changes_address_and_port_and_numbers_hold_it_together() -> None:
    connection = only(
        together(
            *handshake("gw:in", 0, "10.0.0.9:40000", "203.0.113.80:443"),
            *handshake("gw:out", 40, "198.51.100.1:61234", "203.0.113.80:443"),
        )
    )

    assert connection.client == end("10.0.0.9:40000")
    assert connection.client_names == (end("10.0.0.9:40000"), end("198.51.100.1:61234"))


def test_clients_behind_one_address_stay_apart() -> None:
    sightings: list[Sighting] = []
    for number in range(5):
        isn, answer = ISN + number * 1_000_003, ANSWER + number * 2_000_003
        inside, outside = f"10.0.0.{number + 1}:40000", f"198.51.100.1:{50000 + number}"
        sightings += handshake("gw:in", number * 100, inside, "203.0.113.80:443", isn, answer)
        sightings += handshake("gw:out", number * 100 + 30, outside, "203.0.113.80:443", isn, answer)

    connections = together(*sightings).connections

    assert [c.client for c in connections] == [end(f"10.0.0.{n + 1}:40000") for n in range(5)]
    assert {len(c.client_names) for c in connections} == {2}


@pytest.mark.parametrize("kind", ["numbers", "text"])
def test_a_connection_to_the_machine_itself_is_another_one(kind: str) -> None:
    """The look-alike: the same client speaks to the floating address and to the machine, at once."""

    def talk(at: str, start: float, client: str, server: str, isn: int) -> list[Sighting]:
        if kind == "numbers":
            return list(handshake(at, start, client, server, isn, isn + 7_000_000))
        return [
            seen(at, start, f"{client} > {server}", "S", clock_only=True),
            seen(at, start + 1000, f"{server} > {client}", "S.", clock_only=True),
            seen(at, start + 2000, f"{client} > {server}", ".", clock_only=True),
        ]

    other = "192.0.2.9:40001"
    found = together(
        *talk("gw:out", 0, CLIENT, FLOATING, ISN),
        *talk("gw:out", 10, other, MACHINE, ISN + 5_000_000),
        *talk("gw:in", 60, CLIENT, MACHINE, ISN),
        *talk("gw:in", 70, other, MACHINE, ISN + 5_000_000),
    )

    assert [(c.client, c.server, c.sightings) for c in found.connections] == [
        (end(CLIENT), end(FLOATING), 6),
        (end(other), end(MACHINE), 6),
    ]


def test_numbers_that_every_connection_shares_join_nothing() -> None:
    """Captures made by hand often start every connection with the same small number."""
    found = together(
        *handshake("h:eth0", 0, "192.0.2.9:1111", FLOATING, 1000, 5000),
        *handshake("h:eth0", 100, "192.0.2.9:2222", MACHINE, 1000, 5000),
        *handshake("h:eth0", 200, "192.0.2.8:1111", FLOATING, 1000, 5000),
    )

    assert len(found.connections) == 3


def test_one_device_shows_a_packet_under_one_name() -> None:
    """Two connections whose numbers are equal and large, at the same device with the same sender and TTL."""
    rows = [
        *handshake("h:eth0", 0, CLIENT, FLOATING, ttl=64),
        *handshake("h:eth0", 100, CLIENT, MACHINE, ttl=64),
    ]
    rows = [
        seen(
            "h:eth0",
            s.time_ns / 1000,
            f"{s.packet.source} > {s.packet.destination}",
            "S",
            seq=ISN,
            ttl=64,
            macs="02:00:00:00:00:01 > 02:00:00:00:00:02",
        )
        for s in rows[::3]
    ]

    assert len(together(*rows).connections) == 2


def test_a_one_armed_router_shows_a_packet_twice_at_one_device() -> None:
    connection = only(
        together(
            seen("gw:eth0", 0, f"{CLIENT} > {FLOATING}", "S", seq=ISN, ttl=64, macs="a > b"),
            seen("gw:eth0", 9, f"{CLIENT} > {MACHINE}", "S", seq=ISN, ttl=63, macs="b > c"),
        )
    )

    assert [s.packet.destination for s in connection.trajectories[0].sightings] == [
        end(FLOATING),
        end(MACHINE),
    ]


def test_the_same_ports_used_again_are_another_connection() -> None:
    again = (ISN + 900_000_000) % 2**32
    found = together(
        *handshake("h:eth0", 0, CLIENT, MACHINE),
        seen("h:eth0", 3000, f"{CLIENT} > {MACHINE}", "R", seq=ISN + 1),
        *handshake("h:eth0", 500_000, CLIENT, MACHINE, again, ANSWER + 5_000_000),
        *handshake("g:eth0", 100, CLIENT, MACHINE),
        *handshake("g:eth0", 500_100, CLIENT, MACHINE, again, ANSWER + 5_000_000),
    )

    assert [c.sightings for c in found.connections] == [7, 6]


def test_text_without_numbers_that_opens_again_is_another_connection() -> None:
    rows = []
    for start in (0, 5_000_000):
        for at, late in (("h:eth0", 0), ("g:eth0", 300)):
            rows += [
                seen(at, start + late, f"{CLIENT} > {MACHINE}", "S", clock_only=True),
                seen(at, start + late + 500, f"{MACHINE} > {CLIENT}", "R.", clock_only=True),
            ]

    assert [c.sightings for c in together(*rows).connections] == [4, 4]


def test_retransmissions_are_told_apart_and_counted() -> None:
    """A SYN/ACK whose time stamp option and IP identification say nothing: time parts its transmissions."""
    rows = []
    for at, late in (("a:eth0", 0), ("b:eth0", 200)):
        rows.append(seen(at, late, f"{CLIENT} > {MACHINE}", "S", seq=ISN))
        rows += [
            seen(at, 1000 - late + n * 1_000_000, f"{MACHINE} > {CLIENT}", "S.", seq=ANSWER, ack=ISN + 1)
            for n in range(3)
        ]
    trajectories = only(together(*rows)).trajectories

    assert [(t.ordinal, t.retransmission_of, len(t.sightings)) for t in trajectories] == [
        (1, None, 2),
        (1, None, 2),
        (2, 1, 2),
        (3, 1, 2),
    ]


def test_a_retransmission_that_was_lost_on_the_way_is_matched_by_time() -> None:
    rows = [seen("a:eth0", n * 1_000_000, f"{CLIENT} > {MACHINE}", "S", seq=ISN) for n in (0, 1, 3)]
    rows += [seen("b:eth0", n * 1_000_000 + 400, f"{CLIENT} > {MACHINE}", "S", seq=ISN) for n in (1, 3)]
    trajectories = only(together(*rows)).trajectories

    assert [sorted(path(t)) for t in trajectories] == [["a:eth0"], ["a:eth0", "b:eth0"], ["a:eth0", "b:eth0"]]


def test_identification_parts_acknowledgements_that_look_alike() -> None:
    rows = [
        seen(at, late + n * 20, f"{CLIENT} > {MACHINE}", ".", seq=ISN, ack=ANSWER, ident=100 + n)
        for at, late in (("a:eth0", 0), ("b:eth0", 300))
        for n in range(4)
    ]
    trajectories = only(together(*rows)).trajectories

    assert [len(t.sightings) for t in trajectories] == [2, 2, 2, 2]
    assert [t.retransmission_of for t in trajectories] == [None] * 4


def test_doubles_of_a_capture_of_all_devices_are_folded() -> None:
    connection = only(
        together(
            seen("h:any", 0, f"{MACHINE} > {CLIENT}", "S.", clock_only=True),
            seen("h:any", 53, f"{MACHINE} > {CLIENT}", "S.", clock_only=True),
            seen("h:any", 1_200_000, f"{MACHINE} > {CLIENT}", "S.", clock_only=True),
            seen("h:any", 1_200_000, f"{MACHINE} > {CLIENT}", "S.", clock_only=True),
        )
    )

    assert [(len(t.sightings), len(t.doubles), t.retransmission_of) for t in connection.trajectories] == [
        (2, 1, None),
        (2, 1, 1),
    ]
    assert all(d in t.sightings for t in connection.trajectories for d in t.doubles)


def test_the_copy_inside_a_tunnel_is_the_same_packet() -> None:
    connection = only(
        together(
            seen("a:tap", 0, f"{CLIENT} > {MACHINE}", "S", seq=ISN),
            seen("a:eth1", 30, f"{CLIENT} > {MACHINE}", "S", seq=ISN, tunnel="10.1.0.1 > 10.1.0.2"),
            seen("b:eth1", 90, f"{CLIENT} > {MACHINE}", "S", seq=ISN, tunnel="10.1.0.1 > 10.1.0.2"),
            seen("b:tap", 130, f"{CLIENT} > {MACHINE}", "S", seq=ISN),
        )
    )

    assert path(connection.trajectories[0]) == ["a:tap", "a:eth1", "b:eth1", "b:tap"]


def test_text_is_joined_through_a_translation_by_flags_and_time() -> None:
    connection = only(
        together(
            seen("h/r:qg", 10, f"{CLIENT} > {FLOATING}", "S", clock_only=True),
            seen("h/r:qg", 5000, f"{CLIENT} > {FLOATING}", ".", clock_only=True),
            seen("h/r:qg", 5010, f"{FLOATING} > {CLIENT}", "R", clock_only=True),
            seen("h/r:qr", 40, f"{CLIENT} > {MACHINE}", "S", clock_only=True),
        )
    )

    assert (connection.server, {t.match for t in connection.trajectories}) == (
        end(FLOATING),
        {Match.INFERRED},
    )
    assert path(connection.trajectories[0]) == ["h/r:qg", "h/r:qr"]


def rule_for(old: str, new: str) -> Snapshot:
    span = Span("iptables-save.txt", line=1)
    target = Target("DNAT", {"to-destination": AddressRange(address(new), address(new))})
    rule = Rule("nat", "PREROUTING", (RuleMatch("destination", ip_network(old)),), target, span)
    table = Table("nat", {"PREROUTING": Chain("PREROUTING", "ACCEPT", (rule,), span)}, span)
    netns = Netns("h", "r", iptables=Dump((table,), "iptables-save.txt"))
    return Snapshot({"h": Host("h", {"r": netns})})


@pytest.mark.parametrize(("rule", "connections"), [("10.0.0.4", [2]), (None, [1, 1])])
def test_two_hosts_without_numbers_need_a_dump_that_names_the_translation(
    rule: str | None, connections: list[int]
) -> None:
    found = together(
        seen("a:eth0", 0, f"{CLIENT} > {FLOATING}", "S", clock_only=True),
        seen("b:tap", 600, f"{CLIENT} > {MACHINE}", "S", clock_only=True),
        snapshot=None if rule is None else rule_for("203.0.113.5", rule),
    )

    assert [c.sightings for c in found.connections] == connections


def test_text_takes_the_date_of_a_capture_that_shows_the_same_packets() -> None:
    """The host's zone is two hours ahead of UTC, in which captures count."""
    noon = 1_700_000_000 // 86400 * 86400 + 12 * 3600
    dated = handshake("h:eth0", noon * 1e6, CLIENT, FLOATING)
    text = handshake("h/r:qr", 14 * 3600 * 1e6 + 40, CLIENT, MACHINE)
    timeless = [
        seen(
            "h/r:qr",
            s.time_ns / 1000,
            f"{s.packet.source} > {s.packet.destination}",
            "S" if i == 0 else "S." if i == 1 else ".",
            seq=s.packet.tcp.seq if s.packet.tcp else None,
            ack=s.packet.tcp.ack if s.packet.tcp else None,
            clock_only=True,
        )
        for i, s in enumerate(text)
    ]
    connection = only(together(*dated, *timeless))

    assert [path(t) for t in connection.trajectories] == [
        ["h:eth0", "h/r:qr"],
        ["h/r:qr", "h:eth0"],
        ["h:eth0", "h/r:qr"],
    ]
    assert not any(s.clock_only for t in connection.trajectories for s in t.sightings)


@pytest.mark.parametrize(
    ("apart_s", "connections"), [(0.3, 1), (3600, 2), (86400, 2)], ids=["same run", "an hour", "a day"]
)
def test_captures_of_different_runs_are_not_joined(apart_s: float, connections: int) -> None:
    """Dated text without numbers, the same ports at two hosts."""
    found = together(
        seen("a:eth0", 0, f"{CLIENT} > {MACHINE}", "S"),
        seen("b:eth0", apart_s * 1e6, f"{CLIENT} > {MACHINE}", "S"),
    )

    assert len(found.connections) == connections


def test_not_even_numbers_join_captures_of_different_days() -> None:
    found = together(
        *handshake("a:eth0", 0, CLIENT, MACHINE), *handshake("b:eth0", 86_400e6, CLIENT, MACHINE)
    )

    assert len(found.connections) == 2


def test_a_capture_that_began_after_midnight_is_of_the_same_night() -> None:
    day = 86_400e6
    found = together(
        seen("a:eth0", day - 500, f"{CLIENT} > {MACHINE}", "S", clock_only=True),
        seen("a:eth0", day + 900, f"{MACHINE} > {CLIENT}", "S.", clock_only=True),
        seen("a:eth1", 600, f"{MACHINE} > {CLIENT}", "S.", clock_only=True),
        seen("b:eth0", 500, f"{MACHINE} > {CLIENT}", "S.", clock_only=True),
    )

    assert [sorted(path(t)) for t in only(found).trajectories] == [["a:eth0"], ["a:eth0", "a:eth1", "b:eth0"]]


def test_roles_of_a_connection_that_nobody_saw_begin() -> None:
    found = together(
        seen("a:eth0", 0, f"{MACHINE} > {CLIENT}", "P.", seq=ANSWER, ack=ISN, length=9),
        seen("a:eth0", 300, f"{CLIENT} > {MACHINE}", ".", seq=ISN, ack=ANSWER + 9),
    )
    connection = only(found)

    assert (connection.client, connection.server) == (end(CLIENT), end(MACHINE))
    assert [t.way for t in connection.trajectories] == [Way.REPLY, Way.ORIGINAL]


def test_datagrams_and_echoes_make_connections_too() -> None:
    found = together(
        datagram("a:eth0", 0, "10.0.0.1:5353 > 10.0.0.2:53"),
        datagram("a:eth0", 400, "10.0.0.2:53 > 10.0.0.1:5353"),
        echo("a:eth0", 1000, "10.0.0.1 > 10.0.0.2", reply=False, ident=7, seq=1),
        echo("a:eth0", 1400, "10.0.0.2 > 10.0.0.1", reply=True, ident=7, seq=1),
        echo("b:eth0", 1200, "10.0.0.1 > 10.0.0.2", reply=False, ident=7, seq=1),
        echo("a:eth0", 1900, "10.0.0.1 > 10.0.0.2", reply=False, ident=8, seq=1),
    )

    assert [(c.protocol, str(c.client), c.sightings) for c in found.connections] == [
        (17, "10.0.0.1:5353", 2),
        (1, "10.0.0.1", 3),
        (1, "10.0.0.1", 1),
    ]


@pytest.mark.parametrize(
    ("protocol", "source", "port", "destination", "service", "expected"),
    [
        ("tcp", "192.0.2.9", None, "203.0.113.5", 22, 0),
        ("tcp", "192.0.2.9", None, "203.0.113.5", None, 0),
        ("tcp", "192.0.2.9", 40000, "10.0.0.4", 22, 0),
        ("tcp", "192.0.2.9", 40001, "10.0.0.4", 22, 1),
        ("tcp", "192.0.2.9", None, "10.0.0.4", 22, 1),  # who addressed it by that name comes first
        ("tcp", "192.0.2.9", None, "10.0.0.4", 23, None),
        ("udp", "192.0.2.9", None, "10.0.0.4", 22, None),
    ],
)
def test_find_by_any_name(
    protocol: str, source: str, port: int | None, destination: str, service: int | None, expected: int | None
) -> None:
    connections = together(
        *handshake("gw:out", 0, CLIENT, FLOATING),
        *handshake("gw:in", 50, CLIENT, MACHINE),
        *handshake("gw:in", 90, "192.0.2.9:40001", MACHINE, ISN + 77_000, ANSWER + 77_000),
    ).connections
    question = Question(protocol, address(source), address(destination), service, port)

    assert find(connections, question) == (None if expected is None else connections[expected])


def test_directions_order_taps_that_are_stamped_too_close_to_tell() -> None:
    rows = [
        seen("h:any", 20, f"{CLIENT} > {MACHINE}", "S", seq=ISN, device="eth0", direction=Direction.IN),
        seen("h:any", 10, f"{CLIENT} > {MACHINE}", "S", seq=ISN, device="tap", direction=Direction.OUT),
    ]
    trajectory = only(together(*rows)).trajectories[0]

    assert [s.device for s in trajectory.sightings] == ["eth0", "tap"]


def test_no_packets_make_no_connections() -> None:
    found = correlate(captures([]), snapshot=Snapshot(), admits=admit_all)

    assert (found.connections, found.clocks, found.problems, found.reference) == ((), (), (), "")
