"""
``ovs-ofctl dump-tlv-map``: which options of Geneve the fields ``tun_metadata0`` and so on stand for.

Source: ovs-ofctl(8), section Tunnel Option Field Mapping; ``ofp_print_tlv_table_reply`` of
``lib/ofp-print.c``.
"""

from __future__ import annotations

import re
from typing import Final

from bothways.facts.openflow import TunnelOption
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_tlv_map"]

_ROW: Final = re.compile(
    r"\s*(?P<class>0x[0-9a-fA-F]{1,4}|0)\s+(?P<type>0x[0-9a-fA-F]{1,2}|0)"
    r"\s+(?P<length>\d{1,3})\s+(?P<field>tun_metadata(?:\d|[1-5]\d|6[0-3]))\s*\Z"
)
#: what stands around the rows
_IRRELEVANT: Final = re.compile(
    r"\s*(?:NXT_TLV_TABLE_REPLY\b.*|max option space=\d+ max fields=\d+|allocated option space=\d+"
    r"|mapping table:|class\s+type\s+length\s+match field|-[- ]*|)\s*\Z"
)
_LONGEST: Final = 124


def parse_tlv_map(text: str, *, file: str, read_at: float | None = None) -> Parsed[TunnelOption]:
    """Read ``ovs-ofctl dump-tlv-map BRIDGE``."""
    reading: Reading[TunnelOption] = Reading()
    for line in lines(text, file=file, read_at=read_at):
        if is_prompt(line.text) or _IRRELEVANT.match(line.text):
            reading.skip()
            continue
        row = _option(line)
        if row is None:
            message = f"cannot read the option {quoted(line.text)}"
            reading.malformed(line, message, "expected class, type, length and `tun_metadataN`")
        else:
            reading.rows.append(row)
    return reading.done()


def _option(line: Span) -> TunnelOption | None:
    found = _ROW.match(line.text)
    if found is None or int(found["length"]) > _LONGEST:
        return None
    length = int(found["length"])
    return TunnelOption(int(found["class"], 16), int(found["type"], 16), length, found["field"], line)
