"""The tables of a scenario -> a :class:`~bothways.lab.site.Site`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bothways.lab.site import (
    ROOT,
    Bridge,
    Check,
    Device,
    Member,
    Place,
    Port,
    Question,
    Service,
    Site,
    Space,
    Wire,
)
from bothways.lab.template import TemplateError, fill

__all__ = ["SiteError", "read_site"]

Way = tuple[str, ...]
_SERVICES: Final = frozenset({"sshd", "http", "echo", "banner"})


class SiteError(Exception):
    """Something that fits the form and still cannot be built; *path* leads to it."""

    def __init__(self, path: Way, text: str) -> None:
        super().__init__(text)
        self.path = path


def read_site(said: Mapping[str, Any]) -> Site:
    """
    Read a site out of tables that fit the form.

    :raises SiteError: if a place is named that is not there, or a template misses a parameter.
    """
    spaces: dict[Place, Space] = {}
    bridges: list[Bridge] = []
    clocks: dict[str, float] = {}
    for host, tables in said["hosts"].items():
        way = ("hosts", host)
        spaces[Place(host)] = _space(Place(host), tables, way)
        for netns, inner in tables.get("netns", {}).items():
            spaces[Place(host, netns)] = _space(Place(host, netns), inner, (*way, "netns", netns))
        for name, table in tables.get("bridges", {}).items():
            bridges.append(_bridge(host, name, table, (*way, "bridges", name)))
        if tables.get("clock"):
            clocks[host] = float(tables["clock"])
    _check_moves(spaces, bridges)
    asked = said["question"]
    contested, winners = None, {}
    if "contested" in said:
        table = said["contested"]
        contested = (_member(table["at"], ("contested", "at"), spaces), table["address"])
        winners = dict(table["winners"])
    return Site(
        title=said["title"],
        spaces=spaces,
        bridges=tuple(bridges),
        wires=tuple(_wire(name, table, spaces) for name, table in said.get("wires", {}).items()),
        question=_question(asked, ("question", "at"), spaces),
        checks=tuple(
            Check(
                _question({key: each[key] for key in each if key != "fate"}, ("checks",), spaces),
                each["fate"],
            )
            for each in said.get("checks", ())
        ),
        taps=tuple(_member(each, ("taps",), spaces) for each in said.get("taps", ())),
        pings=tuple(
            (_known(Place.read(each["at"]), ("pings",), spaces), each["address"])
            for each in said.get("pings", ())
        ),
        ipv6=said.get("ipv6", False),
        clocks=clocks,
        contested=contested,
        winners=winners,
    )


def _question(said: Mapping[str, Any], way: Way, spaces: Mapping[Place, Space]) -> Question:
    at = _known(Place.read(said["at"]), way, spaces)
    return Question(at=at, **{key: value for key, value in said.items() if key != "at"})


def _space(place: Place, table: Mapping[str, Any], way: Way) -> Space:
    services = tuple(Service(**each) for each in table.get("services", ()))
    for service in services:
        if service.kind not in _SERVICES:
            raise SiteError((*way, "services"), f"kind is one of {', '.join(sorted(_SERVICES))}")
    addresses = {}
    for device, words in table.get("addresses", {}).items():
        addresses[device] = (words,) if isinstance(words, str) else tuple(words)
    return Space(
        place=place,
        addresses=addresses,
        routes=tuple(table.get("routes", ())),
        rules=tuple(table.get("rules", ())),
        neighbours=tuple(table.get("neighbours", ())),
        fdb=tuple(table.get("fdb", ())),
        sysctls={key: str(value) for key, value in table.get("sysctls", {}).items()},
        iptables=_text("iptables", table.get("iptables"), (*way, "iptables")),
        ip6tables=_text("iptables", table.get("ip6tables"), (*way, "ip6tables")),
        nft=_text("nft", table.get("nft"), (*way, "nft")),
        devices=tuple(
            Device(name, f"type {each['type']}", tuple(each.get("members", ())))
            for name, each in table.get("devices", {}).items()
        ),
        services=services,
        macs=dict(table.get("macs", {})),
        mtus=dict(table.get("mtus", {})),
        announce=table.get("announce", False),
        offload=tuple(table.get("offload", ())),
        router=_router(table.get("iptables")),
    )


def _router(said: object) -> Mapping[str, Any] | None:
    """What the template of a Neutron router is filled in with; None for any other text."""
    return said if isinstance(said, dict) and said.get("template") == "neutron-router" else None


def _bridge(host: str, name: str, table: Mapping[str, Any], way: Way) -> Bridge:
    flows = table.get("flows")
    if isinstance(flows, list):
        parts = [_text("flows", each, (*way, "flows")) or "" for each in flows]
        flows = "".join(part if part.endswith("\n") else f"{part}\n" for part in parts)
    return Bridge(
        host=host,
        name=name,
        ports=tuple(_port(port, each) for port, each in table.get("ports", {}).items()),
        flows=_text("flows", flows, (*way, "flows")),
        groups=table.get("groups"),
        fail_mode=table.get("fail_mode"),
        mac=table.get("mac"),
    )


def _port(name: str, table: Mapping[str, Any]) -> Port:
    return Port(
        name=name,
        kind=table.get("type", ""),
        number=table.get("number"),
        netns=table.get("netns"),
        options={key: str(value) for key, value in table.get("options", {}).items()},
        tag=table.get("tag"),
        trunks=tuple(table.get("trunks", ())),
        vlan_mode=table.get("vlan_mode"),
        external_ids=dict(table.get("external_ids", {})),
    )


def _text(kind: str, said: object, way: Way) -> str | None:
    """Take a text as it is, or fill in the template that it names."""
    if said is None or isinstance(said, str):
        return said
    if not isinstance(said, dict) or "template" not in said:
        raise SiteError(way, 'a text is expected, or a table with `template = "NAME"` and its parameters')
    try:
        return fill(kind, said["template"], {key: value for key, value in said.items() if key != "template"})
    except TemplateError as error:
        raise SiteError(way, str(error)) from None


def _wire(name: str, table: Mapping[str, Any], spaces: Mapping[Place, Space]) -> Wire:
    members = tuple(_member(each, ("wires", name, "members"), spaces) for each in table["members"])
    if len(members) < 2:  # noqa: PLR2004 - a wire has two ends
        raise SiteError(("wires", name, "members"), "a wire joins two devices or more")
    loss = table.get("loss", 0)
    if not 0 <= loss <= 100:  # noqa: PLR2004 - percent
        raise SiteError(("wires", name, "loss"), "a share in percent is expected, 0 to 100")
    return Wire(name, members, table.get("mtu"), loss)


def _member(text: str, way: Way, spaces: Mapping[Place, Space]) -> Member:
    try:
        member = Member.read(text)
    except ValueError as error:
        raise SiteError(way, str(error)) from None
    _known(member.place, way, spaces)
    return member


def _known(place: Place, way: Way, spaces: Mapping[Place, Space]) -> Place:
    if place not in spaces:
        there = ", ".join(str(each) for each in spaces)
        raise SiteError(way, f"no namespace `{place}` in this scenario, there are {there}")
    return place


def _check_moves(spaces: Mapping[Place, Space], bridges: list[Bridge]) -> None:
    for bridge in bridges:
        for port in bridge.ports:
            way = ("hosts", bridge.host, "bridges", bridge.name, "ports", port.name)
            if port.netns in {None, ROOT}:
                continue
            if port.kind != "internal":
                raise SiteError(way, "only a port of type internal moves into a namespace")
            _known(Place(bridge.host, str(port.netns)), way, spaces)
