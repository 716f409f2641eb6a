"""
``ip route``, ``ip rule`` and ``ip neigh`` as plain text, with the rows of their JSON forms.

A row is words: some stand alone (``onlink``), most are followed by their value. Layout as iproute2 prints it
(``ip/iproute.c``, ``ip/iprule.c``, ``ip/ipneigh.c``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv6Address
from typing import Final, TypeVar

from bothways.facts.address import IPAddress, IPNetwork, Mac, address, mac, network
from bothways.facts.device import Neighbour
from bothways.facts.parsed import Parsed
from bothways.facts.route import NextHop, Route, RoutingRule
from bothways.facts.span import Span
from bothways.parse.ip_words import code_point, protocol_number, type_of_service
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_neigh_text", "parse_route_text", "parse_rule_text"]

Row = TypeVar("Row")

_ANY4: Final = network("0.0.0.0/0")
_ANY6: Final = network("::/0")
_RULE: Final = re.compile(r"(\d{1,10}):\s*(.*)\Z")
_KINDS: Final = frozenset(
    "unicast local broadcast multicast anycast blackhole unreachable prohibit throw nat".split()  # noqa: SIM905 (a word list reads better as words)
)
#: Words of a route that stand alone.
_FLAGS: Final = frozenset(
    "onlink linkdown dead pervasive offload trap rt_offload rt_trap notify unresolved cache".split()  # noqa: SIM905 (a word list reads better as words)
)
#: Words of a route whose value changes which packets it takes or what it does to them.
_ROUTE_UNMODELLED: Final = frozenset({"encap", "realm", "realms"})
#: Words of a policy rule that are selectors or suppressors without a field of their own.
_RULE_UNMODELLED: Final = frozenset({"suppress_ifgroup", "tun_id", "flowlabel"})
_ACTIONS: Final = frozenset({"blackhole", "unreachable", "prohibit", "nop"})
#: Words of a policy rule that stand alone.
_ALONE: Final = frozenset({*_ACTIONS, "l3mdev"})
_STATES: Final = frozenset({
    "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "INCOMPLETE", "PERMANENT", "NOARP", "NONE",
    "proxy",
})  # fmt: skip


def parse_route_text(text: str, *, file: str, read_at: float | None = None) -> Parsed[Route]:
    """Read ``ip route show [table all]``; ``nexthop`` lines belong to the route above them."""
    reading: Reading[Route] = Reading()
    for span in lines(text, file=file, read_at=read_at):
        words = span.text.split()
        if words[:1] == ["nexthop"] and reading.rows:
            _each(span, reading, lambda s: _joined(s, reading))
        elif _silent(span.text) or words[:1] == ["nh_info"]:
            # `ip -d route` says again what a next hop object holds.
            reading.skip()
        else:
            _each(span, reading, lambda s: reading.rows.append(_route(s, reading)))
    return reading.done()


def parse_rule_text(text: str, *, file: str, read_at: float | None = None) -> Parsed[RoutingRule]:
    """Read ``ip rule``."""
    reading: Reading[RoutingRule] = Reading()
    for span in lines(text, file=file, read_at=read_at):
        if _silent(span.text):
            reading.skip()
        else:
            _each(span, reading, lambda s: reading.rows.append(_rule(s, reading)))
    return reading.done()


def parse_neigh_text(text: str, *, file: str, read_at: float | None = None) -> Parsed[Neighbour]:
    """Read ``ip neigh``, also with ``-s``."""
    reading: Reading[Neighbour] = Reading()
    for span in lines(text, file=file, read_at=read_at):
        if _silent(span.text):
            reading.skip()
        else:
            _each(span, reading, lambda s: reading.rows.append(_neighbour(s)))
    return reading.done()


def _silent(line: str) -> bool:
    return not line.strip() or line.startswith("#") or is_prompt(line)


def _each(span: Span, reading: Reading[Row], read: Callable[[Span], object]) -> None:
    try:
        read(span)
    except ValueError as error:
        reading.malformed(span, f"cannot read {quoted(span.text)}: {error}")


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    """Each word with its value, "" for words that stand alone."""
    position = 0
    while position < len(words):
        word = words[position]
        alone = word in _FLAGS or position + 1 == len(words)
        yield word, "" if alone else words[position + 1]
        position += 1 if alone else 2


def _route(span: Span, reading: Reading[Route]) -> Route:
    words = span.text.split()
    kind = words.pop(0) if words[0] in _KINDS else "unicast"
    if not words:
        raise ValueError("it has no destination")
    # `via inet6 ADDRESS` says the family of a gateway that is of another one than the route.
    if "via" in words:
        after = words.index("via") + 1
        if words[after : after + 1] in (["inet"], ["inet6"]):
            del words[after]
    pairs = dict(_pairs(words[1:]))
    via = address(pairs["via"]) if "via" in pairs else None
    source = address(pairs["src"]) if "src" in pairs else None
    odd = tuple(f"{word} {value}" for word, value in pairs.items() if word in _ROUTE_UNMODELLED)
    if odd:
        reading.unmodelled(span, f"the route's {quoted(', '.join(odd))} is not evaluated")
    hop = NextHop(pairs.get("dev"), via)
    return Route(
        kind=kind,
        destination=_destination(words[0], (via, source), six="pref" in pairs),
        table=pairs.get("table", "main"),
        hops=(hop,) if hop.device is not None or hop.gateway is not None else (),
        span=span,
        prefsrc=source,
        metric=int(pairs.get("metric", "0")[:10]),
        scope=pairs.get("scope", "global"),
        protocol=pairs.get("proto", ""),
        flags=frozenset(word for word in pairs if word in _FLAGS),
        mtu=int(pairs["mtu"][:10]) if pairs.get("mtu", "").isdecimal() else None,
        unmodelled=odd,
        tos=type_of_service(pairs.get("tos") or pairs.get("dsfield")),
        source=_selector(pairs.get("from")),
        preference=pairs.get("pref", ""),
    )


def _destination(text: str, hints: tuple[IPAddress | None, ...], *, six: bool) -> IPNetwork:
    if text != "default":
        return network(text)
    return _ANY6 if six or any(isinstance(hint, IPv6Address) for hint in hints) else _ANY4


def _joined(span: Span, reading: Reading[Route]) -> None:
    words = [word for word in span.text.split()[1:] if word not in ("inet", "inet6")]
    pairs = dict(_pairs(words))
    via = address(pairs["via"]) if "via" in pairs else None
    flags = frozenset(word for word in pairs if word in _FLAGS)
    hop = NextHop(pairs.get("dev"), via, int(pairs.get("weight", "1")[:10]), flags)
    route = reading.rows[-1]
    six = isinstance(via, IPv6Address) and route.destination == _ANY4 and not route.hops
    destination = _ANY6 if six else route.destination
    reading.rows[-1] = replace(route, hops=(*route.hops, hop), destination=destination)


def _rule(span: Span, reading: Reading[RoutingRule]) -> RoutingRule:
    found = _RULE.match(span.text.strip())
    if found is None:
        raise ValueError("it does not begin with a priority")
    words = found[2].split()
    invert = words[:1] == ["not"]
    words = words[1:] if invert else words
    l3mdev = "[l3mdev-table]" in words or "l3mdev" in words
    detached = "[detached]" in words
    words = [word for word in words if not word.startswith("[")]
    pairs = dict(_pairs([word for word in words if word not in _ALONE]))
    odd = tuple(f"{word} {value}" for word, value in pairs.items() if word in _RULE_UNMODELLED)
    if odd:
        reading.unmodelled(span, f"the policy rule's {quoted(', '.join(odd))} is not evaluated")
    mark, slash, mask = pairs.get("fwmark", "").partition("/")
    goto = pairs.get("goto", "")
    action = next((word for word in words if word in _ACTIONS), "goto" if goto else "lookup")
    return RoutingRule(
        priority=int(found[1]),
        action=action,
        span=span,
        table=pairs.get("lookup") or pairs.get("table"),
        src=_selector(pairs.get("from")),
        dst=_selector(pairs.get("to")),
        iif=pairs.get("iif"),
        oif=pairs.get("oif"),
        fwmark=int(mark[:12], 0) if mark else None,
        fwmask=int(mask[:12], 0) if slash else 0xFFFFFFFF,
        tos=type_of_service(pairs.get("tos") or pairs.get("dsfield")),
        invert=invert,
        goto=int(goto[:10]) if goto.isdecimal() else None,
        unmodelled=odd,
        protocol=protocol_number(pairs.get("ipproto")),
        source_ports=_range(pairs.get("sport")),
        destination_ports=_range(pairs.get("dport")),
        users=_range(pairs.get("uidrange")),
        suppress_prefixlength=int(limit[:4]) if (limit := _limit(pairs)).isdecimal() else None,
        l3mdev=l3mdev,
        detached=detached,
        dscp=code_point(pairs.get("dscp")),
    )


def _limit(pairs: dict[str, str]) -> str:
    return pairs.get("suppress_prefixlength") or pairs.get("suppress_prefixlen") or ""


def _range(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    low, dash, high = text.partition("-")
    return int(low[:10]), int((high if dash else low)[:10])


def _selector(text: str | None) -> IPNetwork | None:
    return None if text in (None, "all", "any", "default") else network(text or "")


def _neighbour(span: Span) -> Neighbour:
    words = span.text.split()
    device = words.index("dev") if "dev" in words else len(words)
    if device + 1 >= len(words):
        raise ValueError("it names no device")
    held: Mac | None = None
    if "lladdr" in words:
        text = words[words.index("lladdr") + 1 :][:1]
        try:
            held = mac(text[0]) if text else None
        except ValueError:
            # Tunnel devices have an IP address there.
            held = None
    return Neighbour(
        address=address(words[0]),
        device=words[device + 1],
        mac=held,
        states=frozenset("PROXY" if word == "proxy" else word for word in words if word in _STATES),
        span=span,
    )
