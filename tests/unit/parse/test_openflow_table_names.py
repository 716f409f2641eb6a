"""Tables that a dump calls by name, as a controller named them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.parse.openflow import parse_flows
from bothways.parse.openflow_table_names import numbers_of_tables

_NAMED = """\
OFPST_FLOW reply (OF1.5) (xid=0x4):
 cookie=0x0, duration=4.8s, table="First_One", n_packets=0, n_bytes=0, priority=100,tcp,in_port=p1 \
actions=ct(table="Se-cond x",zone=NXM_NX_REG0[0..15],nat)
 cookie=0x0, duration=4.8s, table="First_One", n_packets=0, priority=9 actions=resubmit(p1,"Se-cond x"),\
goto_table:Late
 cookie=0x0, duration=4.8s, table="Se-cond x", n_packets=7, n_bytes=0, priority=1 actions=goto_table:20
 cookie=0x0, duration=4.8s, table=20, n_packets=0, n_bytes=0, priority=1 actions=goto_table:Late
 cookie=0x0, duration=4.8s, table=Late, n_packets=0, n_bytes=0, priority=1 \
actions=learn(table=Learned,NXM_OF_ETH_SRC[]),NORMAL
"""


def test_names_get_numbers_in_the_order_of_the_dump() -> None:
    parsed = parse_flows(_NAMED, file="flows.txt")
    assert [(flow.table, flow.table_name) for flow in parsed.rows] == [
        (0, "First_One"), (0, "First_One"), (1, "Se-cond x"), (20, None), (21, "Late"),
    ]  # fmt: skip
    ct, (resubmit, goto), _, _, (learn, _) = (flow.actions for flow in parsed.rows)
    assert [ct[0].args["table"], resubmit.args["table"], goto.args["table"], learn.args["table"]] == [
        1,
        1,
        21,
        22,
    ]
    (problem,) = parsed.problems
    assert "names its tables" in problem.message
    assert problem.span.line == 2


@pytest.mark.parametrize(
    "text",
    [
        # sorted by priority: rows of one table do not follow each other
        "table=A,priority=9,actions=1\ntable=B,priority=8,actions=1\ntable=A,priority=7,actions=1",
        # the dump asked for one table, which need not be the first
        "table=B,priority=9,actions=goto_table:C\ntable=B,priority=8,actions=1",
        # a switch refuses a way back
        "table=A,priority=9,actions=1\ntable=B,priority=8,actions=goto_table:A",
        # two names do not fit before 1
        "table=A,actions=1\ntable=B,actions=1\ntable=1,actions=2",
    ],
)
def test_no_number_is_guessed_where_the_order_does_not_hold(text: str) -> None:
    assert numbers_of_tables(text) == {}
    assert any("by its name" in problem.message for problem in parse_flows(text, file="f").problems)


def test_numbers_alone_name_nothing() -> None:
    assert numbers_of_tables("table=0,actions=learn(table=3,NXM_OF_ETH_SRC[])\ntable=3,actions=drop") == {}


@given(st.text(alphabet='table=AB"19,()\n gotresubmi:actn_', max_size=200))
def test_any_text_is_read(text: str) -> None:
    assert all(0 <= number <= 253 for number in numbers_of_tables(text).values())


def test_a_filtered_view_may_begin_with_any_table() -> None:
    parsed = parse_flows(_NAMED, file="flows.txt", whole=False)
    assert [flow.table for flow in parsed.rows] == [20]
    assert any("by its name" in problem.message for problem in parsed.problems)
