"""
What conntrack logged of packets that it called INVALID (``nf_conntrack_log_invalid``).

Two writers: a reader of NFLOG, one line per packet
``TIME prefix='nf_ct_proto_6: invalid new ' SRC:SPORT > DST:DPORT flags=0x04 seq=… ack=…``, and the kernel
log, ``[12.3] nf_ct_tcp: invalid state IN= OUT= SRC=… DST=… PROTO=TCP SPT=… DPT=… SEQ=… ACK=… ACK SYN
URGP=0``. The words before the packet are the kernel's reason (``nf_conntrack_proto_tcp.c``; ``nf_ct_tcp:``
before 5.19, ``nf_ct_proto_6:`` since).
"""

from __future__ import annotations

import re
from typing import Final

from bothways.facts.address import Endpoint, address
from bothways.facts.conntrack import InvalidLog
from bothways.facts.packet import Flag
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.ports import port_number
from bothways.parse.reading import Reading, lines, quoted

__all__ = ["parse_invalid_log"]

_NFLOG: Final = re.compile(
    r"\s*(?:(?P<time>\d{1,12}(?:\.\d{1,9})?)\s+)?prefix='(?P<reason>[^']*)'\s*"
    r"(?:(?P<source>\S+)\s+>\s+(?P<destination>\S+))?(?P<rest>.*)\Z"
)
_REASON: Final = re.compile(r"nf_ct_[a-z0-9_]{1,40}:")
_PACKET: Final = re.compile(r"\bIN=")
_KERNEL_LINE: Final = re.compile(r"\[\s*\d+\.\d+\]|<\d+>|.{0,200}?\bkernel:")
_STATE: Final = re.compile(r"\bstate[ =]([A-Z][A-Z_0-9]+)\b")
_DIRECTION: Final = re.compile(r"\bdir[ =]([01])\b")
_PAIR: Final = re.compile(r"\b([A-Za-z]+)=(\S*)")
_FLAG_WORDS: Final = {flag.name: flag for flag in Flag}
_WORD32: Final = 0xFFFFFFFF


def parse_invalid_log(text: str, *, file: str, read_at: float | None = None) -> Parsed[InvalidLog]:
    """
    Read the log in either form; other lines of a kernel log are irrelevant.

    *time* is set for the first form only: the kernel log counts from boot.
    """
    reading: Reading[InvalidLog] = Reading()
    for span in lines(text, file=file, read_at=read_at):
        try:
            row = _nflog(span) or _kernel(span)
        except ValueError as error:
            reading.malformed(span, f"cannot read this packet: {error}")
            continue
        if row is not None:
            reading.rows.append(row)
        elif not span.text.strip() or span.text.startswith("#") or _KERNEL_LINE.match(span.text.lstrip()):
            reading.skip()
        else:
            reading.malformed(span, f"expected the log of an invalid packet, found {quoted(span.text)}")
    return reading.done()


def _nflog(span: Span) -> InvalidLog | None:
    found = _NFLOG.match(span.text)
    if found is None:
        return None
    reason = found["reason"].strip()
    values = _pairs(found["rest"])
    return InvalidLog(
        reason=reason,
        span=span,
        source=_end(found["source"]),
        destination=_end(found["destination"]),
        flags=_number(values.get("flags")),
        seq=_number(values.get("seq")),
        ack=_number(values.get("ack")),
        time=float(found["time"]) if found["time"] else None,
        state=_state(reason),
        direction=_direction(reason),
    )


def _kernel(span: Span) -> InvalidLog | None:
    words = _REASON.search(span.text)
    packet = None if words is None else _PACKET.search(span.text, words.end())
    if words is None or packet is None:
        return None
    reason = span.text[words.start() : packet.start()].strip()
    # An ICMP error quotes the packet that it is about in brackets; that one is not the logged packet.
    rest = re.sub(r"\[[^\]]*\]?", " ", span.text[packet.end() :])
    values = _pairs(rest)
    tcp = values.get("PROTO") == "TCP"
    return InvalidLog(
        reason=reason,
        span=span,
        source=_endpoint(values.get("SRC"), values.get("SPT")),
        destination=_endpoint(values.get("DST"), values.get("DPT")),
        flags=_flags(rest) if tcp else None,
        seq=_number(values.get("SEQ")) if tcp else None,
        ack=_number(values.get("ACK")) if tcp else None,
        state=_state(reason),
        direction=_direction(reason),
    )


def _pairs(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for key, value in _PAIR.findall(text):
        pairs.setdefault(key, value)
    return pairs


def _state(reason: str) -> str | None:
    found = _STATE.search(reason)
    return found[1] if found else None


def _direction(reason: str) -> int | None:
    found = _DIRECTION.search(reason)
    return int(found[1]) if found else None


def _flags(text: str) -> int:
    return sum(_FLAG_WORDS[word] for word in set(text.split()) if word in _FLAG_WORDS)


def _number(text: str | None) -> int | None:
    if not text:
        return None
    value = int(text[:12], 0)
    if not 0 <= value <= _WORD32:
        raise ValueError(f"{quoted(text)} is too large")
    return value


def _end(text: str | None) -> Endpoint | None:
    """``192.0.2.1:22``, ``[2001:db8::1]:22``, ``2001:db8::1:22`` or an address alone."""
    if text is None:
        return None
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return Endpoint(address(text.strip("[]")))
    return Endpoint(address(host.strip("[]")), port_number(port))


def _endpoint(host: str | None, port: str | None) -> Endpoint | None:
    if not host:
        return None
    return Endpoint(address(host), port_number(port) if port else None)
