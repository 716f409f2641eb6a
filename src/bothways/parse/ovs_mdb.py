"""``ovs-appctl mdb/show``: which ports asked for which multicast group. Source: ovs-vswitchd(8)."""

from __future__ import annotations

import re
from typing import Final

from bothways.facts.address import address
from bothways.facts.datapath import MulticastMember
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.openflow_values import port_number
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_mdb_show"]

_HEADER: Final = re.compile(r"\s*port\s+VLAN\s+GROUP")
_ROW: Final = re.compile(r"\s*(?P<port>\S+)\s+(?P<vlan>\d{1,4})\s+(?P<group>\S+)\s+(?P<age>\d{1,9}|\S+)\s*\Z")
_QUERIER: Final = "querier"


def parse_mdb_show(text: str, *, file: str, read_at: float | None = None) -> Parsed[MulticastMember]:
    """Read ``ovs-appctl mdb/show BRIDGE``; a port with a querier has no group."""
    reading: Reading[MulticastMember] = Reading()
    for line in lines(text, file=file, read_at=read_at):
        if not line.text.strip() or is_prompt(line.text) or _HEADER.match(line.text):
            reading.skip()
            continue
        found = _ROW.match(line.text)
        row = None if found is None else _member(line, found)
        if row is None:
            expects = "expected port, VLAN, group and age"
            reading.malformed(line, f"cannot read the multicast member {quoted(line.text)}", expects)
        else:
            reading.rows.append(row)
    return reading.done()


def _member(line: Span, found: re.Match[str]) -> MulticastMember | None:
    port = port_number(found["port"])
    try:
        group = None if found["group"] == _QUERIER else address(found["group"])
    except ValueError:
        return None
    age = int(found["age"]) if found["age"].isascii() and found["age"].isdigit() else None
    return None if port is None else MulticastMember(port, int(found["vlan"]), group, line, age)
