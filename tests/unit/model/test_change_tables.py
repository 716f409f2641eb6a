"""iptables and native nft tables after a change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from linux_samples import device, netns

from bothways.facts.dump import Dump
from bothways.facts.nft import NftTable
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.model.change import NothingToChangeError, apply_change
from bothways.parse.change import parse_change
from bothways.parse.nft_text import parse_nft

SAVED = """\
*nat
:PREROUTING ACCEPT [0:0]
:agent - [0:0]
-A PREROUTING -j agent
-A agent -d 192.0.2.7/32 -j DNAT --to-destination 10.0.0.4
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:spare - [0:0]
-A FORWARD -p tcp -m tcp --dport 22 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -s 10.0.0.0/24 -m comment --comment "the tenant" -j ACCEPT
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
COMMIT
"""
NFT = """\
table inet own {
	chain in {
		type filter hook input priority filter; policy accept;
		tcp dport 22 counter packets 3 bytes 180 accept
		drop
	}
	chain called {
	}
}
"""


def site(nft: str | None = NFT) -> Snapshot:
    space = netns(device("eth0", "192.0.2.1/24"), iptables=SAVED, sysctls={})
    if nft is not None:
        rows = tuple(r for r in parse_nft(nft, file="nft.txt").rows if isinstance(r, NftTable))
        space = replace(space, nft=Dump(rows, "nft.txt"))
    return Snapshot({"host": Host("host", {"blue": space})})


def after(*commands: str, start: Snapshot | None = None) -> Netns:
    found = start or site()
    for command in commands:
        found = apply_change(found, parse_change(f"host/blue: {command}")).snapshot
    space = found.netns("host", "blue")
    assert space is not None
    return space


def targets(space: Netns, table: str, chain: str) -> list[str]:
    (found,) = [t for t in space.iptables or () if t.name == table]
    return ["" if r.target is None else r.target.name for r in found.chains[chain].rules]


@pytest.mark.parametrize(
    ("command", "left"),
    [
        ("iptables -A FORWARD -j DROP", ["ACCEPT", "ACCEPT", "REJECT", "DROP"]),
        ("iptables -I FORWARD -j DROP", ["DROP", "ACCEPT", "ACCEPT", "REJECT"]),
        ("iptables -I FORWARD 3 -j DROP", ["ACCEPT", "ACCEPT", "DROP", "REJECT"]),
        ("iptables -I FORWARD 4 -j DROP", ["ACCEPT", "ACCEPT", "REJECT", "DROP"]),
        ("iptables -I FORWARD -j spare", ["spare", "ACCEPT", "ACCEPT", "REJECT"]),
        ("iptables -R FORWARD 3 -j DROP", ["ACCEPT", "ACCEPT", "DROP"]),
        ("iptables -D FORWARD 3", ["ACCEPT", "ACCEPT"]),
        ("iptables -D FORWARD -j REJECT --reject-with icmp-host-prohibited", ["ACCEPT", "ACCEPT"]),
        # As typed once, in another order, without `-m tcp`: it is the same rule.
        (
            "iptables -D FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -p tcp --dport 22 -j ACCEPT",
            ["ACCEPT", "REJECT"],
        ),
        (
            "iptables -D FORWARD -s 10.0.0.0/24 -m comment --comment 'the tenant' -j ACCEPT",
            ["ACCEPT", "REJECT"],
        ),
        ("iptables -F FORWARD", []),
        ("iptables -F", []),
    ],
)
def test_rules_of_a_chain(command: str, left: list[str]) -> None:
    assert targets(after(command), "filter", "FORWARD") == left


def test_other_tables_stay() -> None:
    assert targets(after("iptables -F"), "nat", "agent") == ["DNAT"]
    assert targets(after("iptables -t nat -F agent"), "filter", "FORWARD") == ["ACCEPT", "ACCEPT", "REJECT"]


def test_chains_come_and_go() -> None:
    made = after("iptables -N mine", "iptables -A mine -j DROP", "iptables -A FORWARD -j mine")
    gone = after("iptables -X spare")

    assert targets(made, "filter", "mine") == ["DROP"]
    assert [c for t in gone.iptables or () if t.name == "filter" for c in t.chains] == ["INPUT", "FORWARD"]


def test_a_policy() -> None:
    (table,) = [t for t in after("iptables -P FORWARD ACCEPT").iptables or () if t.name == "filter"]

    assert table.chains["FORWARD"].policy == "ACCEPT"


def test_a_table_that_nobody_used_yet_has_its_chains() -> None:
    assert targets(after("iptables -t raw -I PREROUTING -j NOTRACK"), "raw", "PREROUTING") == ["NOTRACK"]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("iptables -D FORWARD -j DROP", "no rule of FORWARD"),
        ("iptables -D FORWARD -s 10.0.0.0/24 -j ACCEPT", "no rule of FORWARD"),  # it has a comment
        ("iptables -D FORWARD 9", "9"),
        ("iptables -I FORWARD 9 -j DROP", "no place 9"),
        ("iptables -A absent -j DROP", "no chain absent"),
        ("iptables -A FORWARD -j ABSENT", "no chain or target ABSENT"),
        ("iptables -t flter -F", "no table flter"),
        ("iptables -P spare DROP", "no built-in chain"),
        ("iptables -N spare", "already"),
        ("iptables -X INPUT", "built in"),
        ("iptables -t nat -X agent", "still jump"),
        ("ip6tables -F", "not collected"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(command: str, says: str) -> None:
    with pytest.raises(NothingToChangeError, match=says):
        after(command)


# -- nft ---------------------------------------------------------------------------------------------------


def rules(space: Netns, table: str = "own", chain: str = "in") -> list[str]:
    (found,) = [t for t in space.nft or () if t.name == table]
    return [" ".join(s.text for s in r.statements) for r in found.chains[chain].rules]


FIRST = "tcp dport 22 counter packets 3 bytes 180 accept"


@pytest.mark.parametrize(
    ("command", "left"),
    [
        ("nft add rule inet own in udp dport 53 accept", [FIRST, "drop", "udp dport 53 accept"]),
        ("nft insert rule inet own in udp dport 53 accept", ["udp dport 53 accept", FIRST, "drop"]),
        ("nft delete rule inet own in tcp dport 22 accept", ["drop"]),
        ("nft flush chain inet own in", []),
        ("nft flush table inet own", []),
        ("nft -f - <<< 'table inet own { chain in { notrack } }'", [FIRST, "drop", "notrack"]),
    ],
)
def test_rules_of_a_native_chain(command: str, left: list[str]) -> None:
    space = after(command)
    (table,) = tuple(space.nft or ())

    assert rules(space) == left
    assert (table.chains["in"].hook, table.chains["in"].policy) == ("input", "accept")


def test_tables_and_chains_come_and_go() -> None:
    made = after("nft add table ip t", "nft add chain ip t c", "nft add rule ip t c accept")

    assert rules(made, "t", "c") == ["accept"]
    assert len(after("nft delete table inet own").nft or ()) == 0
    assert list((after("nft delete chain inet own called").nft or Dump((), "")).rows[0].chains) == ["in"]


def test_where_no_native_table_was_collected_one_can_be_added() -> None:
    assert rules(after("nft -f - <<< 'table ip t { chain c { drop } }'", start=site(None)), "t", "c") == [
        "drop"
    ]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("nft delete table ip own", "no native nft table ip own"),
        ("nft add rule ip own in accept", "no native nft table ip own"),
        ("nft add rule inet own out accept", "no chain out"),
        ("nft delete rule inet own in tcp dport 23 accept", "no rule"),
        ("nft delete chain inet own in", "not empty"),
        ("nft add table ip nat", "belongs to iptables"),
        ("nft flush ruleset", "iptables rules"),
    ],
)
def test_a_native_rule_that_does_not_fit_is_refused(command: str, says: str) -> None:
    with pytest.raises(NothingToChangeError, match=says):
        after(command)


SETS = """\
table bridge span { # handle 2
	set hosts { # handle 3
		type ipv4_addr . inet_service
		flags interval
		elements = { 192.0.2.1 . 22, 192.0.2.2 . 80 timeout 1h }
	}
	map marks {
		type ifname : mark
		elements = { "eth0" : 0x00000007 }
	}
	chain f { # handle 1
		type filter hook forward priority filter; policy accept;
		ip saddr . tcp dport @hosts drop # handle 4
		accept # handle 5
	}
}
"""


@pytest.mark.parametrize(
    ("command", "hosts", "marks", "kept"),
    [
        ("add element bridge span hosts '{ 10.0.0.0/8 . ssh }'", 3, 1, 2),
        ("add element bridge span hosts '{ 192.0.2.1 . 22 }'", 2, 1, 2),
        ("delete element bridge span hosts '{ 192.0.2.2 . http }'", 1, 1, 2),
        ("add element bridge span marks '{ eth1 : 8 }'", 2, 2, 2),
        ("flush map bridge span marks", 2, 0, 2),
        ("delete rule bridge span f handle 5", 2, 1, 1),
        ("replace rule bridge span f handle 4 drop", 2, 1, 2),
        ("insert rule bridge span f handle 5 ether type arp accept", 2, 1, 3),
    ],
)
def test_elements_and_rules_by_handle(command: str, hosts: int, marks: int, kept: int) -> None:
    space = after(f"nft {command}", start=site(SETS))
    (table,) = tuple(space.nft or ())

    assert [len(table.sets[name].elements) for name in ("hosts", "marks")] == [hosts, marks]
    assert len(table.chains["f"].rules) == kept


def test_a_rule_comes_where_the_handle_says() -> None:
    said = "nft {} rule bridge span f {} 5 ether type arp accept"

    assert rules(after(said.format("insert", "position"), start=site(SETS)), "span", "f")[1].startswith(
        "ether"
    )
    assert rules(after(said.format("add", "handle"), start=site(SETS)), "span", "f")[2].startswith("ether")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("add element bridge span absent '{ 1 }'", "no set or map absent"),
        ("add element bridge span hosts '{ 192.0.2.1 }'", "1 parts"),
        ("add element bridge span hosts '{ 192.0.2.1 . eth0 }'", "is no element"),
        ("add element bridge span marks '{ eth1 }'", "is no element"),
        ("add element bridge span marks '{ eth1 : accept }'", "is no element"),
        ("delete element bridge span hosts '{ 192.0.2.9 . 22 }'", "holds no element"),
        ("delete set bridge span hosts", "used by a rule"),
        ("delete rule bridge span f handle 99", "no rule with handle 99"),
        ("delete flowtable bridge span f", "no flowtable f"),
    ],
)
def test_an_element_that_does_not_fit_is_refused(command: str, says: str) -> None:
    with pytest.raises(NothingToChangeError, match=says):
        after(f"nft {command}", start=site(SETS))


@pytest.mark.parametrize(
    ("typed", "saved"),
    [
        ("-j REJECT", "-j REJECT --reject-with icmp-port-unreachable"),
        ("-j NOTRACK", "-j CT --notrack"),
        ("-j MARK --set-mark 7", "-j MARK --set-xmark 0x7/0xffffffff"),
        ("-j MARK --set-mark 0x3/0x1", "-j MARK --set-xmark 0x3/0x3"),
        ("-j CONNMARK --save-mark", "-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff"),
        ("-j CONNMARK --restore-mark --mask 0xff", "-j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff"),
        ("-p tcp --syn -j DROP", "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"),
        ("-s 10.0.0.1 -j DROP", "-s 10.0.0.1/32 -j DROP"),
    ],
)
def test_a_rule_is_found_as_it_was_typed_and_as_it_is_saved(typed: str, saved: str) -> None:
    for one, other in ((typed, saved), (saved, typed)):
        space = after(f"iptables -t mangle -A FORWARD {one}", f"iptables -t mangle -D FORWARD {other}")

        assert targets(space, "mangle", "FORWARD") == []
