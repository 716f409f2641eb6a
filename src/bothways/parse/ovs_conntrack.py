"""
``ovs-appctl dpctl/dump-conntrack``: connections of a datapath's tracker.

A row is ``tcp,orig=(src=…),reply=(…),zone=5,status=…,protoinfo=(state=…)``. State, flags and zone are in
the kernel's words: a connection without ``SEEN_REPLY`` is ``UNREPLIED``. Source: ``ct_dpif_format_entry`` of
``lib/ct-dpif.c``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bothways.facts.address import address
from bothways.facts.conntrack import Entry, Tuple
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.openflow_lex import Piece, cut, keyed
from bothways.parse.openflow_values import number
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_datapath_conntrack"]

_PROTOCOLS: Final[Mapping[str, int]] = {
    "icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "dccp": 33, "gre": 47, "icmpv6": 58, "sctp": 132,
    "udplite": 136,
}  # fmt: skip
#: pf's name -> the kernel's
_STATES: Final[Mapping[str, str]] = {
    "SYN_RECV": "SYN_RECV", "FIN_WAIT_1": "FIN_WAIT", "FIN_WAIT_2": "FIN_WAIT", "CLOSED": "CLOSE",
    "CLOSING": "CLOSE",
}  # fmt: skip


def parse_datapath_conntrack(text: str, *, file: str, read_at: float | None = None) -> Parsed[Entry]:
    """Read ``dpctl/dump-conntrack``, with and without ``-m``."""
    reading: Reading[Entry] = Reading()
    for line in lines(text, file=file, read_at=read_at):
        if not line.text.strip() or is_prompt(line.text) or line.text.startswith("#"):
            reading.skip()
            continue
        try:
            reading.rows.append(_entry(line))
        except (ValueError, KeyError) as error:
            said = f"has no {error}" if isinstance(error, KeyError) else str(error)
            message = f"not a connection of a datapath: {quoted(line.text)}: {said}"
            reading.malformed(line, message, "expected a row of `ovs-appctl dpctl/dump-conntrack`")
    return reading.done()


def _entry(line: Span) -> Entry:
    head, *rest = cut(line.text, 1)
    facts = dict(_inner(piece) for piece in rest)
    word = head.text
    protocol = _PROTOCOLS.get(word)
    if protocol is None:
        protocol = number(word)
    original, reply = _tuple(protocol, facts["orig"]), _tuple(protocol, facts["reply"])
    # A kernel's table does not show what the userspace tracker leaves out: there, a reply shows in the state.
    status = {flag for flag in facts.get("status", "").split("|") if flag}
    states = dict(_inner(piece) for piece in cut(facts.get("protoinfo", ""), 1))
    state = states.get("state") or states.get("state_orig")
    if "status" in facts:
        flags = {"ASSURED"} & status | (set() if "SEEN_REPLY" in status else {"UNREPLIED"})
    else:
        flags = {"UNREPLIED"} if state == "SYN_SENT" else set()
    label = facts.get("labels", "0")
    return Entry(
        original,
        reply,
        line,
        state=None if state is None else _STATES.get(state, state),
        timeout=number(facts["timeout"]) if "timeout" in facts else None,
        status=frozenset(flags),
        mark=number(facts.get("mark", "0")),
        zone=number(facts.get("zone", "0")),
        id=number(facts["id"]) if "id" in facts else None,
        label=number(label),
    )


def _inner(piece: Piece) -> tuple[str, str]:
    name, inner = keyed(piece)
    text = "" if inner is None else inner.text.strip()
    return name, text[1:-1] if text.startswith("(") and text.endswith(")") else text


def _tuple(protocol: int, text: str) -> Tuple:
    words = dict(_inner(piece) for piece in cut(text, 1))
    return Tuple(
        protocol,
        address(words["src"]),
        address(words["dst"]),
        number(words.get("sport") or words.get("id") or "0"),
        number(words.get("dport") or "0"),
        number(words["type"]) if "type" in words else None,
        number(words["code"]) if "code" in words else None,
    )
