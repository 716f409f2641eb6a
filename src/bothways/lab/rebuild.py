"""
A bundle -> the site that it describes, and a list of what namespaces cannot rebuild.

Filters and flows go in as the text that was collected; addresses, routes and ports as the commands that make
them. What has no counterpart here (programs at tc and XDP, entries of the tracker, hardware) is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from bothways.facts.question import Question as Asked
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.lab.rebuild_devices import built_devices, wires_of
from bothways.lab.rebuild_switch import bridges_of
from bothways.lab.rebuild_texts import (
    fdb_words,
    filters_of,
    neighbour_words,
    route_words,
    rule_words,
    sysctls_of,
)
from bothways.lab.site import Bridge, Member, Place, Question, Service, Site, Space

__all__ = ["RECORDED", "Rebuilt", "rebuild"]

#: Name of the station that the bundle's neighbour entry names, where it is a dynamic one.
RECORDED: Final = "recorded"
_ANY: Final = "0.0.0.0"  # noqa: S104 - as in the dump
_SSH: Final = 22
_WEB: Final = frozenset({80, 8000, 8080})


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """
    A site from a bundle.

    :param missing: what it lacks, one sentence each.
    """

    site: Site
    missing: tuple[str, ...]


def rebuild(
    snapshot: Snapshot, asked: Asked | None, text_of: Callable[[str], str | None], title: str
) -> Rebuilt:
    """
    Turn what dumps say into a site.

    :param asked: the connection to try, None for a site without one.
    :param text_of: the text of a file of the bundle, None if it is not there.
    """
    missing: list[str] = []
    spaces: dict[Place, Space] = {}
    bridges: list[Bridge] = []
    for host in snapshot.hosts.values():
        bridges += bridges_of(host, text_of, missing)
        for netns in host.netns.values():
            spaces[Place(host.name, netns.name)] = _space(host, netns, text_of, missing)
        if "root" not in host.netns:
            spaces[Place(host.name)] = Space(Place(host.name))
    question = None if asked is None else _question(snapshot, asked, missing)
    contested, winners = (None, {}) if question is None else _recorded(snapshot, question)
    site = Site(
        title=title,
        spaces=spaces,
        bridges=tuple(bridges),
        wires=wires_of(snapshot, missing),
        question=question,
        taps=tuple(_taps(snapshot)),
        pings=(),
        ipv6=any(_has_ipv6(each) for each in spaces.values()),
        contested=contested,
        winners=winners,
    )
    return Rebuilt(site, tuple(dict.fromkeys(missing)))


def _space(host: Host, netns: Netns, text_of: Callable[[str], str | None], missing: list[str]) -> Space:
    place = Place(host.name, netns.name)
    built = built_devices(host, netns, missing)
    filters = filters_of(netns, text_of, missing)
    if netns.conntrack:
        missing.append(f"{place}: {len(netns.conntrack)} entries of the tracker: a rebuilt one begins empty")
    return Space(
        place=place,
        addresses=built.addresses,
        routes=tuple(route_words(netns, missing)),
        rules=tuple(rule_words(netns, missing)),
        neighbours=tuple(neighbour_words(netns)),
        fdb=tuple(fdb_words(netns)),
        sysctls=sysctls_of(netns),
        iptables=filters.iptables,
        ip6tables=filters.ip6tables,
        nft=filters.nft,
        devices=built.devices,
        services=tuple(_services(netns, missing)),
        macs=built.macs,
        mtus=built.mtus,
        announce=True,
    )


def _services(netns: Netns, missing: list[str]) -> Iterator[Service]:
    """Put something that answers where something listened; which program it was, a dump seldom tells."""
    seen = set()
    for socket in netns.sockets or ():
        if socket.state not in {"LISTEN", "UNCONN"} or socket.local_port is None:
            continue
        if socket.protocol != "tcp":
            missing.append(f"{netns.label}: whatever listens at {socket.protocol} port {socket.local_port}")
            continue
        local = socket.local.address if socket.local is not None else None
        address = _ANY if local is None else str(local)
        if (address, socket.local_port) in seen or ":" in address:
            continue
        seen.add((address, socket.local_port))
        kind = "sshd" if socket.local_port == _SSH and address != _ANY else "banner"
        yield Service("http" if socket.local_port in _WEB else kind, address, socket.local_port)


def _has_ipv6(space: Space) -> bool:
    return any(":" in address for rows in space.addresses.values() for address in rows)


def _question(snapshot: Snapshot, asked: Asked, missing: list[str]) -> Question | None:
    owner = next(iter(snapshot.owners_of(asked.source)), None)
    if owner is None:
        missing.append(
            f"no namespace of the bundle has {asked.source}: there is nowhere to try the connection from"
        )
        return None
    if asked.destination_port is None or asked.protocol != "tcp":
        missing.append(f"a connection of {asked.protocol} cannot be tried: only tcp to a port")
        return None
    netns = owner[0]
    return Question(
        at=Place(netns.host, netns.name),
        source=str(asked.source),
        destination=str(asked.destination),
        destination_port=asked.destination_port,
        source_port=asked.source_port,
        say="GET / HTTP/1.0\r\n\r\n" if asked.destination_port in _WEB else None,
    )


def _recorded(snapshot: Snapshot, question: Question) -> tuple[tuple[Member, str] | None, dict[str, str]]:
    """Whom the client's own table named for the destination: a choice that was made, and not the only one."""
    netns = snapshot.netns(question.at.host, question.at.netns)
    for row in (netns.neighbours if netns is not None else None) or ():
        if str(row.address) == question.destination and row.mac is not None and not row.pinned:
            return (Member(question.at, row.device), question.destination), {RECORDED: str(row.mac)}
    return None, {}


def _taps(snapshot: Snapshot) -> Iterator[Member]:
    """Every device that has a carrier, but those that see no packets of their own."""
    for netns in snapshot.namespaces():
        for device in netns.devices or ():
            if device.up and device.name not in {"lo", "ovs-netdev", "ovs-system"}:
                yield Member(Place(netns.host, netns.name), device.name)
