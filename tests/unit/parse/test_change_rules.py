"""`iptables` and `conntrack`."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from bothways.facts.change import ConntrackEdit, IptablesAct, IptablesEdit
from bothways.parse.change import ChangeError, parse_change

DELETE = IptablesAct.DELETE
NET = ip_network("192.0.2.0/24")


def edit_of(typed: str) -> IptablesEdit:
    (edit,) = parse_change(f"h1/blue: {typed}").edits
    assert isinstance(edit, IptablesEdit)
    return edit


@pytest.mark.parametrize(
    ("typed", "act", "table", "chain", "number"),
    [
        ("iptables -A FORWARD -j DROP", IptablesAct.APPEND, "filter", "FORWARD", None),
        ("iptables -I FORWARD -j DROP", IptablesAct.INSERT, "filter", "FORWARD", 1),
        ("iptables -I FORWARD 3 -j DROP", IptablesAct.INSERT, "filter", "FORWARD", 3),
        ("iptables -t nat -D OUTPUT -d 192.0.2.1 -j DNAT --to 10.0.0.1", DELETE, "nat", "OUTPUT", None),
        ("iptables -D FORWARD 2", IptablesAct.DELETE, "filter", "FORWARD", 2),
        ("iptables -w -R FORWARD 2 -j ACCEPT", IptablesAct.REPLACE, "filter", "FORWARD", 2),
        ("iptables -w 5 -t raw --append OUTPUT -j NOTRACK", IptablesAct.APPEND, "raw", "OUTPUT", None),
        ("iptables -F", IptablesAct.FLUSH, "filter", None, None),
        ("iptables -F FORWARD", IptablesAct.FLUSH, "filter", "FORWARD", None),
        ("iptables -F FORWARD -t mangle", IptablesAct.FLUSH, "mangle", "FORWARD", None),
        ("iptables -N mine", IptablesAct.NEW_CHAIN, "filter", "mine", None),
        ("iptables -X mine", IptablesAct.DELETE_CHAIN, "filter", "mine", None),
        ("iptables-legacy -X", IptablesAct.DELETE_CHAIN, "filter", None, None),
    ],
)  # fmt: skip
def test_what_is_done_to_a_chain(
    typed: str, act: IptablesAct, table: str, chain: str | None, number: int | None
) -> None:
    edit = edit_of(typed)

    assert (edit.act, edit.table, edit.chain, edit.number) == (act, table, chain, number)
    assert edit.version == 4


def test_a_rule_is_read_as_in_a_dump() -> None:
    rule = edit_of("iptables -A INPUT ! -i lo -p tcp --dport 22 -m conntrack --ctstate NEW -j DROP").rule

    assert rule is not None
    assert [(m.name, m.negate) for m in rule.matches] == [
        ("in-interface", True),
        ("protocol", False),
        ("tcp.dport", False),
        ("conntrack.ctstate", False),
    ]
    assert rule.target is not None
    assert rule.target.name == "DROP"
    assert rule.span.text.startswith("-A INPUT ! -i lo -p tcp")


def test_a_policy() -> None:
    edit = edit_of("iptables -P FORWARD DROP")

    assert (edit.act, edit.chain, edit.policy) == (IptablesAct.POLICY, "FORWARD", "DROP")


def test_both_families() -> None:
    assert edit_of("ip6tables -A FORWARD -j DROP").version == 6


def test_a_name_that_is_no_target_is_taken_for_a_chain() -> None:
    rule = edit_of("iptables -A FORWARD -j mine").rule

    assert rule is not None
    assert rule.target is not None
    assert (rule.target.name, rule.target.goto) == ("mine", False)


@pytest.mark.parametrize(
    ("typed", "column"),
    [
        ("iptables", 9),
        ("iptables -L", 10),
        ("iptables -nvL FORWARD", 10),
        ("iptables -A", 12),
        ("iptables -A FORWARD", 20),
        ("iptables -A FORWARD -p tcp --dprot 22 -j DROP", 28),
        ("iptables -A FORWARD -s 192.0.2.300 -j DROP", 21),
        ("iptables -P FORWARD REJECT", 21),
        ("iptables -R FORWARD -j DROP", 21),
        ("iptables -F FORWARD 3", 21),
        ("iptables -A FORWARD -j DROP -t", 29),
    ],
)
def test_a_rule_that_is_not_understood_is_pointed_at(typed: str, column: int) -> None:
    with pytest.raises(ChangeError) as refused:
        parse_change(typed)

    assert refused.value.column == column
    assert refused.value.hint


@pytest.mark.parametrize(
    ("typed", "edit"),
    [
        ("-F", ConntrackEdit()),
        ("-D", ConntrackEdit()),
        ("-D -d 192.0.2.1", ConntrackEdit(destination=ip_network("192.0.2.1/32"))),
        ("-D conntrack -p tcp --orig-src 192.0.2.0/24 --dport 22", ConntrackEdit(6, NET, dport=22)),
        ("--delete --state syn_sent -w 7 -m 0x10", ConntrackEdit(state="SYN_SENT", zone=7, mark=16)),
        ("-D -f ipv4 -r 192.0.2.0/24", ConntrackEdit(reply_source=NET)),
        ("-D -q 192.0.2.0/24", ConntrackEdit(reply_destination=NET)),
    ],
)
def test_entries_are_deleted(typed: str, edit: ConntrackEdit) -> None:
    assert parse_change(f"h1: conntrack {typed}").edits == (edit,)


@pytest.mark.parametrize(
    ("typed", "column"),
    [
        ("conntrack", 10),
        ("conntrack -L", 11),
        ("conntrack -D --status ASSURED", 14),
        ("conntrack -D -d nowhere", 17),
        ("conntrack -D -m 0x1/0x1", 17),
        ("conntrack -F now", 14),
    ],
)
def test_a_filter_that_is_not_known_is_pointed_at(typed: str, column: int) -> None:
    with pytest.raises(ChangeError) as refused:
        parse_change(typed)

    assert refused.value.column == column
