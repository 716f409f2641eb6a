"""
The network stack of one namespace: devices, bridges, ARP, and what the IP layer makes of the rest.

``netif_receive_skb`` in its order: a device that is down takes nothing; netdev ingress hooks; the bridge or
bond that owns the device; VLANs; then the frame's receiver. A frame for another station is ignored:
interfaces that listen to everything (captures) do not change that.

A stack holds the state of one walk: its conntrack table, its connections, what its bridges learned.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bothways.facts.address import Endpoint, IPAddress, is_group
from bothways.facts.bypass import Side
from bothways.facts.choice import Oracle
from bothways.facts.device import Device
from bothways.facts.packet import ETH_ARP, ETH_IP, ETH_IP6, ArpOp, Packet
from bothways.facts.snapshot import Netns
from bothways.facts.step import Did, Step
from bothways.model.linux import arp, bond
from bothways.model.linux.bridge import Bridges
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.bypass import Bypasses
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.hook import Hook
from bothways.model.linux.internet import Internet
from bothways.model.linux.layer import Layer
from bothways.model.linux.link_filter import LinkFilter
from bothways.model.linux.netfilter import Netfilter
from bothways.model.linux.passage import Account, Passage, Transmission
from bothways.model.linux.routing import Routing
from bothways.model.linux.settings import Settings
from bothways.model.linux.sockets import Sockets
from bothways.model.linux.unfollowed import lost_beyond

__all__ = ["Passage", "Stack", "Transmission"]

#: Devices on devices, through which a frame that goes out is followed down.
_STACKED: Final = frozenset({"bridge", "vlan", *bond.BUNDLES})
_NESTING: Final = 8


class Stack:
    """
    The stack of a namespace in one walk.

    :param netns: what was collected of it; its devices should be known.
    :param kernel: release of the host's kernel, None = the newest.
    """

    def __init__(self, netns: Netns, *, oracle: Oracle, kernel: str | None) -> None:
        self.netns = netns
        self.conntrack = ConntrackTable(netns, oracle=oracle, kernel=kernel)
        self._oracle = oracle
        self._bypasses = Bypasses(netns)
        self._routing = Routing(netns, oracle)
        self._sockets = Sockets(netns, oracle)
        self._bridges = Bridges(netns, oracle)
        self._netfilter = Netfilter(netns, self.conntrack, self._routing, oracle=oracle, kernel=kernel)
        self._filter = LinkFilter(netns, self._netfilter)
        self._internet = Internet(
            Layer(netns, self._routing, self._netfilter, self._sockets, Settings(netns), oracle)
        )

    def receive(self, device: str, packet: Packet, now_ns: int) -> Passage:
        """Take a frame that comes in at a device."""
        account = self._account()
        self._receive(device, packet, account, now_ns)
        return self._finish(account)

    def send(self, packet: Packet, now_ns: int, *, device: str = "", whole: bool = False) -> Passage:
        """
        Send a packet of a socket of this namespace; it already has its source address.

        :param device: that the socket is bound to, and *whole* if it is a raw one that writes IP headers.
        """
        account = self._account()
        self._internet.send(Buffer(packet, bound=device, whole=whole), account, now_ns)
        return self._finish(account)

    def transmit(self, device: str, packet: Packet) -> Passage:
        """
        Let a complete frame out of a device: a bridge spreads it over its ports, a VLAN tags it.

        For a device that stands for itself the passage holds the frame as it was given.
        """
        account = self._account()
        account.transmissions.append(Transmission(device, packet))
        return self._finish(account)

    def beside(self, device: str, side: Side, packet: Packet) -> tuple[Step, ...]:
        """What a frame meets at a device that is not modelled: tc, XDP, foreign handlers, flowtables."""
        found = self._bypasses
        return tuple(found.at_device(device, side, packet)) if found else ()

    def source_toward(self, address: IPAddress) -> IPAddress | None:
        """The address that a packet of this namespace gets on its way to another; None without a way."""
        return self._internet.source_toward(address)

    def connect(self, local: Endpoint, peer: Endpoint) -> None:
        """Register one end of a connection: segments for it find a socket."""
        self._sockets.connect(local, peer)

    def close(self, local: Endpoint, peer: Endpoint) -> None:
        """Forget one end of a connection."""
        self._sockets.close(local, peer)

    def ask(self, device: str, address: IPAddress, source: IPAddress | None, now_ns: int) -> Passage:
        """
        Ask at a device who has an address: by ARP, or in IPv6 by neighbour discovery.

        :param source: sender of the packet that waits for the answer.
        """
        account = self._account()
        if address.version == 4:  # noqa: PLR2004 - IPv4
            request = arp.request(self.netns, device, address, source)
            asking = Buffer(request, device_out=device)
            if self._filter.arp(Hook.OUTPUT, asking, account) is None:
                account.transmissions.append(Transmission(device, asking.packet))
        else:
            self._internet.solicit(device, address, source, account, now_ns)
        return account.passage()

    # -- in ---------------------------------------------------------------------------------------

    def _receive(
        self,
        name: str,
        packet: Packet,
        account: Account,
        now_ns: int,
        nested: int = 0,
        bridged: Buffer | None = None,
    ) -> None:
        device = self.netns.device(name)
        if device is None:
            account.doubt(f"what {self.netns.label} does at {name}: the device is not in the dump")
            account.note(name, "netif_receive_skb", Did.UNKNOWN, packet, f"{name} is not in the dump")
            return
        if not device.up:
            account.note(name, "netif_rx", Did.DROPPED, packet, f"{name} is down", evidence=(device.span,))
            return
        account.steps.extend(self.beside(name, Side.IN, packet))
        refusing = next((row for row in self.netns.ingress_drops or () if row.device == name), None)
        if refusing is not None:
            why = f"an nftables chain at the ingress of {name} drops all that comes in"
            account.note(name, "nf_hook_ingress", Did.DROPPED, packet, why, evidence=(refusing.span,))
            return
        if self._filter.watches("ingress", name):
            bridged = self._filter.ingress(device, packet, account, bridged)
            if bridged is None:
                return
            packet = bridged.packet
        # A VLAN's device has its frames before the bridge that owns the lower one (``vlan_do_receive``).
        tag = packet.ethernet.vlan
        above = tag and any(self._carries(each, device, tag) for each in self.netns.devices or ())
        if above or not self._taken_by_master(device, packet, account, now_ns, nested, bridged):
            self._untag(device, packet, account, now_ns, nested, bridged)

    def _taken_by_master(
        self,
        device: Device,
        packet: Packet,
        account: Account,
        now_ns: int,
        nested: int,
        carried: Buffer | None,
    ) -> bool:
        """True if the bridge, bond or switch that owns the device has the frame now."""
        master = None if device.master is None else self.netns.device(device.master)
        if device.master is None or nested > _NESTING:
            return False
        bridge = self._bridges.of_port(device)
        if bridge is not None:
            self._bridged(bridge, device, packet, account, now_ns, nested, carried)
            return True
        if master is not None and master.kind in bond.BUNDLES:
            rests = bond.resting(master, device)
            if rests:
                account.note(device.name, "bond_handle_frame", Did.IGNORED, packet, rests)
                return True
            self._receive(master.name, packet, account, now_ns, nested + 1, carried)
            return True
        if device.master == "ovs-system" or (master is not None and master.kind == "openvswitch"):
            why = f"{device.name} is a port of Open vSwitch, which takes all its frames"
            account.note(device.name, "netdev_frame_hook", Did.IGNORED, packet, why)
            return True
        if master is None or master.kind != "vrf":
            why = f"what {device.master}, which owns {device.name} of {self.netns.label}, does with a frame"
            account.doubt(f"{why}: it is not modelled")
            account.note(
                device.name, "netif_receive_skb", Did.UNKNOWN, packet, f"{device.master} is not modelled"
            )
            return True
        return False

    def _bridged(
        self,
        bridge: Device,
        port: Device,
        packet: Packet,
        account: Account,
        now_ns: int,
        nested: int,
        carried: Buffer | None,
    ) -> None:
        buffer = Buffer(packet, device_in=port.name, bridge=bridge.name)
        buffer.mark = 0 if carried is None else carried.mark
        buffer.packet_type = self._packet_type(bridge, packet)
        if self._filter.bridge(Hook.PREROUTING, buffer, account, now_ns) is not None:
            return
        packet = buffer.packet
        spread = self._bridges.forward(bridge, port, packet)
        for text in spread.unknown:
            account.doubt(text)
        many = len(spread.ports) + spread.up
        did = Did.DROPPED if not many else Did.COPIED if many > 1 else Did.MATCHED
        account.note(bridge.name, spread.function, did, packet, spread.reason, evidence=spread.evidence)
        for name in spread.ports:
            leaving = replace(buffer, packet=spread.leaving(name, packet))
            account.transmissions.extend(self._out_of_port(Hook.FORWARD, leaving, name, account, now_ns))
        if spread.up:
            packet = spread.leaving(bridge.name, packet)
            upward = replace(buffer, device_in=bridge.name, packet=packet)
            if self._filter.bridge(Hook.INPUT, upward, account) is not None:
                return
            own = upward.packet
            if not is_group(packet.ethernet.dst):
                # A port's MAC is the bridge's as well: the stack above takes both.
                own = packet.with_macs(packet.ethernet.src, bridge.mac)
            self._receive(bridge.name, own, account, now_ns, nested + 1, upward)

    def _packet_type(self, bridge: Device, packet: Packet) -> str:
        """``skb->pkt_type``: a MAC of the bridge or of a port is the host's own (``br_handle_frame``)."""
        target = packet.ethernet.dst
        if is_group(target):
            return "broadcast" if set(target) <= set("f:") else "multicast"
        return "other" if target and bridge.mac and target not in self._bridges.own(bridge) else "host"

    def _out_of_port(
        self, hook: Hook, buffer: Buffer, port: str, account: Account, now_ns: int = 0
    ) -> list[Transmission]:
        """What leaves by a port of a copy, behind FORWARD or OUTPUT and POSTROUTING: one frame or none."""
        copy = replace(buffer, device_out=port)
        for each in (hook, Hook.POSTROUTING):
            if self._filter.bridge(each, copy, account, now_ns) is not None:
                return []
        long = self._bridges.too_long(port, copy.packet)
        if long is not None:
            account.note(port, "br_dev_queue_push_xmit", Did.DROPPED, copy.packet, long)
            return []
        return [Transmission(port, copy.packet)]

    def _untag(
        self,
        device: Device,
        packet: Packet,
        account: Account,
        now_ns: int,
        nested: int,
        bridged: Buffer | None,
    ) -> None:
        vlan = packet.ethernet.vlan
        if not vlan or nested > _NESTING:
            self._take(device, packet, account, now_ns, bridged)
            return
        upper = next((d for d in self.netns.devices or () if self._carries(d, device, vlan)), None)
        if upper is None:
            why = f"{device.name} has no device for VLAN {vlan}"
            account.note(device.name, "vlan_do_receive", Did.IGNORED, packet, why)
            return
        bare = replace(packet, ethernet=replace(packet.ethernet, vlan=None))
        self._receive(upper.name, bare, account, now_ns, nested + 1, bridged)

    @staticmethod
    def _carries(upper: Device, lower: Device, vlan: int) -> bool:
        on = upper.lower == lower.name or (upper.link_netns is None and upper.link == lower.index)
        return upper.kind == "vlan" and on and upper.info.get("id") == vlan

    def _take(
        self, device: Device, packet: Packet, account: Account, now_ns: int, bridged: Buffer | None
    ) -> None:
        """The receiver of the frame: this device or another station."""
        target = packet.ethernet.dst
        told = "" if bridged is None else bridged.packet_type
        if target and device.mac and target != device.mac and not is_group(target) and told != "host":
            why = f"the frame is for {target}, not for {device.name} ({device.mac})"
            account.note(device.name, "eth_type_trans", Did.IGNORED, packet, why)
        elif packet.arp is not None:
            self._arp(device, packet, account)
        elif packet.ip is not None:
            self._internet.receive(device.name, packet, account, now_ns, bridged)
        else:
            names = {ETH_ARP: "ARP", ETH_IP: "IPv4", ETH_IP6: "IPv6"}
            kind = names.get(packet.ethernet.type, f"type {packet.ethernet.type:#06x}")
            account.note(
                device.name, "netif_receive_skb", Did.IGNORED, packet, f"a frame of {kind}, not followed"
            )

    def _arp(self, device: Device, packet: Packet, account: Account) -> None:
        heard = Buffer(packet, device_in=device.name)
        if self._filter.arp(Hook.INPUT, heard, account) is not None:
            return
        packet = heard.packet
        asked = packet.arp
        if asked is None:
            return
        if asked.op != ArpOp.REQUEST:
            why = f"{asked.spa} is at {asked.sha}"
            account.note(device.name, "arp_process", Did.RECEIVED, packet, why)
            account.heard.append((device.name, packet))
            return
        if "NOARP" in device.flags:
            account.note(device.name, "arp_rcv", Did.IGNORED, packet, f"{device.name} does no ARP")
            return
        answer = arp.answer(asked, device, self._internet.layer, account)
        if answer.reply is None:
            account.note(
                device.name, "arp_process", Did.IGNORED, packet, answer.reason, evidence=answer.evidence
            )
            return
        account.note(
            device.name,
            "arp_process",
            Did.ANSWERED,
            packet,
            answer.reason,
            after=answer.reply,
            evidence=answer.evidence,
        )
        said = Buffer(answer.reply, device_out=device.name)
        if self._filter.arp(Hook.OUTPUT, said, account) is None:
            account.transmissions.append(Transmission(device.name, said.packet))

    # -- out --------------------------------------------------------------------------------------

    def _account(self) -> Account:
        return Account(self.netns.host, self.netns.name)

    def _finish(self, account: Account) -> Passage:
        """Follow complete frames down through devices that stand on others."""
        ready: list[Transmission] = []
        pending = [(t, 0) for t in account.transmissions]
        while pending:
            transmission, nested = pending.pop(0)
            seen = self._filter.egress(transmission, account)
            if seen is None:
                continue
            transmission = seen
            device = self.netns.device(transmission.device)
            lost = lost_beyond(device, self.netns.label)
            if lost:
                account.doubt(lost)
            down = device is not None and device.kind in _STACKED and transmission.next_hop is None
            if device is None or not down or nested > _NESTING:
                ready.append(transmission)
            else:
                pending = [
                    (t, nested + 1) for t in self._down(device, transmission.packet, account)
                ] + pending
        account.transmissions[:] = ready
        return account.passage()

    def _down(self, device: Device, packet: Packet, account: Account) -> list[Transmission]:
        """What the devices below get of a frame."""
        if device.kind == "bridge":
            spread = self._bridges.forward(device, None, packet)
            for text in spread.unknown:
                account.doubt(text)
            did = Did.COPIED if len(spread.ports) > 1 else Did.MATCHED
            if not spread.ports:
                did = Did.DROPPED
            account.note(device.name, spread.function, did, packet, spread.reason, evidence=spread.evidence)
            buffer = Buffer(packet, bridge=device.name)
            return [
                sent
                for name in spread.ports
                for sent in self._out_of_port(
                    Hook.OUTPUT, replace(buffer, packet=spread.leaving(name, packet)), name, account
                )
            ]
        if device.kind == "vlan":
            lower = self._lower(device)
            number = device.info.get("id")
            if lower is None or not isinstance(number, int):
                account.doubt(f"what {device.name} of {self.netns.label} stands on: the dump does not say")
                return []
            return [Transmission(lower, replace(packet, ethernet=replace(packet.ethernet, vlan=number)))]
        found = bond.leaving(self.netns, device, packet, self._oracle)
        if found.unknown:
            account.doubt(f"{found.unknown}: the dump does not say")
        return [Transmission(name, packet) for name in found.ports]

    def _lower(self, device: Device) -> str | None:
        if device.lower is not None:
            return device.lower
        return next((d.name for d in self.netns.devices or () if d.index == device.link), None)
