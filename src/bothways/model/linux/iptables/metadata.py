"""
Conditions on what goes with a packet: marks, the connection, the kind of an address, the way it came.

Sources: ``net/netfilter/xt_mark.c``, ``xt_connmark.c``, ``xt_conntrack.c``, ``xt_addrtype.c``, ``xt_mac.c``,
``xt_physdev.c``, ``xt_owner.c``, ``xt_policy.c``, ``xt_statistic.c``, ``net/ipv4/netfilter/ipt_rpfilter.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.address import BROADCAST, IPAddress, IPNetwork, is_group
from bothways.facts.iptables import Match, Rule
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import CtState, TrackedConnection
from bothways.model.linux.iptables.condition import Fulfils, maybe, within
from bothways.model.linux.iptables.probe import Probe

__all__ = ["METADATA"]


_IPV4: Final = 4
_LOOPBACK: Final = "lo"


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
    local = probe.kind_of(address) == "local" and (not device or probe.holder_of(address) == device)
    if "LOCAL" in routed and local:
        return True
    return False if routed == {"LOCAL"} else None


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
    flags = match.value if isinstance(match.value, frozenset) else frozenset()
    if probe.device_in == _LOOPBACK:
        return "invert" not in flags  # what comes by loopback always passes
    if probe.mine or flags & {"validmark"}:
        return None
    devices = probe.way_back(probe.packet)
    if devices is None:
        return None
    passes = bool(devices) if "loose" in flags else probe.device_in in devices
    return passes is not ("invert" in flags)


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
