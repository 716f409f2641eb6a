"""What listens in a site, and what its switches and neighbours are told before the connection is tried."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from typing import Final

from bothways.lab.act import Act
from bothways.lab.naming import Naming
from bothways.lab.site import Service, Site

__all__ = ["announcements", "pings", "program", "services"]


def services(site: Site, naming: Naming) -> Iterator[Act]:
    """Start what listens, and wait until it does."""
    for space in site.spaces.values():
        for service in space.services:
            until = ("ss", "-Hltn", f"sport = :{service.port}")
            folder = naming.folder / "services" / f"{space.place.host}-{space.place.netns}-{service.port}"
            if service.kind == "sshd":
                yield from _keys(str(folder))
            yield Act(
                "services",
                _KINDS[service.kind](service, str(folder)),
                naming.space(space.place),
                stays=True,
                until=until,
            )


def announcements(site: Site, naming: Naming) -> Iterator[Act]:
    """Tell the neighbours of the addresses that are announced, as the L3 agent does with ``arping -A``."""
    for space in site.spaces.values():
        if not space.announce:
            continue
        words = [
            f"{device}={address.split('/')[0]}"
            for device, addresses in space.addresses.items()
            for address in addresses
            if ":" not in address
        ]
        if words:
            name = naming.space(space.place)
            yield Act("announcements", (*program("announce"), *words), name)


def pings(site: Site, naming: Naming) -> Iterator[Act]:
    """Let stations be heard once, so that no switch floods the connection's first frame."""
    for place, address in site.pings:
        words = ("ping", "-c1", "-W2", "-q", address)
        yield Act("pings", words, naming.space(place), mild=True)


def program(name: str) -> tuple[str, ...]:
    """Return the words that run one of the small programs beside the templates."""
    return (sys.executable, "-I", "-S", str(files("bothways.lab") / "programs" / f"{name}.py"))


def _keys(folder: str) -> Iterator[Act]:
    yield Act("services", ("mkdir", "-p", folder, "/run/sshd"))
    for key in ("host", "user"):
        yield Act("services", ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{key}"))
    yield Act("services", ("cp", f"{folder}/user.pub", f"{folder}/authorized"))


def _sshd(service: Service, folder: str) -> tuple[str, ...]:
    options = {
        "Port": service.port,
        "ListenAddress": service.address,
        "HostKey": f"{folder}/host",
        "PidFile": "none",
        "AuthorizedKeysFile": f"{folder}/authorized",
        "UsePAM": "no",
        "StrictModes": "no",
        "PermitRootLogin": "prohibit-password",
        "UseDNS": "no",
        "PrintMotd": "no",
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return ("/usr/sbin/sshd", "-D", "-f", "/dev/null", "-E", f"{folder}/log", *words)


def _python(service: Service, folder: str) -> tuple[str, ...]:
    del folder
    return (*program("serve"), service.kind, service.address, str(service.port))


_KINDS: Final[Mapping[str, Callable[[Service, str], tuple[str, ...]]]] = {
    "sshd": _sshd,
    "http": _python,
    "echo": _python,
    "banner": _python,
}
