"""
``ovs-appctl dpctl/dump-flows`` (or ``ovs-dpctl dump-flows``): what a datapath has learned from the pipeline.

A row is ``KEY(…),KEY(…), packets:N, bytes:N, used:…, actions:…``. Keys with members become a term per
member, ``ipv4.src``; what is encapsulated carries ``encap.`` before it. Terms with an empty mask are left
out. Source: ovs-dpctl(8); ``format_odp_actions`` and ``odp_flow_format`` of ``lib/odp-util.c``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from bothways.facts.address import address, mac, mac_to_int
from bothways.facts.datapath import DatapathAction, DatapathFlow, DatapathTerm
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.openflow_lex import Piece, cut, keyed
from bothways.parse.openflow_values import number, unquoted
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_datapath_flows"]

_ACTIONS: Final = re.compile(r"(?:^|[\s,])actions:")
_HEADER: Final = re.compile(r"\s*(?:flow-dump from|[\w-]+@[\w-]+:)")
_FACT: Final = re.compile(r"[a-z_-]+:")
_REMARK: Final = re.compile(r",? dp-extra-info:(.*)\Z")
_UFID: Final = re.compile(r"\s*ufid:([0-9a-fA-F-]{1,64}),?\s*")
#: actions that hold actions, by their spelling
_HOLDERS: Final = frozenset({"clone", "sample", "check_pkt_len", "dec_ttl"})
#: actions with a name of their own; a bare word or number is a port
_KNOWN: Final = frozenset(
    {
        "drop", "recirc", "ct", "ct_clear", "set", "push_vlan", "pop_vlan", "push_mpls", "pop_mpls",
        "tnl_push", "tnl_pop", "userspace", "hash", "trunc", "meter", "push_eth", "pop_eth", "push_nsh",
        "pop_nsh", "truncate", "lb_output", "add_mpls", "output", *_HOLDERS,
    }
)  # fmt: skip
_DEPTH: Final = 12
_NUMBER: Final = re.compile(r"[0-9]{1,9}\Z")


def parse_datapath_flows(text: str, *, file: str, read_at: float | None = None) -> Parsed[DatapathFlow]:
    """Read ``dpctl/dump-flows``, with and without ``-m`` and ``--names``."""
    reading: Reading[DatapathFlow] = Reading()
    for line in lines(text, file=file, read_at=read_at):
        found = _ACTIONS.search(line.text)
        if not line.text.strip() or is_prompt(line.text) or _HEADER.match(line.text):
            reading.skip()
        elif found is None:
            hint = "expected a row of `ovs-appctl dpctl/dump-flows`"
            reading.malformed(line, f"not a datapath flow: {quoted(line.text)}", hint)
        else:
            reading.rows.append(_flow(line, found, reading))
    return reading.done()


def _flow(line: Span, found: re.Match[str], reading: Reading[DatapathFlow]) -> DatapathFlow:
    head, tail = line.text[: found.start()], line.text[found.end() :]
    ufid = _UFID.match(head)
    begin = ufid.end() if ufid else 0
    facts: dict[str, str] = {}
    terms: list[DatapathTerm] = []
    for piece in cut(head[begin:], begin + 1):
        if _FACT.match(piece.text):
            name, _, value = piece.text.partition(":")
            facts[name] = value.strip()
        else:
            terms.extend(_terms(piece, "", 0))
    remark = _REMARK.search(tail)
    if remark is not None:
        facts["dp-extra-info"], tail = remark[1], tail[: remark.start()]
    actions = _actions(tail, found.end() + 1, 0)
    for action in actions:
        if not action.modelled:
            reading.unmodelled(line, f"the datapath action {quoted(action.text)} is not modelled")
    return DatapathFlow(
        tuple(terms),
        actions,
        line,
        _count(facts.pop("packets", None)),
        _count(facts.pop("bytes", None)),
        _seconds(facts.pop("used", "")),
        ufid[1] if ufid else None,
        facts,
    )


def _count(text: str | None) -> int | None:
    try:
        return None if text is None else number(text)
    except ValueError:
        return None


def _seconds(text: str) -> float | None:
    try:
        return float(text.removesuffix("s"))
    except ValueError:
        return None


def _terms(piece: Piece, before: str, depth: int) -> Iterator[DatapathTerm]:
    """A key as one term, or as one per member; an empty mask is none."""
    name, inner = keyed(piece)
    if inner is None or depth > _DEPTH:
        yield DatapathTerm(f"{before}{name}", None, None, piece.text, piece.column)
        return
    parts = cut(inner.text, inner.column)
    if name == "encap":
        for part in parts:
            yield from _terms(part, f"{before}encap.", depth + 1)
        return
    if not any("=" in part.text or part.text.endswith(")") for part in parts):
        yield from _term(f"{before}{name}", inner.text, piece)
        return
    for part in parts:
        member, value = keyed(part)
        yield from _term(f"{before}{name}.{member}", "" if value is None else value.text, part)


def _term(name: str, text: str, piece: Piece) -> Iterator[DatapathTerm]:
    value, slash, mask = text.partition("/")
    bits = _bits(mask) if slash else None
    if slash and bits == 0:
        return
    yield DatapathTerm(name, _bits(value), bits, text, piece.column)


def _bits(text: str) -> int | None:
    """A number, an address or a MAC as a number."""
    for decode in (number, lambda t: mac_to_int(mac(t)), lambda t: int(address(t))):
        try:
            return decode(text)
        except ValueError:
            continue
    return None


def _actions(text: str, column: int, depth: int) -> tuple[DatapathAction, ...]:
    return tuple(_action(piece, depth) for piece in cut(text, column))


def _action(piece: Piece, depth: int) -> DatapathAction:
    name, inner = keyed(piece)
    if name not in _KNOWN and inner is None:
        port: int | str = int(name) if _NUMBER.match(name) else unquoted(name)
        return DatapathAction("output", {"port": port}, piece.text, piece.column)
    args: dict[str, object] = {}
    if name == "recirc" and inner is not None:
        args["id"] = _bits(inner.text)
    elif name in _HOLDERS and inner is not None and depth < _DEPTH:
        args["actions"] = _held(name, inner, depth)
    elif inner is not None:
        args["text"] = inner.text
    known: Mapping[str, object] = args
    return DatapathAction(name, known, piece.text, piece.column, modelled=name in _KNOWN)


def _held(name: str, inner: Piece, depth: int) -> tuple[DatapathAction, ...]:
    """The actions inside: all of ``clone``'s, of others those in ``actions(…)``, ``gt(…)``, ``le(…)``."""
    if name == "clone":
        return _actions(inner.text, inner.column, depth + 1)
    found: list[DatapathAction] = []
    for part in cut(inner.text, inner.column):
        word, value = keyed(part)
        if value is not None and word in ("actions", "gt", "le"):
            text = value.text.strip()
            lists = text[1:-1] if text.startswith("(") and text.endswith(")") else text
            found += _actions(lists, value.column, depth + 1)
    return tuple(found)
