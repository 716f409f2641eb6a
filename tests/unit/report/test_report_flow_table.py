"""The flows of a switch, filtered and set."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.bundle import open_bundle
from bothways.report.flow_table import FilterError, flow_tables
from bothways.report.flow_table_text import render_flow_tables

ROOT = Path(__file__).resolve().parents[3]
CASE = open_bundle(ROOT / "examples/dual-l3")


def lines(asked: str, bridge: str = "br-int", host: str = "host5") -> list[int | None]:
    return [row.flow.span.line for table in flow_tables(CASE, bridge, host, asked) for row in table.rows]


@pytest.mark.parametrize(
    ("asked", "flows"),
    [
        ("table=100", [24, 25, 26]),
        ("table=0x64,priority=0", [26]),
        ("table=100,192.168.111.223", [25]),
        ("table=100,nw_src=88.88.88.4", [25]),
        ("table=100,nw_src=88.88.88", [25]),
        ("table=100,88.88.4", []),
        ("output:patch-ext,table=100", [25]),
        ("table=100,output:5", [25]),
        ("table=100,OUTPUT:5", [25]),
        ("table=100,output:55", []),
        ("table=100,n_packets>0,n_packets<=4", [25, 26]),
        ("table=100,n_packets>=6", [24]),
        ("cookie=1", []),
        ("cookie=0/-1,table=100", [24, 25, 26]),
        ("cookie=0x1/0,table=100", [24, 25, 26]),
        ("in_port=patch-ext,table=30", [11]),
        ("in_port=5,table=30", [11]),
    ],
)
def test_a_filter_admits_what_has_all_its_terms(asked: str, flows: list[int]) -> None:
    assert lines(asked) == flows


def test_flows_stand_as_the_switch_looks_them_up() -> None:
    (table,) = flow_tables(CASE, "br-int", "host5")
    order = [(row.flow.table, -row.flow.priority) for row in table.rows]

    assert order == sorted(order)
    assert len(table.rows) == table.total == 31


def test_no_name_means_every_bridge() -> None:
    assert {t.bridge.host for t in flow_tables(CASE)} == {"host1", "host5"}
    assert [t.bridge.host for t in flow_tables(CASE, "br-int")] == ["host1", "host5"]


@pytest.mark.parametrize("asked", ["table=x", "cookie=", "priority=-1", "table=1/2/3"])
def test_what_is_no_number_is_refused(asked: str) -> None:
    with pytest.raises(FilterError, match="a number was expected"):
        lines(asked)


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_is_refused(asked: str) -> None:
    try:
        found = lines(asked)
    except FilterError:
        return
    assert set(found) <= set(range(2, 33))


def test_a_flow_is_shown_with_names_counters_cookie_and_line() -> None:
    text = render_flow_tables(
        flow_tables(CASE, "br-int", "host5", "table=100,n_packets<5"), width=100, colour=False
    )

    assert text.startswith("host5 br-int\n  2 of 31 flows  hosts/host5/ovs/br-int.flows.txt\n  table 100\n")
    assert "    4  512    ip, tun_id=0x43e, dl_dst=fa:16:3e:91:5f:a0, nw_src=88.88.88.4\n" in text
    assert "output:patch-ext\n" in text
    assert "cookie 0x0, 296 bytes, 8.514 s old, line 25\n" in text
    assert max(map(len, text.splitlines())) <= 100
