"""
Numbers of tables that a dump gives by name (``ovs-ofctl --names``).

A controller may name tables, and a switch then prints the names in place of the numbers. It prints tables in
the order of their numbers, and no dump shows more, so a name gets a number that fits its place: the first
table is 0, where every packet begins, and tables that only actions name come last. The numbers need not be
the switch's own; where packets go hangs on order and sameness alone. Source: ``ofproto_collect_flows`` and
``ofputil_table_map`` of Open vSwitch.
"""

from __future__ import annotations

import re
from typing import Final

from bothways.parse.openflow_values import unquoted

__all__ = ["numbers_of_tables"]

#: begins with what it looks for, which is found ten times as fast
_NAMED: Final = re.compile(r'table=["A-Za-z_]')
_HEAD: Final = re.compile(r'(?:^|[\s,])table=("[^"]*"|[^,\s]+)')
_LATER: Final = re.compile(
    r'(?:goto_table:|resubmit\([^,()]*,|[(,]table=)("[^"]*"|[A-Za-z_][\w .-]*?)(?=[,)\s]|$)', re.MULTILINE
)
_GOTO: Final = re.compile(r'goto_table:("[^"]*"|[^,)\s]+)')
#: 254 is the switch's own, 255 stands for all
_LAST: Final = 253


def numbers_of_tables(text: str) -> dict[str, int]:
    r"""
    Name -> number, for every table that a dump names; empty if it names none, or if its order does not hold.

    The order does not hold where rows of one table do not follow each other (``--sort``), where a
    ``goto_table`` would lead back, or where the dump has one table only, which may be any.

    >>> numbers_of_tables("table=In, actions=goto_table:Out\ntable=4, actions=drop\ntable=Out, actions=1")
    {'In': 0, 'Out': 5}
    """
    if _NAMED.search(text) is None:
        return {}
    order: dict[str, int] = {}
    last, current = -1, ""
    jumps: list[tuple[str, str]] = []
    for line in text.splitlines():
        head, actions, rest = line.partition("actions=")
        found = _HEAD.search(head)
        if not actions:
            continue
        name = "0" if found is None else unquoted(found[1])
        jumps += [(name, unquoted(to)) for to in _GOTO.findall(rest)]
        if name == current:
            continue
        number = int(name) if name.isdecimal() and name.isascii() and len(name) <= 3 else last + 1  # noqa: PLR2004
        if name in order or number <= last:
            return {}
        order[name] = last = number
        current = name
    rows = len(order)
    for found in _LATER.finditer(text):
        name = unquoted(found[1])
        if name not in order:
            order[name] = last = last + 1
    backwards = any(to in order and order[to] <= order[name] for name, to in jumps)
    if rows < 2 or last > _LAST or backwards:  # noqa: PLR2004 - a lone table may be any
        return {}
    return {name: number for name, number in order.items() if not name.isdecimal()}
