"""`ovs-ofctl` and `ovs-vsctl`."""

from __future__ import annotations

import pytest

from bothways.facts.change import Act, FlowEdit, PortEdit
from bothways.parse.change import ChangeError, parse_change

ALL_BITS = 0xFFFFFFFFFFFFFFFF


def flow_of(typed: str) -> FlowEdit:
    (edit,) = parse_change(f"h1: ovs-ofctl {typed}").edits
    assert isinstance(edit, FlowEdit)
    return edit


@pytest.mark.parametrize(
    ("typed", "act", "table", "any_table", "priority", "strict"),
    [
        ("add-flow br0 table=5,priority=7,ip,actions=drop", Act.ADD, 5, False, 7, False),
        ("-O OpenFlow13 add-flow br0 'ip, actions=drop'", Act.ADD, 0, True, 32768, False),
        ("mod-flows br0 table=5,ip,actions=NORMAL", Act.REPLACE, 5, False, 32768, False),
        ("del-flows br0", Act.DELETE, 0, True, 32768, False),
        ("del-flows br0 'table=5,ip'", Act.DELETE, 5, False, 32768, False),
        ("--strict del-flows br0 priority=7,ip", Act.DELETE, 0, True, 7, True),
        ("del-flows --strict br0 priority=7,ip", Act.DELETE, 0, True, 7, True),
    ],
)
def test_flows(typed: str, act: Act, table: int, any_table: object, priority: int, strict: object) -> None:
    edit = flow_of(typed)

    assert (edit.act, edit.bridge, edit.strict, edit.any_table) == (act, "br0", strict, any_table)
    assert (edit.flow.table, edit.flow.priority) == (table, priority)


def test_a_flow_is_read_as_in_a_dump() -> None:
    flow = flow_of(
        "add-flow br0 'tcp,nw_dst=192.0.2.1,tp_dst=22,actions=set_field:192.0.2.2->nw_dst,NORMAL'"
    ).flow

    assert [(t.field, t.value) for t in flow.match] == [
        ("eth_type", 0x800),
        ("ip_proto", 6),
        ("nw_dst", 0xC0000201),
        ("tp_dst", 22),
    ]
    assert [a.name for a in flow.actions] == ["set_field", "normal"]


@pytest.mark.parametrize(
    ("typed", "cookie", "mask"),
    [
        ("del-flows br0 ip", 0, None),
        ("del-flows br0 cookie=0x10/-1", 0x10, ALL_BITS),
        ("del-flows br0 ip,cookie=0x10/0xff", 0x10, 0xFF),
    ],
)
def test_a_cookie_with_a_mask_is_a_filter(typed: str, cookie: int, mask: int | None) -> None:
    edit = flow_of(typed)

    assert (edit.flow.cookie, edit.cookie_mask) == (cookie, mask)


@pytest.mark.parametrize(
    ("typed", "edits"),
    [
        ("del-port x", [PortEdit(Act.DELETE, "x")]),
        ("--if-exists del-port br0 x", [PortEdit(Act.DELETE, "x", "br0")]),
        ("add-port br0 x", [PortEdit(Act.ADD, "x", "br0")]),
        ("add-port br0 x tag=7", [PortEdit(Act.ADD, "x", "br0", tag=7)]),
        (
            "--timeout 5 add-port br0 x -- set Interface x type=vxlan options:remote_ip=192.0.2.9",
            [PortEdit(Act.ADD, "x", "br0", "vxlan", {"remote_ip": "192.0.2.9"})],
        ),
        ("-- del-port x -- del-port y", [PortEdit(Act.DELETE, "x"), PortEdit(Act.DELETE, "y")]),
        ("set port x tag=7", [PortEdit(Act.REPLACE, "x", tag=7)]),
        ('set interface x options:key="flow"', [PortEdit(Act.REPLACE, "x", options={"key": "flow"})]),
    ],
)
def test_ports(typed: str, edits: list[PortEdit]) -> None:
    assert list(parse_change(f"h1: ovs-vsctl {typed}").edits) == edits


@pytest.mark.parametrize(
    ("typed", "column"),
    [
        ("ovs-ofctl", 10),
        ("ovs-ofctl dump-flows br0", 11),
        ("ovs-ofctl add-flow br0", 23),
        ("ovs-ofctl add-flow br0 ip", 24),
        ("ovs-ofctl add-flow br0 ip,nw_dstt=192.0.2.1,actions=drop", 24),
        ("ovs-ofctl add-flow br0 ip,nw_dst=192.0.2.300,actions=drop", 24),
        ("ovs-ofctl del-flows br0 out_port=3", 25),
        ("ovs-vsctl", 10),
        ("ovs-vsctl add-br br0", 11),
        ("ovs-vsctl add-port br0", 23),
        ("ovs-vsctl add-port br0 x trunks=1", 26),
        ("ovs-vsctl del-port br0 x y", 26),
        ("ovs-vsctl set bridge br0 fail_mode=secure", 15),
        ("ovs-vsctl set interface x", 26),
        ("ovs-vsctl set interface x mtu_request=1400", 27),
    ],
)
def test_what_is_not_understood_is_pointed_at(typed: str, column: int) -> None:
    with pytest.raises(ChangeError) as refused:
        parse_change(typed)

    assert refused.value.column == column
    assert refused.value.hint
