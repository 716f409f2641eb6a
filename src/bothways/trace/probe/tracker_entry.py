"""
The tracker's entry of a packet in words.

Relation, status, state, mark, zone and the tuples of both directions.
"""

import socket
import struct
from typing import Dict, List, Optional

from bothways.trace.probe.fetch import Entry

__all__ = ["conntrack_words"]

#: enum ip_conntrack_info, uapi/linux/netfilter/nf_conntrack_common.h
_RELATIONS = {
    0: "ESTABLISHED",
    1: "RELATED",
    2: "NEW",
    3: "ESTABLISHED_REPLY",
    4: "RELATED_REPLY",
    7: "UNTRACKED",
}

#: enum ip_conntrack_status, in order of its bits
_STATUS = (
    "EXPECTED",
    "SEEN_REPLY",
    "ASSURED",
    "CONFIRMED",
    "SRC_NAT",
    "DST_NAT",
    "SEQ_ADJUST",
    "SRC_NAT_DONE",
    "DST_NAT_DONE",
    "DYING",
    "FIXED_TIMEOUT",
    "TEMPLATE",
    "NAT_CLASH",
    "HELPER",
    "OFFLOAD",
    "HW_OFFLOAD",
)

#: enum tcp_conntrack, uapi/linux/netfilter/nf_conntrack_tcp.h
_STATES = (
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
)

_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 58: "icmpv6", 132: "sctp", 136: "udplite"}
_FAMILIES = {2: (socket.AF_INET, 4), 10: (socket.AF_INET6, 16)}
_TUPLE_AT, _TUPLE_STEP, _TUPLE = 16, 56, 40  # struct nf_conntrack_tuple_hash: a list's node, and the tuple


def conntrack_words(information: Optional[int], entry: Optional[Entry]) -> Optional[Dict[str, object]]:
    """
    Put what a packet carries of the tracker into words.

    :param information: the low bits of its pointer; -1 where the packet has neither entry nor bits, which
        means INVALID or not tracked (yet), and so nothing; None where the kernel part does not fetch it.
    """
    if information is None:
        return None
    original = _tuple(entry, 0)
    protocol = original.get("protocol") if original else None
    state = entry.state if entry is not None and protocol == "tcp" else None
    return {
        "info": _RELATIONS.get(information),
        "status": _bits(entry.status) if entry is not None and entry.status is not None else None,
        "state": _STATES[state] if state is not None and state < len(_STATES) else None,
        "mark": entry.mark if entry is not None else None,
        "zone": entry.zone if entry is not None else None,
        "original": original,
        "reply": _tuple(entry, 1),
    }


def _bits(status: int) -> List[str]:
    return [word for bit, word in enumerate(_STATUS) if status >> bit & 1]


def _tuple(entry: Optional[Entry], direction: int) -> Optional[Dict[str, object]]:
    if entry is None:
        return None
    at = _TUPLE_AT + direction * _TUPLE_STEP
    raw = entry.tuples[at : at + _TUPLE]
    if len(raw) < _TUPLE:
        return None
    (family,) = struct.unpack_from("<H", raw, 18)
    number = raw[38]
    if family not in _FAMILIES:
        return None
    kind, size = _FAMILIES[family]
    source_port, destination_port = (struct.unpack_from("!H", raw, place)[0] for place in (16, 36))
    ported = number in {6, 17, 132, 136}
    return {
        "source": socket.inet_ntop(kind, raw[:size]),
        "source_port": source_port if ported else None,
        "destination": socket.inet_ntop(kind, raw[20 : 20 + size]),
        "destination_port": destination_port if ported else None,
        "protocol": _PROTOCOLS.get(number, str(number)),
    }
