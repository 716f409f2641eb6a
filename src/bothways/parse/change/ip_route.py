"""``ip route`` and ``ip rule``: the words behind ``add`` are those of a row of the plain-text dump."""

from __future__ import annotations

from typing import Final

from bothways.facts.change import Act, Edit, RouteEdit, RoutingRuleEdit
from bothways.parse.change.arguments import Arguments, abbreviated
from bothways.parse.change.error import ChangeError
from bothways.parse.ip_route_text import parse_route_text, parse_rule_text

__all__ = ["read_route", "read_rule"]

_ROUTE_ACTS: Final = {
    "add": Act.ADD,
    "replace": Act.REPLACE,
    "change": Act.REPLACE,
    "del": Act.DELETE,
    "delete": Act.DELETE,
    "flush": Act.FLUSH,
}
_RULE_ACTS: Final = {"add": Act.ADD, "del": Act.DELETE, "delete": Act.DELETE, "flush": Act.FLUSH}
#: what a rule is given that takes no place in the kernel's list yet: stands before `lookup main`
_UNNUMBERED: Final = 32765
_PRIORITIES: Final = ("priority", "preference", "pref", "prio", "order")


def read_route(arguments: Arguments) -> tuple[Edit, ...]:
    """
    Read what stands behind ``ip route``.

    :raises ChangeError: if it is not what a dump would print.
    """
    act = _act(arguments, _ROUTE_ACTS)
    column = arguments.column
    words = [word.text for word in arguments.rest()]
    if act is Act.FLUSH and (not words or words[0] in ("table", "dev", "cache")):
        words = ["default", *words]
    parsed = parse_route_text(" ".join(words), file="")
    if not parsed.rows or parsed.problems:
        reason = parsed.problems[0].message if parsed.problems else "it is no route"
        raise ChangeError(reason, column, "expected a route such as `192.0.2.0/24 via 198.51.100.1 dev eth0`")
    return tuple(RouteEdit(act, route) for route in parsed.rows)


def read_rule(arguments: Arguments) -> tuple[Edit, ...]:
    """
    Read what stands behind ``ip rule``.

    :raises ChangeError: if it is not what a dump would print.
    """
    act = _act(arguments, _RULE_ACTS)
    column = arguments.column
    words = [word.text for word in arguments.rest()]
    priority, numbered = str(_UNNUMBERED), False
    for name in _PRIORITIES:
        if name in words[:-1]:
            at = words.index(name)
            priority, numbered = words[at + 1], True
            del words[at : at + 2]
    if "from" not in words and "to" not in words:
        words = ["from", "all", *words]
    words = ["lookup" if word == "table" else word for word in words]
    parsed = parse_rule_text(f"{priority}: {' '.join(words)}", file="")
    if not parsed.rows or parsed.problems:
        reason = parsed.problems[0].message if parsed.problems else "it is no rule"
        raise ChangeError(reason, column, "expected a rule such as `from 192.0.2.0/24 table 100 pref 10`")
    return tuple(RoutingRuleEdit(act, rule, numbered) for rule in parsed.rows)


def _act(arguments: Arguments, acts: dict[str, Act]) -> Act:
    name = abbreviated(arguments.peek(), *acts)
    if name is None:
        raise arguments.refuse(f"one of {', '.join(acts)}")
    arguments.at += 1
    return acts[name]
