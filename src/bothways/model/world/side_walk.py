"""
Packets that are walked by themselves, while others wait for what comes of them.

A question for a neighbour's MAC, and the datagram that carries a frame through a tunnel.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from bothways.facts.address import IPAddress
from bothways.facts.packet import Packet
from bothways.facts.step import Did
from bothways.model.linux.stack import Stack
from bothways.model.world.crossings import Crossings
from bothways.model.world.delivery import Delivery
from bothways.model.world.journal import Draft, Frame
from bothways.model.world.neighbours import Reply
from bothways.model.world.wiring import At

__all__ = ["ask", "carry"]


class _Network(Protocol):
    """What is asked of the network that moves the packets."""

    now_ns: int
    drafts: list[Draft]
    deliveries: list[Delivery]
    replies: list[Reply]
    crossings: Crossings

    def aside(self) -> AbstractContextManager[None]: ...

    def doubt(self, text: str) -> None: ...

    def transmit(self, at: At, frame: Frame) -> None: ...

    def send(self, host: str, netns: str, draft: Draft) -> None: ...

    def run(self) -> None: ...


def ask(network: _Network, stack: Stack, at: At, address: IPAddress, source: IPAddress | None) -> list[Reply]:
    """
    Ask out of a device who has an address and collect every reply that comes back to it.

    :param source: sender of the packet that waits.
    """
    with network.aside():
        passage = stack.ask(at.device, address, source, network.now_ns)
        for text in passage.unknown:
            network.doubt(text)
        packets = [t.packet for t in passage.transmissions] or [step.before for step in passage.steps[:1]]
        for packet in packets:
            name = "ND" if packet.arp is None else "ARP"
            draft = Draft(name, None, str(at), packet, network.now_ns)
            network.drafts.append(draft)
            frame = Frame.of(draft)
            frame.trail.extend(passage.steps)
            if passage.transmissions:
                network.transmit(at, frame)
        network.run()
        return [reply for reply in network.replies if reply.at == at]


def carry(network: _Network, stack: Stack, datagram: Packet, cause: Frame, vni: int) -> tuple[list[At], str]:
    """Walk a datagram with a frame in it: the namespaces that took it, and why it ended where none did."""
    port = 0 if datagram.udp is None else datagram.udp.dport
    journey = next(number for number, draft in enumerate(network.drafts) if draft is cause.draft)
    with network.aside(), network.crossings.carrying(cause.packet, journey, vni, port):
        host, netns = stack.netns.host, stack.netns.name
        draft = Draft("VXLAN", cause.draft.way, str(At(host, netns, "")), datagram, network.now_ns)
        network.send(host, netns, draft)
        ends = [d.at for d in network.deliveries if d.packet.udp is not None and not d.outside]
        lost = next((t[-1].reason for t in draft.trails if t and t[-1].did is not Did.DELIVERED), "")
        return ends, lost
