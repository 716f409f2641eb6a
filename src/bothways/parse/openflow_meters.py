"""
``ovs-ofctl dump-meters``: meters with their bands.

A meter is ``meter=N FLAG … bands=``, followed by one band a line (``type=drop rate=100 burst_size=10``), or
on the same line. Source: ovs-ofctl(8), section Meter Syntax.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from bothways.facts.openflow import Band, Meter
from bothways.facts.parsed import Parsed
from bothways.parse.openflow_values import number
from bothways.parse.reading import NotModelledError, Reading, is_prompt, lines, quoted

__all__ = ["parse_meters"]

_METER: Final = re.compile(r"\s*meter[=:](?P<number>\S+)\s*(?P<flags>(?:[a-z]+[\s,]+)*)bands?=(?P<bands>.*)")
_BAND: Final = re.compile(r"(?:^|[\s,])type=")
_HEADER: Final = re.compile(r"\s*(?:NXST|OFPST)\w*[ _]")
_KINDS: Final = frozenset({"drop", "dscp_remark"})


def parse_meters(text: str, *, file: str, read_at: float | None = None) -> Parsed[Meter]:
    """Read ``ovs-ofctl dump-meters``; a meter's span is its first line."""
    reading: Reading[Meter] = Reading()
    for line in lines(text, file=file, read_at=read_at):
        found = _METER.match(line.text)
        if not line.text.strip() or is_prompt(line.text) or _HEADER.match(line.text):
            reading.skip()
            continue
        try:
            if found is None and not reading.rows:
                reading.malformed(line, f"not a meter: {quoted(line.text)}", "expected `meter=N … bands=`")
                continue
            if found is not None:
                flags = frozenset(re.split(r"[\s,]+", found["flags"].strip())) - {""}
                reading.rows.append(Meter(number(found["number"]), flags, (), line))
            read = _bands(line.text if found is None else found["bands"], alone=found is None)
        except ValueError as error:
            reading.refuse(line, error)
        else:
            last = reading.rows[-1]
            reading.rows[-1] = replace(last, bands=(*last.bands, *read))
    return reading.done()


def _bands(text: str, *, alone: bool) -> tuple[Band, ...]:
    """The bands of a line; one that holds nothing else has to hold some."""
    found = _BAND.split(text)[1:]
    if alone and not found:
        raise ValueError(f"not a meter: {quoted(text)}")
    return tuple(_band(part) for part in found)


def _band(text: str) -> Band:
    kind, *words = re.split(r"[\s,]+", text.strip())
    values = dict(word.partition("=")[::2] for word in words if word)
    if kind not in _KINDS:
        raise NotModelledError(f"the meter band {quoted(kind)} is not modelled")
    if "rate" not in values:
        raise ValueError(f"the band {quoted(text)} has no rate")
    burst, level = values.get("burst_size"), values.get("prec_level")
    return Band(
        kind,
        number(values["rate"]),
        None if burst is None else number(burst),
        None if level is None else number(level),
    )
