"""What `bridge` prints: forwarding entries and VLANs, as text and as JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.device import FdbEntry, PortVlan
from bothways.parse.bridge_fdb import parse_fdb, parse_fdb_text
from bothways.parse.bridge_vlan import parse_vlan, parse_vlan_text

FDB: list[tuple[str, dict[str, object]]] = [
    (
        "02:00:00:00:00:01 dev eth1 vlan 7 master br0",
        {"mac": "02:00:00:00:00:01", "ifname": "eth1", "vlan": 7, "flags": [], "master": "br0", "state": ""},
    ),
    (
        "33:33:00:00:00:01 dev eth1 self permanent",
        {"mac": "33:33:00:00:00:01", "ifname": "eth1", "flags": ["self"], "state": "permanent"},
    ),
    (
        "00:00:00:00:00:00 dev vx0 dst 192.0.2.7 vni 9 via eth0 self permanent",
        {
            "mac": "00:00:00:00:00:00", "ifname": "vx0", "dst": "192.0.2.7", "vni": 9, "viaIf": "eth0",
            "flags": ["self"], "state": "permanent",
        },
    ),
]  # fmt: skip
VLANS = """port              vlan-id
eth1              1 PVID Egress Untagged
                  10
                  20-22
eth2              None
br0               1 PVID Egress Untagged
"""
VLANS_JSON = [
    {
        "ifname": "eth1",
        "vlans": [
            {"vlan": 1, "flags": ["PVID", "Egress Untagged"]},
            {"vlan": 10},
            {"vlan": 20, "vlanEnd": 22},
        ],
    },
    {"ifname": "br0", "vlans": [{"vlan": 1, "flags": ["PVID", "Egress Untagged"]}]},
]


def bare(row: FdbEntry) -> tuple[object, ...]:
    return row.mac, row.device, row.master, row.vlan, row.dst, row.state, row.flags, row.vni, row.via


@pytest.mark.parametrize(("text", "members"), FDB)
def test_a_forwarding_entry_is_the_same_in_both_forms(text: str, members: dict[str, object]) -> None:
    one, other = parse_fdb_text(text, file="f"), parse_fdb(json.dumps([members]), file="f")

    assert one.problems == other.problems == ()
    assert bare(one.rows[0]) == bare(other.rows[0])
    assert one.rows[0].span.text == text


@pytest.mark.parametrize(
    "line", ["02:00:00:00:00:01 eth1", "02:00:00:00:00 dev eth1", "02:00:00:00:00:01 dev e vlan x"]
)
def test_a_line_that_is_no_entry_is_malformed(line: str) -> None:
    parsed = parse_fdb_text(line, file="f")

    assert (parsed.rows, [problem.kind.value for problem in parsed.problems]) == ((), ["malformed"])


def test_a_remote_port_is_not_evaluated() -> None:
    parsed = parse_fdb_text("02:00:00:00:00:01 dev vx0 dst 192.0.2.7 port 4790 self", file="f")

    assert (len(parsed.rows), "port 4790" in parsed.problems[0].message) == (1, True)


def words(row: PortVlan) -> tuple[object, ...]:
    return row.device, row.first, row.last, row.pvid, row.untagged


def test_vlans_are_the_same_in_both_forms() -> None:
    one, other = parse_vlan_text(VLANS, file="f"), parse_vlan(json.dumps(VLANS_JSON), file="f")

    assert [words(row) for row in one.rows] == [words(row) for row in other.rows]
    assert words(one.rows[2]) == ("eth1", 20, 22, False, False)
    assert (one.rows[1].span.line, one.problems, other.problems) == (3, (), ())


@given(st.text())
def test_no_text_raises(text: str) -> None:
    for parse in (parse_fdb, parse_fdb_text, parse_vlan, parse_vlan_text):
        parse(text, file="f")
