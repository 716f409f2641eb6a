"""Matches on sets, counters and protocols of which little is known: yes, no, or open with a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from linux_samples import Told, device, frame, netns, route, stack

from bothways.facts.dump import Dump
from bothways.model.linux.iptables.matches import MATCHES
from bothways.parse.ipset import parse_ipset
from bothways.parse.iptables_options import COMBINED
from bothways.parse.iptables_options import MATCHES as OPTIONS

OUT, IN = device("out0", "192.0.2.1/24", number=2), device("in0", "10.0.0.1/24", number=3)
ROUTES = (route("192.0.2.0/24 dev out0"), route("10.0.0.0/24 dev in0"))
SETS = """\
create hosts hash:ip family inet
add hosts 192.0.2.9
create nets hash:net family inet
add nets 192.0.2.0/24
add nets 192.0.2.9 nomatch
add nets 10.0.0.0/8
create services hash:ip,port family inet
add services 10.0.0.5,tcp:22
add services 10.0.0.6,udp:22
create pairs hash:net,net family inet
add pairs 192.0.2.0/24,10.0.0.0/28
create doors hash:net,iface family inet
add doors 192.0.2.0/24,out0
create ports bitmap:port range 0-1023
add ports 22
create stations hash:ip,mac family inet
add stations 192.0.2.9,02:00:00:00:00:77
create marks hash:ip,mark family inet
add marks 192.0.2.9,0x00000007
create six hash:ip family inet6
add six 2001:db8::1
create many list:set size 8
add many six
add many hosts
create blocks hash:ip family inet netmask 28
add blocks 192.0.2.0
"""


def outcome(rule: str, sets: str | None = SETS, told: Told | None = None) -> bool | None:
    """True if the rule's match held for a SYN from 192.0.2.9 to 10.0.0.5:22, None if that stays open."""
    text = f"*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD {rule} -j DROP\nCOMMIT\n"
    space = netns(OUT, IN, routes=ROUTES, iptables=text, sysctls={})
    if sets is not None:
        space = replace(space, ipsets=Dump(parse_ipset(sets, file="ipset.txt").rows, "ipset.txt"))
    packet = frame("192.0.2.9:4000", "10.0.0.5:22", "S", to=OUT)
    passage = stack(space, told).receive("out0", packet, 0)
    if any("whether a rule matches" in text for text in passage.unknown):
        return None
    return not passage.transmissions


@pytest.mark.parametrize(
    ("words", "held"),
    [
        ("hosts src", True),
        ("hosts dst", False),
        ("nets src", False),
        ("nets dst", True),
        ("services dst,dst", True),
        ("services src,dst", False),
        ("services dst,src", False),
        ("pairs src,dst", True),
        ("pairs dst,src", False),
        ("doors src,src", True),
        ("doors src,dst", False),
        ("ports dst", True),
        ("ports src", False),
        ("marks src,src", False),
        ("six src", False),
        ("many src", True),
        ("many dst", False),
        ("blocks src", True),
        ("absent src", None),
    ],
)
def test_sets(words: str, held: bool | None) -> None:  # noqa: FBT001 - a row of the table
    assert outcome(f"-m set --match-set {words}") is held
    negated = outcome(f"-m set ! --match-set {words}")
    assert negated is (None if held is None else not held)


def test_a_set_that_was_not_collected_is_open() -> None:
    assert outcome("-m set --match-set hosts src", sets=None) is None


def test_a_set_that_a_rule_fills_may_hold_more_than_the_dump() -> None:
    added = "-p udp -j SET --add-set hosts dst\n-A FORWARD -m set --match-set hosts "
    assert outcome(f"{added} dst") is None
    assert outcome(f"{added} src") is True


def test_a_member_that_was_not_read_leaves_the_rest_open() -> None:
    sets = "create hosts hash:ip family inet\nadd hosts 192.0.2.9\nadd hosts nonsense\n"
    assert outcome("-m set --match-set hosts src", sets) is True
    assert outcome("-m set --match-set hosts dst", sets) is None


@pytest.mark.parametrize(
    ("rule", "held"),
    [
        ("-p sctp -m sctp --dport 22", False),
        ("-p esp -m esp --espspi 1:9", False),
        ("-m recent --set --name SSH --mask 255.255.255.255 --rsource", True),
        ("-m recent --update --seconds 60 --hitcount 4 --name SSH --mask 255.255.255.255 --rsource", None),
        ("-m connlimit --connlimit-above 4 --connlimit-mask 32 --connlimit-saddr", None),
        ("-m hashlimit --hashlimit-upto 5/sec --hashlimit-burst 5 --hashlimit-name x", None),
        ("-m time --timestart 09:00:00 --timestop 17:00:00", None),
        ("-m helper --helper ftp", False),
        ("-m cgroup --cgroup 1", False),
        (
            '-m string --string "a pattern that is longer than a whole SYN could ever be" --algo bm',
            False,
        ),
        ('-m string --string "GET" --algo bm', None),
        ("-m quota --quota 1000", None),
    ],
)
def test_what_the_kernel_remembers(rule: str, held: bool | None) -> None:  # noqa: FBT001 - a row of the table
    assert outcome(rule) is held


def test_an_open_match_says_what_decides() -> None:
    text = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m recent --rcheck --name S -j DROP\nCOMMIT\n"
    space = netns(OUT, IN, routes=ROUTES, iptables=text, sysctls={})
    passage = stack(space).receive("out0", frame("192.0.2.9:4000", "10.0.0.5:22", "S", to=OUT), 0)
    assert any("which addresses the list holds" in text for text in passage.unknown)


def test_every_option_that_is_read_has_a_row() -> None:
    """What the parser knows the model answers, be it with "open"."""
    names = {
        f"{'icmp6' if module == 'icmpv6' else module}.{option.name}"
        for module, options in OPTIONS.items()
        if module not in COMBINED
        for option in options.values()
    }
    assert names - MATCHES.keys() == set()
