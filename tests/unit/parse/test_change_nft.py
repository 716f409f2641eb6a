"""`nft`: single commands, and scripts on standard input."""

from __future__ import annotations

import pytest

from bothways.facts.change import Act, NftEdit
from bothways.facts.nft_action import Compare
from bothways.facts.nft_expression import Field, Word
from bothways.parse.change import ChangeError, parse_change

STATELESS = (
    "nft -f - <<< 'table ip slnat { chain pre { type filter hook prerouting priority -310; policy accept; "
    'iifname "qg-1" ip daddr 192.0.2.1 notrack ip daddr set 10.0.0.4; iifname "qr-1" ip saddr 10.0.0.4 '
    "notrack ip saddr set 192.0.2.1 } }'"
)


def edits_of(typed: str) -> tuple[NftEdit, ...]:
    edits = parse_change(f"h1/blue: {typed}").edits
    assert all(isinstance(edit, NftEdit) for edit in edits)
    return tuple(edit for edit in edits if isinstance(edit, NftEdit))


def test_a_script_on_one_line() -> None:
    (edit,) = edits_of(STATELESS)
    (table,) = edit.tables
    chain = table.chains["pre"]

    assert (edit.act, table.family, table.name) == (Act.ADD, "ip", "slnat")
    assert (chain.kind, chain.hook, chain.priority, chain.policy) == ("filter", "prerouting", -310, "accept")
    assert [[s.text for s in rule.statements] for rule in chain.rules] == [
        ['iifname "qg-1"', "ip daddr 192.0.2.1", "notrack", "ip daddr set 10.0.0.4"],
        ['iifname "qr-1"', "ip saddr 10.0.0.4", "notrack", "ip saddr set 192.0.2.1"],
    ]
    assert chain.rules[1].span.text.startswith('iifname "qr-1" ip saddr')


@pytest.mark.parametrize(
    ("typed", "act", "table", "chain"),
    [
        ("nft add table inet t", Act.ADD, "t", None),
        ("nft create table t", Act.ADD, "t", None),
        ("nft delete table ip t", Act.DELETE, "t", None),
        ("nft flush table ip t", Act.FLUSH, "t", None),
        ("nft delete chain ip t c", Act.DELETE, "t", "c"),
        ("nft flush chain t c", Act.FLUSH, "t", "c"),
        ("nft flush ruleset", Act.FLUSH, None, None),
        ("nft add rule ip t c tcp dport 22 accept", Act.ADD, "t", "c"),
        ("nft insert rule ip t c tcp dport 22 accept", Act.INSERT, "t", "c"),
        ("nft delete rule ip t c tcp dport 22 accept", Act.DELETE, "t", "c"),
        ("nft -f - <<< 'flush ruleset'", Act.FLUSH, None, None),
        ("nft add rule bridge t c ether saddr 02:00:00:00:00:01 drop", Act.ADD, "t", "c"),
        ("nft replace rule inet t c handle 7 accept", Act.REPLACE, "t", "c"),
        ("nft delete rule ip t c handle 7", Act.DELETE, "t", "c"),
        ("nft insert rule ip t c position 7 accept", Act.INSERT, "t", "c"),
        ("nft add set ip t s '{ type ipv4_addr; }'", Act.ADD, "t", None),
        ("nft flush set ip t s", Act.FLUSH, "t", None),
        ("nft delete map ip t s", Act.DELETE, "t", None),
        ("nft add element ip t s '{ 192.0.2.1 }'", Act.ADD, "t", None),
        ("nft delete element ip t s { 192.0.2.1 }", Act.DELETE, "t", None),
        (
            "nft add flowtable inet t f '{ hook ingress priority 0; devices = { eth0, eth1 }; }'",
            Act.ADD,
            "t",
            None,
        ),
        ("nft delete flowtable inet t f", Act.DELETE, "t", None),
    ],
)
def test_commands(typed: str, act: Act, table: str | None, chain: str | None) -> None:
    (edit,) = edits_of(typed)

    assert (edit.act, edit.table, edit.chain) == (act, table, chain)


@pytest.mark.parametrize(
    "typed",
    [
        "nft add chain ip t c '{ type nat hook postrouting priority srcnat + 5; policy accept; }'",
        "nft add chain ip t c { type nat hook postrouting priority srcnat + 5 \\; policy accept \\; }",
        'nft "add chain ip t c { type nat hook postrouting priority 105; }"',
    ],
)
def test_a_chain_on_a_hook(typed: str) -> None:
    (edit,) = edits_of(typed)
    chain = edit.tables[0].chains["c"]

    assert (chain.kind, chain.hook, chain.priority, chain.policy) == ("nat", "postrouting", 105, "accept")


def test_a_rule_typed_with_and_without_quotes_is_the_same() -> None:
    one, other = (
        edits_of(f"nft add rule ip t c {rule}")[0].tables[0].chains["c"].rules[0].statements[0].does
        for rule in ("iifname eth0 drop", "'iifname \"eth0\" drop'")
    )

    assert one == other == Compare(Field("meta iifname", "ifname"), "==", Word("eth0"))


def test_a_script_of_several_commands_is_in_order() -> None:
    script = "nft -f - <<< 'add table ip t\nadd chain ip t c\nadd rule ip t c accept; delete table ip old'"

    assert [(e.act, e.table, e.chain) for e in edits_of(script)] == [
        (Act.ADD, "t", None),
        (Act.ADD, "t", None),
        (Act.ADD, "t", "c"),
        (Act.DELETE, "old", None),
    ]


@pytest.mark.parametrize(
    ("typed", "column", "says"),
    [
        ("nft", 4, "ends too early"),
        ("nft list ruleset", 5, "`list`"),
        ("nft -f /etc/nftables.conf", 8, "not read"),
        ("nft -f -", 8, "not read"),
        ("nft -f - <<< ''", 15, "empty"),
        ("nft add", 8, "ends too early"),
        ("nft add set ip t s", 19, "ends too early"),
        ("nft add element ip t s", 23, "ends too early"),
        ("nft add element ip t s '{ }'", 24, "no element"),
        ("nft add element ip t s '{ 192.0.2.1 . }'", 24, "expected"),
        ("nft replace chain ip t c", 13, "`replace chain`"),
        ("nft flush element ip t s", 19, "`ip`"),
        ("nft add rule ip t c position x accept", 30, "not a number"),
        ("nft add table", 14, "ends too early"),
        ("nft add chain ip t", 19, "ends too early"),
        ("nft add chain ip t c '{ type filter hook ingress priority 0; }'", 5, "`ingress`"),
        ("nft add chain ip t c '{ type filter hook input priority high; }'", 5, "priority"),
        ("nft add chain ip t c '{ type bogus hook input priority 0; }'", 5, "`type bogus"),
        ("nft add rule ip t c", 20, "ends too early"),
        ("nft add rule ip t c ip dadr 192.0.2.1 drop", 21, "`ip dadr 192.0.2.1`"),
        ("nft add rule ip t c tcp dport 22 acept", 34, "`acept`"),
        ("nft add rule ip t c ip daddr 192.0.2.300 drop", 21, "192.0.2.300"),
        ("nft add rule ip t c tcp dport vmap '{ 22 : vanish }'", 21, "vmap"),
        ("nft replace rule ip t c drop", 25, "`drop`"),
        ("nft delete rule ip t c index 7", 24, "`index`"),
        ("nft add chain netdev t c '{ type filter hook ingress priority 0; }'", 5, "no device"),
        ("nft add chain bridge t c '{ type filter hook ingress priority 0; }'", 5, "`ingress`"),
        ("nft -f - <<< 'table ip t { chain c { accept }'", 15, "does not end"),
        ("nft -f - <<< 'table ip t { chain c { bogus accept } }'", 38, "`bogus`"),
    ],
)
def test_what_is_not_evaluated_is_refused_where_it_stands(typed: str, column: int, says: str) -> None:
    with pytest.raises(ChangeError) as refused:
        parse_change(typed)

    assert says in str(refused.value)
    assert refused.value.column == column
    assert refused.value.hint
