"""
``ovs-appctl fdb/show`` and ``tnl/neigh/show``: MACs that bridges learned, neighbours of tunnel endpoints.

Source: ovs-vswitchd(8).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from bothways.facts.address import address, mac
from bothways.facts.openflow import LearnedMac, Port, TunnelNeighbour
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.openflow_values import port_number, unquoted
from bothways.parse.reading import Reading, lines, quoted

__all__ = ["parse_fdb_show", "parse_tunnel_neighbours"]

_HEADER: Final = re.compile(r"\s*(?:port\s+VLAN\s+MAC|IP\s+MAC\s+Bridge|=+\s*\Z)")
_FDB: Final = re.compile(
    r'\s*(?P<port>"[^"]*"|\S+)\s+(?P<vlan>\d{1,4})\s+(?P<mac>[0-9a-fA-F:]{17})\s+(?P<age>\S+)\s*\Z'
)
_NEIGHBOUR: Final = re.compile(r"\s*(?P<address>\S+)\s+(?P<mac>[0-9a-fA-F:]{17})\s+(?P<bridge>\S+)")


def parse_fdb_show(
    text: str,
    *,
    file: str,
    read_at: float | None = None,
    ports: Mapping[str, Port] | None = None,
) -> Parsed[LearnedMac]:
    """
    Read ``ovs-appctl fdb/show BRIDGE``.

    :param ports: ports of the bridge by name, to give names (``--names``) their numbers.
    """
    reading: Reading[LearnedMac] = Reading()
    for line in lines(text, file=file, read_at=read_at):
        if not line.text.strip() or _HEADER.match(line.text):
            reading.skip()
            continue
        try:
            reading.rows.append(_learned(line, ports or {}, reading))
        except LookupError as error:
            reading.unmodelled(
                line, str(error.args[0]), "dump it without `--names`, or collect `ovs-ofctl show`"
            )
        except ValueError:
            message = f"cannot read the learned MAC {quoted(line.text)}"
            reading.malformed(line, message, "expected port, VLAN, MAC and age")
    return reading.done()


def _learned(line: Span, ports: Mapping[str, Port], reading: Reading[LearnedMac]) -> LearnedMac:
    found = _FDB.match(line.text)
    if found is None:
        raise ValueError(line.text)
    port = port_number(found["port"])
    if port is None:
        named = ports.get(unquoted(found["port"]))
        port = None if named is None else named.number
        if port is None:
            raise LookupError(f"the number of port {quoted(found['port'])} is not known")
    age = found["age"]
    if not age.isdigit() and age != "static":
        reading.malformed(line, f"cannot read the age {quoted(age)}", "expected seconds or `static`")
    seconds = int(age) if age.isascii() and age.isdigit() and len(age) < 20 else None  # noqa: PLR2004 - 64 bits
    return LearnedMac(mac(found["mac"]), port, int(found["vlan"]), seconds, line)


def parse_tunnel_neighbours(text: str, *, file: str, read_at: float | None = None) -> Parsed[TunnelNeighbour]:
    """Read ``ovs-appctl tnl/neigh/show`` (``tnl/arp/show`` in older versions)."""
    reading: Reading[TunnelNeighbour] = Reading()
    for line in lines(text, file=file, read_at=read_at):
        if not line.text.strip() or _HEADER.match(line.text):
            reading.skip()
            continue
        try:
            row = _neighbour(line)
        except ValueError:
            message = f"cannot read the tunnel neighbour {quoted(line.text)}"
            reading.malformed(line, message, "expected IP, MAC and bridge")
        else:
            reading.rows.append(row)
    return reading.done()


def _neighbour(line: Span) -> TunnelNeighbour:
    found = _NEIGHBOUR.match(line.text)
    if found is None:
        raise ValueError(line.text)
    return TunnelNeighbour(address(found["address"]), mac(found["mac"]), found["bridge"], line)
