"""One packet, one number: through translation, tunnels and buffers that are used again."""

from __future__ import annotations

import pytest

from bothways.trace.probe.life import Lives, known_ends
from bothways.trace.probe.packet import Packet, blank

SECOND = 1_000_000_000


def tcp(
    seq: int = 1, flags: str = "S", *, ip_id: int = 5, source: str = "192.0.2.1", port: int = 1000
) -> Packet:
    packet = blank(4)
    packet.update(
        protocol="tcp",
        source=source,
        source_port=port,
        destination="198.51.100.2",
        destination_port=22,
        seq=seq,
        ack=0,
        flags=flags,
        ip_id=ip_id,
    )
    return packet


def turned(packet: Packet, **changes: object) -> Packet:
    return {
        **packet,
        "source": packet["destination"],
        "source_port": packet["destination_port"],
        "destination": packet["source"],
        "destination_port": packet["source_port"],
        **changes,
    }


def around(packet: Packet) -> Packet:
    outer = blank(4)
    outer.update(protocol="udp", source="10.0.0.1", destination="10.0.0.2", vni=7, ip_id=99, inner=packet)
    return outer


@pytest.mark.parametrize(
    ("then", "same"),
    [
        (tcp(), True),
        (tcp(source="10.9.9.9", port=4), True),  # translated
        (around(tcp()), True),  # encapsulated
        (None, True),  # a probe that shows no headers
        (tcp(seq=2), False),
        (tcp(ip_id=6), False),
        (around(tcp(seq=2)), False),
        ({**blank(4), "protocol": "icmp", "ip_id": 5}, False),
    ],
)
def test_a_buffer_is_the_same_packet_while_its_headers_agree(then: Packet | None, *, same: bool) -> None:
    lives = Lives()
    first = lives.get(0xA, tcp(), 1)
    assert (lives.get(0xA, then, 2).number == first.number) == same


def test_a_buffer_that_was_freed_begins_another_life() -> None:
    lives = Lives()
    first = lives.get(0xA, tcp(), 1).number
    lives.end(0xA)
    assert lives.get(0xA, tcp(), 2).number != first


def test_what_a_packet_was_before_is_kept_for_the_event_after() -> None:
    lives = Lives()
    lives.get(0xA, tcp(), 1)
    assert lives.get(0xA, tcp(), 2).before is None
    life = lives.get(0xA, tcp(source="10.9.9.9"), 3)
    assert life.before is not None
    assert life.before["source"] == "192.0.2.1"
    assert lives.get(0xA, tcp(source="10.9.9.9"), 4).before is None


def test_headers_that_are_not_shown_count_for_nothing() -> None:
    lives = Lives()
    known = lives.get(0xA, {**tcp(), "seq": None, "ack": None}, 1)
    assert lives.get(0xA, tcp(), 2).number == known.number


def test_a_reset_is_linked_to_what_it_answers() -> None:
    lives = Lives()
    ack = lives.get(0xA, tcp(flags="."), 1)
    lives.answered(ack, 2)
    assert lives.get(0xB, turned(tcp(seq=9, flags="R")), 3).provoked_by == ack.number


def test_an_error_is_linked_to_what_it_quotes() -> None:
    lives = Lives()
    syn = lives.get(0xA, tcp(), 1)
    lives.answered(syn, 2)
    error = {
        **blank(4),
        "protocol": "icmp",
        "source": "10.0.0.1",
        "destination": "192.0.2.1",
        "quoted": tcp(),
    }
    assert lives.get(0xB, error, 3).provoked_by == syn.number


@pytest.mark.parametrize(
    ("answer", "later"),
    [
        (turned(tcp(flags="R"), source_port=23), 3),
        (turned(tcp(flags=".")), 3),
        (turned(tcp(flags="R")), 3 + 2 * SECOND),
    ],
)
def test_what_is_no_answer_is_not_linked(answer: Packet, later: int) -> None:
    lives = Lives()
    lives.answered(lives.get(0xA, tcp(flags="."), 1), 2)
    assert lives.get(0xB, answer, later).provoked_by is None


@pytest.mark.parametrize(
    ("length", "later", "fresh", "same"),
    [
        (60, 1000, False, True),
        (None, 1000, False, True),
        (61, 1000, False, False),
        (60, SECOND, False, False),
        (60, 1000, True, False),
    ],
)
def test_a_packet_without_headers_is_rather_two_than_one(
    length: int | None, later: int, *, fresh: bool, same: bool
) -> None:
    lives = Lives()
    first = lives.get_blind(0xA, 60, 1, fresh=False)
    assert (lives.get_blind(0xA, length, later, fresh=fresh).number == first.number) == same


def test_old_lives_are_forgotten() -> None:
    lives = Lives()
    first = lives.get(1, tcp(), 1).number
    for skb in range(2, 70_000):
        lives.get(skb, None, 1)
    assert lives.get(1, tcp(), 2).number != first


def test_a_connection_is_known_by_both_ends_in_no_order() -> None:
    assert known_ends(tcp()) == known_ends(turned(tcp()))
    assert known_ends({**tcp(), "source_port": None}) is None
