"""
``ip xfrm policy`` and ``ip xfrm state``: IPsec.

A policy with a template sends what it selects through a security association, or asks that it came through
one; with ``action block`` it drops it. A state by itself takes no packet that is not already IPsec's. Layout
as iproute2 prints it (``ip/xfrm_policy.c``, ``ip/ipxfrm.c``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

from bothways.facts.address import network
from bothways.facts.bypass import Bypass, BypassKind, Selector, Side
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_xfrm"]

_HEAD: Final = re.compile(r"src (\S+) dst (\S+)(?P<rest>.*)")
_PROTOCOLS: Final = {"tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58, "sctp": 132}
_SIDES: Final = {"out": Side.OUT, "in": Side.IN, "fwd": Side.FORWARD}


@dataclass(slots=True)
class _Policy:
    head: re.Match[str]
    span: Span
    side: Side | None = None
    socket: bool = False
    blocks: bool = False
    templates: list[str] = field(default_factory=list)
    device: str = ""


def parse_xfrm(text: str, *, file: str, read_at: float | None = None) -> Parsed[Bypass]:
    """One row a policy that changes a packet's way; those without template that allow are harmless rows."""
    reading: Reading[Bypass] = Reading()
    current: _Policy | None = None
    for span in lines(text, file=file, read_at=read_at):
        line = span.text.strip()
        head = _HEAD.match(line) if not span.text[:1].isspace() else None
        if head is not None:
            _close(current, reading)
            current = _Policy(head, span)
        elif not line or is_prompt(line) or line.startswith("#"):
            reading.skip()
        elif current is None:
            reading.malformed(span, f"{quoted(line)} is no line of `ip xfrm policy`")
        else:
            _detail(line.split(), current)
    _close(current, reading)
    return reading.done()


def _detail(words: list[str], policy: _Policy) -> None:
    if words[0] in ("dir", "socket") and len(words) > 1:
        policy.side = _SIDES.get(words[1])
        policy.socket = words[0] == "socket"
        policy.blocks = "block" in words
    elif words[0] == "tmpl":
        policy.templates.append(" ".join(words))
    elif words[0] == "proto" and policy.templates:
        policy.templates[-1] += " " + " ".join(words)


def _close(policy: _Policy | None, reading: Reading[Bypass]) -> None:
    try:
        reading.rows.extend(_rows(policy))
    except ValueError as error:
        if policy is not None:
            reading.refuse(policy.span, error)


def _rows(policy: _Policy | None) -> Iterator[Bypass]:
    if policy is None or policy.side is None:
        return  # a state: it takes what is IPsec's already
    words = policy.head["rest"].split()
    values = dict(pairwise(words))
    only = Selector(source=network(policy.head[1]), destination=network(policy.head[2]))
    name = values.get("proto", "")
    number = int(name) if re.fullmatch(r"\d{1,3}", name) else None
    only = replace(only, protocol=_PROTOCOLS.get(name, number))
    for key, option in (("sport", "source_ports"), ("dport", "destination_ports")):
        if re.fullmatch(r"\d{1,5}", values.get(key, "")):
            only = replace(only, **{option: (int(values[key]), int(values[key]))})  # type: ignore[arg-type] # two fields of one type
    does = f"the IPsec policy `{policy.span.text.strip()} dir {policy.side}`"
    if policy.blocks:
        does += " drops what it selects"
    elif policy.templates:
        does += " sends it through a security association, or asks for one"
    harmless = not (policy.blocks or policy.templates) or policy.socket
    yield Bypass(
        BypassKind.XFRM, does, policy.span, values.get("dev", ""), policy.side, only, harmless=harmless
    )
