"""
``ovs-ofctl dump-flows``: rows of every OpenFlow version, whole dumps, filtered views and pasted rows.

Formats: OpenFlow 1.0 to 1.5, with or without counters (``--no-stats``) and names (``--names``), and
``ovs-appctl bridge/dump-flows``. A row holds ``actions=``; what stands behind the actions after a space is a
remark, unless it reads as actions. Matches are read by ``openflow_match``, actions by ``openflow_actions``. A
term or action that cannot be read stays in its flow as not modelled; a row whose table or priority cannot be
read is left out. Both are problems. Source: ovs-ofctl(8), section Flow Syntax.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from bothways.facts.openflow import Action, Flow, Port, Term
from bothways.facts.parsed import Parsed
from bothways.facts.span import Kind, Problem, Span
from bothways.parse.openflow_actions import ActionReader, reads_as_actions
from bothways.parse.openflow_lex import Piece, assigned, cut, end_of_actions
from bothways.parse.openflow_match import read_match
from bothways.parse.openflow_values import number, unquoted
from bothways.parse.reading import NotModelledError, Reading, is_prompt, lines, quoted

__all__ = ["DEFAULT_PRIORITY", "parse_flows", "read_flow", "resolve_ports"]

#: what a row without ``priority=`` has
DEFAULT_PRIORITY: Final = 32768

#: the second form has lost its space, as copies of web pages do
_ACTIONS: Final = re.compile(r"(?:^|(?<=[\s,]))actions?=|actions=")
_HEADER: Final = re.compile(r"\s*(?:NXST|OFPST)\w*[ _]")
_ROWLIKE: Final = re.compile(r"\s*(?:cookie|table|priority|duration|n_packets)=")
_COMMENT: Final = re.compile(r"\s*(?:#|//)")


def _seconds(text: str) -> float:
    if not text.endswith("s"):
        raise ValueError(text)
    value = float(text[:-1])
    if not 0 <= value < float("inf"):
        raise ValueError(text)
    return value


def _up_to(limit: int) -> Callable[[str], int]:
    def decode(text: str) -> int:
        value = number(text)
        if value > limit:
            raise ValueError(text)
        return value

    return decode


def _table(text: str) -> int:
    if not text[:1].isdigit():
        raise NotModelledError(f"the table is given by its name {quoted(text)}; dump without `--names`")
    return _up_to(0xFF)(text)


#: what ``ovs-ofctl`` prints beside match and actions: decoder and what a good value looks like
_ABOUT: Final[Mapping[str, tuple[Callable[[str], object], str]]] = {
    "cookie": (lambda text: number(text.partition("/")[0]), "a 0x number"),
    "duration": (_seconds, "seconds such as 7.676s"),
    "table": (_table, "a table number from 0 to 255"),
    "table_id": (_table, "a table number from 0 to 255"),
    "n_packets": (number, "a number"),
    "n_bytes": (number, "a number"),
    "n_offload_packets": (number, "a number"),
    "n_offload_bytes": (number, "a number"),
    "priority": (_up_to(0xFFFF), "a number from 0 to 65535"),
    "idle_timeout": (number, "seconds"),
    "hard_timeout": (number, "seconds"),
    "idle": (number, "seconds"),
    "hard": (number, "seconds"),
    "idle_age": (number, "seconds"),
    "hard_age": (number, "seconds"),
    "importance": (number, "a number"),
    "out_port": (str, "a port"),
    "out_group": (str, "a group"),
    "flow_count": (number, "a number"),
}
_WITHOUT_MEANING: Final = frozenset(
    {"send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts", "add", "modify"}
)
#: a row without these would stand in the wrong place
_NEEDED: Final = frozenset({"table", "table_id", "priority"})
#: how ``ovs-appctl bridge/dump-flows`` calls it
_RENAMED: Final[Mapping[str, str]] = {"table_id": "table"}


def parse_flows(text: str, *, file: str, read_at: float | None = None) -> Parsed[Flow]:
    """
    Read ``ovs-ofctl dump-flows``.

    Irrelevant are blank lines, comments, prompts and reply headers. A line that begins like a row and has
    no actions was cut off: malformed, as is any other line.
    """
    reading: Reading[Flow] = Reading()
    for line in lines(text, file=file, read_at=read_at):
        if not line.text.strip() or is_prompt(line.text) or _HEADER.match(line.text):
            reading.skip()
        elif _ACTIONS.search(line.text):
            flow, problems = read_flow(line)
            reading.problems += problems
            if flow is not None:
                reading.rows.append(flow)
        elif _COMMENT.match(line.text):
            reading.skip()
        elif _ROWLIKE.match(line.text):
            reading.malformed(line, "the flow has no actions", "the row was cut off; dump it again")
        else:
            reading.malformed(
                line, f"not a flow: {quoted(line.text)}", "expected a row of `ovs-ofctl dump-flows`"
            )
    return reading.done()


def read_flow(line: Span) -> tuple[Flow | None, list[Problem]]:
    """
    Read one row, or one flow as it is given to ``ovs-ofctl add-flow``.

    :return: the flow, None if its table or priority cannot be read; and everything that could not be read.
    """
    found = _ACTIONS.search(line.text)
    head = line.text if found is None else line.text[: found.start()]
    about: dict[str, object] = {}
    problems: list[Problem] = []
    broken = False
    matches: list[Piece] = []
    for piece in cut(head, 1, ", \t"):
        name, equals, value = assigned(piece.text)
        if name in _ABOUT and equals:
            decode, expects = _ABOUT[name]
            try:
                about[_RENAMED.get(name, name)] = decode(value)
            except ValueError as error:
                broken = broken or name in _NEEDED
                place = replace(line, column=piece.column)
                problems.append(_refused(place, piece, expects, error, fatal=name in _NEEDED))
        elif equals or piece.text not in _WITHOUT_MEANING:
            matches.append(piece)
    terms, more = read_match(matches, line)
    reader = ActionReader(line)
    actions = _actions(line, found, reader)
    problems += [*more, *reader.problems]
    if broken:
        return None, problems
    return _flow(line, about, terms, actions), problems


def _refused(place: Span, piece: Piece, expects: str, error: ValueError, *, fatal: bool) -> Problem:
    outcome = "; the row is left out" if fatal else ""
    if isinstance(error, NotModelledError):
        return Problem(Kind.UNMODELLED, place, f"{error}{outcome}")
    return Problem(Kind.MALFORMED, place, f"cannot read {quoted(piece.text)}{outcome}", f"expected {expects}")


def _actions(line: Span, found: re.Match[str] | None, reader: ActionReader) -> tuple[Action, ...]:
    """The actions; an empty list drops."""
    start = len(line.text) if found is None else found.end()
    rest = line.text[start:]
    start += len(rest) - len(rest.lstrip())
    text = line.text[start:]
    end = end_of_actions(text)
    if reads_as_actions(text[end:]):
        # `ovs-ofctl add-flow` takes blanks for commas; what it would do must not pass for a remark.
        read = reader.actions(text, start + 1, ", \t")
    else:
        read = reader.actions(text[:end], start + 1)
    return read or (Action("drop", {}, "", start + 1),)


def _flow(
    line: Span, about: Mapping[str, object], terms: tuple[Term, ...], actions: tuple[Action, ...]
) -> Flow:
    def whole(name: str) -> int | None:
        value = about.get(name)
        return value if isinstance(value, int) else None

    duration = about.get("duration")
    priority = whole("priority")
    return Flow(
        table=whole("table") or 0,
        priority=DEFAULT_PRIORITY if priority is None else priority,
        match=terms,
        actions=actions,
        span=line,
        cookie=whole("cookie") or 0,
        packets=whole("n_packets"),
        octets=whole("n_bytes"),
        duration=duration if isinstance(duration, float) else None,
    )


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
