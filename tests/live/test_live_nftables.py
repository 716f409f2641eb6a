"""
Random native rulesets: nft says the same in words and as JSON, and the model does what the kernel does.

The router, its neighbours and the comparison are those of `conform netfilter`; here the rules are native
alone, and use sets, maps, concatenations, raw payloads and bits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

import pytest

from bothways.capture.compose_frame import compose_frame
from bothways.conform.netfilter_bed import NetfilterBed, RefusedError
from bothways.conform.netfilter_case import Sent, Setting
from bothways.conform.netfilter_comparison import decoded
from bothways.conform.netfilter_live import asked_again
from bothways.conform.netfilter_traffic import FilterTraffic
from bothways.conform.nft_draw import drawn_ruleset
from bothways.facts.nft import NftRule, NftTable
from bothways.facts.nft_action import Opaque
from bothways.parse.nft_text import parse_nft

pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "nft", "iptables")]

PACKETS = 10
#: Neighbours that do not live, and packets that come back through `lo`: other tests hold these.
ELSEWHERE = ("arp", "device")


@pytest.fixture(scope="module")
def bed() -> Iterator[NetfilterBed]:
    made = NetfilterBed(f"bwnt{os.getpid()}")
    try:
        yield made
    finally:
        made.close()


def rules_of(table: NftTable) -> dict[str, tuple[NftRule, ...]]:
    return {name: chain.rules for name, chain in table.chains.items()}


def said(bed: NetfilterBed, form: int) -> NftTable:
    parsed = parse_nft(bed.dumps(dict.fromkeys(range(9), form))["nft.txt"], file="nft")
    assert parsed.problems == ()
    (table,) = [row for row in parsed.rows if isinstance(row, NftTable) and row.name == "broad"]
    return table


def loaded(bed: NetfilterBed, seed: int) -> tuple[Setting, int, Random]:
    """A ruleset that nft takes."""
    for attempt in range(20):
        chance = Random(seed * 1000 + attempt)  # noqa: S311 (a test)
        version = 6 if seed % 4 == 3 else 4
        chains, lines = drawn_ruleset(chance, version)
        setting = Setting(tuple(chains), tuple(lines))
        try:
            bed.load(setting)
        except RefusedError:
            continue
        return setting, version, chance
    pytest.fail("nft takes nothing of what is drawn")


@pytest.mark.parametrize("seed", range(16))
def test_words_and_json_are_the_same_ruleset(bed: NetfilterBed, seed: int) -> None:
    loaded(bed, seed)
    words, objects = said(bed, 0), said(bed, 1)

    assert [[s.does for r in rules for s in r.statements] for rules in rules_of(words).values()] == [
        [s.does for r in rules for s in r.statements] for rules in rules_of(objects).values()
    ]
    assert {name: (s.key, s.data, set(s.elements)) for name, s in words.sets.items()} == {
        name: (s.key, s.data, set(s.elements)) for name, s in objects.sets.items()
    }
    assert [(c.name, c.kind, c.hook, c.priority, c.policy) for c in words.chains.values()] == [
        (c.name, c.kind, c.hook, c.priority, c.policy) for c in objects.chains.values()
    ]
    every = [rule for t in (words, objects) for rules in rules_of(t).values() for rule in rules]
    assert not [s.text for rule in every for s in rule.statements if isinstance(s.does, Opaque)]


@pytest.mark.parametrize("seed", range(100, 124))
def test_packets_fare_as_the_kernel_lets_them(bed: NetfilterBed, seed: int) -> None:
    setting, version, chance = loaded(bed, seed)
    traffic = FilterTraffic(chance, version, bed.macs)
    sent = []
    for _ in range(PACKETS):
        leg, packet = traffic.next()
        if "255" not in str(packet):
            sent.append(Sent(leg, compose_frame(packet)))
    asked = asked_again(bed, setting, {6: seed % 2}, f"nft/{seed}", sent)
    if asked.held[-1].field == "entry":  # the kernel takes the tracker of the ruleset before away late
        asked = asked_again(bed, setting, {6: seed % 2}, f"nft/{seed}", sent)
    last = asked.held[-1]

    if any(step.function == "loopback_xmit" for step in last.steps):
        return
    assert not last.field or last.field in ELSEWHERE, (
        asked.case.dumps["nft.txt"],
        [str(decoded(one.frame)) for one in asked.case.sent],
        last.kernel,
        last.model,
    )
