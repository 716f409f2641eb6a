"""The flows of a switch as ``bothways/flows/1``, described by ``docs/reference/flows.schema.json``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bothways.facts.openflow_flow import Action, Flow, Term
from bothways.report.flow_table import FlowRow, FlowTable
from bothways.report.json import JsonObject

__all__ = ["SCHEMA", "flow_tables_json"]

SCHEMA: Final = "bothways/flows/1"


def flow_tables_json(
    tables: Iterable[FlowTable], *, bridge: str = "", host: str = "", asked: str = ""
) -> JsonObject:
    """
    Return the tables; keys are in the order of the contract.

    Numbers that may be wider than a JSON reader keeps (cookies, values and masks of a match) are text in
    base 16.

    :param bridge: what was asked for, as for ``flow_tables``; *host* and *asked* likewise.
    """
    return {
        "schema": SCHEMA,
        "asked": {"host": host or None, "bridge": bridge or None, "filter": asked or None},
        "bridges": [_bridge(table) for table in tables],
    }


def _bridge(table: FlowTable) -> JsonObject:
    bridge, flows = table.bridge, table.bridge.flows
    return {
        "host": bridge.host,
        "name": bridge.name,
        "datapath": bridge.datapath,
        "fail_mode": bridge.fail_mode,
        "file": table.file or None,
        "read_at": None if flows is None else flows.read_at,
        "partial": table.partial,
        "total": table.total,
        "flows": [_row(row) for row in table.rows],
    }


def _row(row: FlowRow) -> JsonObject:
    flow = row.flow
    return {
        "table": flow.table,
        "table_name": flow.table_name,
        "priority": flow.priority,
        "cookie": hex(flow.cookie),
        "packets": flow.packets,
        "bytes": flow.octets,
        "duration_s": flow.duration,
        "idle_age_s": flow.idle_age,
        "hard_age_s": flow.hard_age,
        "idle_timeout_s": flow.idle_timeout,
        "hard_timeout_s": flow.hard_timeout,
        "flags": sorted(flow.flags),
        "match": [_term(term) for term in flow.match],
        "actions": [_action(action, words) for action, words in zip(flow.actions, row.actions, strict=True)],
        "text": _words(flow, row),
        "unread": list(flow.unread),
        "evidence": {"file": flow.span.file, "line": flow.span.line, "text": flow.span.text},
    }


def _term(term: Term) -> JsonObject:
    return {
        "field": term.field,
        "value": None if term.value is None else hex(term.value),
        "mask": None if term.mask is None else hex(term.mask),
        "text": term.text,
    }


def _action(action: Action, words: str) -> JsonObject:
    return {"name": action.name, "text": action.text, "words": words, "modelled": action.modelled}


def _words(flow: Flow, row: FlowRow) -> str:
    """The flow with names of ports, as it is read."""
    match = row.match if flow.match else ""
    head = f"priority={flow.priority}" + (f",{match}" if match else "")
    return f"table={flow.table_name or flow.table}, {head} actions={','.join(row.actions) or 'drop'}"
