"""
A change of what the tracker and NAT do with UDP, ICMP, errors and zones must be found by a replay.

Each row of the tables of ICMP, and each rule of the other protocols' trackers, is changed by itself; a
recording of a kernel must then disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bothways.conform.recording import Case, read_recording
from bothways.conform.replay import hold
from bothways.facts.packet import ICMP, ICMP6, UDP
from bothways.model.linux.conntrack import checksum, icmp, protocol, related, table, udp, variant
from bothways.model.linux.conntrack import tuple as tuples
from bothways.model.linux.conntrack.arrival import Ruled
from bothways.model.linux.conntrack.protocol import generic_packet as generic
from bothways.model.linux.conntrack.udp import UDPLITE
from bothways.model.linux.nat import translation
from bothways.model.linux.nat.target import Side

DATA = Path(__file__).parent / "data"
RECORDED = ("conntrack-mixed-6.18.jsonl.gz", "conntrack-links-6.18.jsonl.gz")
Change = Callable[[pytest.MonkeyPatch], None]


class Nowhere:
    PREROUTING = None


@cache
def recorded() -> tuple[Case, ...]:
    return tuple(case for name in RECORDED for case in read_recording(DATA / name))


def disagrees() -> bool:
    return any(hold(case, kernel="6.18.44")[1] is not None for case in recorded())


def without(table_of: Any, key: int, row: int) -> Change:
    """A row of a table of ICMP types is not there."""

    def change(patch: pytest.MonkeyPatch) -> None:
        rows = table_of[key]
        left = {k: v for k, v in rows.items() if k != row} if isinstance(rows, dict) else rows - {row}
        patch.setitem(table_of, key, left)

    return change


def put(module: Any, name: str, value: object) -> Change:
    return lambda patch: patch.setattr(module, name, value)


def as_variant(**changed: object) -> Change:
    return lambda patch: patch.setattr(
        table,
        "variant_of",
        lambda _release: replace(variant.VARIANTS[0], **changed),  # type: ignore[arg-type]
    )


ROWS = {
    f"{name} {row}": without(tuples.ICMP_QUERIES, key, row)
    for key, name in ((ICMP, "query"), (ICMP6, "query of ICMPv6"))
    for row in tuples.ICMP_QUERIES[key]
} | {f"error {row}": without(tuples.ICMP_ERRORS, ICMP, row) for row in tuples.ICMP_ERRORS[ICMP]}


def tracked_by(number: int, tracker: Callable[..., Ruled]) -> Change:
    """Another tracker for one protocol."""
    return put(table, "PROTOCOLS", {**protocol.PROTOCOLS, number: tracker})


CHANGES: dict[str, Change] = ROWS | {
    "any message of ICMP opens a connection": tracked_by(ICMP, generic),
    "any message of ICMPv6 opens a connection": tracked_by(ICMP6, generic),
    "UDP is like any protocol": tracked_by(UDP, generic),
    "UDP-Lite is UDP": tracked_by(UDPLITE, udp.udp_packet),
    "UDP is UDP-Lite": tracked_by(UDP, udp.udplite_packet),
    "UDP is a stream at once": as_variant(stream_after_ns=0),
    "UDP is ASSURED before it is a stream": as_variant(assured_as_stream=False),
    "a UDP header that is cut is sound": put(udp, "_damaged", lambda _arrival: None),
    "damage counts nowhere": put(checksum, "Hook", Nowhere),
    "messages of the link are tracked": put(icmp, "_OF_THE_LINK", frozenset()),
    "messages to multicast routers are tracked": as_variant(multicast_routers_untracked=False),
    "a redirect of ICMPv6 may come from far": put(icmp, "_redirect", lambda *_: icmp._AN_ERROR),  # noqa: SLF001
    "an unknown ICMP type is a query": put(icmp, "_HIGHEST", 255),
    "an error may go to anybody": put(related, "tuple_of", lambda _packet: None),
    "an error is not turned round": put(related, "inverse", lambda one: one),
    "zones do not count": put(table, "zone_in", lambda *_: 0),
    "a zone of one direction is one of both": put(table, "zones_to_try", lambda zone, _half: (zone,)),
    "an error is not translated": put(
        translation, "_error", lambda _c, _w, _s, packet: translation.Translation(packet)
    ),
    "an answer is not translated back": put(translation, "_OTHER", {side: side for side in Side}),
    "a query's id is a port": put(tuples, "_ANSWERED_BY", {}),
}


def test_without_a_change_all_agree() -> None:
    assert not disagrees()


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    CHANGES[name](monkeypatch)

    assert disagrees()
