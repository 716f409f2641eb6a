"""
``sysctl -a``: kernel parameters.

``sysctl`` swaps dots and slashes: a device ``eth0.7`` reads ``net.ipv4.conf.eth0/7.rp_filter``, or
``net/ipv4/conf/eth0.7/rp_filter`` with ``-e``-style paths. Both become the name with dots only
(``net.ipv4.conf.eth0.7.rp_filter``), so a lookup needs nothing but the device's own name.
"""

from __future__ import annotations

import re
from typing import Final

from bothways.facts.parsed import Parsed
from bothways.facts.snapshot import Sysctl
from bothways.parse.reading import Reading, lines, quoted

__all__ = ["parse_sysctl"]

_ROW: Final = re.compile(r"-?(?P<name>(?!:)[^\s=#;]+(?<!:))\s*=(?P<value>.*)\Z")
_PROC: Final = re.compile(r"/proc/sys/(?P<name>[^\s=:]+)\s*[:=](?P<value>.*)\Z")
_NOISE: Final = re.compile(r"\s*(?:$|[#;]|sysctl:)")


def parse_sysctl(text: str, *, file: str, read_at: float | None = None) -> Parsed[Sysctl]:
    """Read ``name = value`` lines; complaints of ``sysctl`` itself and comments are irrelevant."""
    reading: Reading[Sysctl] = Reading()
    for span in lines(text, file=file, read_at=read_at):
        if _NOISE.match(span.text):
            reading.skip()
            continue
        line = span.text.strip()
        row = _PROC.match(line) or _ROW.match(line)
        if row is None:
            reading.malformed(span, f"expected `name = value`, found {quoted(span.text)}")
        else:
            reading.rows.append(Sysctl(row["name"].replace("/", "."), row["value"].strip(), span))
    return reading.done()
