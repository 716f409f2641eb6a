"""
Conditions on what goes with a packet: marks, the connection, the kind of an address, the way it came.

Sources: ``net/netfilter/xt_mark.c``, ``xt_connmark.c``, ``xt_conntrack.c``, ``xt_addrtype.c``, ``xt_mac.c``,
``xt_physdev.c``, ``xt_owner.c``, ``xt_policy.c``, ``xt_statistic.c``, ``net/ipv4/netfilter/ipt_rpfilter.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_network
from typing import Final

from bothways.facts.address import BROADCAST, IPAddress, IPNetwork, is_group
from bothways.facts.iptables import Match, Rule
from bothways.facts.packet import Ip
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import CtState, TrackedConnection
from bothways.model.linux.iptables.condition import Fulfils, maybe, within
from bothways.model.linux.iptables.probe import Probe
from bothways.model.linux.routing import Outcome, Wanted

__all__ = ["METADATA"]


_IPV4: Final = 4
_LOOPBACK: Final = "lo"
_EVERYBODY: Final = 0xFFFFFFFF
#: Kinds of routes of IPv6 that give a packet an error.
_REFUSING: Final = frozenset({"none", "blackhole", "unreachable", "prohibit"})
#: Groups that no router passes on (``ipv4_is_local_multicast``).
_LOCAL_GROUPS: Final = ip_network("224.0.0.0/24")


def _masked(number: int, match: Match) -> bool | None:
    if not isinstance(match.value, tuple):
        return None
    value, mask = match.value
    return maybe(number & mask == value, match)


def _mark(probe: Probe, match: Match, _: Rule) -> bool | None:
    return _masked(probe.mark, match)


def _group(*, source: bool) -> Fulfils:
    """The group of the device that it came in at or leaves by (``xt_devgroup.c``); ``ip`` names group 0."""

    def row(probe: Probe, match: Match, _: Rule) -> bool | None:
        group = probe.group_of(probe.device_in if source else probe.device_out)
        if isinstance(match.value, str):  # a name, which both print if they know it
            return None if group is None else maybe(group == match.value, match)
        number = 0 if group == "default" else int(group) if group is not None and group.isdecimal() else None
        return None if number is None else _masked(number, match)

    return row


def _realm(probe: Probe, match: Match, _: Rule) -> bool | None:
    """The realm of the route: 0 where no route or policy rule gives one."""
    netns = probe.netns
    if netns is None or netns.routes is None or not netns.routes.whole:
        return None
    odd = [*netns.routes, *(netns.rules or ())]
    given = any("realm" in text or text.startswith("flow") for row in odd for text in row.unmodelled)
    return None if given else _masked(0, match)


def _connection(probe: Probe) -> TrackedConnection | None:
    return None if probe.tracking is None else probe.tracking.connection


def _connmark(probe: Probe, match: Match, _: Rule) -> bool | None:
    connection = _connection(probe)
    return False if connection is None else _masked(connection.mark, match)


def _states(probe: Probe, *, nat: bool) -> frozenset[str]:
    """What ``--ctstate`` may call the packet. Without a connection it is INVALID or UNTRACKED."""
    tracking = probe.tracking
    if tracking is None:
        return frozenset({CtState.INVALID})
    states = {str(tracking.state)}
    if nat and tracking.connection is not None:
        states |= {
            name
            for name, bit in (("SNAT", "SRC_NAT"), ("DNAT", "DST_NAT"))
            if bit in tracking.connection.status
        }
    return frozenset(states)


def _ctstate(probe: Probe, match: Match, _: Rule) -> bool | None:
    wanted = match.value if isinstance(match.value, frozenset) else frozenset()
    return maybe(bool(wanted & _states(probe, nat=True)), match)


def _state(probe: Probe, match: Match, _: Rule) -> bool | None:
    wanted = match.value if isinstance(match.value, frozenset) else frozenset()
    return maybe(bool(wanted & _states(probe, nat=False)), match)


def _tracked(ask: Callable[[TrackedConnection, object], bool | None]) -> Fulfils:
    """A condition on the connection; without one, ``xt_conntrack`` looks at the state alone."""

    def row(probe: Probe, match: Match, rule: Rule) -> bool | None:
        connection = _connection(probe)
        if connection is None:
            return any(m.name == "conntrack.ctstate" for m in rule.matches)
        return maybe(ask(connection, match.value), match)

    return row


def _in_network(address: IPAddress, wanted: object) -> bool | None:
    return address in wanted if isinstance(wanted, IPNetwork) else None


def _ctstatus(connection: TrackedConnection, wanted: object) -> bool | None:
    """``NONE`` stands for no bit at all, and is never there (``xt_conntrack``)."""
    names = wanted if isinstance(wanted, frozenset) else frozenset()
    return bool(names & connection.status)


def _ctdir(probe: Probe, match: Match, rule: Rule) -> bool | None:
    tracking = probe.tracking
    if tracking is None or tracking.connection is None:
        return any(m.name == "conntrack.ctstate" for m in rule.matches)
    way = "REPLY" if tracking.way is Way.REPLY else "ORIGINAL"
    return maybe(way == match.value, match)


def _mac(probe: Probe, match: Match, _: Rule) -> bool | None:
    if probe.mine:
        return False
    source = probe.packet.ethernet.src
    return maybe(source == match.value, match) if source else None


def _limits(match: Match, rule: Rule) -> frozenset[str]:
    """
    What limits one ``addrtype`` to a device: the options behind it, up to the next one of its kind.

    A rule may hold several; ``iptables-save`` prints the limit behind the kinds that it belongs to.
    """
    found: set[str] = set()
    at = next((n for n, other in enumerate(rule.matches) if other is match), len(rule.matches))
    for other in rule.matches[at + 1 :]:
        if other.name in ("addrtype.src-type", match.name):
            break
        found.add(other.name)
    return frozenset(found)


def _kind(*, source: bool) -> Fulfils:
    def row(probe: Probe, match: Match, rule: Rule) -> bool | None:
        ip = probe.packet.ip
        wanted = match.value if isinstance(match.value, frozenset) else frozenset()
        if ip is None:
            return None
        address = ip.src if source else ip.dst
        if address.version != _IPV4:
            return maybe(_of_kinds(probe, address, wanted, _limits(match, rule)), match)
        kind = probe.kind_of(address).upper()
        limits = _limits(match, rule)
        device = ""
        if "addrtype.limit-iface-in" in limits:
            device = probe.device_in
        elif "addrtype.limit-iface-out" in limits:
            device = probe.device_out
        if device and kind in ("LOCAL", "BROADCAST") and probe.holder_of(address) not in ("", device):
            kind = "UNICAST"
        return maybe(kind in wanted, match)

    return row


def _of_kinds(
    probe: Probe, address: IPAddress, wanted: frozenset[str], limits: frozenset[str]
) -> bool | None:
    """
    IPv6: every kind that is named must hold, and of LOCAL, ANYCAST and UNREACHABLE any (``match_type6``).

    The first ones are read from the address itself, the others take a look at the routes.
    """
    if "MULTICAST" in wanted and not address.is_multicast:
        return False
    if "UNICAST" in wanted and (address.is_multicast or address.is_unspecified):
        return False
    if "UNSPEC" in wanted and not address.is_unspecified:
        return False
    routed = wanted & {"LOCAL", "ANYCAST", "UNREACHABLE"}
    if not routed:
        return True
    device = ""
    if "addrtype.limit-iface-in" in limits:
        device = probe.device_in
    elif "addrtype.limit-iface-out" in limits:
        device = probe.device_out
    found = probe.route(Wanted(address, device_out=device or None))
    if found.kind == "unknown":
        return None
    return bool(routed & _routed6(probe, address, device, found))


def _routed6(probe: Probe, address: IPAddress, device: str, found: Outcome) -> set[str]:
    """What a route says of an address of IPv6 (``match_lookup_rt6``)."""
    if found.kind in _REFUSING:
        return {"UNREACHABLE"}
    held = probe.holder_of(address) if found.kind == "local" else ""
    kinds = {"LOCAL"} if (held == device if device else found.kind == "local") else set()
    return kinds | ({"ANYCAST"} if probe.is_anycast(address) else set())


def _always(_: Probe, __: Match, ___: Rule) -> bool | None:
    return True


def _physical(*, source: bool) -> Fulfils:
    """``physdev-in|out``: the port of the bridge that handed the packet on (``br_netfilter``)."""

    def row(probe: Probe, match: Match, _: Rule) -> bool | None:
        name, wanted = probe.port_in if source else probe.port_out, match.value
        if not isinstance(wanted, str):
            return None
        same = name.startswith(wanted[:-1]) if wanted.endswith("+") else name == wanted
        return (bool(name) and same) is not match.negate

    return row


def _has_port(port: Callable[[Probe], str]) -> Fulfils:
    return lambda probe, match, _: bool(port(probe)) is not match.negate


def _packet_type(probe: Probe, match: Match, _: Rule) -> bool | None:
    mac = probe.packet.ethernet.dst
    if probe.mine or probe.device_in == _LOOPBACK:
        return maybe(match.value == "unicast", match)  # `PACKET_HOST`, as whoever makes a packet leaves it
    if not mac:
        return None
    kind = "broadcast" if mac == BROADCAST else "multicast" if is_group(mac) else "unicast"
    return maybe(kind == match.value, match)


def _owner(probe: Probe, match: Match, _: Rule) -> bool | None:
    """Packets that came from outside have no socket here: only ``!`` is true of them."""
    return None if probe.mine else match.negate


def _reverse_path(probe: Probe, match: Match, _: Rule) -> bool | None:
    """
    Whether the sender is reached by the device that the packet came in at (``rpfilter_mt``).

    The question has the packet's type of service, in IPv6 its protocol and the device too, and the mark only
    with ``--validmark``.
    """
    flags = match.value if isinstance(match.value, frozenset) else frozenset()
    ip, device = probe.packet.ip, probe.device_in
    if probe.mine or ip is None:
        return None
    passes: bool | None
    if device == _LOOPBACK:
        passes = True
    elif ip.src.version == _IPV4:
        passes = _reverse4(probe, ip, flags)
    else:
        passes = _reverse6(probe, ip, flags)
    return None if passes is None else passes is not ("invert" in flags)


def _reverse4(probe: Probe, ip: Ip, flags: frozenset[str]) -> bool | None:
    if ip.dst.is_multicast and not int(ip.src):
        return ip.dst in _LOCAL_GROUPS
    asker = None if ip.dst.is_multicast or int(ip.dst) in (0, _EVERYBODY) else ip.dst
    mark = probe.mark if "validmark" in flags else 0
    found = probe.route(Wanted(ip.src, asker, _LOOPBACK, mark=mark, tos=ip.tos))
    if found.kind == "unknown":
        return None
    if found.kind == "local" and "accept-local" in flags:
        return "loose" in flags or probe.holder_of(ip.src) == probe.device_in
    return found.kind == "unicast" and ("loose" in flags or probe.device_in in found.devices)


def _reverse6(probe: Probe, ip: Ip, flags: frozenset[str]) -> bool | None:
    if not int(ip.src):
        return True
    asked = Wanted(
        ip.src,
        None if ip.dst.is_multicast or not int(ip.dst) else ip.dst,
        _LOOPBACK,
        None if "loose" in flags and not ip.src.is_link_local else probe.device_in,
        probe.mark if "validmark" in flags else 0,
        ip.tos,
        ip.protocol,
    )
    found = probe.route(asked)
    if found.kind == "unknown":
        return None
    if found.kind == "local":
        return "accept-local" in flags and not probe.is_anycast(ip.src)
    return found.kind == "unicast" and ("loose" in flags or found.device == probe.device_in)


def _policy(_: Probe, match: Match, __: Rule) -> bool | None:
    """IPsec: packets that are walked never came through a security association."""
    return maybe(match.value == "none", match)


def _statistic(_: Probe, match: Match, __: Rule) -> bool | None:
    certain = {0.0: False, 1.0: True}
    return maybe(certain.get(match.value) if isinstance(match.value, float) else None, match)


#: match name of ``parse.iptables`` -> row
METADATA: Final[Mapping[str, Fulfils]] = {
    "devgroup.src-group": _group(source=True),
    "devgroup.dst-group": _group(source=False),
    "realm.realm": _realm,
    "mark.mark": _mark,
    "connmark.mark": _connmark,
    "conntrack.ctstate": _ctstate,
    "state.state": _state,
    "conntrack.ctstatus": _tracked(_ctstatus),
    "conntrack.ctproto": _tracked(lambda c, value: c.original.protocol == value),
    "conntrack.ctorigsrc": _tracked(lambda c, value: _in_network(c.original.src, value)),
    "conntrack.ctorigdst": _tracked(lambda c, value: _in_network(c.original.dst, value)),
    "conntrack.ctreplsrc": _tracked(lambda c, value: _in_network(c.reply.src, value)),
    "conntrack.ctrepldst": _tracked(lambda c, value: _in_network(c.reply.dst, value)),
    "conntrack.ctorigsrcport": _tracked(lambda c, value: within(c.original.sport, value)),
    "conntrack.ctorigdstport": _tracked(lambda c, value: within(c.original.dport, value)),
    "conntrack.ctreplsrcport": _tracked(lambda c, value: within(c.reply.sport, value)),
    "conntrack.ctrepldstport": _tracked(lambda c, value: within(c.reply.dport, value)),
    "conntrack.ctdir": _ctdir,
    "addrtype.src-type": _kind(source=True),
    "addrtype.dst-type": _kind(source=False),
    "addrtype.limit-iface-in": _always,
    "addrtype.limit-iface-out": _always,
    "comment.comment": _always,
    "limit.limit-burst": _always,
    "mac.mac-source": _mac,
    "physdev.physdev-in": _physical(source=True),
    "physdev.physdev-out": _physical(source=False),
    "physdev.physdev-is-in": _has_port(lambda probe: probe.port_in),
    "physdev.physdev-is-out": _has_port(lambda probe: probe.port_out),
    "physdev.physdev-is-bridged": _has_port(lambda probe: probe.port_out),
    "pkttype.pkt-type": _packet_type,
    "owner.uid-owner": _owner,
    "owner.gid-owner": _owner,
    "owner.socket-exists": _owner,
    "rpfilter.rpfilter": _reverse_path,
    "policy.dir": _always,
    "policy.pol": _policy,
    "statistic.mode": _always,
    "statistic.probability": _statistic,
    "set.return-nomatch": _always,
}
