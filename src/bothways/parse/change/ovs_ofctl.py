"""``ovs-ofctl add-flow|mod-flows|del-flows BRIDGE FLOW`` (ovs-ofctl(8)); a flow is read as in a dump."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from bothways.facts.change import Act, Edit, FlowEdit
from bothways.facts.span import Span
from bothways.parse.change.arguments import Arguments
from bothways.parse.change.error import ChangeError
from bothways.parse.change.words import Command
from bothways.parse.openflow import read_flow

__all__ = ["read_ovs_ofctl"]

_ACTS: Final[Mapping[str, Act]] = {"add-flow": Act.ADD, "mod-flows": Act.REPLACE, "del-flows": Act.DELETE}
_OPTIONS_WITH_VALUE: Final = ("-O", "--protocols", "-F", "--flow-format", "--db")
_FORM: Final = "one of add-flow, mod-flows, del-flows"
_TABLE: Final = re.compile(r"(?:^|[,\s])table\s*=")
_OUT: Final = re.compile(r"(?:^|[,\s])out_(?:port|group)\s*=")
_COOKIE: Final = re.compile(r"(?:^|[,\s])cookie\s*=\s*[0-9a-fx]+/(-1|0x[0-9a-f]+|\d+)", re.IGNORECASE)
_ALL_BITS: Final = 0xFFFFFFFFFFFFFFFF


def read_ovs_ofctl(command: Command) -> tuple[Edit, ...]:
    """
    Read one command that changes flows.

    :raises ChangeError: for other commands, and for a flow with a part that is not understood.
    """
    arguments = Arguments(command)
    strict = False
    while arguments.peek().startswith("-"):
        option = arguments.take("an option").text
        strict = strict or option == "--strict"
        if option in _OPTIONS_WITH_VALUE:
            arguments.take("its value")
    act = _ACTS.get(arguments.peek())
    if act is None:
        raise arguments.refuse(_FORM)
    arguments.at += 1
    while arguments.peek().startswith("-"):
        strict = arguments.take("an option").text == "--strict" or strict
    bridge = arguments.take("a bridge").text
    column = arguments.column
    text = " ".join(word.text for word in arguments.rest())
    if not text and act is not Act.DELETE:
        raise ChangeError("the flow is missing", column, "expected matches and `actions=…`")
    if act is not Act.DELETE and "actions" not in text:
        raise ChangeError("the flow has no actions", column, "add `actions=…`, or `actions=drop`")
    out = _OUT.search(text)
    if out is not None:
        raise ChangeError(f"`{out[0].strip(' ,')}` is not evaluated", column, "name the flows by their match")
    flow, problems = read_flow(Span("", text=text))
    if flow is None or problems:
        message = problems[0].message if problems else "the flow cannot be read"
        hint = problems[0].hint if problems else ""
        raise ChangeError(message, column, hint or "see ovs-fields(7) and ovs-actions(7)")
    masked = _COOKIE.search(text)
    mask = None
    if masked is not None:
        mask = _ALL_BITS if masked[1] == "-1" else int(masked[1], 0)
    return (FlowEdit(act, bridge, flow, strict, _TABLE.search(text) is None, mask),)
