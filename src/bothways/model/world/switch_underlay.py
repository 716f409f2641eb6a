"""
The way of a tunnel's datagrams between two switches, as far as the two hosts decide it.

A kernel datapath sends what it encapsulates like a socket of the host's own namespace, and gets it from a
socket there (``udp_tunnel_xmit_skb``, ``ip_tunnel_xmit``, ``ip_local_out``): routes, devices and
firewall of both hosts count. Only a loss that is sure is told: where a dump is missing, or something is not
modelled or left to chance, and on the wires between the hosts, datagrams are taken to arrive. What does not
fit is not looked at: who sends an error then differs much between kernels. A userspace datapath has routes of
its own and passes no firewall: there nothing is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bothways.facts.address import IPAddress, address
from bothways.facts.choice import Assumption, Freedom
from bothways.facts.packet import UDP, Ethernet, Ip, Packet, Udp
from bothways.facts.snapshot import Netns, Snapshot
from bothways.facts.span import Span
from bothways.facts.step import Did, Step
from bothways.model.linux.answers import ethertype
from bothways.model.linux.stack import Passage, Stack
from bothways.model.world.wiring import SwitchPort

__all__ = ["SwitchUnderlay"]

#: Tunnels in UDP by kind: the port that they go to, and what they put around a frame over IPv4.
_IN_UDP: Final = {"vxlan": (4789, 50), "geneve": (6081, 50)}
_GRE: Final = 47
_GRE_HEADERS: Final = 38
#: IPv6 has 20 bytes more than IPv4.
_MORE_OF_IPV6: Final = {4: 0, 6: 20}
#: The source port hangs on a hash of what is carried.
_SOURCE_PORT: Final = 60001


@dataclass(slots=True)
class _Sure:
    """An oracle that notes whether anything was left to chance."""

    free: bool = False

    def choose(
        self,
        key: str,
        options: Sequence[str],
        *,
        freedom: Freedom,
        recorded: str | None = None,
        evidence: tuple[Span, ...] = (),
    ) -> str:
        """Take the first option, and remember that there were others."""
        del key, freedom, recorded, evidence
        self.free = self.free or len(options) > 1
        return options[0]

    def assume(self, assumption: Assumption) -> None:
        """Leave it: defaults hold for the walk that carries the frame, too."""


@dataclass(slots=True)
class SwitchUnderlay:
    """The datagrams of all tunnels between switches of one site."""

    snapshot: Snapshot
    _known: dict[tuple[str, str, IPAddress, int | None], Step | None] = field(default_factory=dict)

    def loss(self, ends: tuple[tuple[str, SwitchPort], tuple[str, SwitchPort]], remote: IPAddress,
             carried: Packet) -> Step | None:  # fmt: skip
        """
        Return the step in which a host surely loses what carries a frame, None if none does.

        :param ends: host and tunnel port of the sender, and of who takes it.
        """
        (host, here), (other, there) = ends
        if here.netdev or there.netdev:
            return None
        key = host, other, remote, carried.length
        if key not in self._known:
            self._known[key] = self._walked(host, here, other, remote, carried)
        found = self._known[key]
        if found is None:
            return None
        reason = f"what carries it to {remote} does not arrive: {found.reason}"
        return replace(found, did=Did.DROPPED, before=carried, after=carried, reason=reason)

    def _walked(
        self, host: str, here: SwitchPort, other: str, remote: IPAddress, carried: Packet
    ) -> Step | None:
        sender, receiver = self._root(host), self._root(other)
        if sender is None:
            return None
        sure = _Sure()
        stack = Stack(sender, oracle=sure, kernel=self.snapshot.hosts[host].kernel)
        source = _local(here) or stack.source_toward(remote) or _any_address(sender, remote)
        datagram = None if source is None else _datagram(here, source, remote, carried)
        if datagram is None:
            return None
        sent = stack.send(datagram, 0)
        leaving = [each.packet for each in sent.transmissions if each.packet.ip is not None]
        if not any(each.ip is not None and each.ip.dst == remote for each in leaving):
            return _lost(sent, sure)
        held = None if receiver is None else receiver.owner_of(remote)
        if receiver is None or held is None or held[0].name == "lo":
            return None
        sure = _Sure()
        stack = Stack(receiver, oracle=sure, kernel=self.snapshot.hosts[other].kernel)
        arriving = datagram.with_macs(datagram.ethernet.src, held[0].mac)
        return _lost(stack.receive(held[0].name, arriving, 0), sure)

    def _root(self, host: str) -> Netns | None:
        netns = self.snapshot.hosts[host].netns.get("root")
        return None if netns is None or netns.devices is None else netns


def _lost(passage: Passage, sure: _Sure) -> Step | None:
    """The step that ended a datagram, if that is sure; a rule may have answered it."""
    if passage.unknown or sure.free or any(each.udp is not None for each in passage.delivered):
        return None
    ended = (
        step for step in passage.steps if step.did is Did.DROPPED or (step.did is Did.ANSWERED and step.cell)
    )
    return next(ended, None)


def _local(here: SwitchPort) -> IPAddress | None:
    """The address that a tunnel port sends from, None if the route says."""
    try:
        return address(here.port.options.get("local_ip", ""))
    except ValueError:
        return None


def _any_address(netns: Netns, remote: IPAddress) -> IPAddress | None:
    held = (each.address for device in netns.devices or () for each in device.addresses)
    return next((each for each in held if each.version == remote.version and not each.is_loopback), None)


def _datagram(here: SwitchPort, source: IPAddress, remote: IPAddress, carried: Packet) -> Packet | None:
    """What carries a frame; None for a kind of tunnel that is not known."""
    kind, options = here.port.kind or "", here.port.options
    df = options.get("df_default", "true") == "true" or None
    more = _MORE_OF_IPV6[remote.version]
    link = Ethernet(type=ethertype(remote))
    if kind == "gre":
        length = None if carried.length is None else carried.length + _GRE_HEADERS + more
        return Packet(link, ip=Ip(source, remote, _GRE, ttl=64, df=df), length=length)
    if kind not in _IN_UDP:
        return None
    port, headers = _IN_UDP[kind]
    told = options.get("dst_port", "")
    length = None if carried.length is None else carried.length + headers + more
    udp = Udp(_SOURCE_PORT, int(told) if told.isdecimal() else port)
    return Packet(link, ip=Ip(source, remote, UDP, ttl=64, df=df), udp=udp, length=length)
