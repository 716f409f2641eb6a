"""
The ports of a bond: by which a frame leaves, and at which none comes in.

``bond_start_xmit`` and ``bond_handle_frame`` of ``drivers/net/bonding``, and its page in the kernel's
documentation. An active-backup bond has one port at work, which the dump names; ``broadcast`` sends by all;
the others pick a port by a hash or in turn, which is free here. Of a team the dump does not show who works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bothways.facts.choice import Freedom, Oracle
from bothways.facts.device import Device
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Netns

__all__ = ["BUNDLES", "Leaving", "leaving", "resting"]

#: Kinds of devices that hand the frames of their ports on as their own.
BUNDLES = frozenset({"bond", "team"})
_ONE_AT_WORK = "active-backup"


@dataclass(frozen=True, slots=True)
class Leaving:
    """
    Where a frame leaves a bond.

    :param unknown: what the dump does not tell, "" if it does.
    """

    ports: tuple[str, ...]
    unknown: str = ""


def leaving(netns: Netns, bond: Device, packet: Packet, oracle: Oracle) -> Leaving:
    """The ports by which a frame leaves a bond; none if no port has a link."""
    working = [d for d in netns.devices or () if d.master == bond.name and d.up and d.carrier]
    names = [port.name for port in working]
    mode = bond.info.get("mode")
    if len(names) < 2 or mode == "broadcast":  # noqa: PLR2004 - one port or several
        return Leaving(tuple(names))
    if mode == _ONE_AT_WORK:
        active = next(
            (port.name for port in working if _state(port) == "ACTIVE"), bond.info.get("active_slave")
        )
        if active in names:
            return Leaving((str(active),))
    unknown = "" if mode in _SPREADING else f"by which port of {bond.name} of {netns.label} a frame leaves"
    key = f"port of {bond.name} of {netns.label} for {packet.source} > {packet.destination}"
    freedom = Freedom.UNKNOWN if unknown else Freedom.FREE
    return Leaving((oracle.choose(key, names, freedom=freedom, evidence=(bond.span,)),), unknown)


def resting(bond: Device, port: Device) -> str:
    """Why a port of a bond takes no frames, "" if it does."""
    if bond.info.get("mode") == _ONE_AT_WORK and _state(port) == "BACKUP":
        return f"{port.name} rests: another port of {bond.name} is the active one"
    return ""


#: Modes in which several ports work, and which of them takes a frame nobody outside can tell.
_SPREADING = frozenset({"balance-rr", "balance-xor", "802.3ad", "balance-tlb", "balance-alb"})


def _state(port: Device) -> object:
    data = port.info.get("info_slave_data")
    return data.get("state") if isinstance(data, Mapping) else None
