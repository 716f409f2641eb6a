"""What ``ofproto/trace`` said, out of the ``expected`` of a recording, or out of what it printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bothways.conform.openflow_case import Told

__all__ = ["NoTraceError", "Said", "printed", "said_of"]

_FLOW: Final = re.compile(r"^Flow: (.*)$", re.MULTILINE)
_FINAL: Final = re.compile(r"^Final flow: (.*)$", re.MULTILINE)
_ACTIONS: Final = re.compile(r"^Datapath actions: (.*)$", re.MULTILINE)
_MEGAFLOW: Final = re.compile(r"^Megaflow: (.*)$", re.MULTILINE)
_TABLE: Final = re.compile(r"^ *(\d+\. .*)$", re.MULTILINE)
_BRIDGE: Final = re.compile(r'^bridge\("([^"]+)"\)$', re.MULTILINE)
_UNCHANGED: Final = "unchanged"


class NoTraceError(ValueError):
    """An ``expected`` that does not hold a trace."""


@dataclass(frozen=True, slots=True)
class Said:
    """
    What the switch said of one packet.

    :param bridge: where it started, None where that is not recorded.
    :param told: translation by translation; none if the switch refused the packet.
    """

    bridge: str | None
    told: tuple[Told, ...]
    tables: tuple[str, ...] | None


def said_of(expected: Mapping[str, Any]) -> Said:
    """
    Read an ``expected``.

    :raises NoTraceError: if it holds no trace.
    """
    stdout = str(expected.get("stdout") or "")
    if expected.get("rc"):
        return Said(_bridge(stdout), (), None)
    finals, actions = _listed(expected.get("final_flow")), _listed(expected.get("datapath_actions"))
    if not actions:
        actions = _of_stdout(_ACTIONS, stdout)
    if not finals:
        finals = _of_stdout(_FINAL, stdout)
    if not actions or not finals:
        raise NoTraceError("`expected` has no `final_flow` and `datapath_actions`")
    if len(finals) != len(actions):
        raise NoTraceError(f"{len(finals)} final flows, but {len(actions)} lists of datapath actions")
    flows: list[str | None] = [*_of_stdout(_FLOW, stdout)]
    first = expected.get("flow")
    if isinstance(first, str):
        flows[:1] = [first]
    flows += [None] * (len(finals) - len(flows))
    told = tuple(
        Told(flow, None if final.strip() == _UNCHANGED else final, done)
        for flow, final, done in zip(flows, finals, actions, strict=False)
    )
    tables = expected.get("tables")
    if tables is None and stdout:
        tables = _of_stdout(_TABLE, stdout)
    return Said(_bridge(stdout), told, None if tables is None else tuple(map(str, tables)))


def printed(stdout: str) -> dict[str, Any]:
    """Give what ``ofproto/trace`` printed the form of an ``expected``."""
    said: dict[str, Any] = {"rc": 0}
    flows = _of_stdout(_FLOW, stdout)
    if flows:
        said["flow"] = flows[0]
    for name, pattern in (("final_flow", _FINAL), ("megaflow", _MEGAFLOW), ("datapath_actions", _ACTIONS)):
        found = _of_stdout(pattern, stdout)
        if found:
            said[name] = found if len(found) > 1 else found[0]
    said["tables"] = _of_stdout(_TABLE, stdout)
    said["stdout"] = stdout
    return said


def _of_stdout(pattern: re.Pattern[str], stdout: str) -> list[str]:
    return [str(found) for found in pattern.findall(stdout)]


def _bridge(stdout: str) -> str | None:
    found = _BRIDGE.search(stdout)
    return found[1] if found else None


def _listed(value: object) -> list[str]:
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
