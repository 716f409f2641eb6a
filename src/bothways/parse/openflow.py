"""
``ovs-ofctl dump-flows``: rows of every OpenFlow version, whole dumps, filtered views and pasted rows.

Formats: OpenFlow 1.0 to 1.5, with or without counters (``--no-stats``) and names (``--names``), and
``ovs-appctl bridge/dump-flows``. Tables that have names get numbers from ``openflow_table_names``. A row
holds ``actions=``; what stands behind the actions after a space is a remark, unless it reads as actions.
Matches are read by ``openflow_match``, actions by ``openflow_actions``. A term or action that cannot be read
stays in its flow as not modelled; a row whose table or priority cannot be read is left out. Both are
problems. Source: ovs-ofctl(8), section Flow Syntax.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from bothways.facts.openflow import Action, Flow, Port, Term
from bothways.facts.parsed import Parsed
from bothways.facts.span import Problem, Span
from bothways.parse.openflow_facts import DEFAULT_PRIORITY
from bothways.parse.openflow_lex import assigned
from bothways.parse.openflow_reader import FlowReader, start_of_actions
from bothways.parse.openflow_table_names import numbers_of_tables
from bothways.parse.openflow_values import unquoted
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["DEFAULT_PRIORITY", "parse_flows", "read_flow", "resolve_ports"]

#: rows as most dumps print them
_ROWS: Final = (" cookie=", "cookie=", " table=", "table=")
_HEADER: Final = re.compile(r"\s*(?:NXST|OFPST)\w*[ _]")
_ROWLIKE: Final = re.compile(r"\s*(?:cookie|table|priority|duration|n_packets)=")
#: what ``ovs-ofctl`` prints of an answer that it could not read: its octets
_OCTETS: Final = re.compile(
    r"[0-9a-f]{8}  (?:[0-9a-f]{2}[ -]){15}[0-9a-f]{2} \||[0-9a-f]{8}  (?:[0-9a-f]{2}[ -])+ +\|"
)
_DECODE_ERROR: Final = "***decode error"
_COMMENT: Final = re.compile(r"\s*(?:#|//)")


def parse_flows(text: str, *, file: str, read_at: float | None = None, whole: bool = True) -> Parsed[Flow]:
    """
    Read ``ovs-ofctl dump-flows``.

    :param whole: False for a filtered view, whose first table need not be 0: names of tables stay unknown.

    Irrelevant are blank lines, comments, prompts and reply headers. A line that begins like a row and has
    no actions was cut off: malformed, as is any other line.
    """
    reading: Reading[Flow] = Reading()
    tables = numbers_of_tables(text) if whole else {}
    reader = FlowReader(tables=tables)
    for line in lines(text, file=file, read_at=read_at):
        if line.text.startswith(_ROWS) and "actions=" in line.text:
            _take(reader, line, reading)
        elif not line.text.strip() or is_prompt(line.text) or _HEADER.match(line.text):
            reading.skip()
        elif start_of_actions(line.text) is not None:
            _take(reader, line, reading)
        elif _COMMENT.match(line.text) or _OCTETS.match(line.text):
            reading.skip()
        elif _DECODE_ERROR in line.text:
            message = "`ovs-ofctl` could not read the switch's answer, so flows are missing"
            reading.malformed(line, message, "dump with a later OpenFlow, such as `-O OpenFlow13`")
        elif _ROWLIKE.match(line.text):
            reading.malformed(line, "the flow has no actions", "the row was cut off; dump it again")
        else:
            reading.malformed(
                line, f"not a flow: {quoted(line.text)}", "expected a row of `ovs-ofctl dump-flows`"
            )
    named = next((flow for flow in reading.rows if flow.table_name is not None), None)
    if named is not None:
        reading.unmodelled(
            named.span,
            "the dump names its tables, and their numbers are taken from its order: the first one is 0",
            "`ovs-ofctl --no-names dump-flows` shows the numbers",
        )
    return reading.done()


def _take(reader: FlowReader, line: Span, reading: Reading[Flow]) -> None:
    flow, problems = reader.read(line)
    reading.problems += problems
    if flow is not None:
        reading.rows.append(flow)


def read_flow(line: Span) -> tuple[Flow | None, list[Problem]]:
    """
    Read one row, or one flow as it is given to ``ovs-ofctl add-flow``.

    :return: the flow, None if its table or priority cannot be read; and everything that could not be read.
    """
    return FlowReader().read(line)


def resolve_ports(flows: Iterable[Flow], ports: Mapping[str, Port]) -> tuple[Flow, ...]:
    """
    Give ports that flows name by name (``--names``) the numbers that other dumps show.

    Names that no dump has a number for stay unresolved.
    """
    numbers = {name: port.number for name, port in ports.items() if port.number is not None}
    return tuple(_resolved(flow, numbers) for flow in flows)


def _resolved(flow: Flow, numbers: Mapping[str, int]) -> Flow:
    if all(t.value is not None for t in flow.match) and not any(_names_a_port(a) for a in flow.actions):
        return flow
    match = tuple(_resolved_term(term, numbers) for term in flow.match)
    return replace(flow, match=match, actions=tuple(_resolved_action(a, numbers) for a in flow.actions))


def _names_a_port(action: Action) -> bool:
    return "port_name" in action.args or any(_names_a_port(inner) for inner in _inner(action))


def _inner(action: Action) -> tuple[Action, ...]:
    inner = action.args.get("actions", ())
    return inner if isinstance(inner, tuple) else ()


def _resolved_term(term: Term, numbers: Mapping[str, int]) -> Term:
    if term.field != "in_port" or term.value is not None:
        return term
    name = unquoted(assigned(term.text)[2])
    return replace(term, value=numbers.get(name))


def _resolved_action(action: Action, numbers: Mapping[str, int]) -> Action:
    if not _names_a_port(action):
        return action
    args = dict(action.args)
    name = args.get("port_name")
    if isinstance(name, str) and name in numbers:
        args["port"] = numbers[name]
    inner = _inner(action)
    if inner:
        args["actions"] = tuple(_resolved_action(a, numbers) for a in inner)
    return replace(action, args=args)
