"""The flows of a switch for a terminal: by table and priority, with names, counters and places."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from bothways.report.flow_table import FlowRow, FlowTable
from bothways.report.paper import Sheet
from bothways.report.words import counted

__all__ = ["render_flow_tables"]

_LONG: Final = 40


def render_flow_tables(tables: Iterable[FlowTable], *, width: int, colour: bool) -> str:
    """
    Return the tables, ending with a newline.

    :param width: columns of the terminal.
    :param colour: False for text without any escape sequence.
    """
    sheet = Sheet(width, colour)
    for table in tables:
        _bridge(sheet, table)
    return sheet.text()


def _bridge(sheet: Sheet, table: FlowTable) -> None:
    bridge = table.bridge
    sheet.heading(f"{bridge.host} {bridge.name}")
    if table.total is None:
        sheet.paragraph(f"flows not collected: `ovs-ofctl dump-flows {bridge.name}` shows them")
        return
    shown = counted(table.total, "flow")
    if len(table.rows) != table.total:
        shown = f"{len(table.rows)} of {shown}"
    sheet.line((shown, ""), (f"  {table.file}", "cyan"), indent=2)
    if table.partial:
        sheet.item((("filtered view: ", "yellow"),), table.partial)
    if not table.total and bridge.fail_mode == "secure":
        sheet.paragraph("fail_mode is secure: without flows, nothing passes")
    room = max((len(str(row.flow.packets or 0)) for row in table.rows), default=1)
    for name, rows in groupby(table.rows, key=lambda row: row.flow.table_name or row.flow.table):
        sheet.line((f"table {name}", "bold"), indent=2)
        for row in rows:
            _row(sheet, row, room)


def _row(sheet: Sheet, row: FlowRow, room: int) -> None:
    flow = row.flow
    hits = "?" if flow.packets is None else str(flow.packets)
    label = ((f"{hits:>{room}}  ", "" if flow.packets else "dim"), (f"{flow.priority:<5}  ", "cyan"))
    sheet.item(label, row.match.replace(",", ", "), indent=4)
    indent = 4 + room + 2 + 7
    sheet.item((("-> ", "dim"),), ", ".join(map(_broken, row.actions)) or "drop", indent=indent)
    sheet.line((_facts(row), "dim"), indent=indent)


def _broken(action: str) -> str:
    """Let a long action be broken between its parts."""
    return action.replace(",", ", ") if len(action) > _LONG else action


def _facts(row: FlowRow) -> str:
    """Cookie, bytes, age and line."""
    flow = row.flow
    parts = [f"cookie {flow.cookie:#x}"]
    if flow.octets is not None:
        parts.append(counted(flow.octets, "byte"))
    if flow.duration is not None:
        parts.append(f"{flow.duration:g} s old")
    if flow.idle_age is not None and flow.packets:
        parts.append(f"last hit {flow.idle_age} s before")
    timeouts = ((flow.idle_timeout, "idle"), (flow.hard_timeout, "in all"))
    parts.extend(f"forgotten after {seconds} s {word}" for seconds, word in timeouts if seconds)
    if flow.unread:
        parts.append(f"not modelled: {', '.join(flow.unread)}")
    parts.append(f"line {flow.span.line}")
    return ", ".join(parts)
