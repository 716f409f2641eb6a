"""
Every row by itself: fields of nft, selectors of policy rules, priorities of tables.

The recording is our own: one small ruleset for each row, with the packets that Linux 6.18 got, up to the one
that tells the row from another one. The id of a case names the changes that it must notice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from netfilter_changes import Change, at_priority, misread, set_to, unset, unwritten, without_stage

from bothways.conform.netfilter_case import NetfilterCase
from bothways.conform.netfilter_recording import read_netfilter
from bothways.conform.netfilter_replay import Holder, read_router
from bothways.facts.dump import Dump
from bothways.facts.route import RoutingRule
from bothways.facts.snapshot import Netns
from bothways.model.linux import stages
from bothways.model.linux.hook import Hook
from bothways.model.linux.nftables import value, write

SAMPLE = Path(__file__).parent / "data" / "netfilter-rows-6.18.jsonl.gz"

#: Protocols whose headers the evidence does not hold.
FOREIGN = ("udplite ", "sctp ", "dccp ", "esp ", "ah ", "comp ", "gre ", "igmp ")
#: Rows of which the recording of drawn rulesets has cases.
DRAWN = frozenset(
    {
        "ct direction", "ct mark", "ct original ip saddr", "ct state", "ct status", "ether saddr",
        "ip daddr", "ip dscp", "ip saddr", "ip ttl", "ip6 daddr", "ip6 dscp", "ip6 hoplimit",
        "meta iifname", "meta l4proto", "meta length", "meta mark", "meta nfproto", "meta oifname",
        "meta pkttype", "tcp dport", "tcp flags", "udp dport",
    }
)  # fmt: skip
#: Rows that no kernel tells apart here; ``test_nftables_rows`` holds them literally.
LITERAL = frozenset(
    {
        "arp daddr ether", "arp daddr ip", "arp hlen", "arp htype", "arp operation", "arp plen",
        "arp ptype", "arp saddr ether", "arp saddr ip", "ct avgpkt", "ct bytes", "ct expiration",
        "ct helper", "ct id", "ct label", "ct original avgpkt", "ct original bytes",
        "ct original l3proto", "ct original packets", "ct original protocol", "ct packets",
        "ct reply avgpkt", "ct reply bytes", "ct reply l3proto", "ct reply packets",
        "ct reply protocol", "ether daddr", "icmp checksum", "icmp daddr", "icmp gateway",
        "icmp max-delay", "icmp mtu", "icmp packet-too-big", "icmp parameter-problem", "icmp taddr",
        "icmpv6 checksum", "icmpv6 daddr", "icmpv6 gateway", "icmpv6 max-delay", "icmpv6 mtu",
        "icmpv6 packet-too-big", "icmpv6 parameter-problem", "icmpv6 taddr", "ip checksum",
        "ip hdrlength", "ip6 flowlabel", "meta cgroup", "meta ibriport", "meta ibrname",
        "meta iifkind", "meta obriport", "meta obrname", "meta oifkind", "meta secpath",
        "meta skgid", "meta skuid", "tcp ackseq", "tcp checksum", "tcp option eol",
        "tcp option md5sig", "tcp option mptcp", "tcp option nop", "tcp option sack",
        "tcp option sack-perm", "tcp reserved", "tcp urgptr", "udp checksum", "vlan cfi",
        "vlan dei", "vlan id", "vlan pcp", "vlan type",
    }
)  # fmt: skip
WRITTEN = frozenset(
    {
        "arp daddr ether", "arp daddr ip", "arp operation", "arp saddr ether", "arp saddr ip",
        "ether daddr", "ether saddr", "ip daddr", "ip6 daddr", "tcp flags", "th dport", "th sport",
        "vlan id",
    }
)  # fmt: skip

#: What of a policy rule is taken away -> the rule without it.
LESS: dict[str, Callable[[RoutingRule], RoutingRule]] = {
    "from": lambda rule: replace(rule, src=None),
    "to": lambda rule: replace(rule, dst=None),
    "iif": lambda rule: replace(rule, iif=None),
    "oif": lambda rule: replace(rule, oif=None),
    "fwmark": lambda rule: replace(rule, fwmark=None),
    "tos": lambda rule: replace(rule, tos=0),
    "ipproto": lambda rule: replace(rule, protocol=None),
    "sport": lambda rule: replace(rule, source_ports=None),
    "dport": lambda rule: replace(rule, destination_ports=None),
    "not": lambda rule: replace(rule, invert=False),
    "uidrange": lambda rule: replace(rule, users=None),
    "suppress_prefixlength": lambda rule: replace(rule, suppress_prefixlength=None),
    "goto": lambda rule: replace(rule, action="nop") if rule.action == "goto" else rule,
    **dict.fromkeys(
        ("prohibit", "unreachable", "blackhole"),
        lambda rule: rule if rule.action == "lookup" else replace(rule, action="nop"),
    ),
}


def change_of(name: str) -> Change:
    """The change of the model that a case is to notice."""
    kind, _, what = name.partition(" ")
    if kind == "order:" and what.startswith("no "):
        _, table, _, hook = what.split()
        return without_stage(Hook[hook], table)
    if kind == "order:":
        table, _, priority = what.split()
        if table == "security":
            return set_to(stages, "_SECURITY_BY_NFT", int(priority))
        return at_priority(table, int(priority))
    if what.startswith("writes "):
        field = what.removeprefix("writes ")
        return unwritten(field) if field in write._HEADERS else unset(field)  # noqa: SLF001 (the table itself)
    return misread(what)


def less(netns: Netns, what: str) -> Netns:
    """The namespace with policy rules that lack something."""

    def rows(given: Dump[RoutingRule] | None) -> Dump[RoutingRule] | None:
        return None if given is None else replace(given, rows=tuple(map(LESS[what], given)))

    return replace(netns, rules=rows(netns.rules), rules6=rows(netns.rules6))


@cache
def recorded() -> tuple[tuple[NetfilterCase, Netns], ...]:
    return tuple((case, read_router(case.dumps)[0]) for case in read_netfilter(SAMPLE))


def first_difference(case: NetfilterCase, netns: Netns) -> str:
    holder = Holder(netns, case.kernel)
    held = (holder.hold(*each) for each in zip(case.sent, case.heard, strict=True))
    return next((each.field for each in held if each.field), "")


NAMES = [case.name for case in read_netfilter(SAMPLE)]
PAIRS = [(at, name) for at, names in enumerate(NAMES) for name in names.split("; ")]


@pytest.mark.parametrize(("at", "name"), PAIRS, ids=[f"{at} {name}" for at, name in PAIRS])
def test_another_row_is_noticed(at: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case, netns = recorded()[at]
    if name.startswith("policy rules: "):
        netns = less(netns, name.removeprefix("policy rules: "))
    else:
        change_of(name)(monkeypatch)

    assert first_difference(case, netns)


def test_with_the_rows_as_they_are_all_agree() -> None:
    assert [case.name for case, netns in recorded() if first_difference(case, netns)] == []


def test_what_the_recording_has_a_case_for() -> None:
    """So that a row which is added gets one, too."""
    asked = {name for _, name in PAIRS}

    assert {f"policy rules: {each}" for each in LESS} <= asked
    written = {each for each in write._HEADERS if f"nft writes {each}" not in asked}  # noqa: SLF001
    assert written == WRITTEN
    read = {each for each in value.MODELLED if not each.startswith(FOREIGN) and f"nft {each}" not in asked}
    assert read == DRAWN | LITERAL
