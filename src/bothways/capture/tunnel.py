"""
VXLAN, RFC 7348: a UDP datagram that carries an Ethernet frame.

UDP port 4789 is IANA's, 8472 what Linux took before it. Only a header whose I flag is set and whose frame
can be decoded counts; anything else stays the datagram that it is. A tunnel inside a tunnel is not opened.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Final

from bothways.capture.layers import Layers, Refused
from bothways.capture.link_layer import decode_ethernet
from bothways.facts.packet import Tunnel

__all__ = ["VXLAN_PORTS", "open_tunnel"]

VXLAN_PORTS: Final = frozenset({4789, 8472})
_HEADER: Final = struct.Struct("!II")
_UDP_SIZE: Final = 8
_VNI_VALID: Final = 0x08


def open_tunnel(layers: Layers) -> Layers:
    """
    The packet inside a VXLAN datagram, or *layers* if it is none.

    ``packet.length`` of the result is that of the outer frame, which is what crossed the wire.
    """
    packet = layers.packet
    if packet.udp is None or packet.udp.dport not in VXLAN_PORTS or packet.ip is None:
        return layers
    if len(layers.body) < _UDP_SIZE + _HEADER.size:
        return layers
    flags, second = _HEADER.unpack_from(layers.body, _UDP_SIZE)
    if not flags >> 24 & _VNI_VALID:
        return layers
    skipped = _UDP_SIZE + _HEADER.size
    inner = decode_ethernet(layers.body[skipped:], layers.body_length - skipped)
    if isinstance(inner, Refused):
        return layers
    tunnel = Tunnel("vxlan", second >> 8, packet.ip.src, packet.ip.dst)
    return replace(inner, packet=replace(inner.packet, length=packet.length), tunnel=tunnel, outer=layers)
