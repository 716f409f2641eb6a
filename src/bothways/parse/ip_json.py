"""
``ip -j``: devices with their addresses, routes, policy rules and neighbours.

Member names as iproute2 prints them (``ip/ipaddress.c``, ``ip/iproute.c``, ``ip/iprule.c``,
``ip/ipneigh.c``). A row that carries a part which bothways cannot evaluate is kept, with a problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv6Address
from typing import Final

from bothways.facts.address import UNKNOWN_MAC, IPAddress, IPNetwork, address, network
from bothways.facts.device import Device, InterfaceAddress, Neighbour
from bothways.facts.parsed import Parsed
from bothways.facts.route import NextHop, Route, RoutingRule
from bothways.parse.ip_port import port_facts
from bothways.parse.ip_words import code_point, protocol_number, type_of_service
from bothways.parse.json_objects import Document, Record, read_objects, take
from bothways.parse.reading import Reading, quoted

__all__ = [
    "ADDRESS_FLAGS",
    "has_carrier",
    "parse_addr",
    "parse_neigh",
    "parse_route",
    "parse_rule",
    "resolve_links",
]

#: What an address may be, as iproute2 names the bits of ``IFA_FLAGS``.
ADDRESS_FLAGS: Final = frozenset(
    "secondary temporary tentative dadfailed deprecated optimistic nodad home mngtmpaddr noprefixroute "  # noqa: SIM905 (a word list reads better as words)
    "autojoin".split()
)
_ANY4: Final = network("0.0.0.0/0")
_ANY6: Final = network("::/0")

#: Members of a route that change which packets it takes or what it does to them.
_ROUTE_UNMODELLED: Final = ("encap", "tos-mask", "realms", "flow")
#: Members of a policy rule that are selectors or suppressors without a field of their own.
_RULE_UNMODELLED: Final = (
    "sport_mask", "dport_mask", "suppress_ifgroup", "tun_id", "dscp_mask", "flowlabel", "nat_gateway",
    "masquerade",
)  # fmt: skip


def parse_addr(text: str, *, file: str, read_at: float | None = None) -> Parsed[Device]:
    """
    Read ``ip -d -j addr`` (or ``link``): one row per device, in the order of the dump.

    The span of a device is its JSON object; that of an address is its own object inside. *link* is the
    ifindex of the peer or lower device, also where the dump names it; *lower* is that name. ``info`` is
    ``info_data``, and for ports of a bridge or bond also ``info_slave_kind`` and ``info_slave_data``.
    """
    document = Document(text, file=file, read_at=read_at)
    reading: Reading[Device] = Reading()
    for record in document.objects(reading):
        take(record, lambda r, into: _device(r, document, into), reading)
    return replace(reading.done(), rows=resolve_links(reading.rows))


def resolve_links(devices: Iterable[Device]) -> tuple[Device, ...]:
    """Fill in the ifindex of peers and lower devices that the dump gives by name and also lists."""
    rows = tuple(devices)
    index = {device.name: device.index for device in rows}
    return tuple(
        replace(row, link=index.get(row.lower)) if row.lower is not None and row.link is None else row
        for row in rows
    )


def _device(record: Record, document: Document, reading: Reading[Device]) -> Device:
    name = record.need("ifname")
    index = record.number("ifindex")
    if index is None:
        raise ValueError(f"device {quoted(name)} has no `ifindex`")
    flags = frozenset(record.words("flags"))
    linkinfo = record.inner("linkinfo")
    info = dict(linkinfo.inner("info_data").members)
    if linkinfo.has("info_slave_kind"):
        info["info_slave_kind"] = linkinfo.members["info_slave_kind"]
    if linkinfo.has("info_slave_data"):
        info["info_slave_data"] = port_facts(linkinfo.inner("info_slave_data").members)
    programs = _programs(record)
    if programs:
        info["xdp"] = programs
    return Device(
        name=name,
        index=index,
        mac=record.mac("address") or UNKNOWN_MAC,
        span=record.span,
        up="UP" in flags,
        carrier=has_carrier(flags, record.text("operstate")),
        mtu=record.number("mtu"),
        kind=linkinfo.text("info_kind") or "",
        link=record.number("link_index"),
        link_netns=record.number("link_netnsid"),
        lower=record.text("link"),
        master=record.text("master"),
        addresses=tuple(_addresses(record, document, reading)),
        flags=flags,
        info=info,
        group=record.text("group") or "",
    )


def _programs(record: Record) -> str:
    """Programs that hang at a device before everything else (``"xdp": {"mode": 2, "prog": {"id": 5}}``)."""
    xdp = record.members.get("xdp")
    if not isinstance(xdp, dict) or not xdp.get("mode", 1):
        return ""
    ids = re.findall(r"'id': (\d+)", str(xdp))
    return ", ".join(f"id {number}" for number in dict.fromkeys(ids)) or "without a number"


def has_carrier(flags: frozenset[str], operstate: str | None) -> bool:
    """
    Whether a device has a link partner.

    ``LOWER_UP`` says so; devices without a carrier of their own (``UNKNOWN``) are as good as up, RFC 2863.
    """
    if "NO-CARRIER" in flags:
        return False
    if "LOWER_UP" in flags:
        return True
    return (operstate or "UNKNOWN") in ("UNKNOWN", "UP") and "UP" in flags


def _addresses(record: Record, document: Document, reading: Reading[Device]) -> Iterable[InterfaceAddress]:
    for row in document.member_array(record, "addr_info"):
        if not row.members:
            continue
        try:
            local = row.address("local") or address(row.need("address"))
            prefix = row.number("prefixlen")
            peer = row.address("address")
            yield InterfaceAddress(
                address=local,
                prefix=local.max_prefixlen if prefix is None else _length(prefix, local),
                span=row.span,
                scope=row.text("scope") or "global",
                peer=None if peer == local else peer,
                flags=frozenset(flag for flag in ADDRESS_FLAGS if row.members.get(flag) is True),
            )
        except ValueError as error:
            reading.refuse(row.span, error)


def _length(prefix: int, of: IPAddress) -> int:
    if not 0 <= prefix <= of.max_prefixlen:
        raise ValueError(f"`prefixlen` {prefix} does not fit {of}")
    return prefix


def parse_route(text: str, *, file: str, read_at: float | None = None) -> Parsed[Route]:
    """
    Read ``ip -j route show table all``. A row without a table stands in ``main``.

    ``default`` says no family: it is IPv6 if a gateway is, or if the row has a router preference (which only
    IPv6 routes have), else IPv4.
    """
    return read_objects(text, _route, file=file, read_at=read_at)


def _route(record: Record, reading: Reading[Route]) -> Route:
    hops = tuple(_hops(record))
    destination = _destination(record, hops)
    unmodelled = tuple(
        record.shown(key) for key in _ROUTE_UNMODELLED if record.members.get(key) not in (None, "all")
    )
    if unmodelled:
        reading.unmodelled(record.span, f"the route's {quoted(', '.join(unmodelled))} is not evaluated")
    metrics = record.objects("metrics")
    return Route(
        kind=record.text("type") or "unicast",
        destination=destination,
        table=record.text("table") or "main",
        hops=hops,
        span=record.span,
        prefsrc=record.address("prefsrc"),
        metric=record.number("metric") or 0,
        scope=record.text("scope") or "global",
        protocol=record.text("protocol") or "",
        flags=frozenset(record.words("flags")),
        mtu=next((mtu for row in metrics if (mtu := row.number("mtu")) is not None), record.number("mtu")),
        unmodelled=unmodelled,
        tos=type_of_service(record.text("tos")),
        source=_selector(record, "from"),
        preference=record.text("pref") or "",
    )


def _destination(record: Record, hops: tuple[NextHop, ...]) -> IPNetwork:
    text = record.need("dst")
    if text not in ("default", "all", "any"):
        return network(text)
    via = record.inner("via")
    six = any(isinstance(hop.gateway, IPv6Address) for hop in hops) and not via.has("host")
    prefsrc = isinstance(record.address("prefsrc"), IPv6Address)
    return _ANY6 if six or prefsrc or record.has("pref") else _ANY4


def _hops(record: Record) -> Iterable[NextHop]:
    rows = record.objects("nexthops") or (record,)
    for row in rows:
        gateway = row.address("gateway") or row.inner("via").address("host")
        device = row.text("dev")
        if device is not None or gateway is not None:
            flags = frozenset(() if row is record else row.words("flags"))
            yield NextHop(device, gateway, row.number("weight") or 1, flags)


def parse_rule(text: str, *, file: str, read_at: float | None = None) -> Parsed[RoutingRule]:
    """Read ``ip -j rule``. Selectors without a field of their own are kept as text under *unmodelled*."""
    return read_objects(text, _rule, file=file, read_at=read_at)


def _rule(record: Record, reading: Reading[RoutingRule]) -> RoutingRule:
    priority = record.number("priority")
    if priority is None:
        raise ValueError("a policy rule has no `priority`")
    unmodelled = tuple(record.shown(key) for key in _RULE_UNMODELLED if record.has(key))
    if unmodelled:
        reading.unmodelled(record.span, f"the policy rule's {quoted(', '.join(unmodelled))} is not evaluated")
    mask = record.number("fwmask")
    return RoutingRule(
        priority=priority,
        action=_action(record),
        span=record.span,
        table=record.text("table"),
        src=_selector(record, "src"),
        dst=_selector(record, "dst"),
        iif=record.text("iif"),
        oif=record.text("oif"),
        fwmark=record.number("fwmark"),
        fwmask=0xFFFFFFFF if mask is None else mask,
        tos=type_of_service(record.text("tos")),
        invert=record.has("not"),
        goto=record.number("goto") if record.text("goto") != "none" else None,
        unmodelled=unmodelled,
        protocol=protocol_number(record.text("ipproto")),
        source_ports=_range(record, "sport"),
        destination_ports=_range(record, "dport"),
        users=_range(record, "uid"),
        suppress_prefixlength=record.number("suppress_prefixlen"),
        l3mdev=record.has("l3mdev"),
        detached=record.has("iif_detached") or record.has("oif_detached"),
        dscp=code_point(record.text("dscp")),
    )


def _range(record: Record, key: str) -> tuple[int, int] | None:
    one, low, high = record.number(key), record.number(f"{key}_start"), record.number(f"{key}_end")
    if one is not None:
        return one, one
    return None if low is None or high is None else (low, high)


def _action(record: Record) -> str:
    for key in ("goto", "nop"):
        if record.has(key):
            return key
    if record.has("table"):
        return "lookup"
    return record.text("action") or record.text("to_tbl") or "lookup"


def _selector(record: Record, key: str) -> IPNetwork | None:
    text = record.text(key)
    if text is None or text in ("all", "any", "default"):
        return None
    length = record.number(f"{key}len")
    return network(text) if length is None else network(f"{address(text)}/{length}")


def parse_neigh(text: str, *, file: str, read_at: float | None = None) -> Parsed[Neighbour]:
    """Read ``ip -j neigh``. An entry without ``lladdr`` (FAILED, INCOMPLETE) has no MAC."""
    return read_objects(text, _neighbour, file=file, read_at=read_at)


def _neighbour(record: Record, reading: Reading[Neighbour]) -> Neighbour | None:
    if record.has("proxy") and not record.has("dev"):
        reading.unmodelled(record.span, "a neighbour proxy on all devices is not evaluated")
        return None
    states = frozenset(word.upper() for word in record.words("state"))
    return Neighbour(
        address=address(record.need("dst")),
        device=record.need("dev"),
        mac=record.mac("lladdr"),
        states=states | {"PROXY"} if record.has("proxy") else states,
        span=record.span,
    )
