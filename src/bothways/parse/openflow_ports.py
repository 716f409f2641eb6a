"""
``ovs-ofctl show`` and ``dump-ports-desc``: the ports of one bridge by OpenFlow number.

A port is a line `` 8(qg-…): addr:…``, followed by indented ``config:`` and ``state:``. Everything else
(datapath features, speeds, LACP) says nothing about where packets go. Source: ovs-ofctl(8).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from bothways.facts.address import Mac, mac
from bothways.facts.openflow import Port
from bothways.facts.parsed import Parsed
from bothways.parse.openflow_values import port_number, unquoted
from bothways.parse.reading import Reading, lines, quoted

__all__ = ["parse_ports"]

_PORT: Final = re.compile(r'\s+(?P<number>[^\s()]+)\((?P<name>"[^"]*"|[^)]*)\):\s*addr:(?P<mac>\S*)\s*\Z')
_PORTLIKE: Final = re.compile(r"\s+(?:[^\s(]+\(.*\):|\S.{0,80}: addr:)")
_WORDS: Final = re.compile(r"\s+(?P<key>config|state):(?P<words>.*)")


def parse_ports(text: str, *, file: str, read_at: float | None = None) -> Parsed[Port]:
    """Read ``ovs-ofctl show``; ``LOCAL`` and names (``--names``) are told apart from numbers."""
    reading: Reading[Port] = Reading()
    known = False  # whether what follows is said of the last port that was read
    for line in lines(text, file=file, read_at=read_at):
        found = _PORT.match(line.text)
        words = _WORDS.match(line.text)
        if found is not None:
            address = _mac(found["mac"])
            if address is None:
                reading.malformed(
                    line, f"cannot read the MAC {quoted(found['mac'])}", "expected `addr:` and a MAC"
                )
            number = port_number(found["number"])
            reading.rows.append(Port(unquoted(found["name"]), number, line, mac=address))
            known = True
        elif words is not None and known:
            reading.rows[-1] = _with_words(reading.rows[-1], words["key"], words["words"].strip())
        elif _PORTLIKE.match(line.text):
            known = False
            reading.malformed(
                line, f"cannot read the port {quoted(line.text)}", "expected ` 8(name): addr:MAC`"
            )
        else:
            reading.skip()
    return reading.done()


def _mac(text: str) -> Mac | None:
    try:
        return mac(text)
    except ValueError:
        return None


def _with_words(port: Port, key: str, words: str) -> Port:
    given = frozenset() if words == "0" else frozenset(words.split())
    return replace(port, config=given) if key == "config" else replace(port, state=given)
