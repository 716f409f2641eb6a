"""
What Linux conntrack makes of one TCP segment, cell by cell.

Rule 1: every transition is a cell of ``CELLS``. What hangs on more than state, direction and flags is
in ``tcp_memory``, beside the memory that it needs.
Rule 2: this file knows directions, not hosts. ORIGINAL is the side whose segment *this* tracker saw
first, which need not be the side that opened the connection.

A cell that refuses a segment says why. That sentence reaches the user word for word, so it is written
for the person on call.

Windows are not part of this table: see ``tcp_window``. Behaviour of Linux 5.14 and later
(``net/netfilter/nf_conntrack_proto_tcp.c``), held to a recorded 6.18 by
``tests/unit/model/test_conntrack_oracle.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from bothways.facts.once import once
from bothways.facts.packet import Flag
from bothways.facts.trajectory import Way

__all__ = [
    "CELLS",
    "Cell",
    "Go",
    "Ignore",
    "Invalid",
    "Row",
    "Segment",
    "TcpState",
    "cell_name",
    "log_words",
    "segment",
]


class TcpState(StrEnum):
    """What the tracker believes of a connection, in the words of ``conntrack -L``."""

    NONE = "NONE"  # no entry
    SYN_SENT = "SYN_SENT"
    SYN_RECV = "SYN_RECV"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT = "FIN_WAIT"
    CLOSE_WAIT = "CLOSE_WAIT"
    LAST_ACK = "LAST_ACK"
    TIME_WAIT = "TIME_WAIT"
    CLOSE = "CLOSE"
    SYN_SENT2 = "SYN_SENT2"  # both sides sent SYN


class Segment(StrEnum):
    """What the flags make of a segment; the order is the index that the kernel's log prints."""

    SYN = "SYN"
    SYNACK = "SYN/ACK"
    FIN = "FIN"
    ACK = "ACK"
    RST = "RST"
    BARE = "none"


@dataclass(frozen=True, slots=True)
class Go:
    """Valid: NAT applies and the entry moves to *state*."""

    state: TcpState


@dataclass(frozen=True, slots=True)
class Ignore:
    """Let through: NAT applies, the entry does not move."""

    why: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """ctstate INVALID: no NAT, the packet goes on with the addresses it came with."""

    why: str


Cell = Go | Ignore | Invalid
#: State of the entry that meets a segment, direction, segment.
Row = tuple[TcpState, Way, Segment]


@once
def segment(flags: Flag) -> Segment:
    """Classify a segment: RST outranks SYN outranks FIN outranks ACK."""
    if flags & Flag.RST:
        return Segment.RST
    if flags & Flag.SYN:
        return Segment.SYNACK if flags & Flag.ACK else Segment.SYN
    if flags & Flag.FIN:
        return Segment.FIN
    return Segment.ACK if flags & Flag.ACK else Segment.BARE


def cell_name(state: TcpState, way: Way, seg: Segment) -> str:
    """``SYN_SENT/original/ACK``."""
    return f"{state}/{way}/{seg}"


def log_words(state: TcpState, way: Way, seg: Segment, *, ignored: bool = False) -> tuple[str, str]:
    """
    What ``nf_conntrack_log_invalid`` prints for a cell that refuses or ignores: since 5.14, and before.

    Empty where that kernel prints nothing. The words before 4.16 begin with ``nf_ct_tcp:``.

    :param ignored: the segment is ignored though the cell itself would have let it move the entry.
    """
    cell = CELLS[state, way, seg]
    if isinstance(cell, Go):
        return (_printed(state, way, seg, "ignored")[0], "") if ignored else ("", "")
    if state is TcpState.NONE and way is Way.ORIGINAL:
        return "nf_ct_proto_6: invalid new", ""
    return _printed(state, way, seg, "ignored" if isinstance(cell, Ignore) else "invalid")


@cache
def _printed(state: TcpState, way: Way, seg: Segment, verb: str) -> tuple[str, str]:
    index, direction = list(Segment).index(seg), list(Way).index(way)
    old = "nf_ct_tcp: invalid state" if verb == "invalid" else "nf_ct_tcp: invalid packet ignored in state"
    return f"nf_ct_proto_6: packet (index {index}) in dir {direction} {verb}, state {state}", old


_NO_FLAGS = Invalid("a segment without SYN, ACK, FIN or RST belongs to no state of TCP")
_NO_REPLY = Invalid("a connection without an entry has no reply direction")
_FIRST_SYNACK = Invalid(
    "a SYN/ACK came, but no SYN passed here: the SYN took another path or its entry is gone"
)
_FIRST_FIN = Invalid("a FIN of a connection that is not in the table: its entry is gone or never was")
_FIRST_RST = Invalid("a RST of a connection that is not in the table: there is nothing to reset")
_NOT_ANSWERED = Invalid("the SYN passed here but no SYN/ACK did: the answer took another path or was lost")
_NOT_ANSWERED2 = Invalid(
    "SYNs of both sides passed here but no SYN/ACK did: the answer took another path or was lost"
)
_FIN_UNANSWERED = Invalid("a FIN before any SYN/ACK passed here: the answer took another path or was lost")
_FIN_NOT_OPEN = Invalid("the answering side closes a connection whose SYN/ACK never passed here")
_SELF_ANSWERED = Invalid("the side that opened the connection sends a SYN/ACK: it answers its own SYN")
_STRAY_SYN = Invalid("the answering side sends a bare SYN into a connection that is already under way")
_SYN_AGAIN = Ignore("one more SYN in a known connection: left to the peer, who may answer it or object")
_SYNACK_AGAIN = Ignore("one more SYN/ACK in a known connection: left to the side that opened it")
_CHALLENGE = Ignore("an ACK in place of the SYN/ACK, perhaps a challenge: left to the side that opened")

_S, _W, _G = TcpState, Way, Segment

# fmt: off
CELLS: Final[Mapping[Row, Cell]] = {
    (_S.NONE,        _W.ORIGINAL, _G.SYN):    Go(_S.SYN_SENT),
    (_S.NONE,        _W.ORIGINAL, _G.SYNACK): _FIRST_SYNACK,
    (_S.NONE,        _W.ORIGINAL, _G.FIN):    _FIRST_FIN,
    (_S.NONE,        _W.ORIGINAL, _G.ACK):    Go(_S.ESTABLISHED),
    (_S.NONE,        _W.ORIGINAL, _G.RST):    _FIRST_RST,
    (_S.NONE,        _W.ORIGINAL, _G.BARE):   _NO_FLAGS,
    (_S.NONE,        _W.REPLY,    _G.SYN):    _NO_REPLY,
    (_S.NONE,        _W.REPLY,    _G.SYNACK): _NO_REPLY,
    (_S.NONE,        _W.REPLY,    _G.FIN):    _NO_REPLY,
    (_S.NONE,        _W.REPLY,    _G.ACK):    _NO_REPLY,
    (_S.NONE,        _W.REPLY,    _G.RST):    _NO_REPLY,
    (_S.NONE,        _W.REPLY,    _G.BARE):   _NO_FLAGS,

    (_S.SYN_SENT,    _W.ORIGINAL, _G.SYN):    Go(_S.SYN_SENT),
    (_S.SYN_SENT,    _W.ORIGINAL, _G.SYNACK): _SELF_ANSWERED,
    (_S.SYN_SENT,    _W.ORIGINAL, _G.FIN):    _FIN_UNANSWERED,
    (_S.SYN_SENT,    _W.ORIGINAL, _G.ACK):    _NOT_ANSWERED,
    (_S.SYN_SENT,    _W.ORIGINAL, _G.RST):    Go(_S.CLOSE),
    (_S.SYN_SENT,    _W.ORIGINAL, _G.BARE):   _NO_FLAGS,
    (_S.SYN_SENT,    _W.REPLY,    _G.SYN):    Go(_S.SYN_SENT2),
    (_S.SYN_SENT,    _W.REPLY,    _G.SYNACK): Go(_S.SYN_RECV),
    (_S.SYN_SENT,    _W.REPLY,    _G.FIN):    _FIN_NOT_OPEN,
    (_S.SYN_SENT,    _W.REPLY,    _G.ACK):    _CHALLENGE,
    (_S.SYN_SENT,    _W.REPLY,    _G.RST):    Go(_S.CLOSE),
    (_S.SYN_SENT,    _W.REPLY,    _G.BARE):   _NO_FLAGS,

    (_S.SYN_RECV,    _W.ORIGINAL, _G.SYN):    _SYN_AGAIN,
    (_S.SYN_RECV,    _W.ORIGINAL, _G.SYNACK): Go(_S.SYN_RECV),
    (_S.SYN_RECV,    _W.ORIGINAL, _G.FIN):    Go(_S.FIN_WAIT),
    (_S.SYN_RECV,    _W.ORIGINAL, _G.ACK):    Go(_S.ESTABLISHED),
    (_S.SYN_RECV,    _W.ORIGINAL, _G.RST):    Go(_S.CLOSE),
    (_S.SYN_RECV,    _W.ORIGINAL, _G.BARE):   _NO_FLAGS,
    (_S.SYN_RECV,    _W.REPLY,    _G.SYN):    _STRAY_SYN,
    (_S.SYN_RECV,    _W.REPLY,    _G.SYNACK): _SYNACK_AGAIN,
    (_S.SYN_RECV,    _W.REPLY,    _G.FIN):    Go(_S.FIN_WAIT),
    (_S.SYN_RECV,    _W.REPLY,    _G.ACK):    Go(_S.SYN_RECV),
    (_S.SYN_RECV,    _W.REPLY,    _G.RST):    Go(_S.CLOSE),
    (_S.SYN_RECV,    _W.REPLY,    _G.BARE):   _NO_FLAGS,

    (_S.ESTABLISHED, _W.ORIGINAL, _G.SYN):    _SYN_AGAIN,
    (_S.ESTABLISHED, _W.ORIGINAL, _G.SYNACK): _SELF_ANSWERED,
    (_S.ESTABLISHED, _W.ORIGINAL, _G.FIN):    Go(_S.FIN_WAIT),
    (_S.ESTABLISHED, _W.ORIGINAL, _G.ACK):    Go(_S.ESTABLISHED),
    (_S.ESTABLISHED, _W.ORIGINAL, _G.RST):    Go(_S.CLOSE),
    (_S.ESTABLISHED, _W.ORIGINAL, _G.BARE):   _NO_FLAGS,
    (_S.ESTABLISHED, _W.REPLY,    _G.SYN):    _STRAY_SYN,
    (_S.ESTABLISHED, _W.REPLY,    _G.SYNACK): _SYNACK_AGAIN,
    (_S.ESTABLISHED, _W.REPLY,    _G.FIN):    Go(_S.FIN_WAIT),
    (_S.ESTABLISHED, _W.REPLY,    _G.ACK):    Go(_S.ESTABLISHED),
    (_S.ESTABLISHED, _W.REPLY,    _G.RST):    Go(_S.CLOSE),
    (_S.ESTABLISHED, _W.REPLY,    _G.BARE):   _NO_FLAGS,

    (_S.FIN_WAIT,    _W.ORIGINAL, _G.SYN):    _SYN_AGAIN,
    (_S.FIN_WAIT,    _W.ORIGINAL, _G.SYNACK): _SELF_ANSWERED,
    (_S.FIN_WAIT,    _W.ORIGINAL, _G.FIN):    Go(_S.LAST_ACK),
    (_S.FIN_WAIT,    _W.ORIGINAL, _G.ACK):    Go(_S.CLOSE_WAIT),
    (_S.FIN_WAIT,    _W.ORIGINAL, _G.RST):    Go(_S.CLOSE),
    (_S.FIN_WAIT,    _W.ORIGINAL, _G.BARE):   _NO_FLAGS,
    (_S.FIN_WAIT,    _W.REPLY,    _G.SYN):    _STRAY_SYN,
    (_S.FIN_WAIT,    _W.REPLY,    _G.SYNACK): _SYNACK_AGAIN,
    (_S.FIN_WAIT,    _W.REPLY,    _G.FIN):    Go(_S.LAST_ACK),
    (_S.FIN_WAIT,    _W.REPLY,    _G.ACK):    Go(_S.CLOSE_WAIT),
    (_S.FIN_WAIT,    _W.REPLY,    _G.RST):    Go(_S.CLOSE),
    (_S.FIN_WAIT,    _W.REPLY,    _G.BARE):   _NO_FLAGS,

    (_S.CLOSE_WAIT,  _W.ORIGINAL, _G.SYN):    _SYN_AGAIN,
    (_S.CLOSE_WAIT,  _W.ORIGINAL, _G.SYNACK): _SELF_ANSWERED,
    (_S.CLOSE_WAIT,  _W.ORIGINAL, _G.FIN):    Go(_S.LAST_ACK),
    (_S.CLOSE_WAIT,  _W.ORIGINAL, _G.ACK):    Go(_S.CLOSE_WAIT),
    (_S.CLOSE_WAIT,  _W.ORIGINAL, _G.RST):    Go(_S.CLOSE),
    (_S.CLOSE_WAIT,  _W.ORIGINAL, _G.BARE):   _NO_FLAGS,
    (_S.CLOSE_WAIT,  _W.REPLY,    _G.SYN):    _STRAY_SYN,
    (_S.CLOSE_WAIT,  _W.REPLY,    _G.SYNACK): _SYNACK_AGAIN,
    (_S.CLOSE_WAIT,  _W.REPLY,    _G.FIN):    Go(_S.LAST_ACK),
    (_S.CLOSE_WAIT,  _W.REPLY,    _G.ACK):    Go(_S.CLOSE_WAIT),
    (_S.CLOSE_WAIT,  _W.REPLY,    _G.RST):    Go(_S.CLOSE),
    (_S.CLOSE_WAIT,  _W.REPLY,    _G.BARE):   _NO_FLAGS,

    (_S.LAST_ACK,    _W.ORIGINAL, _G.SYN):    _SYN_AGAIN,
    (_S.LAST_ACK,    _W.ORIGINAL, _G.SYNACK): _SELF_ANSWERED,
    (_S.LAST_ACK,    _W.ORIGINAL, _G.FIN):    Go(_S.LAST_ACK),
    (_S.LAST_ACK,    _W.ORIGINAL, _G.ACK):    Go(_S.TIME_WAIT),
    (_S.LAST_ACK,    _W.ORIGINAL, _G.RST):    Go(_S.CLOSE),
    (_S.LAST_ACK,    _W.ORIGINAL, _G.BARE):   _NO_FLAGS,
    (_S.LAST_ACK,    _W.REPLY,    _G.SYN):    _STRAY_SYN,
    (_S.LAST_ACK,    _W.REPLY,    _G.SYNACK): _SYNACK_AGAIN,
    (_S.LAST_ACK,    _W.REPLY,    _G.FIN):    Go(_S.LAST_ACK),
    (_S.LAST_ACK,    _W.REPLY,    _G.ACK):    Go(_S.TIME_WAIT),
    (_S.LAST_ACK,    _W.REPLY,    _G.RST):    Go(_S.CLOSE),
    (_S.LAST_ACK,    _W.REPLY,    _G.BARE):   _NO_FLAGS,

    (_S.TIME_WAIT,   _W.ORIGINAL, _G.SYN):    Go(_S.SYN_SENT),
    (_S.TIME_WAIT,   _W.ORIGINAL, _G.SYNACK): _SELF_ANSWERED,
    (_S.TIME_WAIT,   _W.ORIGINAL, _G.FIN):    Go(_S.TIME_WAIT),
    (_S.TIME_WAIT,   _W.ORIGINAL, _G.ACK):    Go(_S.TIME_WAIT),
    (_S.TIME_WAIT,   _W.ORIGINAL, _G.RST):    Go(_S.CLOSE),
    (_S.TIME_WAIT,   _W.ORIGINAL, _G.BARE):   _NO_FLAGS,
    (_S.TIME_WAIT,   _W.REPLY,    _G.SYN):    Go(_S.SYN_SENT),
    (_S.TIME_WAIT,   _W.REPLY,    _G.SYNACK): _SYNACK_AGAIN,
    (_S.TIME_WAIT,   _W.REPLY,    _G.FIN):    Go(_S.TIME_WAIT),
    (_S.TIME_WAIT,   _W.REPLY,    _G.ACK):    Go(_S.TIME_WAIT),
    (_S.TIME_WAIT,   _W.REPLY,    _G.RST):    Go(_S.CLOSE),
    (_S.TIME_WAIT,   _W.REPLY,    _G.BARE):   _NO_FLAGS,

    (_S.CLOSE,       _W.ORIGINAL, _G.SYN):    Go(_S.SYN_SENT),
    (_S.CLOSE,       _W.ORIGINAL, _G.SYNACK): _SELF_ANSWERED,
    (_S.CLOSE,       _W.ORIGINAL, _G.FIN):    Go(_S.CLOSE),
    (_S.CLOSE,       _W.ORIGINAL, _G.ACK):    Go(_S.CLOSE),
    (_S.CLOSE,       _W.ORIGINAL, _G.RST):    Go(_S.CLOSE),
    (_S.CLOSE,       _W.ORIGINAL, _G.BARE):   _NO_FLAGS,
    (_S.CLOSE,       _W.REPLY,    _G.SYN):    _STRAY_SYN,
    (_S.CLOSE,       _W.REPLY,    _G.SYNACK): _SYNACK_AGAIN,
    (_S.CLOSE,       _W.REPLY,    _G.FIN):    Go(_S.CLOSE),
    (_S.CLOSE,       _W.REPLY,    _G.ACK):    Go(_S.CLOSE),
    (_S.CLOSE,       _W.REPLY,    _G.RST):    Go(_S.CLOSE),
    (_S.CLOSE,       _W.REPLY,    _G.BARE):   _NO_FLAGS,

    (_S.SYN_SENT2,   _W.ORIGINAL, _G.SYN):    Go(_S.SYN_SENT2),
    (_S.SYN_SENT2,   _W.ORIGINAL, _G.SYNACK): Go(_S.SYN_RECV),
    (_S.SYN_SENT2,   _W.ORIGINAL, _G.FIN):    _FIN_UNANSWERED,
    (_S.SYN_SENT2,   _W.ORIGINAL, _G.ACK):    _NOT_ANSWERED2,
    (_S.SYN_SENT2,   _W.ORIGINAL, _G.RST):    Go(_S.CLOSE),
    (_S.SYN_SENT2,   _W.ORIGINAL, _G.BARE):   _NO_FLAGS,
    (_S.SYN_SENT2,   _W.REPLY,    _G.SYN):    Go(_S.SYN_SENT2),
    (_S.SYN_SENT2,   _W.REPLY,    _G.SYNACK): Go(_S.SYN_RECV),
    (_S.SYN_SENT2,   _W.REPLY,    _G.FIN):    _FIN_NOT_OPEN,
    (_S.SYN_SENT2,   _W.REPLY,    _G.ACK):    _CHALLENGE,
    (_S.SYN_SENT2,   _W.REPLY,    _G.RST):    Go(_S.CLOSE),
    (_S.SYN_SENT2,   _W.REPLY,    _G.BARE):   _NO_FLAGS,
}
# fmt: on
