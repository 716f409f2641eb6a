"""
The hooks below the IP layer: of devices (``netdev``), of bridges and of ARP.

``nf_hook_ingress`` and ``nf_hook_egress`` see every frame of a device, before the bridge, VLAN or stack that
takes it and behind everything that sends it; chains of the family ``inet`` may hang at the ingress as well.
``NF_BR_*`` see what a bridge forwards, ``NF_ARP_IN`` and ``NF_ARP_OUT`` requests and answers of ARP. No
tracker stands there.
"""

from __future__ import annotations

from dataclasses import replace

from bothways.facts.address import is_group
from bothways.facts.device import Device
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Netns
from bothways.model.linux.bridge_netfilter import PRIORITIES, BridgeNetfilter
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.hook import Hook
from bothways.model.linux.netfilter import Halt, Netfilter, Visit
from bothways.model.linux.passage import Account, Transmission
from bothways.model.linux.stages import Native, bridge_chains

__all__ = ["LinkFilter"]

#: A rule at the ingress of a device sees a packet as one at PREROUTING, at the egress as at POSTROUTING.
_SIDES = {"ingress": Hook.PREROUTING, "egress": Hook.POSTROUTING}
_ARP = (Hook.INPUT, Hook.OUTPUT)
_DEVICE_FAMILIES = frozenset({"netdev", "inet"})


class LinkFilter:
    """The hooks of one namespace below its IP layer, in one walk."""

    def __init__(self, netns: Netns, netfilter: Netfilter) -> None:
        self._netfilter = netfilter
        self._calls = BridgeNetfilter(netns, netfilter)
        self._bridged = {hook: bridge_chains(netns, hook) for hook in Hook}
        self._arp = {hook: _chains(netns, "arp", hook.lower()) for hook in _ARP}
        self._devices = {
            side: tuple(native for family in _DEVICE_FAMILIES for native in _chains(netns, family, side))
            for side in _SIDES
        }

    def bridge(self, hook: Hook, buffer: Buffer, account: Account, now_ns: int = 0) -> Halt | None:
        """
        Take a frame through the chains of the family ``bridge``; None if it goes on.

        Between them stand the hooks of the IP layer, where the bridge calls them (``br_netfilter``).
        """
        chains, place = self._bridged[hook], PRIORITIES.get(hook)
        if (
            place is None
            or not self._calls.called(buffer.bridge, buffer)
            or not (buffer.port_in or buffer.device_in)
        ):
            return self._run(chains, hook, buffer, account)
        early = tuple(native for native in chains if native.priority < place)
        return (
            self._run(early, hook, buffer, account)
            or self._calls.run(hook, buffer, account, now_ns)
            or self._run(chains[len(early) :], hook, buffer, account)
        )

    def arp(self, hook: Hook, buffer: Buffer, account: Account) -> Halt | None:
        """Take a packet of ARP through the chains of the family ``arp``; None if it goes on."""
        return self._run(self._arp[hook], hook, buffer, account)

    def _device(self, side: str, name: str, buffer: Buffer, account: Account) -> Halt | None:
        """
        Take a frame through the chains of a device; None if it goes on.

        :param side: ``ingress`` or ``egress``.
        """
        chains = sorted(
            (native for native in self._devices[side] if name in native.chain.devices),
            key=lambda native: native.priority,
        )
        return self._run(tuple(chains), _SIDES[side], buffer, account)

    def ingress(
        self, device: Device, packet: Packet, account: Account, carried: Buffer | None
    ) -> Buffer | None:
        """A frame behind the ingress chains of a device with what it carries; None if it ends there."""
        buffer = Buffer(packet) if carried is None else replace(carried, packet=packet)
        buffer.device_in = device.name
        target = packet.ethernet.dst
        own = not target or not device.mac or target == device.mac or is_group(target)
        buffer.packet_type = buffer.packet_type or ("" if own else "other")
        halt = self._device("ingress", device.name, buffer, account)
        if halt is None:
            return buffer
        if halt.forward:
            account.transmissions.append(Transmission(halt.forward, buffer.packet, halt.next_hop))
        return None

    def egress(self, transmission: Transmission, account: Account) -> Transmission | None:
        """A frame behind the egress chains of its device, None if it ends there."""
        name = transmission.device
        if not self.watches("egress", name):
            return transmission
        buffer = Buffer(transmission.packet, device_out=name)
        halt = self._device("egress", name, buffer, account)
        if halt is None:
            return replace(transmission, packet=buffer.packet)
        return Transmission(halt.forward, buffer.packet, halt.next_hop) if halt.forward else None

    def watches(self, side: str, name: str) -> bool:
        """True if a chain hangs at a device."""
        return any(name in native.chain.devices for native in self._devices[side])

    def _run(self, chains: tuple[Native, ...], hook: Hook, buffer: Buffer, account: Account) -> Halt | None:
        visit = Visit(self._netfilter, hook, buffer, account, 0)
        for native in chains:
            halt = visit.stage(native)
            if halt is not None:
                return halt
        return None


def _chains(netns: Netns, family: str, hook: str) -> tuple[Native, ...]:
    """Chains of one family on a hook, in order of their priority."""
    found = [
        Native(table, chain)
        for table in netns.nft or ()
        if table.family == family and not table.dormant
        for chain in table.chains.values()
        if chain.hook == hook
    ]
    return tuple(sorted(found, key=lambda native: native.priority))
