"""Bridges and packets in the words of ``ovs-ofctl`` and ``ofproto/trace``, and an oracle that remembers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from bothways.facts.address import IPAddress, Mac, mac_from_int
from bothways.facts.choice import Assumption, Freedom
from bothways.facts.dump import Dump
from bothways.facts.openflow import Bridge, Flow, Port
from bothways.facts.packet import (
    ETH_ARP,
    ETH_IP,
    ETH_IP6,
    ICMP,
    ICMP6,
    TCP,
    UDP,
    Arp,
    Ethernet,
    Flag,
    Icmp,
    Ip,
    Packet,
    Tcp,
    Udp,
)
from bothways.facts.span import Span
from bothways.model.openflow.passage import Arrival, Passage
from bothways.parse.openflow import read_flow, resolve_ports
from bothways.parse.openflow_lex import cut
from bothways.parse.openflow_match import read_terms, renamed

__all__ = ["FILE", "Asked", "arrival", "bridge", "flow_of", "packet", "ports", "sent"]

FILE = "br.flows.txt"


@dataclass
class Asked:
    """An oracle that takes what *script* says, else the first option."""

    script: Mapping[str, str] = field(default_factory=dict)
    asked: dict[str, tuple[str, ...]] = field(default_factory=dict)
    freedoms: set[Freedom] = field(default_factory=set)
    assumed: list[str] = field(default_factory=list)
    last: int = 0

    def choose(
        self,
        key: str,
        options: Sequence[str],
        *,
        freedom: Freedom,
        recorded: str | None = None,  # noqa: ARG002 - the protocol has it
        evidence: tuple[Span, ...] = (),  # noqa: ARG002 - the protocol has it
    ) -> str:
        self.asked[key] = tuple(options)
        self.freedoms.add(freedom)
        return next((o for o in options if any(word in o for word in self.script.values())), options[0])

    def assume(self, assumption: Assumption) -> None:
        self.assumed.append(assumption.text)


def flow_of(text: str, line: int = 1) -> Flow:
    flow, _ = read_flow(Span(FILE, line, text=text))
    assert flow is not None, text
    return flow


def ports(*given: int | Port) -> dict[str, Port]:
    """Ports ``pN`` with these numbers, or as given."""
    rows = [p if isinstance(p, Port) else Port(f"p{p}", p, Span("br.ports.txt", p)) for p in given]
    return {port.name: port for port in rows}


def bridge(
    flows: str | Iterable[str] | None,
    of: Mapping[str, Port] | None = None,
    *,
    partial: str | None = None,
    name: str = "br0",
    **more: object,
) -> Bridge:
    """A bridge of host ``h`` with flows as text, one a line; None: not collected."""
    lines = flows.strip().splitlines() if isinstance(flows, str) else flows
    held = ports(1, 2, 3) if of is None else of
    dump = None
    if lines is not None:
        rows = [flow_of(text.strip(), i) for i, text in enumerate(lines, 1)]
        dump = Dump(resolve_ports(rows, held), FILE, partial=partial)
    return Bridge("h", name, held, dump, **more)  # type: ignore[arg-type] # what the test gives fits


def _fields(text: str) -> dict[str, int]:
    """Values by field; a term that is zero and not known is left out."""
    line = Span("trace", 1, text=text)
    terms = renamed([term for piece in cut(text, 1) for term in read_terms(piece, line)[0]])
    found: dict[str, int] = {}
    for term in terms:
        if term.value is None:
            if term.text.partition("=")[2].strip("0x:.") not in ("", "no"):
                raise ValueError(term.text)
            continue
        found[term.field] = found.get(term.field, 0) | term.value
    return found


def packet(text: str) -> Packet:
    """
    Read a packet as ``ofproto/trace`` takes it.

    :raises ValueError: if it says what a packet cannot hold.
    """
    f = _fields(text)
    kind, protocol = f.get("eth_type", 0), f.get("ip_proto", 0)
    tci = f.get("vlan_tci", 0)
    if tci >> 13:
        raise ValueError(tci)
    ethernet = Ethernet(
        Mac(mac_from_int(f.get("eth_src", 0))),
        Mac(mac_from_int(f.get("eth_dst", 0))),
        kind,
        tci & 0xFFF if tci & 0x1000 else None,
    )
    if kind == ETH_ARP:
        return Packet(
            ethernet,
            arp=Arp(
                f.get("arp_op", 0),
                mac_from_int(f.get("arp_sha", 0)),
                IPv4Address(f.get("arp_spa", 0)),
                mac_from_int(f.get("arp_tha", 0)),
                IPv4Address(f.get("arp_tpa", 0)),
            ),
        )
    if kind not in (ETH_IP, ETH_IP6):
        return Packet(ethernet)
    source: IPAddress = IPv4Address(f.get("nw_src", 0))
    destination: IPAddress = IPv4Address(f.get("nw_dst", 0))
    if kind == ETH_IP6:
        source, destination = IPv6Address(f.get("ipv6_src", 0)), IPv6Address(f.get("ipv6_dst", 0))
    frag = f.get("nw_frag", 0)
    ip = Ip(
        source,
        destination,
        protocol,
        f.get("nw_ttl", 0),
        tos=f.get("nw_tos", 0),
        more=frag == 1,
        offset=8 if frag & 2 else 0,
    )
    sport, dport = f.get("tp_src", 0), f.get("tp_dst", 0)
    if frag & 2:
        return Packet(ethernet, ip)
    if protocol == TCP:
        return Packet(ethernet, ip, tcp=Tcp(sport, dport, Flag(f.get("tcp_flags", 0) & 0xFF)))
    if protocol == UDP:
        return Packet(ethernet, ip, udp=Udp(sport, dport))
    if protocol == (ICMP if kind == ETH_IP else ICMP6):
        return Packet(ethernet, ip, icmp=Icmp(f.get("icmp_type", 0), f.get("icmp_code", 0)))
    return Packet(ethernet, ip)


def arrival(text: str) -> Arrival:
    """
    Read a packet, its port and its tunnel as ``ofproto/trace`` takes them.

    :raises ValueError: if it says what an arrival cannot hold.
    """
    f = _fields(text)
    odd = [name for name in f if name.startswith(("reg", "xreg", "xxreg", "metadata", "ct_", "pkt_mark"))]
    if odd:
        raise ValueError(odd)
    port = f.get("in_port", 0)
    if not f.keys() & {"tun_id", "tun_src", "tun_dst"}:
        return Arrival(port, packet(text))
    ends = IPv4Address(f.get("tun_src", 0)), IPv4Address(f.get("tun_dst", 0))
    return Arrival(port, packet(text), f.get("tun_id", 0), *ends)


def sent(passage: Passage) -> list[str]:
    """Names of the ports that a packet goes out of, in order."""
    return [output.port.name for output in passage.outputs]
