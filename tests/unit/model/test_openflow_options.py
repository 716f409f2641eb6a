"""Options of Geneve: what a flow sees of them, and what the other end of a tunnel gets."""

from __future__ import annotations

import pytest

from bothways.facts.dump import Dump
from bothways.facts.openflow import TunnelOption
from bothways.facts.span import Span
from bothways.model.openflow.field import KNOWN
from bothways.model.openflow.options import OTHERS, presence, received

ZERO, FIVE = "tun_metadata0", "tun_metadata5"


def options(*rows: tuple[int, int, int, str]) -> Dump[TunnelOption]:
    return Dump(tuple(TunnelOption(*row, Span("map", 1)) for row in rows), "map")


SENT = {ZERO: (0x20003, KNOWN), presence(ZERO): (1, KNOWN)}
OURS = options((0x102, 0x80, 4, ZERO))


@pytest.mark.parametrize(
    ("sent", "sender", "taker", "found"),
    [
        ({}, None, None, {}),
        (SENT, None, None, {ZERO: 0x20003}),
        (SENT, OURS, None, {ZERO: 0x20003}),
        (SENT, OURS, OURS, {ZERO: 0x20003}),
        (SENT, OURS, options((0x102, 0x80, 4, FIVE)), {FIVE: 0x20003}),
        (SENT, options((0x102, 1, 4, ZERO)), options((0x102, 2, 4, ZERO)), {}),
    ],
)
def test_what_the_other_end_gets(
    sent: dict[str, tuple[int, int]],
    sender: Dump[TunnelOption] | None,
    taker: Dump[TunnelOption] | None,
    found: dict[str, int],
) -> None:
    expected = {OTHERS: 0, **found, **{presence(name): 1 for name in found}}

    assert received(sent, sender, taker) == expected


@pytest.mark.parametrize(
    ("sent", "sender", "taker", "why"),
    [
        (SENT, OURS, options((0x102, 0x80, 8, ZERO)), "has 8 bytes for tun_metadata0"),
        (
            SENT,
            OURS,
            options((0x103, 0x80, 4, ZERO)),
            "lacks tun_metadata0, an option of class 0x102 and type",
        ),
        (SENT, options(), OURS, "does not say which option tun_metadata0 is"),
        ({ZERO: (1, 1), presence(ZERO): (1, KNOWN)}, OURS, OURS, "what is written to tun_metadata0"),
        ({presence(FIVE): (0, 0)}, OURS, OURS, "whether it has tun_metadata5"),
        ({OTHERS: (0, 0)}, OURS, OURS, "which options it came with"),
    ],
)
def test_why_nobody_knows_what_the_other_end_gets(
    sent: dict[str, tuple[int, int]],
    sender: Dump[TunnelOption] | None,
    taker: Dump[TunnelOption] | None,
    why: str,
) -> None:
    found = received(sent, sender, taker)

    assert isinstance(found, str)
    assert why in found
