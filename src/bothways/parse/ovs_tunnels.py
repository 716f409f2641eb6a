"""
``dpif/show``, ``tnl/ports/show``, ``ofproto/list-tunnels``, ``ovs/route/show``: ways out of a datapath.

Source: ``dpif_show`` and ``list_tunnels`` of ``ofproto/ofproto-dpif.c`` and ``ofproto/tunnel.c``;
``ovs_router_show`` of ``lib/ovs-router.c``; ovs-vswitchd(8).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from bothways.facts.address import IPAddress, address
from bothways.facts.datapath import DatapathPort, TunnelPort, TunnelRoute
from bothways.facts.openflow import LOCAL
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.openflow_lex import assigned, cut
from bothways.parse.openflow_values import number, unquoted
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_dpif_show", "parse_tunnel_listeners", "parse_tunnel_routes", "parse_tunnels"]

Row = TypeVar("Row")

_DATAPATH: Final = re.compile(r"\s*(?P<kind>[\w-]+)@(?P<name>[\w.-]+):")
_BRIDGE: Final = re.compile(r"\s+(?P<name>[^\s:]+):\s*\Z")
_PORT: Final = re.compile(
    r'\s+(?P<name>"[^"]*"|\S+) (?P<number>\d+)/(?P<dp>\d+|none):\s*(?:\((?P<inside>.*)\))?\s*\Z'
)
_LISTENER: Final = re.compile(r"(?P<name>\S+) \((?P<dp>\d+)\)(?P<rest>.*)\Z")
_TUNNEL: Final = re.compile(r"port (?P<dp>\d+|\S+): (?P<name>\S+) \((?P<kind>[\w-]+): (?P<rest>.*)\)\Z")
_ROUTE: Final = re.compile(
    r"(?P<origin>Cached|User): (?P<to>[0-9a-fA-F:.]+)/(?P<length>\d{1,3})(?: MARK (?P<mark>\d+))? "
    r"dev (?P<dev>\S+)"
    r"(?: GW (?P<gw>\S+))?(?: SRC (?P<src>\S+))?(?P<local> local)?\s*\Z"
)
_LOCAL: Final = 0xFFFE


def parse_dpif_show(text: str, *, file: str, read_at: float | None = None) -> Parsed[DatapathPort]:
    """Read ``ovs-appctl dpif/show``: ports by bridge, with both of their numbers."""
    reading: Reading[DatapathPort] = Reading()
    datapath = bridge = ""
    for line in lines(text, file=file, read_at=read_at):
        head, owner, port = _DATAPATH.match(line.text), _BRIDGE.match(line.text), _PORT.match(line.text)
        if head is not None:
            datapath = head["kind"]
            reading.skip()
        elif port is not None and bridge:
            reading.rows.append(_dpif_port(port, bridge, datapath, line))
        elif owner is not None:
            bridge = owner["name"]
            reading.skip()
        elif not line.text.strip() or is_prompt(line.text):
            reading.skip()
        else:
            reading.malformed(line, f"cannot read {quoted(line.text)}", "expected `NAME 1/2: (type)`")
    return reading.done()


def _dpif_port(found: re.Match[str], bridge: str, datapath: str, line: Span) -> DatapathPort:
    kind, _, options = (found["inside"] or "").partition(":")
    given = int(found["number"][:9])
    return DatapathPort(
        bridge,
        unquoted(found["name"]),
        LOCAL if given == _LOCAL else given,
        int(found["dp"][:9]) if found["dp"].isdigit() else None,
        kind.strip(),
        line,
        datapath,
        {name: unquoted(value) for name, _, value in (assigned(p.text) for p in cut(options, 1))},
    )


def parse_tunnel_listeners(text: str, *, file: str, read_at: float | None = None) -> Parsed[TunnelPort]:
    """Read ``ovs-appctl tnl/ports/show``, also with ``-v``."""
    return _rows(text, file, read_at, _listener, "a listening port such as `vxlan_sys_4789 (3)`")


def _listener(line: Span) -> TunnelPort | None:
    found = _LISTENER.match(line.text.strip())
    if found is None:
        return None
    words = [word.strip(",") for word in found["rest"].replace(":", " ").split() if "=" in word]
    told = {name: value for name, _, value in (word.partition("=") for word in words)}
    kind = found["name"].partition("_sys")[0]
    return TunnelPort(found["name"], kind, line, None, int(found["dp"][:9]), told)


def parse_tunnels(text: str, *, file: str, read_at: float | None = None) -> Parsed[TunnelPort]:
    """Read ``ovs-appctl ofproto/list-tunnels``."""
    return _rows(
        text, file, read_at, _tunnel, "a tunnel such as `port 3: vx (vxlan: ::->10.0.0.1, key=5, …)`"
    )


def _tunnel(line: Span) -> TunnelPort | None:
    found = _TUNNEL.match(line.text.strip())
    if found is None:
        return None
    told: dict[str, str] = {}
    for word in re.split(r",? ", found["rest"]):
        name, equals, value = word.partition("=")
        if equals:
            told[name] = value
        elif "->" in word:
            told["local_ip"], _, told["remote_ip"] = word.partition("->")
    given = told.pop("port", found["dp"])
    return TunnelPort(
        found["name"], found["kind"], line, None, int(given[:9]) if given[:9].isdigit() else None, told
    )


def parse_tunnel_routes(text: str, *, file: str, read_at: float | None = None) -> Parsed[TunnelRoute]:
    """Read ``ovs-appctl ovs/route/show``."""
    return _rows(text, file, read_at, _route, "a route such as `Cached: 10.0.0.0/24 dev br0 SRC 10.0.0.1`")


def _route(line: Span) -> TunnelRoute | None:
    found = _ROUTE.match(line.text.strip())
    if found is None:
        return None
    destination = address(found["to"])
    length = int(found["length"])
    # IPv4 is printed with the length that it has as an address of IPv6 by some versions.
    if length > destination.max_prefixlen:
        length -= 128 - destination.max_prefixlen
    if not 0 <= length <= destination.max_prefixlen:
        return None
    return TunnelRoute(
        destination,
        length,
        found["dev"],
        line,
        _address(found["gw"]),
        _address(found["src"]),
        number(found["mark"]) if found["mark"] else None,
        found["origin"] == "Cached",
        found["local"] is not None,
    )


def _address(text: str | None) -> IPAddress | None:
    return None if text is None else address(text)


_HEADERS: Final[Mapping[Callable[[Span], object], re.Pattern[str]]] = {
    _listener: re.compile(r"Listening ports:"),
    _tunnel: re.compile(r"no tunnels"),
    _route: re.compile(r"Route Table.*:"),
}


def _rows(
    text: str, file: str, read_at: float | None, read: Callable[[Span], Row | None], expects: str
) -> Parsed[Row]:
    reading: Reading[Row] = Reading()
    for line in lines(text, file=file, read_at=read_at):
        bare = line.text.strip()
        if not bare or is_prompt(line.text) or _HEADERS[read].fullmatch(bare):
            reading.skip()
            continue
        try:
            row = read(line)
        except ValueError:
            row = None
        if row is None:
            reading.malformed(line, f"cannot read {quoted(line.text)}", f"expected {expects}")
        else:
            reading.rows.append(row)
    return reading.done()
