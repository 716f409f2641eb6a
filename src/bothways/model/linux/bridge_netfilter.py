"""
``br_netfilter``: what a bridge forwards passes the hooks of the IP layer as well.

``net/bridge/br_netfilter_hooks.c``. A frame of IP that a bridge takes in passes PREROUTING behind the
bridge's own chains below priority 0, FORWARD where it is forwarded, and POSTROUTING before it leaves a port;
to the rules it comes in at the bridge and leaves by the bridge, its ports are what ``physdev`` asks for. What
goes up to the namespace's own stack does not pass PREROUTING again (``ip_sabotage_in``). A destination that
is translated sends the frame to the stack, which routes it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bothways.facts.device import Device
from bothways.facts.snapshot import Netns
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.hook import Hook
from bothways.model.linux.netfilter import Halt, Netfilter
from bothways.model.linux.passage import Account
from bothways.model.linux.routing import asked_by
from bothways.model.linux.settings import Settings

__all__ = ["PRIORITIES", "BridgeNetfilter"]

#: Where the call stands among the chains of the bridge (``NF_BR_PRI_BRNF`` and its like).
PRIORITIES: Final = {Hook.PREROUTING: 0, Hook.FORWARD: -1, Hook.POSTROUTING: 1 << 31}
_SETTINGS: Final = {
    4: ("net.bridge.bridge-nf-call-iptables", "nf_call_iptables"),
    6: ("net.bridge.bridge-nf-call-ip6tables", "nf_call_ip6tables"),
}


class BridgeNetfilter:
    """The calls of one namespace's bridges into its IP hooks."""

    def __init__(self, netns: Netns, netfilter: Netfilter) -> None:
        self._netns = netns
        self._netfilter = netfilter
        settings = Settings(netns)
        self._all = {
            version: (value := settings.value(name)) is not None and bool(value.value)
            for version, (name, _) in _SETTINGS.items()
        }

    def called(self, bridge: str, buffer: Buffer) -> bool:
        """True if a frame in a bridge passes the IP hooks."""
        ip = buffer.packet.ip
        if ip is None or buffer.packet.ethernet.vlan:
            return False
        device = self._netns.device(bridge)
        own = device is not None and device.info.get(_SETTINGS[ip.src.version][1]) in (1, True)
        return own or self._all[ip.src.version]

    def run(self, hook: Hook, buffer: Buffer, account: Account, now_ns: int) -> Halt | None:
        """Take a frame through a hook of the IP layer; None if it goes on."""
        out = hook is not Hook.PREROUTING
        inner = replace(
            buffer,
            device_in=buffer.bridge,
            device_out=buffer.bridge if out else "",
            port_in=buffer.port_in or buffer.device_in,
            port_out=buffer.device_out if out else "",
            bridge="",
            packet_type="",
        )
        before = buffer.packet.ip
        halt = self._netfilter.run(hook, inner, account, now_ns)
        if halt is not None:
            if halt.reject:
                account.doubt("the answer of a REJECT rule to a frame that a bridge forwards: not modelled")
            return halt
        buffer.packet, buffer.mark, buffer.zone = inner.packet, inner.mark, inner.zone
        buffer.tracking, buffer.untracked = inner.tracking, inner.untracked
        buffer.port_in, buffer.prerouted = inner.port_in, True
        ip = buffer.packet.ip
        if hook is Hook.PREROUTING and before is not None and ip is not None and ip.dst != before.dst:
            self._redirected(buffer, account)
        return None

    def _redirected(self, buffer: Buffer, account: Account) -> None:
        """A translated destination: the stack routes it, unless it stays in the bridge."""
        bridge: Device | None = self._netns.device(buffer.bridge)
        wanted = asked_by(buffer.packet, device_in=buffer.bridge, mark=buffer.mark)
        route = self._netfilter.routing.lookup(wanted)
        if bridge is None or not bridge.mac or (route.kind == "unicast" and route.device == buffer.bridge):
            label = self._netns.label
            account.doubt(
                f"a destination behind {buffer.bridge} of {label} that is translated there: not modelled"
            )
            return
        link = buffer.packet.ethernet
        buffer.packet = buffer.packet.with_macs(link.src, bridge.mac)
        buffer.packet_type = "host"
