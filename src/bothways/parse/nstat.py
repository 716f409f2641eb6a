"""
``nstat -az``: one counter a line, its value, and a rate that is not kept.

Without ``-a`` nstat prints the difference to its last run, and without ``-z`` no zeros; a file does not tell
which. Layout: iproute2 ``misc/nstat.c``.
"""

from __future__ import annotations

import re
from typing import Final

from bothways.facts.counter import Counter
from bothways.facts.parsed import Parsed
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_nstat"]

_ROW: Final = re.compile(r"(?P<name>[A-Za-z]\w{0,80})\s+(?P<value>\d{1,20})(?:\s+-?[\d.]{1,40})?\s*\Z")


def parse_nstat(text: str, *, file: str, read_at: float | None = None) -> Parsed[Counter]:
    """Read the counters in the order of the file."""
    reading: Reading[Counter] = Reading()
    for span in lines(text, file=file, read_at=read_at):
        row = _ROW.match(span.text)
        if row is not None:
            reading.rows.append(Counter(row["name"], int(row["value"]), span))
        elif not span.text.strip() or span.text.startswith("#") or is_prompt(span.text):
            reading.skip()
        else:
            reading.malformed(span, f"expected `name value rate`, found {quoted(span.text)}")
    return reading.done()
