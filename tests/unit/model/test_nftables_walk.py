"""Native nft chains on the hooks, between iptables and the tracker."""

from __future__ import annotations

from dataclasses import replace

import pytest
from linux_samples import Told, device, did, dids, frame, netns, route, stack

from bothways.facts.dump import Dump
from bothways.facts.nft import NftTable
from bothways.facts.snapshot import Netns
from bothways.facts.step import Did
from bothways.model.linux.hook import Hook
from bothways.model.linux.passage import Passage
from bothways.model.linux.stages import Native, stages_of
from bothways.parse.nft_text import parse_nft

OUT, IN = device("out0", "192.0.2.1/24", number=2), device("in0", "10.0.0.1/24", number=3)
ROUTES = (
    route("192.0.2.0/24 dev out0"),
    route("10.0.0.0/24 dev in0"),
    route("192.0.2.1 dev out0", table="local", kind="local"),
    route("10.0.0.1 dev in0", table="local", kind="local"),
)
FORWARD = "type filter hook forward priority 0; policy accept;"


def space(nft: str, iptables: str = "") -> Netns:
    parsed = parse_nft(nft, file="nft.txt")
    rows = tuple(row for row in parsed.rows if isinstance(row, NftTable))
    return replace(netns(OUT, IN, routes=ROUTES, iptables=iptables, sysctls={}), nft=Dump(rows, "nft.txt"))


def chain(body: str, head: str = FORWARD, rest: str = "", family: str = "ip") -> str:
    rules = "\n".join(f"\t\t{line}" for line in body.split("; ") if line)
    return f"table {family} t {{\n{rest}\tchain c {{\n\t\t{head}\n{rules}\n\t}}\n}}\n"


def forward(nft: str, told: Told | None = None, *, flags: str = "S", iptables: str = "") -> Passage:
    """A segment from outside to a machine behind."""
    return stack(space(nft, iptables), told).receive(
        "out0", frame("192.0.2.9:4000", "10.0.0.5:22", flags, to=OUT), 0
    )


CALLED = "\tchain one {\n\t\ttcp dport 22 ACT\n\t}\n"


@pytest.mark.parametrize(
    ("nft", "through"),
    [
        (chain(""), True),
        (chain("drop"), False),
        (chain("accept; drop"), True),
        (chain("return; drop"), True),
        (chain("", FORWARD.replace("accept", "drop")), False),
        (chain("accept", FORWARD.replace("accept", "drop")), True),
        (chain("return", FORWARD.replace("accept", "drop")), False),
        (chain("drop", family="inet"), False),
        (chain("drop", family="ip6"), True),
        (chain("udp dport 22 drop"), True),
        (chain("tcp dport 22 drop"), False),
        (chain("tcp dport { 80, 22 } drop"), False),
        (chain("tcp dport != { 80, 22 } drop"), True),
        (chain("tcp dport != 80 drop"), False),
        (chain("udp dport != 80 drop"), True),  # no UDP packet: the port is not asked
        (chain('iifname "out0" oifname "in*" drop'), False),
        (chain('iifname != "out0" drop'), True),
        (chain("ip saddr 192.0.2.0/24 ip daddr 10.0.0.5 drop"), False),
        (chain("meta mark set 0x7; meta mark 0x7 drop"), False),
        (chain("meta mark set 0x7 meta mark 0x8 drop"), True),
        (chain("jump one; drop", rest=CALLED.replace("ACT", "accept")), True),
        (chain("jump one; drop", rest=CALLED.replace("ACT", "return")), False),
        (chain("goto one; drop", rest=CALLED.replace("ACT", "return")), True),
        (chain("jump one", rest=CALLED.replace("ACT", "drop")), False),
        (chain("ct state new drop"), False),
        (chain("ct state established,related accept; drop"), False),
        (chain("drop").replace("table ip t {", "table ip t {\n\tflags dormant"), True),
    ],
)
def test_rules_decide(nft: str, through: object) -> None:
    assert bool(forward(nft).transmissions) is through


def test_an_accept_ends_its_own_chain_only() -> None:
    two = chain("accept") + chain("drop", FORWARD.replace("0", "10")).replace("table ip t", "table ip u")

    dropped = did(forward(two), Did.DROPPED)
    assert dropped.function == "nft_do_chain"
    assert dropped.cell == "ip u/c"
    assert dropped.evidence[0].text.strip() == "drop"


DROPPING = "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n"


def test_iptables_and_nft_must_both_let_it_pass() -> None:
    assert not forward(chain("accept"), iptables=DROPPING).transmissions
    assert not forward(chain("drop"), iptables=DROPPING.replace("DROP", "ACCEPT")).transmissions


@pytest.mark.parametrize(
    ("priority", "order"),
    [
        ("-310", ["c", "raw", "conntrack", "mangle", "nat"]),
        ("raw", ["c", "raw", "conntrack", "mangle", "nat"]),
        ("raw + 1", ["raw", "c", "conntrack", "mangle", "nat"]),
        ("-200", ["raw", "c", "conntrack", "mangle", "nat"]),
        ("dstnat", ["raw", "conntrack", "mangle", "c", "nat"]),
        ("filter", ["raw", "conntrack", "mangle", "nat", "c"]),
    ],
)
def test_chains_stand_in_order_of_their_priority(priority: str, order: list[str]) -> None:
    found = space(chain("drop", f"type filter hook prerouting priority {priority};"))

    stages = stages_of(found, Hook.PREROUTING)
    assert [s.chain.name if isinstance(s, Native) else s for s in stages] == order


PRE = "type filter hook prerouting priority -310; policy accept;"
STATELESS = chain(
    "ip daddr 192.0.2.7 notrack ip daddr set 10.0.0.5; ip saddr 10.0.0.5 ip saddr set 192.0.2.7", PRE
)


def test_translation_without_a_tracker() -> None:
    there = stack(space(STATELESS, DROPPING.replace("DROP", "ACCEPT"))).receive(
        "out0", frame("192.0.2.9:4000", "192.0.2.7:22", to=OUT), 0
    )
    (sent,) = there.transmissions

    assert (sent.device, str(sent.packet.destination)) == ("in0", "10.0.0.5:22")
    changed = [s for s in there.steps if s.did is Did.CHANGED]
    assert [s.function for s in changed][:2] == ["nft_do_chain", "nft_do_chain"]
    assert "ip daddr 10.0.0.5" in changed[1].reason


TRACKING = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m conntrack --ctstate NEW -j ACCEPT\nCOMMIT\n"


def test_a_packet_that_a_rule_took_out_is_not_tracked() -> None:
    passage = stack(space(STATELESS, TRACKING)).receive(
        "out0", frame("192.0.2.9:4000", "192.0.2.7:22", to=OUT), 0
    )

    assert Did.UNTRACKED in dids(passage)


DNAT = chain("tcp dport 2222 dnat to 10.0.0.5:22", "type nat hook prerouting priority dstnat;")
SNAT = chain('oifname "out0" masquerade', "type nat hook postrouting priority srcnat;").replace(
    " t {", " s {"
)


def test_native_nat_rules_translate_both_ways() -> None:
    router = stack(space(DNAT + SNAT))
    there = router.receive("out0", frame("192.0.2.9:4000", "192.0.2.1:2222", to=OUT), 0)
    back = router.receive("in0", frame("10.0.0.5:22", "192.0.2.9:4000", "S.", to=IN, ack=1001), 1)

    assert str(there.transmissions[0].packet.destination) == "10.0.0.5:22"
    assert str(back.transmissions[0].packet.source) == "192.0.2.1:2222"
    assert did(there, Did.TRANSLATED).evidence[0].text.strip() == "tcp dport 2222 dnat to 10.0.0.5:22"


def test_a_connection_from_inside_gets_the_address_of_the_device() -> None:
    out = stack(space(DNAT + SNAT)).receive("in0", frame("10.0.0.5:4000", "192.0.2.9:80", to=IN), 0)

    assert str(out.transmissions[0].packet.source) == "192.0.2.1:4000"


UNKNOWN = 'meta iifkind "veth"'


def test_a_rule_that_only_may_match_is_walked_both_ways_and_said() -> None:
    told = Told()
    passage = forward(chain(f"{UNKNOWN} drop"), told)

    assert any(UNKNOWN in text for text in passage.unknown)
    assert len(told.asked) == 1
    other = forward(chain(f"{UNKNOWN} drop"), Told(last=1))
    assert {bool(passage.transmissions), bool(other.transmissions)} == {True, False}


def test_a_rule_that_changes_nothing_raises_no_doubt() -> None:
    told = Told()

    assert forward(chain(f"{UNKNOWN} counter; accept"), told).unknown == ()
    assert told.asked == {}


def test_what_decides_and_is_not_known_is_walked_both_ways() -> None:
    told = Told()
    passage = forward(chain("tcp dport vmap @missing"), told)

    assert any("vmap" in text for text in passage.unknown)
    assert len(told.asked) == 1


def test_reject_answers() -> None:
    rejected = forward(chain("reject with tcp reset"))

    assert did(rejected, Did.ANSWERED).function == "nf_send_reset"


def test_a_namespace_without_a_rule_that_asks_has_no_tracker() -> None:
    assert Did.TRACKED not in dids(forward(chain("tcp dport 22 accept")))
    assert Did.TRACKED in dids(forward(chain("ct state new accept")))
