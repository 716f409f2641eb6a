"""
``ss``: sockets, with or without the Netid, State and Process columns.

The tool leaves out columns that would be the same in every row: Netid if one kind was asked for, State if one
state was. Details (``-i``, ``-m``) follow on indented lines. Sockets that carry no packets of a network
(unix, netlink) are irrelevant. Source of the layout: iproute2 ``misc/ss.c``.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final

from bothways.facts.address import Endpoint, address
from bothways.facts.parsed import Parsed
from bothways.facts.socket import Socket
from bothways.facts.span import Span
from bothways.parse.ports import port_number
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_ss"]

_STATES: Final = frozenset(
    "ESTAB SYN-SENT SYN-RECV FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT UNCONN CLOSE-WAIT LAST-ACK LISTEN CLOSING "  # noqa: SIM905 (a word list reads better as words)
    "CLOSED CLOSE UNKNOWN NEW-SYN-RECV BOUND-INACTIVE".split()
)
_NETWORK: Final = frozenset("tcp udp udplite sctp dccp mptcp raw icmp icmp6 ??? ".split())  # noqa: SIM905 (a word list reads better as words)
_ELSEWHERE: Final = frozenset(
    "nl p_raw p_dgr u_str u_dgr u_seq unix ti_rd ti_sq ti_st ti_dg v_str v_dgr v_str tipc xdp vsock".split()  # noqa: SIM905 (a word list reads better as words)
)
_HEADER: Final = re.compile(r"(?:Netid|State|Recv-Q)\s.*Address:Port")
_PROCESS: Final = re.compile(r"users:\((.*)\)")


def parse_ss(text: str, *, file: str, read_at: float | None = None) -> Parsed[Socket]:
    """Read ``ss -tlnp`` and its relatives: one row per IP socket."""
    reading: Reading[Socket] = Reading()
    # Old releases print `*:22` for IPv4 and `:::22` for IPv6; later ones `0.0.0.0:22`, `[::]:22`, and
    # `*:22` for both.
    old_style = re.search(r"(?m)\s:::\S", text) is not None
    for span in lines(text, file=file, read_at=read_at):
        line = span.text
        silent = not line.strip() or line[0].isspace() or line[0] == "#"
        if silent or _HEADER.match(line) or is_prompt(line):
            reading.skip()
            continue
        try:
            row = _socket(span, old_style=old_style)
        except ValueError as error:
            reading.malformed(span, f"not a socket: {error}")
            continue
        if row is None:
            reading.skip()
        else:
            reading.rows.append(row)
    return reading.done()


def _socket(span: Span, *, old_style: bool) -> Socket | None:
    words = span.text.split()
    protocol = words.pop(0) if words[0] in _NETWORK | _ELSEWHERE else ""
    if protocol in _ELSEWHERE:
        return None
    state = words.pop(0) if words and words[0] in _STATES else ""
    if len(words) < 4:  # noqa: PLR2004 (two queues, two ends)
        raise ValueError(f"expected queues and two ends, found {quoted(span.text)}")
    local, local_port, device, family = _end(words[2], old_style=old_style)
    peer, peer_port, _, _ = _end(words[3], old_style=old_style)
    process = _PROCESS.search(span.text)
    return Socket(
        protocol=protocol or ("udp" if state == "UNCONN" else "tcp"),
        state=state or ("LISTEN" if peer_port is None else "UNKNOWN"),
        local=local,
        local_port=local_port,
        peer=peer,
        span=span,
        device=device,
        recv_queue=int(words[0]),
        send_queue=int(words[1]),
        process=process[1] if process else None,
        family=family,
    )


def _end(text: str, *, old_style: bool) -> tuple[Endpoint | None, int | None, str | None, int | None]:
    """Endpoint (None for any address), port, device, and the one family that an open address takes."""
    host, colon, service = text.rpartition(":")
    if not colon:
        raise ValueError(f"no port in {quoted(text)}")
    port = None if service == "*" else port_number(service)
    bare, _, device = host.replace("[", "").replace("]", "").partition("%")
    if bare in ("*", ""):
        return None, port, device or None, 4 if old_style else None
    held = address(bare)
    if isinstance(held, IPv6Address) and held.ipv4_mapped is not None:
        held = held.ipv4_mapped  # a socket of both families that speaks IPv4
    if held.is_unspecified:
        family = None if old_style and not host.startswith("[") else held.version
        return None, port, device or None, family
    return Endpoint(held, port), port, device or None, None
