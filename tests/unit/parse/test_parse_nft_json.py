"""`nft -j list ruleset` says what `nft list ruleset` says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.nft import NftTable
from bothways.facts.nft_action import Opaque
from bothways.facts.nft_expression import Element, Interval, Verdict
from bothways.facts.snapshot import IngressDrop
from bothways.facts.span import Kind
from bothways.parse.nft_lex import tokens
from bothways.parse.nft_rule import read_nft_json_rule, read_nft_rule
from bothways.parse.nft_text import parse_nft

#: What nft 1.0.6 printed of the same rule in both forms.
LISTED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "nft_listed.json").read_text("utf-8")
)
#: Rules whose JSON does not say all that their words do.
LOSSY = ("comment", "frag more-fragments")


@pytest.mark.parametrize("row", LISTED, ids=[row["text"] for row in LISTED])
def test_both_forms_of_a_rule_are_the_same(row: dict[str, Any]) -> None:
    spoken, notes = read_nft_rule(tokens(row["text"]), row["text"], row["family"])
    given_, heard, words = read_nft_json_rule(row["expr"], row["family"])

    assert spoken == given_
    assert (notes, heard) == ((), ())
    assert not any(isinstance(statement.does, Opaque) for statement in spoken)
    again, _ = read_nft_rule(tokens(words), words, row["family"])
    assert again == given_ or any(word in row["text"] for word in LOSSY)


def document(*objects: dict[str, Any]) -> str:
    return json.dumps({"nftables": [{"metainfo": {"version": "1.0.6"}}, *objects]})


def in_table(family: str, **kinds: dict[str, Any]) -> dict[str, Any]:
    ((kind, inner),) = kinds.items()
    return {kind: {"family": family, "table": "t", **inner}}


TABLE = {"table": {"family": "inet", "name": "t", "handle": 1}}
CHAIN = in_table(
    "inet",
    chain={"name": "c", "type": "filter", "hook": "forward", "prio": -5, "policy": "drop", "handle": 2},
)
RULE = in_table(
    "inet",
    rule={
        "chain": "c",
        "handle": 7,
        "comment": "why",
        "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}},
            {"counter": {"packets": 1, "bytes": 60}},
            {"accept": None},
        ],
    },
)


def test_a_ruleset() -> None:
    text = document(TABLE, CHAIN, RULE)
    parsed = parse_nft(text, file="nft.json")
    (table,) = parsed.rows
    assert isinstance(table, NftTable)
    chain = table.chains["c"]
    (rule,) = chain.rules

    assert parsed.problems == ()
    assert (chain.kind, chain.hook, chain.priority, chain.policy) == ("filter", "forward", -5, "drop")
    assert (rule.handle, rule.comment, len(rule.statements)) == (7, "why", 3)
    assert rule.span.text == 'tcp dport 22 counter packets 1 bytes 60 accept comment "why"'
    assert (rule.span.line, rule.span.column) == (1, text.index('{"rule"') + 1)


def test_sets_and_maps() -> None:
    named = in_table(
        "inet",
        map={
            "name": "ports",
            "type": "inet_service",
            "map": "verdict",
            "flags": ["interval"],
            "elem": [
                [22, {"accept": None}],
                [{"elem": {"val": {"range": [80, 90]}, "timeout": 60}}, {"drop": None}],
            ],
        },
    )
    (table,) = parse_nft(document(TABLE, named), file="nft.json").rows
    assert isinstance(table, NftTable)

    assert table.sets["ports"].elements == (
        Element((Interval(22, 22),), Verdict("accept")),
        Element((Interval(80, 90),), Verdict("drop"), timeout_s=60),
    )


def test_a_ruleset_that_is_cut_keeps_what_stands_before() -> None:
    text = document(TABLE, CHAIN, RULE)
    parsed = parse_nft(text[: text.index('"counter"')], file="nft.json")

    (table,) = [row for row in parsed.rows if isinstance(row, NftTable)]
    assert table.chains["c"].rules == ()
    assert [p.kind for p in parsed.problems] == [Kind.MALFORMED]


def test_what_iptables_wrote_is_left_to_its_own_dump() -> None:
    chain = {"chain": {"family": "ip", "table": "nat", "name": "PREROUTING", "type": "nat",
                       "hook": "prerouting", "prio": -100, "policy": "accept"}}  # fmt: skip
    parsed = parse_nft(document({"table": {"family": "ip", "name": "nat"}}, chain), file="nft.json")

    assert (parsed.rows, parsed.problems) == ((), ())


def test_a_statement_that_is_not_known_is_kept_open() -> None:
    rule = in_table("inet", rule={"chain": "c", "expr": [{"new thing": {"a": 1}}, {"accept": None}]})
    parsed = parse_nft(document(TABLE, CHAIN, rule), file="nft.json")
    (table,) = [row for row in parsed.rows if isinstance(row, NftTable)]

    assert [p.kind for p in parsed.problems] == [Kind.UNMODELLED]
    assert isinstance(table.chains["c"].rules[0].statements[0].does, Opaque)


def test_a_device_that_drops_all_it_receives() -> None:
    chain = {"chain": {"family": "netdev", "table": "t", "name": "c", "type": "filter", "hook": "ingress",
                       "dev": "tap0", "prio": 0, "policy": "drop"}}  # fmt: skip
    rows = parse_nft(document({"table": {"family": "netdev", "name": "t"}}, chain), file="nft.json").rows

    assert [row.device for row in rows if isinstance(row, IngressDrop)] == ["tap0"]


def test_dormant_and_empty() -> None:
    dormant = {"table": {"family": "ip", "name": "t", "flags": ["dormant"]}}

    (table,) = parse_nft(document(dormant), file="nft.json").rows
    assert isinstance(table, NftTable)
    assert table.dormant
    assert parse_nft(document(), file="nft.json").problems == ()


@given(st.text(max_size=60))
def test_any_json_is_read_to_its_end(text: str) -> None:
    parse_nft('{"nftables": ' + text, file="nft.json")


MEMBERS = (
    "family", "name", "table", "chain", "expr", "match", "left", "right", "op", "payload",
    "protocol", "field", "set", "elem", "val", "map", "key", "data", "range", "prefix", "addr",
    "len", "concat", "&", "|", "<<", "dnat", "port", "vmap", "mangle", "value", "rule", "limit",
    "jump", "target", "xt",
)  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 1 << 70)
    | st.sampled_from(["ip", "t", "c", "@s", "tcp", "1-2", "*"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(MEMBERS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=4))
def test_any_objects_are_read_to_their_end(objects: list[Any]) -> None:
    parse_nft(json.dumps({"nftables": [TABLE, CHAIN, *objects]}), file="nft.json")
    for given_ in objects:
        read_nft_json_rule(given_, "inet")
        read_nft_json_rule([given_], "ip")
