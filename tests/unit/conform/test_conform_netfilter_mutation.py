"""
Changing any one thing that the hooks, rules, routes or sysctls do must be found by a replay.

The recording is our own: rulesets drawn by ``conform netfilter --live`` on Linux 6.18, picked so that every
change below is noticed. The id of a case lists the changes for which it was picked; if it does not notice one
any more, the others are asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from netfilter_changes import (
    Change,
    at_priority,
    entry,
    idle,
    ignored,
    misread,
    rows_of,
    set_to,
    tracker_ignores,
    turned,
    unset,
    unwritten,
    without_selector,
    without_stage,
)

from bothways.conform.netfilter_case import NetfilterCase
from bothways.conform.netfilter_recording import read_netfilter
from bothways.conform.netfilter_replay import Holder, read_router
from bothways.facts.nft_action import Notrack, Reject, Translate
from bothways.facts.snapshot import Netns
from bothways.model.linux import answers, forwarding, internet, stages
from bothways.model.linux.hook import Hook
from bothways.model.linux.iptables.targets import Effect
from bothways.model.linux.netfilter import Netfilter
from bothways.model.linux.nftables import effect
from bothways.model.linux.routing import rule, table
from bothways.model.linux.settings import Settings

SAMPLE = Path(__file__).parent / "data" / "netfilter-6.18.jsonl.gz"

#: How the name of a case begins that is a disagreement of the past.
STORY = "story: "

#: matches of iptables that are drawn and decide something; each is turned round
MATCHED = (
    "source", "destination", "in-interface", "out-interface", "protocol", "tcp.dport", "tcp.sport",
    "tcp.tcp-flags", "udp.dport", "icmp.icmp-type",
    "iprange.src-range", "iprange.dst-range", "mac.mac-source", "mark.mark", "connmark.mark",
    "conntrack.ctstate", "conntrack.ctstatus", "conntrack.ctdir", "conntrack.ctorigsrc",
    "conntrack.ctorigdst", "state.state",
    "addrtype.src-type", "addrtype.dst-type", "ttl.ttl-eq", "ttl.ttl-gt", "hl.hl-eq", "dscp.dscp", "tos.tos",
    "length.length", "pkttype.pkt-type", "rpfilter.rpfilter",
    "fragment", "udp.sport", "multiport.sports", "multiport.dports", "multiport.ports", "icmp6.icmpv6-type",
    "ttl.ttl-lt", "hl.hl-lt", "hl.hl-gt", "ecn.ecn-tcp-ece", "ecn.ecn-ip-ect", "devgroup.src-group",
    "conntrack.ctproto", "conntrack.ctreplsrc", "conntrack.ctrepldst", "conntrack.ctorigdstport",
    "conntrack.ctreplsrcport", "comment.comment", "tcpmss.mss", "tcp.tcp-option", "addrtype.limit-iface-in",
    "policy.dir", "policy.pol", "statistic.probability", "helper.helper",
)  # fmt: skip
#: targets that are drawn; each is left out
DONE = (
    "ACCEPT", "DROP", "REJECT", "CONNMARK", "CT", "DNAT", "SNAT", "MASQUERADE", "REDIRECT",
    "TTL", "HL", "DSCP", "TOS", "TCPMSS", "MARK", "NETMAP",
)  # fmt: skip
#: what nft reads of a packet; each reads something else than is there
READ = (
    "ip saddr", "ip daddr", "ip6 daddr", "ip dscp", "tcp dport", "udp dport",
    "meta iifname", "meta oifname", "meta l4proto", "meta mark",
    "ct state", "ct status", "ct direction", "ether saddr",
    "ip ttl", "ip6 hoplimit", "ip6 dscp", "meta nfproto", "meta length", "meta pkttype", "tcp flags",
    "ct mark",
    "ct original ip saddr",
)  # fmt: skip
#: what nft writes; each writes nothing
WRITTEN = ("ip saddr", "ip daddr", "ip6 daddr", "ip dscp", "ip ttl", "udp dport")
#: Stages that no drawn ruleset has.
UNSEEN = frozenset(
    {("security", hook) for hook in Hook} | {("mangle", Hook.INPUT), ("mangle", Hook.POSTROUTING)}
)
#: sysctls; each is as if no dump had it, or as if it were off
IGNORED = ("rp_filter", "accept_local", "route_localnet")


MUTATIONS: dict[str, Change] = {
    **{f"match {name}": turned(name) for name in MATCHED},
    **{f"target {name}": idle(name) for name in DONE},
    **{f"nft {name}": misread(name) for name in READ},
    **{f"nft writes {name}": unwritten(name) for name in WRITTEN},
    "nft writes ct mark": unset("ct mark"),
    **{
        f"nft {kind.__name__}": entry(rows_of(effect, "_ROWS"), kind, lambda *_: Effect())
        for kind in (Notrack, Reject, Translate)
    },
    **{f"sysctl {name}": ignored(name) for name in IGNORED},
    "sysctl nf_conntrack_tcp_loose": tracker_ignores("nf_conntrack_tcp_loose"),
    "sysctl forwarding": set_to(Settings, "forwarding", lambda *_: None),
    "order: raw behind the tracker": at_priority("raw", -190),
    "order: mangle before the tracker": at_priority("mangle", -250),
    "order: nft behind all": set_to(stages.Native, "priority", property(lambda _: 0x7FFFFFF0)),
    "order: NAT before the tracker": set_to(stages, "nat_priority", lambda _: -250),
    **{
        f"order: no {name} at {hook}": without_stage(hook, name)
        for hook, names in stages.STAGES.items()
        for name in names
        if (name, hook) not in UNSEEN
    },
    "routes: the shortest prefix": set_to(
        table, "_takes", lambda row, wanted: row.destination.version == wanted.destination.version
    ),
    "routes: no policy rules": set_to(rule, "_SELECTORS", (lambda *_: True,)),
    "routes: rules from": without_selector(0),
    "routes: rules to": without_selector(1),
    "routes: rules iif": without_selector(2),
    "routes: rules fwmark": without_selector(4),
    "routes: rules tos": without_selector(5),
    "routes: no senders refused": set_to(internet, "impossible_ipv4", lambda *_: None),
    "routes: everything is forwarded": set_to(forwarding, "_forwards", lambda *_: True),
    "answers: no RST": set_to(answers, "reset", lambda *_, **__: None),
    "answers: no errors": set_to(answers, "icmp_error", lambda *_, **__: None),
    "answers: no echo": set_to(answers, "echo_reply", lambda *_: None),
    "answers: MASQUERADE finds nothing": set_to(Netfilter, "masquerade", lambda *_: None),
}  # fmt: skip


@cache
def recorded() -> tuple[tuple[NetfilterCase, Netns], ...]:
    return tuple((case, read_router(case.dumps)[0]) for case in read_netfilter(SAMPLE))


def picked(name: str) -> Iterator[tuple[NetfilterCase, Netns]]:
    """Cases that were picked for a change, then the others."""
    yield from sorted(recorded(), key=lambda each: name not in each[0].name.split("; "))


def differs(case: NetfilterCase, netns: Netns) -> bool:
    holder = Holder(netns, case.kernel)
    return any(holder.hold(sent, heard).field for sent, heard in zip(case.sent, case.heard, strict=True))


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_change_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = list(picked(name))
    MUTATIONS[name](monkeypatch)

    assert any(differs(case, netns) for case, netns in cases)


def test_without_a_change_all_agree() -> None:
    assert [case.name for case, netns in recorded() if differs(case, netns)] == []


@pytest.mark.parametrize(
    "story", [case.name for case in read_netfilter(SAMPLE) if case.name.startswith(STORY)]
)
def test_a_story_is_known_to_its_end(story: str) -> None:
    """What once was told otherwise than by the kernel, made small."""
    ((case, netns),) = [each for each in recorded() if each[0].name == story]
    holder = Holder(netns, case.kernel)

    assert [holder.hold(*each) for each in zip(case.sent, case.heard, strict=True) if not holder.lost] != []
    assert not holder.lost
