"""Parsers of what goes round the model: usual output has no problem, no text raises."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.bypass import Bypass, Side
from bothways.facts.parsed import Parsed
from bothways.parse.bpftool_net import parse_bpftool_net
from bothways.parse.ipvs import parse_ipvs
from bothways.parse.nft_hooks import parse_nft_hooks
from bothways.parse.packet_handlers import parse_ptype
from bothways.parse.tc_json import parse_tc
from bothways.parse.xfrm_policy import parse_xfrm

Parser = Callable[..., Parsed[Bypass]]
PARSERS: tuple[Parser, ...] = (
    parse_tc, parse_bpftool_net, parse_ipvs, parse_xfrm, parse_ptype, parse_nft_hooks,
)  # fmt: skip
U32 = """\
filter parent 1: protocol ip pref 1 u32 chain 0
filter parent 1: protocol ip pref 1 u32 chain 0 fh 800: ht divisor 1
filter parent 1: protocol ip pref 1 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 flowid 1:10 not_in_hw
  match 0a000002/ffffffff at 16
\taction order 1: gact action drop
\t random type none pass val 0
\t index 1 ref 1 bind 1
"""


def matchall(action: str, at: str = "") -> str:
    """A filter for everything with one action."""
    return f"filter {at}protocol all pref 1 matchall chain 0 handle 0x1\n\taction order 1: {action}\n"


NETEM = "qdisc netem 8001: dev eth0 root refcnt 2 limit 1000 delay 5ms"
BPF = "filter parent ffff:fff3 protocol all pref 1 bpf chain 0 handle 0x1 p.o:[tc] direct-action id 9\n"
CLASS = "filter parent 1: protocol ip pref 1 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 flowid 1:1\n"


@pytest.mark.parametrize(
    ("text", "harmless", "side"),
    [
        ("qdisc fq_codel 0: dev eth0 root refcnt 2 limit 10240p\n Sent 1 bytes 1 pkt\n", True, Side.OUT),
        (f"{NETEM}\n", True, Side.OUT),
        (f"{NETEM} loss 1%\n", False, Side.OUT),
        (matchall("mirred (Egress Mirror to device x) pipe"), True, Side.ANY),
        (matchall("mirred (Ingress Redirect to device x) stolen", "parent ffff: "), False, Side.IN),
        (matchall("gact action pass", "egress "), True, Side.OUT),
        (matchall("skbedit mark 7 pipe", "ingress "), False, Side.IN),
        (matchall(" police 0x1 rate 1Mbit burst 1Kb mtu 64Kb action drop", "ingress "), True, Side.IN),
        (BPF, False, Side.OUT),
        (CLASS, True, Side.OUT),
    ],
)
def test_tc(text: str, harmless: bool, side: Side) -> None:  # noqa: FBT001 - a row of the table
    parsed = parse_tc(text, file="tc.txt")
    assert parsed.problems == ()
    assert [(row.harmless, row.side) for row in parsed.rows] == [(harmless, side)]


def test_u32_says_which_packets() -> None:
    parsed = parse_tc(U32, file="tc.txt")
    row = next(each for each in parsed.rows if not each.harmless)
    assert str(row.only.destination) == "10.0.0.2/32"
    assert row.side is Side.OUT


@pytest.mark.parametrize(
    ("file", "device", "side"),
    [
        ("tc-filter-eth0-ingress.txt", "eth0", Side.IN),
        ("tc-filter.eth0.egress.txt", "eth0", Side.OUT),
        ("tc-filter-show-dev-qg-5d88ef18-33-ingress.json", "qg-5d88ef18-33", Side.IN),
        ("tc-filter-ingress-eth0.txt", "eth0", Side.IN),
        ("tc-filter-eth0.txt", "eth0", Side.ANY),
        ("tc-filter.txt", "", Side.ANY),
        ("tc.txt", "", Side.ANY),
    ],
)
def test_the_name_of_a_file_tells_the_device(file: str, device: str, side: Side) -> None:
    text = "filter protocol all pref 1 matchall chain 0 handle 0x1\n\taction order 1: gact action drop\n"
    (row,) = parse_tc(text, file=file).rows
    assert (row.device, row.side) == (device, side)


def test_ipvs_in_three_forms() -> None:
    saved = "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 1\n"
    listed = "Prot LocalAddress:Port Scheduler Flags\nTCP  10.0.0.1:80 rr\n  -> 10.1.0.1:8080 Masq 1 0 0\n"
    shown = "TCP  0A000001:0050 rr\n  -> 0A010001:1F90 Masq 1 0 0\n"
    touched = [parse_ipvs(text, file="ipvs").rows[0].only.touches for text in (saved, listed, shown)]
    assert len(set(touched)) == 1
    assert {str(each) for each in touched[0]} == {"10.0.0.1", "10.1.0.1"}
    (row,) = parse_ipvs("-A -f 7 -s wlc\n", file="ipvs").rows
    assert (row.mark, row.only.touches) == (7, frozenset())


@pytest.mark.parametrize("parser", PARSERS)
@given(text=st.text())
def test_never_raises(parser: Parser, text: str) -> None:
    parser(text, file="f")


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    "text", ["", "\n", "[]", "[{}]", '[{"xdp": 3}]', '[{"kind": "u32", "protocol": 1}]', "[["]
)
def test_odd_texts(parser: Parser, text: str) -> None:
    parser(text, file="tc-filter-eth0.json")
