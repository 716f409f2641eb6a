"""Whose a MAC or an address is, looked up once for many packets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bothways.facts.address import IPAddress, Mac
from bothways.facts.sighting import Sighting
from bothways.facts.snapshot import Snapshot

__all__ = ["Atlas", "read_atlas"]


@dataclass(frozen=True, slots=True)
class Atlas:
    """
    Owners by MAC and address.

    :param mac_hosts: the host of a MAC; None if devices of several hosts have it.
    :param address_hosts: the host of an address; None if devices of several hosts have it.
    :param device_macs: the MAC of a device by host, namespace and name.
    """

    mac_hosts: Mapping[Mac, str | None] = field(default_factory=dict)
    address_hosts: Mapping[IPAddress, str | None] = field(default_factory=dict)
    device_macs: Mapping[tuple[str, str, str], Mac] = field(default_factory=dict)

    def own_mac(self, sighting: Sighting) -> Mac | None:
        """The MAC of the device that showed a packet, None if no dump tells."""
        if sighting.device is None:
            return None
        return self.device_macs.get((sighting.tap.host, sighting.tap.netns, sighting.device)) or None


def read_atlas(snapshot: Snapshot) -> Atlas:
    """Read all devices."""
    macs: dict[Mac, set[str]] = {}
    addresses: dict[IPAddress, set[str]] = {}
    devices: dict[tuple[str, str, str], Mac] = {}
    for netns in snapshot.namespaces():
        for device in netns.devices or ():
            devices[netns.host, netns.name, device.name] = device.mac
            if device.mac:
                macs.setdefault(device.mac, set()).add(netns.host)
            for held in device.addresses:
                addresses.setdefault(held.address, set()).add(netns.host)
    return Atlas(
        {mac: next(iter(hosts)) if len(hosts) == 1 else None for mac, hosts in macs.items()},
        {address: next(iter(hosts)) if len(hosts) == 1 else None for address, hosts in addresses.items()},
        devices,
    )
