"""Nouns that are built quickly are frozen dataclasses like any other."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pytest

from bothways.facts.address import Endpoint, address
from bothways.facts.conntrack import Tuple
from bothways.facts.packet import TCP, UDP, Arp, Ethernet, Flag, Icmp, Ip, Packet, Tcp, TcpOptions, Udp
from bothways.facts.quick import quick

A, B, C = address("192.0.2.1"), address("192.0.2.2"), address("2001:db8::1")
IP = Ip(A, B, TCP, 64, 7, 3, df=True, more=True, offset=8)
SEGMENT = Tcp(
    1, 2, Flag.ACK, 3, 4, 5, 6, TcpOptions(1, 2, sack_ok=True, size=8), relative=True, checksum_ok=False,
    header_ok=True,
)  # fmt: skip
NOUNS = [IP, SEGMENT, SEGMENT.options, Packet(ip=IP, tcp=SEGMENT), Endpoint(A, 22), Tuple(TCP, A, B, 1, 2)]


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: type(noun).__name__)
def test_a_noun_is_frozen_and_itself(noun: Packet) -> None:
    name = fields(noun)[0].name
    with pytest.raises(AttributeError, match="immutable"):
        setattr(noun, name, None)
    assert copy.deepcopy(noun) == noun
    assert pickle.loads(pickle.dumps(noun)) == noun  # noqa: S301 (our own)
    assert replace(noun) == noun
    assert hash(replace(noun)) == hash(noun)
    assert repr(noun).startswith(f"{type(noun).__name__}({name}=")


def test_names_and_defaults_of_the_signature_stay() -> None:
    @quick
    @dataclass(frozen=True, slots=True)
    class Noun:
        one: int
        other: str = "as before"

    assert list(inspect.signature(Noun).parameters) == ["one", "other"]
    assert Noun(1) == Noun(one=1, other="as before")
    with pytest.raises(TypeError, match="one"):
        Noun()  # type: ignore[call-arg]  # that is what is tried


def test_a_default_that_is_made_anew_is_made_anew() -> None:
    @quick
    @dataclass(frozen=True, slots=True)
    class Noun:
        many: list[int] = field(default_factory=list)

    assert Noun() == Noun([])
    assert Noun().many is not Noun().many


def test_a_field_that_does_not_count_does_not_count() -> None:
    @quick
    @dataclass(frozen=True, slots=True, order=True)
    class Noun:
        one: int
        place: str = field(default="", compare=False)

    assert Noun(1, "here") == Noun(1, "there")
    assert not Noun(1, "here") != Noun(1, "there")  # noqa: SIM202 (that is what is tried)
    assert hash(Noun(1, "here")) == hash(Noun(1, "there"))
    assert not Noun(1, "here") < Noun(1, "there")
    assert Noun(1, "there") < Noun(2, "here")


def test_what_does_more_than_set_fields_is_refused() -> None:
    @dataclass(frozen=True, slots=True)
    class Noun:
        one: int

        def __post_init__(self) -> None:
            assert self.one

    @dataclass(slots=True)
    class Thawed:
        one: int

    @dataclass(frozen=True, slots=True)
    class Below(Noun):
        pass

    with pytest.raises(TypeError, match=r"Noun\.one"):
        quick(Noun)
    with pytest.raises(TypeError, match="frozen"):
        quick(Thawed)
    with pytest.raises(TypeError, match="above"):
        quick(Below)


@pytest.mark.parametrize(
    "transport", [{"tcp": SEGMENT}, {"udp": Udp(1, 2, 3)}, {"icmp": Icmp(8, 0, 7, 1)}, {}]
)
@pytest.mark.parametrize("end", [Endpoint(C, 99), Endpoint(C), Endpoint(A, 99)])
@pytest.mark.parametrize("sending", [True, False], ids=["source", "destination"])
def test_a_new_address_leaves_everything_else(
    *, transport: dict[str, Any], end: Endpoint, sending: bool
) -> None:
    """Readdressing is written out field by field, so a new field of a packet has to be found here."""
    arp = Arp(1, Ethernet().src, A, Ethernet().dst, B)
    packet = Packet(Ethernet(type=5, vlan=4), IP, arp, length=77, **transport)
    assert all(getattr(IP, each.name) != each.default for each in fields(IP))
    assert all(getattr(SEGMENT, each.name) != each.default for each in fields(SEGMENT))

    moved = packet.with_source(end) if sending else packet.with_destination(end)

    new: dict[str, Any] = {}
    side, port = ("src", "sport") if sending else ("dst", "dport")
    new[side] = end.address
    assert moved.ip == replace(IP, **new)
    for name in ("tcp", "udp"):
        before, after = getattr(packet, name), getattr(moved, name)
        assert after == (
            before if before is None or end.port is None else replace(before, **{port: end.port})
        )
    assert replace(moved, ip=IP, tcp=packet.tcp, udp=packet.udp) == packet


def test_an_address_that_is_there_already_changes_nothing() -> None:
    packet = Packet(ip=IP, tcp=SEGMENT)

    assert packet.with_source(Endpoint(A, 1)) is packet
    assert packet.with_destination(Endpoint(B)) is packet
    assert packet.with_source(Endpoint(A, 2)) != packet


def test_tuples_hash_by_their_numbers() -> None:
    one = Tuple(UDP, A, B, 1, 2)

    assert hash(one) == hash(Tuple(UDP, address("192.0.2.1"), B, 1, 2))
    assert len({one, Tuple(UDP, B, A, 1, 2), Tuple(TCP, A, B, 1, 2), Tuple(UDP, A, B, 2, 1)}) == 4
