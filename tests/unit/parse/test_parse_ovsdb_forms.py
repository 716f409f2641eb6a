"""One database in every form that ``ovsdb-client dump`` and ``ovs-vsctl list`` print it in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.openflow import Bridge
from bothways.facts.span import Span
from bothways.parse.ovs_list import listed_bridges, parse_vsctl_list
from bothways.parse.ovsdb import parse_ovsdb

Cells = Sequence[object]


def uuid(number: int) -> list[str]:
    return ["uuid", f"{number:08x}-0000-4000-8000-000000000000"]


TABLES: Final[Mapping[str, tuple[Sequence[str], Sequence[Cells]]]] = {
    "AutoAttach": (("_uuid", "mappings"), ()),
    "Bridge": (
        ("_uuid", "controller", "datapath_type", "fail_mode", "mirrors", "name", "ports"),
        ((uuid(1), uuid(7), "netdev", "secure", ["set", []], "br-x", ["set", [uuid(2), uuid(3)]]),),
    ),
    "Controller": (("_uuid", "connection_mode", "target"), ((uuid(7), ["set", []], "tcp:10.0.0.1:6653"),)),
    "Interface": (
        ("_uuid", "admin_state", "name", "ofport", "options", "type"),
        (
            (uuid(4), "up", "tap, one", 3, ["map", []], ""),
            (uuid(5), "up", "vx", 4, ["map", [["key", "flow"], ["remote_ip", "flow"]]], "vxlan"),
        ),
    ),
    "Port": (
        ("_uuid", "bond_mode", "interfaces", "name", "tag", "trunks"),
        (
            (uuid(2), ["set", []], uuid(4), "tap, one", 10, ["set", []]),
            (uuid(3), ["set", []], uuid(5), "vx", ["set", []], ["set", [10, 20]]),
        ),
    ),
    "sFlow": (("_uuid", "sampling"), ()),
}


def atom(value: object) -> str:
    if isinstance(value, list):
        return str(value[1])
    return json.dumps(value) if value == "" or not str(value).replace("_", "").isalnum() else str(value)


def text_of(value: object) -> str:
    """A value as text has it."""
    if isinstance(value, list) and value[0] == "set":
        return f"[{', '.join(map(atom, value[1]))}]"
    if isinstance(value, list) and value[0] == "map":
        return "{" + ", ".join(f"{atom(key)}={atom(each)}" for key, each in value[1]) + "}"
    return atom(value)


def as_json(name: str, *, indent: int | None = None, caption: bool = True) -> str:
    headings, rows = TABLES[name]
    table = {"data": rows, "headings": headings} | ({"caption": f"{name} table"} if caption else {})
    return json.dumps(table, indent=indent) + "\n"


def as_table(name: str) -> str:
    headings, rows = TABLES[name]
    cells = [list(headings), *([text_of(value) for value in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(headings))]
    lines = [cells[0], ["-" * width for width in widths], *cells[1:]]
    made = (" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in lines)
    return "\n".join(line.rstrip() for line in made) + "\n"


def as_csv(name: str) -> str:
    headings, rows = TABLES[name]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([headings, *([text_of(v) for v in row] for row in rows)])
    return text.getvalue()


def as_list(name: str) -> str:
    headings, rows = TABLES[name]
    return "\n".join(
        "".join(f"{column:<20}: {text_of(value)}\n" for column, value in zip(headings, row, strict=True))
        for row in rows
    )


def dumped(form: Callable[[str], str]) -> str:
    return "\n".join(f"{name} table\n{form(name)}" for name in TABLES)


def plain(bridges: Sequence[Bridge]) -> list[Bridge]:
    """Bridges without the places of what they say."""
    nowhere = Span("")
    return [
        replace(each, ports={name: replace(port, span=nowhere) for name, port in each.ports.items()})
        for each in bridges
    ]


@pytest.mark.parametrize(
    "text",
    [
        "".join(map(as_json, TABLES)),
        "".join(as_json(name, indent=2) for name in TABLES),
        "$ ovsdb-client dump -f json\n" + "".join(map(as_json, TABLES)),
        dumped(as_table),
        dumped(as_csv),
        dumped(as_list),
    ],
    ids=["json", "pretty", "pasted", "table", "csv", "list"],
)
def test_a_dump_says_the_same_in_every_form(text: str) -> None:
    parsed = parse_ovsdb(text, file="ovsdb")
    (bridge,) = parsed.rows
    assert (bridge.name, bridge.fail_mode, bridge.datapath, bridge.mirrors) == (
        "br-x",
        "secure",
        "netdev",
        (),
    )
    assert bridge.controllers == ("tcp:10.0.0.1:6653",)
    assert {name: (port.number, port.tag, port.trunks) for name, port in bridge.ports.items()} == {
        "tap, one": (3, 10, ()),
        "vx": (4, None, (10, 20)),
    }
    assert dict(bridge.ports["vx"].options) == {"key": "flow", "remote_ip": "flow"}
    assert len(parsed.problems) == text.startswith("$")


@pytest.mark.parametrize(
    "form",
    [lambda name: as_json(name, caption=False), as_table, as_csv, as_list],
    ids=["json", "table", "csv", "list"],
)
def test_a_list_says_the_same_in_every_form(form: Callable[[str], str]) -> None:
    parsed = [parse_vsctl_list(form(name), file=name) for name in ("Bridge", "Port", "Interface")]
    assert all(each.problems == () for each in parsed)
    listed = listed_bridges(row for each in parsed for row in each.rows)
    (whole,) = parse_ovsdb("".join(map(as_json, TABLES)), file="ovsdb").rows
    assert plain(listed.rows)[0].ports == plain([whole])[0].ports


def test_a_row_knows_its_line() -> None:
    (bridge,) = parse_ovsdb(dumped(as_table), file="ovsdb").rows
    assert dumped(as_table).splitlines()[(bridge.ports["vx"].span.line or 0) - 1].endswith("vxlan")


@given(st.text(alphabet='{}[]",: \n-_uidabcBridge table09', max_size=200))
def test_no_text_makes_the_readers_fail(text: str) -> None:
    parse_ovsdb(text, file="f")
    parse_vsctl_list(text, file="f")
