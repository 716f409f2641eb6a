"""
How many bytes the datapath actions of a translation take: past 64 kB the switch looks up no more tables.

``xlate_resubmit_resource_check`` of ``ofproto/ofproto-dpif-xlate.c``; sizes are those of the netlink
attributes of ``include/linux/openvswitch.h``. An output takes eight bytes. What is set before it, because the
packet has changed, is known up to a bound only, as a mask may stand beside a value, and so is what else takes
room.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from bothways.facts.packet import Packet
from bothways.facts.step import Did
from bothways.model.openflow.passage import Output
from bothways.model.openflow.run import Run

__all__ = ["Volume", "volume"]

#: bytes of actions up to which tables are looked up
_MOST: Final = 0xFFFF
_OUTPUT: Final = 8
#: bytes at most that it takes to set a part of the packet anew, under a mask: nested attribute, key, mask
_ETHERNET: Final = 32
_VLANS: Final = 24
_IPV4: Final = 32
_IPV6: Final = 88
_ARP: Final = 56
_TRANSPORT: Final = 16
_OTHERS: Final = 160
_TUNNEL: Final = 250
_EVERYTHING: Final = 400


class Volume(Enum):
    """Whether the actions take too many bytes: surely not, surely, or nobody knows."""

    FITS = "fits"
    EXCEEDS = "exceeds"
    UNCERTAIN = "uncertain"


def volume(run: Run) -> Volume:
    """Compare what a translation has written so far with the limit."""
    first = run.earlier[0]
    count = len(run.outputs) - first
    if count * (_OUTPUT + _EVERYTHING) + run.beside <= _MOST:
        return Volume.FITS
    if count * _OUTPUT > _MOST:
        return Volume.EXCEEDS
    known, measured = run.measured if run.measured[0] >= first else (first, 0)
    for index in range(known, len(run.outputs)):
        output = run.outputs[index]
        measured += _OUTPUT + (_behind(output, run.outputs[index - 1]) if index > first else _first(output))
    run.measured = len(run.outputs), measured
    return Volume.FITS if measured + run.beside <= _MOST else Volume.UNCERTAIN


def _first(one: Output) -> int:
    """Bytes at most before the first copy: none if it goes out as the packet came in."""
    came = one.steps[0].before if one.steps else None
    changed = any(step.did in (Did.CHANGED, Did.TRANSLATED, Did.ANSWERED) for step in one.steps)
    as_it_came = came == one.packet and not changed and one.tun_dst is None and one.cut is None
    return 0 if as_it_came else _EVERYTHING


def _behind(one: Output, before: Output) -> int:
    """Bytes at most before a copy that goes out behind another one."""
    taken = 0 if one.cut is None else _OUTPUT
    if (one.tun_id, one.tun_dst) != (before.tun_id, before.tun_dst):
        taken += _TUNNEL
    if _written(one, before):
        taken += _VLANS + _OTHERS
    return taken if one.packet == before.packet else taken + _set(one.packet, before.packet)


def _written(one: Output, before: Output) -> bool:
    """Whether a field that a packet has no place for may have been written since; reading changes nothing."""
    new = one.fields.keys() - before.fields.keys()
    if any(one.fields[name] != before.fields[name] for name in one.fields.keys() - new):
        return True
    return bool(new) and any(step.did is not Did.MATCHED for step in one.steps)


def _set(one: Packet, before: Packet) -> int:
    """Bytes at most that it takes to make one packet of another."""
    parts = (
        (one.ethernet, before.ethernet, _ETHERNET + _VLANS),
        (one.ip, before.ip, _IPV4 if one.ip is not None and one.ip.src.version == 4 else _IPV6),  # noqa: PLR2004 - IPv4
        (one.arp, before.arp, _ARP),
        ((one.tcp, one.udp, one.icmp), (before.tcp, before.udp, before.icmp), _TRANSPORT),
    )
    return sum(taken for now, then, taken in parts if now != then) or _EVERYTHING
