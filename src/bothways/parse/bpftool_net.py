"""
``bpftool net`` and ``bpftool -j net``: programs at devices (XDP, tc) and at netfilter's hooks.

Layout as bpftool prints it (``tools/bpf/bpftool/net.c``): sections ``xdp``, ``tc``, ``flow_dissector`` and
``netfilter``; a row of text is ``eth0(2) driver id 34`` or ``eth0(2) clsact/ingress NAME id 12``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bothways.facts.bypass import Bypass, BypassKind, Side
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.json_objects import Document, Record
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_bpftool_net"]

_SECTIONS: Final = frozenset({"xdp", "tc", "flow_dissector", "netfilter", "cgroup"})
_ROW: Final = re.compile(r"\s*(?P<device>\S+?)\((?P<index>\d+)\)\s+(?P<rest>.*)")


def parse_bpftool_net(text: str, *, file: str, read_at: float | None = None) -> Parsed[Bypass]:
    """One row a program that packets meet. Flow dissectors decide nothing and are counted only."""
    if text.lstrip().startswith(("[", "{")):
        return _json(text, file, read_at)
    reading: Reading[Bypass] = Reading()
    section, device = "", ""
    for span in lines(text, file=file, read_at=read_at):
        line = span.text.strip()
        head, colon, rest = line.partition(":")
        if colon and not rest and head in _SECTIONS:
            section, device = head, ""
            reading.skip()
            continue
        found = _ROW.match(span.text)
        if not line or is_prompt(line) or line.startswith("#") or section in ("flow_dissector", "cgroup"):
            reading.skip()
        elif found is not None and section in ("xdp", "tc"):
            device = found["device"]
            if not found["rest"].startswith("multi attachments"):
                reading.rows.append(_program(section, device, found["rest"], span))
        elif section == "xdp" and device and " id " in f" {line} ":
            reading.rows.append(_program(section, device, line, span))
        elif section == "netfilter":
            reading.rows.append(_hooked(line, span))
        else:
            reading.malformed(span, f"{quoted(line)} is no line of `bpftool net`")
    return reading.done()


def _json(text: str, file: str, read_at: float | None) -> Parsed[Bypass]:
    whole = text.strip()
    shown = f"[{whole}]" if whole.startswith("{") else text
    document = Document(shown, file=file, read_at=read_at)
    reading: Reading[Bypass] = Reading()
    for record in document.objects(reading):
        try:
            reading.rows.extend(_sections(record, document))
        except ValueError as error:
            reading.refuse(record.span, error)
    return reading.done()


def _sections(record: Record, document: Document) -> Iterator[Bypass]:
    for section in ("xdp", "tc"):
        for row in document.member_array(record, section):
            words = [row.text(key) for key in ("mode", "kind", "name")]
            told = " ".join(word for word in words if word)
            number = row.text("id") or row.text("prog_id") or "?"
            yield _program(section, row.text("devname") or "", f"{told} id {number}", row.span)
    for row in document.member_array(record, "netfilter"):
        names = [f"{key} {row.text(key)}" for key in ("pf", "hook", "priority") if row.has(key)]
        yield _hooked(" ".join(names), row.span)


def _program(section: str, device: str, rest: str, span: Span) -> Bypass:
    words = " ".join(rest.split())
    if section == "xdp":
        return Bypass(BypassKind.XDP, f"an XDP program at {device} ({words})", span, device, Side.IN)
    side = Side.IN if "ingress" in words else Side.OUT if "egress" in words else Side.ANY
    return Bypass(BypassKind.TC, f"a bpf program of tc at {device} ({words})", span, device, side)


def _hooked(words: str, span: Span) -> Bypass:
    return Bypass(BypassKind.BPF, f"a bpf program at a hook of netfilter ({words})", span)
