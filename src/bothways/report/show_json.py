"""What is in a bundle as ``bothways/show/1``, described by ``docs/reference/show.schema.json``."""

from __future__ import annotations

from typing import Final

from bothways.bundle import Bundle
from bothways.report.inventory import (
    BridgeRow,
    CaptureRow,
    DumpRow,
    HostRow,
    NetnsRow,
    TraceRow,
    hosts_of,
    stack_rows,
    taps_of,
    trace_rows,
)
from bothways.report.json import JsonObject, question_json
from bothways.report.words import problem_line

__all__ = ["SCHEMA", "show_json"]

SCHEMA: Final = "bothways/show/1"


def show_json(bundle: Bundle) -> JsonObject:
    """Return everything; keys are in the order of the contract."""
    return {
        "schema": SCHEMA,
        "title": bundle.title,
        "question": None if bundle.question is None else question_json(bundle.question),
        "hosts": [_host(each) for each in hosts_of(bundle)],
        "segments": [
            {"name": segment.name, "members": [str(member) for member in segment.members]}
            for segment in bundle.snapshot.segments
        ],
        "captures": [_capture(each) for each in taps_of(bundle)],
        "stacks": [
            {"file": file, "host": stack.host, "title": stack.title, "functions": list(stack.functions)}
            for stack, file in stack_rows(bundle)
        ],
        "traces": [_trace(each) for each in trace_rows(bundle)],
        "problems": [problem_line(problem) for problem in bundle.problems],
        "files": list(bundle.files),
        "unread": list(bundle.unread),
    }


def _host(row: HostRow) -> JsonObject:
    return {
        "name": row.name,
        "kernel": row.kernel,
        "netns": [_netns(each) for each in row.netns],
        "bridges": [_bridge(each) for each in row.bridges],
    }


def _netns(row: NetnsRow) -> JsonObject:
    devices = None
    if row.devices is not None:
        devices = [{"name": name, "addresses": list(addresses)} for name, addresses in row.devices]
    return {
        "name": row.name,
        "devices": devices,
        "dumps": [_dump(each) for each in row.dumps],
        "missing": list(row.missing),
        "bypasses": list(row.bypasses),
    }


def _dump(row: DumpRow) -> JsonObject:
    return {
        "command": row.command,
        "file": row.file,
        "rows": row.rows,
        "partial": row.partial,
        "read_at": row.read_at,
    }


def _bridge(row: BridgeRow) -> JsonObject:
    return {
        "name": row.name,
        "datapath": row.datapath,
        "ports": row.ports,
        "flows": None if row.flows is None else _dump(row.flows),
        "macs": row.macs,
        "groups": row.groups,
        "tunnel_options": row.tunnel_options,
    }


def _capture(row: CaptureRow) -> JsonObject:
    return {
        "tap": {"host": row.tap.host, "netns": row.tap.netns, "device": row.tap.device},
        "file": row.file,
        "packets": row.packets,
        "first_ns": row.first,
        "last_ns": row.last,
        "clock_only": row.clock_only,
        "filter": row.filter,
        "dropped": row.dropped,
        "text": row.textual,
    }


def _trace(row: TraceRow) -> JsonObject:
    return {
        "host": row.host,
        "file": row.file,
        "tier": row.tier,
        "events": row.events,
        "resets": row.resets,
        "errors": row.errors,
        "drops": row.drops,
        "first_ns": row.first,
        "last_ns": row.last,
        "lost": row.lost,
    }
