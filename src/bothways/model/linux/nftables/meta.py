"""
What goes with a packet, as nft reads it: ``meta``, ``ct``, ``rt``, options of TCP.

Sources: ``net/netfilter/nft_meta.c``, ``nft_ct.c``, ``nft_rt.c``, ``nft_exthdr.c``, ``nft_meta_bridge.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.address import BROADCAST, is_group
from bothways.facts.conntrack import Tuple
from bothways.facts.packet import TCP, Flag, TcpOptions
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import CtState, TrackedConnection
from bothways.model.linux.conntrack.zone import zone_in
from bothways.model.linux.hook import Hook
from bothways.model.linux.nftables.payload import ether_type
from bothways.model.linux.nftables.view import BREAK, Value, View

__all__ = ["META"]

Read = Callable[[View], Value]

_ETHERNET: Final = 14
#: Octets of IP and TCP header without options.
_HEADERS: Final = {4: 40, 6: 60}
_NFPROTO: Final = {"bridge": 7, "arp": 3, "netdev": 5}
_IPV4, _IPV6 = 2, 10
_PACKET_TYPES: Final = {"host": 0, "broadcast": 1, "multicast": 2, "other": 3}
_STATES: Final = {
    CtState.INVALID: 1, CtState.ESTABLISHED: 2, CtState.RELATED: 4, CtState.NEW: 8, CtState.UNTRACKED: 64,
}  # fmt: skip
_STATUS: Final = {
    "EXPECTED": 1, "SEEN_REPLY": 2, "ASSURED": 4, "CONFIRMED": 8, "SRC_NAT": 16, "DST_NAT": 32, "DYING": 512,
}  # fmt: skip


def _unknown(_: View) -> Value:
    return None


def _protocol_family(view: View) -> Value:
    if view.family in _NFPROTO:
        return _NFPROTO[view.family]
    ip = view.packet.ip
    return _IPV4 if ip is None or ip.src.version == 4 else _IPV6  # noqa: PLR2004 - IPv4


def _transport(view: View) -> Value:
    ip = view.packet.ip
    return BREAK if ip is None else ip.protocol


def _length(view: View) -> Value:
    length = view.packet.length
    return None if length is None else length - _ETHERNET


def _packet_type(view: View) -> Value:
    if view.buffer.packet_type:
        return _PACKET_TYPES.get(view.buffer.packet_type)
    mac = view.packet.ethernet.dst
    if view.buffer.mine:
        return 0
    if not mac:
        return None
    return 1 if mac == BROADCAST else 2 if is_group(mac) else 0


def _group(*, incoming: bool) -> Read:
    def row(view: View) -> Value:
        device = view.probe.device_in if incoming else view.probe.device_out
        return view.probe.group_of(device) if device else BREAK

    return row


def _kind(*, incoming: bool) -> Read:
    """``rtnl_link_ops``: what ``ip -d`` shows; without it, or of a physical device, nothing is known."""

    def row(view: View) -> Value:
        device = view.probe.device_in if incoming else view.probe.device_out
        netns = view.probe.netns
        found = None if netns is None else netns.device(device)
        return BREAK if not device else None if found is None else found.kind or None

    return row


def _socket(view: View) -> Value:
    """Who owns the socket: packets that pass through have none, on arrival one may be found early."""
    if view.buffer.mine or view.hook is Hook.INPUT:
        return None
    return BREAK


def _bridge(*hooks: Hook) -> Read:
    return lambda view: view.buffer.bridge or None if view.hook in hooks else BREAK


# -- the connection ----------------------------------------------------------------------------------------


def _state(view: View) -> Value:
    if view.family == "bridge":
        return None  # the tracker of bridges is not modelled
    return _STATES[CtState.INVALID if view.tracking is None else view.tracking.state]


def _of_connection(read: Callable[[View, TrackedConnection], Value]) -> Read:
    def row(view: View) -> Value:
        if view.family == "bridge":
            return None
        connection = view.connection
        return BREAK if connection is None else read(view, connection)

    return row


def _direction(view: View, _: TrackedConnection) -> Value:
    return int(view.tracking is not None and view.tracking.way is Way.REPLY)


def _status(_: View, connection: TrackedConnection) -> Value:
    return sum(bit for name, bit in _STATUS.items() if name in connection.status)


def _version(connection: TrackedConnection) -> Value:
    return _IPV4 if connection.original.src.version == 4 else _IPV6  # noqa: PLR2004 - IPv4


def _end(side: str, read: Callable[[Tuple], Value]) -> Read:
    return _of_connection(
        lambda _, connection: read(connection.original if side == "original" else connection.reply)
    )


def _address(version: int, *, source: bool) -> Callable[[Tuple], Value]:
    def read(ends: Tuple) -> Value:
        address = ends.src if source else ends.dst
        return int(address) if address.version == version else BREAK

    return read


def _sided(side: str) -> dict[str, Read]:
    return {
        f"ct {side} ip saddr": _end(side, _address(4, source=True)),
        f"ct {side} ip daddr": _end(side, _address(4, source=False)),
        f"ct {side} ip6 saddr": _end(side, _address(6, source=True)),
        f"ct {side} ip6 daddr": _end(side, _address(6, source=False)),
        f"ct {side} proto-src": _end(side, lambda ends: ends.sport),
        f"ct {side} proto-dst": _end(side, lambda ends: ends.dport),
        f"ct {side} protocol": _end(side, lambda ends: ends.protocol),
        f"ct {side} l3proto": _of_connection(lambda _, connection: _version(connection)),
        f"ct {side} zone": _of_connection(
            lambda _, connection: zone_in(connection.zone, connection.half, Way(side))
        ),
        **{
            f"ct {side} {name}": _of_connection(lambda _, __: None) for name in ("bytes", "packets", "avgpkt")
        },
    }


# -- routes ------------------------------------------------------------------------------------------------


def _next_hop(version: int) -> Read:
    def row(view: View) -> Value:
        ip, hop = view.packet.ip, view.buffer.next_hop
        if ip is None or ip.src.version != version or view.hook is Hook.PREROUTING:
            return BREAK
        if view.buffer.on_link:
            return int(ip.dst)
        if hop is None and (view.hook is Hook.INPUT or view.buffer.device_out == "lo"):
            return int(ip.dst)  # a route without a gateway leads to the receiver itself
        return None if hop is None or hop.version != version else int(hop)

    return row


def _fitting(view: View) -> Value:
    """The longest segment that fits both ways, not the MTU (``NFT_RT_TCPMSS``)."""
    ip, mtu = view.packet.ip, view.probe.mtu()
    if ip is None or view.hook not in (Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING):
        return BREAK
    return None if mtu is None else mtu - _HEADERS[ip.src.version]


# -- options of TCP ----------------------------------------------------------------------------------------


def _option(has: Callable[[TcpOptions], bool] | None) -> Read:
    """Whether a header has an option; of those that the evidence does not name, only where it has none."""

    def row(view: View) -> Value:
        ip, tcp = view.packet.ip, view.packet.tcp
        if ip is None or ip.protocol != TCP or ip.offset:
            return 0
        if tcp is None or tcp.options.size is None:
            return 1 if tcp is not None and has is not None and has(tcp.options) else None
        if not tcp.options.size:
            return 0
        return None if has is None else int(has(tcp.options))

    return row


def _segment_size(view: View) -> Value:
    ip, tcp = view.packet.ip, view.packet.tcp
    if ip is None or ip.protocol != TCP or ip.offset:
        return BREAK
    if tcp is None or tcp.options.mss is None:
        seen = tcp is not None and (tcp.options.size is not None or not tcp.flags & Flag.SYN)
        return BREAK if seen else None
    return tcp.options.mss


_OPTIONS: Final[Mapping[str, Callable[[TcpOptions], bool] | None]] = {
    "maxseg": lambda options: options.mss is not None,
    "window": lambda options: options.wscale is not None,
    "sack-perm": lambda options: options.sack_ok,
    "sack": lambda options: bool(options.sack),
    "timestamp": lambda options: options.timestamp is not None,
    **dict.fromkeys(("fastopen", "md5sig", "mptcp", "eol", "nop")),
}

#: field -> what goes with the packet
META: Final[Mapping[str, Read]] = {
    "meta protocol": ether_type,
    "meta nfproto": _protocol_family,
    "meta l4proto": _transport,
    "meta length": _length,
    "meta mark": lambda view: view.buffer.mark,
    "meta iif": lambda view: view.probe.device_in,
    "meta iifname": lambda view: view.probe.device_in,
    "meta oif": lambda view: view.probe.device_out,
    "meta oifname": lambda view: view.probe.device_out,
    "meta iifgroup": _group(incoming=True),
    "meta oifgroup": _group(incoming=False),
    "meta iifkind": _kind(incoming=True),
    "meta oifkind": _kind(incoming=False),
    "meta pkttype": _packet_type,
    "meta skuid": _socket,
    "meta skgid": _socket,
    "meta cgroup": _socket,
    "meta ipsec": lambda _: 0,
    "meta secpath": lambda _: 0,
    "meta ibrname": _bridge(Hook.PREROUTING, Hook.INPUT, Hook.FORWARD),
    "meta obrname": _bridge(Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING),
    "meta ibriport": _bridge(Hook.PREROUTING, Hook.INPUT, Hook.FORWARD),
    "meta obriport": _bridge(Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING),
    "ct state": _state,
    "ct direction": _of_connection(_direction),
    "ct status": _of_connection(_status),
    "ct mark": _of_connection(lambda _, connection: connection.mark),
    "ct zone": _of_connection(lambda _, connection: connection.zone),
    "ct protocol": _of_connection(lambda _, connection: connection.original.protocol),
    "ct l3proto": _of_connection(lambda _, connection: _version(connection)),
    **{
        f"ct {name}": _of_connection(lambda _, __: None)
        for name in ("expiration", "helper", "label", "id", "bytes", "packets", "avgpkt")
    },
    **_sided("original"),
    **_sided("reply"),
    "rt ip nexthop": _next_hop(4),
    "rt ip6 nexthop": _next_hop(6),
    "rt ipsec": lambda _: 0,
    "rt mtu": _fitting,
    "tcp option maxseg size": _segment_size,
    **{f"tcp option {name}": _option(has) for name, has in _OPTIONS.items()},
}
