"""
What single probes tell beyond a packet: the member ``detail`` of their events.

One function per probe, by its number. Each reads the numbers and the 64 octets that its program wrote;
their meaning stands beside the program.
"""

import errno
import socket
import struct
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

__all__ = ["DETAILS", "Raw"]

Event = Dict[str, Any]


class Raw(NamedTuple):
    """What a program wrote: a returned value, three numbers, 64 octets (or none), a protocol family."""

    verdict: int
    numbers: Tuple[int, int, int]
    blob: bytes
    family: int


_ROUTE = struct.Struct("=16sIIII16siIII")
_NEIGHBOUR = struct.Struct("=16s8sIIII16s8x")
_SIGN = 1 << 31

#: states of a TCP socket, as include/net/tcp_states.h counts them
_STATES = (
    None, "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT",
    "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV", "BOUND_INACTIVE",
)  # fmt: skip
#: states of a neighbour, by bit, as ip-neighbour(8) names them
_NEIGHBOURS = ("INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "NOARP", "PERMANENT")
#: kinds of a route (rtm_type) that forbid; the rest says nothing that matters here
_KINDS = {
    1: "unicast",
    2: "local",
    3: "broadcast",
    4: "anycast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
}
#: what a device or queue answered that did not take a packet
_TRANSMISSIONS = {1: "NET_XMIT_DROP", 2: "NET_XMIT_CN", 16: "NETDEV_TX_BUSY"}
#: actions of the kernel's datapath, as include/uapi/linux/openvswitch.h counts them
_ACTIONS = (
    None, "output", "userspace", "set", "push_vlan", "pop_vlan", "sample", "recirc", "hash", "push_mpls",
    "pop_mpls", "set_masked", "ct", "trunc", "push_eth", "pop_eth", "ct_clear", "push_nsh", "pop_nsh",
    "meter", "clone", "check_pkt_len", "add_mpls", "dec_ttl", "drop", "psample",
)  # fmt: skip
_OUTPUT, _RECIRCULATE, _DROP = 1, 7, 24


def _named(names: Tuple[Optional[str], ...], number: int) -> str:
    return (names[number] if number < len(names) else None) or str(number)


def _errno(number: int) -> Optional[str]:
    """Name an error number, whatever its sign; None for 0."""
    number = number - (1 << 32) if number >= _SIGN else number
    return errno.errorcode.get(abs(number), str(number)) if number else None


def _address(packed: bytes, family: int) -> Optional[str]:
    if family in (4, socket.AF_INET):
        return socket.inet_ntop(socket.AF_INET, packed[:4])
    return socket.inet_ntop(socket.AF_INET6, packed) if family else None


def _text(octets: bytes) -> Optional[str]:
    return octets.partition(b"\0")[0].decode(errors="replace") or None


def _hardware(octets: bytes) -> str:
    return ":".join("{:02x}".format(octet) for octet in octets[:6])


def _state_set(event: Event, raw: Raw) -> None:
    old, new = (_named(_STATES, number) for number in raw.numbers[:2])
    event["detail"] = {"of": "socket", "what": "state", "from": old, "to": new}


def _socket_error(event: Event, raw: Raw) -> None:
    event["detail"] = {"of": "socket", "what": "error", "error": _errno(raw.numbers[0])}


def _retransmitted(event: Event, raw: Raw) -> None:
    event["detail"] = {"of": "socket", "what": "retransmission", "state": _named(_STATES, raw.numbers[0])}


def _says(what: str) -> Callable[[Event, Raw], None]:
    def tell(event: Event, _raw: Raw) -> None:
        event["detail"] = {"what": what}

    return tell


def _reset(event: Event, _raw: Raw) -> None:
    if event["skb"] is None:
        event["detail"] = {"of": "socket"}


def _reject(event: Event, _raw: Raw) -> None:
    event["reason"] = event["reason_subsystem"] = None  # a rule's will: the function is given no reason


def _icmp(event: Event, raw: Raw) -> None:
    event["detail"] = {"icmp_type": raw.numbers[0], "icmp_code": raw.numbers[1]}


def _route(event: Event, raw: Raw) -> None:
    gateway, table, came, leaves, mark, device, error, family, kind, _pad = _ROUTE.unpack(raw.blob)
    event["detail"] = {
        "of": "route lookup",
        "table": table,
        "iif": came or None,
        "oif": leaves or None,
        "mark": mark,
        "error": _errno(error),
        "kind": _KINDS.get(kind),
        "gateway": _address(gateway, family),
        "leaves_by": _text(device),
    }


def _neighbour(event: Event, raw: Raw) -> None:
    address, hardware, family, state, new, _error, _device = _NEIGHBOUR.unpack(raw.blob)
    event["detail"] = {
        "address": _address(address, family),
        "hardware_address": _hardware(hardware) if any(hardware) else None,
        "state": _bits(_NEIGHBOURS, state),
        "to": _bits(_NEIGHBOURS, new),
        "packet": "waits" if raw.numbers[1] else None,
    }


def _bits(names: Tuple[str, ...], value: int) -> Optional[str]:
    return "|".join(name for bit, name in enumerate(names) if value >> bit & 1) or None


def _learned(event: Event, raw: Raw) -> None:
    hardware = struct.pack("=2I", *raw.numbers[:2])
    event["detail"] = {
        "what": "learned",
        "hardware_address": _hardware(hardware),
        "vlan": raw.numbers[2] or None,
    }


def _transmission(event: Event, raw: Raw) -> None:
    event["detail"] = {"what": "not taken", "answer": _TRANSMISSIONS.get(raw.verdict) or str(raw.verdict)}


def _action(event: Event, raw: Raw) -> None:
    action, argument = raw.numbers[:2]
    event["detail"] = {
        "action": _named(_ACTIONS, action),
        "port": argument if action == _OUTPUT else None,
        "recirc_id": argument if action == _RECIRCULATE else None,
        "drop_reason": argument if action == _DROP else None,
    }


#: what a hook's function may answer, as include/uapi/linux/netfilter.h counts it
_VERDICTS = ("DROP", "ACCEPT", "STOLEN", "QUEUE", "REPEAT")
#: states of a tracked TCP connection, as include/uapi/linux/netfilter/nf_conntrack_tcp.h counts them
_TRACKED = (
    "NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",
    "SYN_SENT2",
)  # fmt: skip
_ACCEPTED = 1
#: a packet that the tracker looked at and that has no entry afterwards
_INVALID: Event = {
    "info": "INVALID",
    "status": [],
    "state": None,
    "mark": 0,
    "zone": 0,
    "original": None,
    "reply": None,
}


def _tracked(event: Event, raw: Raw) -> None:
    event["verdict"] = _VERDICTS[raw.verdict] if 0 <= raw.verdict < len(_VERDICTS) else None
    before = raw.numbers[0] - 1
    if 0 <= before < len(_TRACKED):
        event["detail"] = {"state_before": _TRACKED[before]}
    if event["conntrack"] is None:
        event["conntrack"] = dict(_INVALID)


def _hooked(event: Event, raw: Raw) -> None:
    event["verdict"] = "ACCEPT" if raw.verdict == _ACCEPTED else "DROP" if raw.verdict < 0 else "STOLEN"


DETAILS: Dict[int, Callable[[Event, Raw], None]] = {
    5: _transmission,
    8: _reset,
    9: _says("reset received"),
    10: _says("bad checksum"),
    11: _retransmitted,
    12: _says("arrived at an established connection"),
    13: _says("read by a process"),
    14: _state_set,
    15: _socket_error,
    16: _icmp,
    17: _route,
    18: _route,
    19: _neighbour,
    20: _neighbour,
    21: _learned,
    22: _action,
    43: _reject,
    44: _reject,
    47: _icmp,
    48: _tracked,
    49: _hooked,
    50: _hooked,
}
