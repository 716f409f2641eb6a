"""
Which packets a policy rule asks.

``fib_rule_match`` of ``net/core/fib_rules.c`` with ``fib4_rule_match`` and ``fib6_rule_match``; ip-rule(8). A
selector that the packet cannot answer does not hold: a forwarded packet has no output device yet and belongs
to root, a packet of this namespace came in at ``lo``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bothways.facts.route import RoutingRule
from bothways.model.linux.routing.wanted import Wanted

__all__ = ["holds"]

#: ``INET_DSCP_LEGACY_TOS_MASK``: the bits of TOS that a rule's or route's ``tos`` is compared with in IPv4.
LEGACY_TOS: Final = 0x1C
#: ``INET_DSCP_MASK``: in IPv6 all six bits of the code point.
_DSCP: Final = 0xFC
_IPV4: Final = 4

_Selector = Callable[[RoutingRule, Wanted], bool | None]


def _source(rule: RoutingRule, wanted: Wanted) -> bool | None:
    return None if rule.src is None else wanted.source is not None and wanted.source in rule.src


def _destination(rule: RoutingRule, wanted: Wanted) -> bool | None:
    return None if rule.dst is None else wanted.destination in rule.dst


def _input(rule: RoutingRule, wanted: Wanted) -> bool | None:
    if rule.iif is None:
        return None
    return not rule.detached and rule.iif == (wanted.device_in or "lo")


def _output(rule: RoutingRule, wanted: Wanted) -> bool | None:
    if rule.oif is None:
        return None
    return not rule.detached and rule.oif == wanted.device_out


def _mark(rule: RoutingRule, wanted: Wanted) -> bool | None:
    return None if rule.fwmark is None else (wanted.mark ^ rule.fwmark) & rule.fwmask == 0


def _tos(rule: RoutingRule, wanted: Wanted) -> bool | None:
    if not rule.tos:
        return None
    mask = LEGACY_TOS if wanted.destination.version == _IPV4 else _DSCP
    return (wanted.tos or 0) & mask == rule.tos & _DSCP


def _dscp(rule: RoutingRule, wanted: Wanted) -> bool | None:
    return None if rule.dscp is None else (wanted.tos or 0) >> 2 == rule.dscp


def _protocol(rule: RoutingRule, wanted: Wanted) -> bool | None:
    return None if rule.protocol is None else rule.protocol == wanted.protocol


def _within(port: int | None, ports: tuple[int, int] | None) -> bool | None:
    return None if ports is None else port is not None and ports[0] <= port <= ports[1]


def _source_port(rule: RoutingRule, wanted: Wanted) -> bool | None:
    return _within(wanted.sport, rule.source_ports)


def _destination_port(rule: RoutingRule, wanted: Wanted) -> bool | None:
    return _within(wanted.dport, rule.destination_ports)


#: Each says None if the rule does not have it.
_SELECTORS: Final[tuple[_Selector, ...]] = (
    _source,
    _destination,
    _input,
    _output,
    _mark,
    _tos,
    _dscp,
    _protocol,
    _source_port,
    _destination_port,
)


def holds(rule: RoutingRule, wanted: Wanted) -> tuple[bool | None, str]:
    """
    Whether a rule asks for a packet; None where it cannot be told, with what decides.

    ``not`` inverts all selectors together.
    """
    if any(select(rule, wanted) is False for select in _SELECTORS):
        return rule.invert, ""
    open_ = [*rule.unmodelled]
    if rule.users is not None:
        # What is forwarded belongs to nobody, which counts as root (``sock_net_uid``).
        if wanted.device_in and not rule.users[0] <= 0 <= rule.users[1]:
            return rule.invert, ""
        if not wanted.device_in:
            inverted = "not " if rule.invert else ""
            open_.append(f"{inverted}uidrange {rule.users[0]}-{rule.users[1]}")
    if open_:
        return None, ", ".join(open_)
    return not rule.invert, ""
