"""Namespaces in few words, and an oracle that can be asked what it was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bothways.facts.address import IPNetwork, Mac, address, network
from bothways.facts.choice import Assumption, Freedom
from bothways.facts.device import Device, FdbEntry, InterfaceAddress
from bothways.facts.dump import Dump
from bothways.facts.iptables import Table
from bothways.facts.packet import TCP, UDP, Ethernet, Flag, Ip, Packet, Tcp, Udp
from bothways.facts.route import NextHop, Route, RoutingRule
from bothways.facts.snapshot import IngressDrop, Netns, Sysctl
from bothways.facts.socket import Socket
from bothways.facts.span import Span
from bothways.facts.step import Did, Step
from bothways.model.linux.passage import Passage
from bothways.model.linux.stack import Stack
from bothways.parse.iptables import parse_iptables
from bothways.parse.ss import parse_ss

__all__ = [
    "OUTSIDE",
    "Told",
    "address_of",
    "device",
    "did",
    "dids",
    "fdb",
    "frame",
    "netns",
    "route",
    "rule",
    "stack",
    "tables",
    "udp",
]

OUTSIDE = Mac("02:00:00:00:00:99")


@dataclass
class Told:
    """An oracle that takes what *script* says, else the first option."""

    script: Mapping[str, str] = field(default_factory=dict)
    asked: dict[str, tuple[str, ...]] = field(default_factory=dict)
    freedoms: dict[str, Freedom] = field(default_factory=dict)
    assumed: list[Assumption] = field(default_factory=list)
    last: int = 0

    def choose(
        self,
        key: str,
        options: Sequence[str],
        *,
        freedom: Freedom,
        recorded: str | None = None,  # noqa: ARG002 - the protocol's name
        evidence: tuple[Span, ...] = (),  # noqa: ARG002 - the protocol's name
    ) -> str:
        self.asked[key] = tuple(options)
        self.freedoms[key] = freedom
        wanted = next((text for part, text in self.script.items() if part in key), None)
        return next((o for o in options if wanted is not None and wanted in o), options[self.last])

    def assume(self, assumption: Assumption) -> None:
        if assumption not in self.assumed:
            self.assumed.append(assumption)

    @property
    def texts(self) -> str:
        return "\n".join(a.text for a in self.assumed)


def span(text: str, line: int = 1) -> Span:
    return Span("dump", line, text=text)


def address_of(text: str, scope: str = "global") -> InterfaceAddress:
    """``192.0.2.1/24``."""
    host, _, prefix = text.partition("/")
    return InterfaceAddress(address(host), int(prefix or 32), span(text), scope)


def device(
    name: str,
    *addresses: str,
    number: int = 2,
    kind: str = "",
    master: str | None = None,
    up: bool = True,
    flags: frozenset[str] = frozenset(),
    info: Mapping[str, object] | None = None,
    link: int | None = None,
) -> Device:
    """A device; its MAC ends in its number."""
    held = tuple(address_of(a) for a in addresses)
    mac = Mac(f"02:00:00:00:00:{number:02x}")
    return Device(
        name,
        number,
        mac,
        span(name),
        up=up,
        kind=kind,
        master=master,
        link=link,
        addresses=held,
        flags=flags,
        info=info or {},
    )


LO = Device("lo", 1, Mac("00:00:00:00:00:00"), span("lo"), addresses=(address_of("127.0.0.1/8", "host"),))


def route(text: str, *, table: str = "main", kind: str = "unicast", metric: int = 0) -> Route:
    """``192.0.2.0/24 dev eth0``, ``default via 192.0.2.1 dev eth0``; several hops with ``|``."""
    words = text.split()
    destination: IPNetwork = network("0.0.0.0/0" if words[0] == "default" else words[0])
    hops = []
    for part in " ".join(words[1:]).split("|"):
        pairs = part.split()
        named = dict(zip(pairs[::2], pairs[1::2], strict=True))
        if named:
            via = named.get("via")
            hops.append(NextHop(named.get("dev"), None if via is None else address(via)))
    return Route(kind, destination, table, tuple(hops), span(text), metric=metric)


def rule(
    priority: int,
    table: str | None = None,
    *,
    action: str = "lookup",
    src: str | None = None,
    dst: str | None = None,
    iif: str | None = None,
    fwmark: int | None = None,
    fwmask: int = 0xFFFFFFFF,
    invert: bool = False,
    goto: int | None = None,
    unmodelled: tuple[str, ...] = (),
) -> RoutingRule:
    return RoutingRule(
        priority,
        action,
        span(f"rule {priority}", priority),
        table,
        None if src is None else network(src),
        None if dst is None else network(dst),
        iif,
        None,
        fwmark,
        fwmask,
        invert=invert,
        goto=goto,
        unmodelled=unmodelled,
    )


def tables(text: str, partial: str | None = None) -> Dump[Table]:
    """What ``iptables-save`` printed."""
    read = parse_iptables(text, file="iptables-save.txt")
    return Dump(read.rows, "iptables-save.txt", partial=partial)


def fdb(mac: str, port: str, master: str) -> FdbEntry:
    return FdbEntry(Mac(mac), port, span(f"{mac} dev {port}"), master)


def netns(
    *devices: Device,
    routes: Sequence[Route] | None = None,
    rules: Sequence[RoutingRule] | None = None,
    iptables: str | Dump[Table] | None = "",
    ss: str | None = "State Recv-Q Send-Q Local Address:Port Peer Address:Port",
    sysctls: Mapping[str, str] | None = None,
    drops: Sequence[str] = (),
    entries: Sequence[FdbEntry] | None = None,
    nft: Sequence[str] = (),
    name: str = "blue",
) -> Netns:
    """A namespace of which everything was collected unless None is given; forwarding is on."""
    base = {
        "net.ipv4.ip_forward": "1",
        "net.ipv4.conf.all.rp_filter": "0",
        "net.ipv4.conf.all.arp_ignore": "0",
    }
    settings = None if sysctls is None else {**base, **sysctls}
    rows: Dump[Socket] | None = None if ss is None else Dump(parse_ss(ss, file="ss.txt").rows, "ss.txt")
    return Netns(
        "host",
        name,
        devices=Dump((LO, *devices), "addr"),
        routes=None if routes is None else Dump(tuple(routes), "route"),
        rules=Dump(tuple(rules), "rule") if rules is not None else Dump(DEFAULT_RULES, "rule"),
        fdb=None if entries is None else Dump(tuple(entries), "fdb"),
        iptables=tables(iptables) if isinstance(iptables, str) else iptables,
        sockets=rows,
        sysctls=None
        if settings is None
        else Dump(tuple(Sysctl(k, v, span(f"{k} = {v}")) for k, v in settings.items()), "sysctl"),
        ingress_drops=Dump(tuple(IngressDrop(d, span(f"in_{d}")) for d in drops), "nft"),
        unmodelled_nft=Dump(tuple(span(text) for text in nft), "nft"),
    )


DEFAULT_RULES = (rule(0, "local"), rule(32766, "main"), rule(32767, "default"))


def stack(space: Netns, oracle: Told | None = None, kernel: str | None = None) -> Stack:
    return Stack(space, oracle=oracle or Told(), kernel=kernel)


def frame(
    source: str,
    destination: str,
    flags: str = "S",
    *,
    to: Device | None = None,
    seq: int | None = 1000,
    ack: int | None = 0,
    ttl: int = 64,
    length: int = 0,
) -> Packet:
    """A TCP segment: ``frame("192.0.2.1:1024", "192.0.2.2:22", "S.")``."""
    letters = {"F": Flag.FIN, "S": Flag.SYN, "R": Flag.RST, "P": Flag.PSH, ".": Flag.ACK}
    bits = Flag(0)
    for letter in flags:
        bits |= letters[letter]
    (src, sport), (dst, dport) = source.split(":"), destination.split(":")
    return Packet(
        Ethernet(OUTSIDE, to.mac if to is not None else Mac("")),
        ip=Ip(address(src), address(dst), TCP, ttl=ttl),
        tcp=Tcp(int(sport), int(dport), bits, seq, ack, 64240, length, checksum_ok=True),
        length=54 + length,
    )


def udp(source: str, destination: str, *, to: Device) -> Packet:
    (src, sport), (dst, dport) = source.split(":"), destination.split(":")
    return Packet(
        Ethernet(OUTSIDE, to.mac),
        ip=Ip(address(src), address(dst), UDP, ttl=64),
        udp=Udp(int(sport), int(dport), 10),
    )


def dids(passage: Passage) -> list[Did]:
    return [s.did for s in passage.steps]


def did(passage: Passage, what: Did) -> Step:
    """The first step in which something happened."""
    return next(s for s in passage.steps if s.did is what)
