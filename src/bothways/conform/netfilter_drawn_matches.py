"""
Matches of iptables that `conform netfilter` draws: one row each, with what it needs.

A row writes the words of one match; where it can be negated, the ``!`` comes from whoever draws. Values are
few and near to those that packets have, so that a match decides something about half of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from bothways.conform.netfilter_place import LEGS, Place, mac_behind

__all__ = ["MATCHES", "PORTS", "Drawable"]

#: Share of options that are drawn now and then.
_SOME: Final = 0.3
#: Ports that packets and rules share.
PORTS: Final = (22, 53, 80, 443, 5000, 8080)
#: Spans of the ports that connections come from.
_SPANS: Final = ("40000:40010", "40005:40030", "40001")
#: Ports that packets are sent from.
_SENDERS: Final = (40000, 40010, 40003, 1024)


@dataclass(frozen=True, slots=True)
class Drawable:
    """
    A match or target that can be drawn.

    :param words: writes it; gets a chance and the addresses. ``{!}`` in it is where a negation goes.
    :param protocol: what ``-p`` must say before it, "" for anything.
    :param versions: IP versions that know it.
    :param hooks: built-in chains from which it may be used; empty for all. A user's chain counts as those
        that lead to it.
    :param tables: tables in which it may stand; empty for all.
    :param weight: how often, among others.
    """

    words: Callable[[Random, Place], str]
    protocol: str = ""
    versions: tuple[int, ...] = (4, 6)
    hooks: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    weight: float = 1.0

    def fits(self, version: int, hooks: frozenset[str], table: str, protocol: str) -> bool:
        """Whether it can stand in a rule."""
        return (
            version in self.versions
            and (not self.hooks or hooks <= set(self.hooks))
            and (not self.tables or table in self.tables)
            and self.protocol in ("", protocol)
        )


def _address(chance: Random, place: Place) -> str:
    pool = (*place.networks, *place.networks, *place.stations, *place.remote, *place.own)
    return chance.choice(pool)


def _leg(chance: Random) -> str:
    return chance.choice((*LEGS, *LEGS, "nf+", "lo", "nfb+"))


def _ports(chance: Random, pool: tuple[int, ...] = PORTS) -> str:
    low = chance.choice(pool)
    return chance.choice(
        (f"{low}", f"{low}", f"{low}:{low + chance.choice((1, 20, 400))}", f":{low}", f"{low}:")
    )


def _port_list(chance: Random) -> str:
    chosen = sorted(chance.sample(PORTS, chance.randint(1, 3)))
    return ",".join(f"{each}:{each + 5}" if chance.random() < 0.3 else str(each) for each in chosen)


def _range(chance: Random, place: Place) -> str:
    leg = chance.choice(LEGS)
    low, high = place.hosts[leg][0], place.hosts[leg][1]
    return f"{low}-{high}"


def _mac(chance: Random, place: Place) -> str:
    return mac_behind(chance.choice(place.stations)).upper()


def _states(chance: Random) -> str:
    names = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
    return ",".join(chance.sample(names, chance.choice((1, 1, 2, 2, 3))))


def _kind(chance: Random, place: Place) -> str:
    return chance.choice(_KINDS if place.version == 4 else _KINDS[:_SHARED])


def _mark(chance: Random) -> str:
    return chance.choice(("0x1", "0x2", "0x1/0x3", "0x0", "0x2/0xf", "0x10/0xf0"))


#: Kinds of addresses that both IP versions know, then those of IPv4 alone.
_KINDS: Final = ("LOCAL", "UNICAST", "MULTICAST", "LOCAL,UNICAST", "UNREACHABLE", "BROADCAST", "BLACKHOLE")
_SHARED: Final = 5
_FLAGS: Final = (
    "SYN,RST,ACK,FIN SYN",
    "SYN,ACK SYN,ACK",
    "RST RST",
    "ALL ACK",
    "ACK NONE",
    "FIN,ACK FIN,ACK",
)
_LIMITED: Final = ("PREROUTING", "INPUT", "FORWARD")


#: name as `-m` says it (or the option) -> row
MATCHES: Final[Mapping[str, Drawable]] = {
    "source": Drawable(lambda c, p: "{!}-s " + _address(c, p), weight=4),
    "destination": Drawable(lambda c, p: "{!}-d " + _address(c, p), weight=4),
    "in-interface": Drawable(lambda c, _: "{!}-i " + _leg(c), hooks=_LIMITED, weight=3),
    "out-interface": Drawable(
        lambda c, _: "{!}-o " + _leg(c), hooks=("FORWARD", "OUTPUT", "POSTROUTING"), weight=3
    ),
    "fragment": Drawable(lambda _, __: "{!}-f", versions=(4,), weight=0.2),
    "tcp.dport": Drawable(lambda c, _: "-m tcp {!}--dport " + _ports(c), "tcp", weight=3),
    "tcp.sport": Drawable(lambda c, _: "-m tcp {!}--sport " + _ports(c, _SENDERS), "tcp"),
    "tcp.flags": Drawable(lambda c, _: "-m tcp {!}--tcp-flags " + c.choice(_FLAGS), "tcp"),
    "tcp.syn": Drawable(lambda _, __: "-m tcp {!}--syn", "tcp"),
    "tcp.option": Drawable(
        lambda c, _: "-m tcp {!}--tcp-option " + c.choice(("2", "3", "8")), "tcp", weight=0.4
    ),
    "tcpmss": Drawable(
        lambda c, _: "-m tcpmss {!}--mss " + c.choice(("1460", "1000:1500", "1:500")), "tcp", weight=0.5
    ),
    "udp.dport": Drawable(lambda c, _: "-m udp {!}--dport " + _ports(c), "udp", weight=3),
    "udp.sport": Drawable(lambda c, _: "-m udp {!}--sport " + _ports(c, _SENDERS), "udp"),
    "multiport.tcp": Drawable(
        lambda c, _: "-m multiport {!}--" + c.choice(("dports", "sports", "ports")) + " " + _port_list(c),
        "tcp",
    ),
    "multiport.udp": Drawable(
        lambda c, _: "-m multiport {!}--" + c.choice(("dports", "ports")) + " " + _port_list(c), "udp"
    ),
    "icmp": Drawable(
        lambda c, _: "-m icmp {!}--icmp-type " + c.choice(("8", "0", "3", "3/1", "11", "3/4", "any")),
        "icmp",
        versions=(4,),
        weight=2,
    ),
    "icmp6": Drawable(
        lambda c, _: "-m icmp6 {!}--icmpv6-type " + c.choice(("128", "129", "1", "1/4", "2", "3")),
        "ipv6-icmp",
        versions=(6,),
        weight=2,
    ),
    "iprange.src": Drawable(lambda c, p: "-m iprange {!}--src-range " + _range(c, p)),
    "iprange.dst": Drawable(lambda c, p: "-m iprange {!}--dst-range " + _range(c, p)),
    "mac": Drawable(
        lambda c, p: "-m mac {!}--mac-source " + _mac(c, p), hooks=("PREROUTING", "INPUT", "FORWARD")
    ),
    "mark": Drawable(lambda c, _: "-m mark {!}--mark " + _mark(c), weight=2),
    "connmark": Drawable(lambda c, _: "-m connmark {!}--mark " + _mark(c), weight=1.5),
    "conntrack.ctstate": Drawable(lambda c, _: "-m conntrack {!}--ctstate " + _states(c), weight=4),
    "conntrack.ctnat": Drawable(
        lambda c, _: "-m conntrack {!}--ctstate " + c.choice(("SNAT", "DNAT", "SNAT,DNAT,INVALID")),
        weight=0.7,
    ),
    "conntrack.ctstatus": Drawable(
        lambda c, _: (
            "-m conntrack {!}--ctstatus "
            + c.choice(("SEEN_REPLY", "ASSURED", "CONFIRMED", "NONE", "SEEN_REPLY,ASSURED", "EXPECTED"))
        ),
    ),
    "conntrack.ctdir": Drawable(lambda c, _: "-m conntrack --ctdir " + c.choice(("ORIGINAL", "REPLY"))),
    "conntrack.ctproto": Drawable(lambda c, _: "-m conntrack {!}--ctproto " + c.choice(("6", "17"))),
    "conntrack.ctorigsrc": Drawable(lambda c, p: "-m conntrack {!}--ctorigsrc " + _address(c, p)),
    "conntrack.ctorigdst": Drawable(lambda c, p: "-m conntrack {!}--ctorigdst " + _address(c, p)),
    "conntrack.ctreplsrc": Drawable(lambda c, p: "-m conntrack {!}--ctreplsrc " + _address(c, p)),
    "conntrack.ctrepldst": Drawable(lambda c, p: "-m conntrack {!}--ctrepldst " + _address(c, p)),
    "conntrack.ctorigdstport": Drawable(
        lambda c, _: "-m conntrack {!}--ctorigdstport " + _ports(c).strip(":"), weight=0.7
    ),
    "conntrack.ctreplsrcport": Drawable(
        lambda c, _: "-m conntrack {!}--ctreplsrcport " + _ports(c).strip(":"), weight=0.5
    ),
    "state": Drawable(
        lambda c, _: (
            "-m state {!}--state " + c.choice(("NEW", "ESTABLISHED", "RELATED,ESTABLISHED", "INVALID"))
        )
    ),
    "addrtype.src": Drawable(lambda c, p: "-m addrtype {!}--src-type " + _kind(c, p), weight=1.5),
    "addrtype.dst": Drawable(lambda c, p: "-m addrtype {!}--dst-type " + _kind(c, p), weight=2),
    "addrtype.limit": Drawable(
        lambda c, _: "-m addrtype {!}--dst-type " + c.choice(_KINDS[:2]) + " --limit-iface-in",
        hooks=("PREROUTING", "INPUT"),
        weight=0.7,
    ),
    "ttl": Drawable(
        lambda c, _: c.choice(
            ("-m ttl {!}--ttl-eq 64", "-m ttl {!}--ttl-eq 1", "-m ttl --ttl-lt 3", "-m ttl --ttl-gt 63")
        ),
        versions=(4,),
    ),
    "hl": Drawable(
        lambda c, _: c.choice(
            ("-m hl {!}--hl-eq 64", "-m hl {!}--hl-eq 1", "-m hl --hl-lt 3", "-m hl --hl-gt 63")
        ),
        versions=(6,),
    ),
    "dscp": Drawable(lambda c, _: "-m dscp {!}--dscp " + c.choice(("0x00", "0x0a", "0x04", "0x2e"))),
    "tos": Drawable(
        lambda c, _: "-m tos {!}--tos " + c.choice(("0x10/0x3f", "0x28/0xff", "0x00/0xff")), weight=0.7
    ),
    "ecn": Drawable(lambda c, _: "-m ecn {!}--ecn-ip-ect " + c.choice(("0", "1", "2")), weight=0.4),
    "addrtype.limit.out": Drawable(
        lambda c, _: "-m addrtype {!}--src-type " + c.choice(_KINDS[:2]) + " --limit-iface-out",
        hooks=("OUTPUT", "POSTROUTING"),
        weight=0.5,
    ),
    "conntrack.ctorigsrcport": Drawable(
        lambda c, _: "-m conntrack {!}--ctorigsrcport " + c.choice(_SPANS), weight=0.5
    ),
    "conntrack.ctrepldstport": Drawable(
        lambda c, _: "-m conntrack {!}--ctrepldstport " + c.choice(_SPANS), weight=0.5
    ),
    "devgroup.out": Drawable(
        lambda c, _: "-m devgroup {!}--dst-group " + c.choice(("0x0", "0x1")),
        hooks=("FORWARD", "OUTPUT", "POSTROUTING"),
        weight=0.5,
    ),
    "ecn.cwr": Drawable(lambda _, __: "-m ecn {!}--ecn-tcp-cwr", "tcp", weight=0.3),
    "ecn.tcp": Drawable(lambda _, __: "-m ecn {!}--ecn-tcp-ece", "tcp", weight=0.3),
    "length": Drawable(
        lambda c, _: "-m length {!}--length " + c.choice(("28:60", "40", "44", "48", "100:", ":39"))
    ),
    "pkttype": Drawable(
        lambda c, _: "-m pkttype {!}--pkt-type " + c.choice(("unicast", "broadcast", "multicast"))
    ),
    "rpfilter": Drawable(
        lambda c, _: (
            "-m rpfilter "
            + "".join(
                each
                for each in ("--loose ", "--validmark ", "--accept-local ", "--invert ")
                if c.random() < _SOME
            )
        ),
        hooks=("PREROUTING",),
        tables=("raw", "mangle"),
        weight=1.5,
    ),
    "physdev": Drawable(lambda _, __: "-m physdev {!}--physdev-is-bridged", hooks=("FORWARD",), weight=0.3),
    "policy": Drawable(
        lambda c, _: "-m policy --dir in --pol " + c.choice(("none", "ipsec")),
        hooks=("PREROUTING", "INPUT", "FORWARD"),
        weight=0.3,
    ),
    "owner": Drawable(
        lambda c, _: (
            "-m owner {!}--" + c.choice(("uid-owner 0", "gid-owner 0", "socket-exists", "uid-owner 5"))
        ),
        hooks=("OUTPUT", "POSTROUTING"),
        weight=0.4,
    ),
    "realm": Drawable(
        lambda c, _: "-m realm {!}--realm " + c.choice(("0x0", "0x5")),
        versions=(4,),
        hooks=("FORWARD", "POSTROUTING"),
        weight=0.2,
    ),
    "devgroup": Drawable(
        lambda c, _: "-m devgroup {!}--src-group " + c.choice(("0x0", "0x5")), hooks=_LIMITED, weight=0.3
    ),
    "statistic": Drawable(
        lambda c, _: "-m statistic --mode random {!}--probability " + c.choice(("0.0", "1.0")), weight=0.3
    ),
    "comment": Drawable(lambda _, __: "-m comment --comment \"a word, and 'more'\"", weight=0.7),
    "u32": Drawable(
        lambda c, _: '-m u32 {!}--u32 "6&0xFF=0x' + c.choice(("6", "11")) + '"', versions=(4,), weight=0.3
    ),
    "string": Drawable(lambda _, __: "-m string {!}--string zz --algo bm --to 100", weight=0.2),
    "connbytes": Drawable(
        lambda c, _: (
            "-m connbytes {!}--connbytes "
            + c.choice(("1:3", "2", "0:1"))
            + " --connbytes-dir both --connbytes-mode packets"
        ),
        weight=0.2,
    ),
    "helper": Drawable(lambda _, __: "-m helper {!}--helper ftp", weight=0.3),
    "limit": Drawable(lambda _, __: "-m limit --limit 1/s", weight=0.15),
}
