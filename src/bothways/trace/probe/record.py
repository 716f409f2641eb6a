"""
A record of the programs, as an event of ``bothways/trace/1``.

Layout: ``bpf/event.h``. One record is one event; its stack stands behind it, as long as it is.
"""

import socket
import struct
from collections import OrderedDict
from typing import Any, Dict, List, Optional, Tuple, Union

from bothways.trace.probe import details
from bothways.trace.probe.hostns import Namespaces
from bothways.trace.probe.kernel import Kernel
from bothways.trace.probe.probes import BY_NUMBER
from bothways.trace.probe.reasons import Reasons
from bothways.trace.probe.symbols import Symbols

__all__ = ["SIZE", "Decoder"]

_HEAD = struct.Struct("=6Q6IHH4Bi3I16s16s")
_PACKET = struct.Struct("=16s16sHHBBHIIHHHHHHBBBB")
_CONNTRACK = struct.Struct("=16s16sHHBBH16s16sHHBBHQIIHBBB3x")
_AT_CONNTRACK = _HEAD.size + _PACKET.size
_AT_SECOND = _AT_CONNTRACK + _CONNTRACK.size
_AT_BEFORE = _AT_SECOND + _PACKET.size
_BLOB = 64

#: octets of a record with all its parts, behind which a stack stands; one with few parts may be shorter
SIZE = _AT_BEFORE + _PACKET.size

#: enum part
_PACKET_THERE, _INNER, _QUOTED, _BEFORE, _TRACKED, _OF_SOCKET, _BLOB_THERE = 1, 2, 4, 8, 16, 32, 64

_DROP, _RESET = "drop", "rst-sent"
_PROTOCOLS = {
    1: "icmp",
    6: "tcp",
    17: "udp",
    33: "dccp",
    47: "gre",
    50: "esp",
    58: "icmpv6",
    132: "sctp",
    136: "udplite",
}
_WITH_PORTS = frozenset({6, 17, 33, 132, 136})
_ICMP = frozenset({1, 58})
_TCP = 6
_LETTERS = "FSRP.UEW"
_FLAGS = tuple(
    "".join(letter for bit, letter in enumerate(_LETTERS) if value >> bit & 1) for value in range(256)
)
_LATER_FRAGMENT = 0x1FFF

_HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING", "INGRESS")
_VERDICTS = ("DROP", "ACCEPT", "STOLEN", "QUEUE", "REPEAT", "ACCEPT")
_NO_HOOK, _NO_STATE = 255, 255
#: enum ip_conntrack_info
_INFO = {0: "ESTABLISHED", 1: "RELATED", 2: "NEW", 3: "ESTABLISHED_REPLY", 4: "RELATED_REPLY", 7: "UNTRACKED"}
#: enum ip_conntrack_status, by bit
_STATUS = (
    "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST", "SRC_NAT_DONE",
    "DST_NAT_DONE", "DYING", "FIXED_TIMEOUT", "TEMPLATE", "NAT_CLASH", "HELPER", "OFFLOAD", "HW_OFFLOAD",
)  # fmt: skip
#: enum tcp_conntrack
_STATES = (
    "NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",
    "SYN_SENT2",
)  # fmt: skip
_KEPT = 1 << 16

Record = Union[bytes, bytearray, memoryview]
Event = Dict[str, Any]


class Decoder:
    """
    Turns records into events. Numbers of packets begin with 1 and go up in the order in which they are met.

    :param symbols: names of addresses; :param kernel: types of the kernel, for the names of reasons.
    :param tiers: by which tier each probe (its number) was attached.
    """

    def __init__(
        self,
        symbols: Symbols,
        kernel: Optional[Kernel] = None,
        namespaces: Optional[Namespaces] = None,
        tiers: Optional[Dict[int, str]] = None,
    ) -> None:
        self._symbols = symbols
        self._reasons = Reasons(kernel)
        self._namespaces = namespaces if namespaces is not None else Namespaces()
        self.tiers: Dict[int, str] = {} if tiers is None else tiers
        self._numbers: "OrderedDict[int, int]" = OrderedDict()
        self._last = 0
        self._addresses: Dict[Tuple[bytes, int], str] = {}
        self._texts: Dict[bytes, str] = {}
        self._seen: Dict[int, str] = {}

    def event(self, record: Record) -> Event:
        """
        Decode one record: everything of an event but ``n``, ``host`` and ``wall_ns``.

        :raises struct.error: for a record that is too short.
        """
        (
            time, life, provoked_by, clone_of, skb, location,
            netns, ifindex, length, mark, reason, vni,
            number, cpu, parts, frames, hook, family, verdict, first, second, third, device, task,
        ) = _HEAD.unpack_from(record)  # fmt: skip
        probe = BY_NUMBER[number]
        word = probe.event
        stack = self._stack(record, frames) if frames else None
        where = self._symbols(location) if location else None
        function = probe.function
        if function is None and word == _DROP and where:
            function = where.partition("+")[0]
        elif function is None and word == _RESET and stack:
            function = stack[0].partition("+")[0]
        why = (
            self._reasons.drop(reason)
            if word == _DROP
            else self._reasons.reset(reason)
            if word == _RESET
            else None
        )
        packet = self._packet(record, _HEAD.size) if parts & _PACKET_THERE else None
        if packet is not None:
            if parts & _OF_SOCKET:
                packet.update(_UNKNOWN)
            elif parts & _INNER:
                packet["inner"] = self._packet(record, _AT_SECOND)
                packet["vni"] = vni if packet["protocol"] == "udp" else None
            elif parts & _QUOTED:
                packet["quoted"] = self._packet(record, _AT_SECOND)
        event: Event = {
            "type": "event",
            "time_ns": time,
            "cpu": cpu,
            "task": self._text(task),
            "tier": self.tiers.get(number, "raw_tracepoint"),
            "probe": probe.name,
            "event": word,
            "function": function,
            "netns": self._namespace(netns),
            "netns_inode": netns or None,
            "device": self._text(device) or None,
            "ifindex": ifindex or None,
            "skb": hex(skb) if skb else None,
            "packet_id": self._number(life),
            "provoked_by": self._number(provoked_by),
            "clone_of": self._number(clone_of),
            "mark": mark if skb else None,
            "length": length if skb else None,
            "packet": packet,
            "before": self._packet(record, _AT_BEFORE) if parts & _BEFORE else None,
            "conntrack": self._conntrack(record) if parts & _TRACKED else None,
            "hook": _HOOKS[hook] if hook < len(_HOOKS) else None,
            "verdict": None,
            "reason": why.name if why else None,
            "reason_subsystem": why.subsystem if why else None,
            "location": where,
            "rule": None,
            "stack": stack,
        }
        if number in details.DETAILS:
            blob = bytes(record[_AT_SECOND : _AT_SECOND + _BLOB]) if parts & _BLOB_THERE else bytes(_BLOB)
            details.DETAILS[number](event, details.Raw(verdict, (first, second, third), blob, family))
        return event

    def namespaces(self) -> Dict[str, str]:
        """Names of the namespaces that events told, by inode number."""
        return {str(inode): name for inode, name in sorted(self._seen.items())}

    def _namespace(self, inode: int) -> Optional[str]:
        if not inode:
            return None
        name = self._seen.get(inode)
        if name is None or name.startswith("inode:"):
            name = self._namespaces.name(inode) or ""
            self._seen[inode] = name
        return name

    def _number(self, life: int) -> Optional[int]:
        if not life:
            return None
        number = self._numbers.get(life)
        if number is None:
            self._last = number = self._last + 1
            self._numbers[life] = number
            if len(self._numbers) > _KEPT:
                self._numbers.popitem(last=False)
        return number

    def _stack(self, record: Record, frames: int) -> List[str]:
        return self._symbols.stack(struct.unpack_from("={}Q".format(frames), record, SIZE))

    def _packet(self, record: Record, at: int) -> Event:
        (
            source, destination, source_port, destination_port, protocol, family, _pad,
            seq, ack, ip_id, window, length, _payload, fragment, _transport, flags, ttl, icmp_type, icmp_code,
        ) = _PACKET.unpack_from(record, at)  # fmt: skip
        whole = not fragment & _LATER_FRAGMENT
        ported = whole and protocol in _WITH_PORTS
        tcp = whole and protocol == _TCP
        icmp = whole and protocol in _ICMP
        return {
            "family": family,
            "protocol": _PROTOCOLS.get(protocol) or str(protocol),
            "source": self._address(source, family),
            "source_port": source_port if ported else None,
            "destination": self._address(destination, family),
            "destination_port": destination_port if ported else None,
            "flags": _FLAGS[flags] if tcp else None,
            "seq": seq if tcp else None,
            "ack": ack if tcp else None,
            "window": window if tcp else None,
            "ip_id": ip_id if family == 4 or fragment else None,
            "ttl": ttl,
            "length": length,
            "icmp_type": icmp_type if icmp else None,
            "icmp_code": icmp_code if icmp else None,
            "quoted": None,
            "vni": None,
            "inner": None,
        }

    def _conntrack(self, record: Record) -> Event:
        fields = _CONNTRACK.unpack_from(record, _AT_CONNTRACK)
        _entry, status, mark, zone, info, state, before = fields[14:]
        told: Event = {
            "info": _INFO.get(info),
            "status": [name for bit, name in enumerate(_STATUS) if status >> bit & 1],
            "state": _STATES[state] if state < len(_STATES) else None,
            "mark": mark,
            "zone": zone,
            "original": self._tuple(fields[:7]),
            "reply": self._tuple(fields[7:14]),
        }
        del before
        return told

    def _tuple(self, fields: Tuple[Any, ...]) -> Optional[Event]:
        source, destination, source_port, destination_port, protocol, family, _pad = fields
        if not family:
            return None
        ported = protocol in _WITH_PORTS
        return {
            "source": self._address(source, family),
            "source_port": source_port if ported else None,
            "destination": self._address(destination, family),
            "destination_port": destination_port if ported else None,
            "protocol": _PROTOCOLS.get(protocol) or str(protocol),
        }

    def _address(self, packed: bytes, family: int) -> str:
        key = (packed, family)
        text = self._addresses.get(key)
        if text is None:
            if family == 4:
                text = socket.inet_ntop(socket.AF_INET, packed[:4])
            else:
                text = socket.inet_ntop(socket.AF_INET6, packed)
            if len(self._addresses) > _KEPT:
                self._addresses.clear()
            self._addresses[key] = text
        return text

    def _text(self, octets: bytes) -> str:
        text = self._texts.get(octets)
        if text is None:
            text = octets.partition(b"\0")[0].decode(errors="replace")
            if len(self._texts) > _KEPT:
                self._texts.clear()
            self._texts[octets] = text
        return text


#: a socket's connection is no packet: it has both ends, and none of a header's fields
_UNKNOWN: Event = {
    "flags": None,
    "seq": None,
    "ack": None,
    "window": None,
    "ip_id": None,
    "ttl": None,
    "length": None,
}  # fmt: skip
