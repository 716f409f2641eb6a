"""
What a row of ``ovs-ofctl dump-flows`` says of a flow beside its match and its actions.

``cookie=0x5, duration=7.6s, table=0, n_packets=3``, timeouts, ages and flags. Source: ovs-ofctl(8);
``ofputil_flow_stats_format`` of ``lib/ofp-flow.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bothways.facts.openflow import Action, Flow, Term
from bothways.facts.span import Span
from bothways.parse.openflow_values import number
from bothways.parse.reading import NotModelledError, quoted

__all__ = ["ABOUT", "DEFAULT_PRIORITY", "FLAGS", "NEEDED", "RENAMED", "flow_of"]

#: what a row without ``priority=`` has
DEFAULT_PRIORITY: Final = 32768


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
        raise NotModelledError(
            f"the table is given by its name {quoted(text)}, and the dump does not tell its number"
        )
    return _up_to(0xFF)(text)


def _cookie(text: str) -> int:
    return number(text.partition("/")[0])


#: decoder and what a good value looks like
ABOUT: Final[Mapping[str, tuple[Callable[[str], object], str]]] = {
    "cookie": (_cookie, "a 0x number"),
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
#: ``add`` and ``modify`` are what ``ovs-ofctl parse-flows`` says of a row
FLAGS: Final = frozenset(
    {
        "send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts",
        "no_readonly_table", "add", "modify", "modify_strict", "delete", "delete_strict",
    }
)  # fmt: skip
_COMMANDS: Final = frozenset({"add", "modify", "modify_strict", "delete", "delete_strict"})
#: a row without these would stand in the wrong place
NEEDED: Final = frozenset({"table", "table_id", "priority"})
#: what rows say as a rule
_USUAL: Final = frozenset({"cookie", "duration", "table", "n_packets", "n_bytes", "priority"})
#: how ``ovs-appctl bridge/dump-flows`` and flow modifications call it
RENAMED: Final[Mapping[str, str]] = {"table_id": "table", "idle": "idle_timeout", "hard": "hard_timeout"}


def flow_of(
    line: Span,
    about: Mapping[str, object],
    terms: tuple[Term, ...],
    actions: tuple[Action, ...],
    flags: frozenset[str] = frozenset(),
    unread: tuple[str, ...] = (),
) -> Flow:
    """Put a row together; what it does not say is what a switch takes then."""
    known: Mapping[str, Any] = about  # its decoders say what each is
    if known.keys() == _USUAL:
        return Flow(
            known["table"], known["priority"], terms, actions, line, known["cookie"], known["n_packets"],
            known["n_bytes"], known["duration"], flags=flags - _COMMANDS if flags else flags, unread=unread,
        )  # fmt: skip
    get = known.get
    return Flow(
        get("table", 0),
        get("priority", DEFAULT_PRIORITY),
        terms,
        actions,
        line,
        get("cookie", 0),
        get("n_packets"),
        get("n_bytes"),
        get("duration"),
        get("idle_timeout", 0),
        get("hard_timeout", 0),
        get("importance", 0),
        get("idle_age"),
        get("hard_age"),
        flags - _COMMANDS if flags else flags,
        unread,
        get("table_name"),
    )
