"""
Random routing worlds: devices, addresses, routes, policy rules and sysctls of one namespace, and questions.

All are drawn as the words of ``ip`` and ``sysctl``, from few addresses, so that rules and routes meet the
questions. What the kernel refuses (a gateway that is not reached) is left out by ``ip -force``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

__all__ = ["DEVICES", "RouteQuestion", "RouteWorld", "addresses", "draw_route_world"]

#: Devices of the namespace; the last has a far end that is down.
DEVICES: Final = ("eth0", "eth1", "eth2", "eth3")
_OWN: Final = {
    4: {
        "eth0": ("192.0.2.1/24", "192.0.2.65/26"),
        "eth1": ("198.51.100.1/24",),
        "eth2": (),
        "eth3": ("10.3.0.1/24",),
    },
    6: {
        "eth0": ("2001:db8:1::1/64", "fd00:1::1/64"),
        "eth1": ("2001:db8:2::1/64",),
        "eth2": (),
        "eth3": ("2001:db8:3::1/64",),
    },
}  # fmt: skip
_NEAR: Final = {
    4: (("192.0.2.9", "eth0"), ("192.0.2.77", "eth0"), ("198.51.100.9", "eth1"), ("10.3.0.9", "eth3")),
    6: (("2001:db8:1::9", "eth0"), ("2001:db8:2::9", "eth1"), ("2001:db8:3::9", "eth3"), ("fe80::9", "eth2")),
}
_PREFIXES: Final = {
    4: ("default", "203.0.113.0/24", "203.0.113.128/25", "203.0.113.192/26", "203.0.0.0/16",
        "203.0.113.200/32",        "100.64.0.0/10", "192.0.2.0/28", "198.51.100.128/25"),
    6: ("default", "2001:db8:113::/48", "2001:db8:113:1::/64", "2001:db8:113:1::/96", "2001:db8:113:1::7/128",
        "fd64::/16", "2001:db8:1::/80"),
}  # fmt: skip
_TARGETS: Final = {
    4: ("203.0.113.5", "203.0.113.130", "203.0.113.200", "203.0.9.9", "100.64.3.4", "8.8.8.8", "192.0.2.7",
        "192.0.2.1", "192.0.2.65", "192.0.2.255", "198.51.100.1", "198.51.100.200", "10.3.0.5", "127.0.0.7",
        "192.0.2.127", "0.1.2.3", "10.3.0.255"),
    6: ("2001:db8:113::5", "2001:db8:113:1::5", "2001:db8:113:1::7", "fd64::1", "2001:4860::8",
        "2001:db8:1::7",
        "2001:db8:1::1", "fd00:1::1", "2001:db8:2::1", "2001:db8:3::5", "2001:db8:1::", "2001:db8:2::77"),
}  # fmt: skip
_SOURCES: Final = {
    4: ("192.0.2.9", "192.0.2.100", "198.51.100.50", "203.0.113.7", "10.3.0.5", "8.8.4.4", "192.0.2.1",
        "127.0.0.1", "0.0.0.0", "224.0.0.5", "255.255.255.255", "192.0.2.255", "100.64.1.1",  # noqa: S104
        "240.0.0.1"),
    6: ("2001:db8:1::9", "2001:db8:2::50", "2001:db8:113:1::9", "fd64::2", "2001:db8:1::1", "fd00:1::9"),
}  # fmt: skip
_LOCAL: Final = {
    4: ("192.0.2.1", "192.0.2.65", "198.51.100.1"),
    6: ("2001:db8:1::1", "fd00:1::1", "2001:db8:2::1"),
}
_TABLES: Final = ("main", "main", "7", "9", "200")
_KINDS: Final = ("blackhole", "unreachable", "prohibit", "throw")
_SYSCTLS: Final = {
    "net.ipv4.conf.{}.rp_filter": "012",
    "net.ipv4.conf.{}.accept_local": "001",
    "net.ipv4.conf.{}.route_localnet": "0001",
    "net.ipv4.conf.{}.forwarding": "111110",
    "net.ipv4.conf.{}.send_redirects": "01",
    "net.ipv4.conf.{}.src_valid_mark": "01",
    "net.ipv4.conf.{}.ignore_routes_with_linkdown": "01",
    "net.ipv6.conf.{}.ignore_routes_with_linkdown": "01",
}


@dataclass(frozen=True, slots=True)
class RouteQuestion:
    """One question to ``ip route get``; *device_in* is "" for a packet of the namespace itself."""

    destination: str
    source: str = ""
    device_in: str = ""
    mark: int = 0
    tos: int = 0
    protocol: str = ""
    sport: int = 0
    dport: int = 0

    def words(self) -> str:
        """As it is typed behind ``ip``."""
        pairs = (
            ("from", self.source),
            ("iif", self.device_in),
            ("tos", f"{self.tos:#x}" if self.tos else ""),
            ("mark", str(self.mark or "")),
            ("ipproto", self.protocol),
            ("sport", str(self.sport or "")),
            ("dport", str(self.dport or "")),
        )
        return " ".join(["route get", self.destination, *(f"{name} {text}" for name, text in pairs if text)])


@dataclass(frozen=True, slots=True)
class RouteWorld:
    """
    One namespace as it is set up, and what is asked there.

    :param commands: IP version and words behind ``ip -4`` or ``ip -6``, in order.
    """

    commands: tuple[tuple[int, str], ...]
    sysctls: tuple[str, ...]
    questions: tuple[RouteQuestion, ...]


def addresses() -> Iterator[str]:
    """Commands that give the devices their addresses."""
    for held in _OWN.values():
        for device, rows in held.items():
            for row in rows:
                yield f"address add {row} dev {device}" + (" nodad" if ":" in row else "")


def draw_route_world(chance: Random, questions: int) -> RouteWorld:
    """Draw one world, with so many questions of each IP version."""
    commands = [(v, _route(chance, v)) for v in (4, 6) for _ in range(chance.randint(3, 12))]
    commands += [(v, _rule(chance, v)) for v in (4, 6) for _ in range(chance.randint(0, 6))]
    sysctls = [
        f"{name.format(device)}={chance.choice(values)}"
        for name, values in _SYSCTLS.items()
        for device in ("all", *DEVICES)
        if chance.random() < 0.5  # noqa: PLR2004 - half of them
    ]
    asked = [_question(chance, version) for version in (4, 6) for _ in range(questions)]
    return RouteWorld(tuple(commands), tuple(sysctls), tuple(asked))


def _route(chance: Random, version: int) -> str:
    prefix = chance.choice(_PREFIXES[version])
    table = chance.choice(_TABLES)
    metric = chance.choice(("", "", "metric 10", "metric 500"))
    tos = "tos 0x10 " if version == 4 and chance.random() < 0.15 else ""  # noqa: PLR2004 - IPv4, and now and then
    end = f"table {table} {metric}"
    draw = chance.random()
    if draw < 0.2:  # noqa: PLR2004 - a share, like those below
        return f"route add {chance.choice(_KINDS)} {prefix} {tos}{end}"
    if draw < 0.3:  # noqa: PLR2004
        return f"route add {prefix} {tos}dev {chance.choice(DEVICES)} {end}"
    gateway, device = chance.choice(_NEAR[version])
    source = ""
    if chance.random() < 0.2:  # noqa: PLR2004
        source = f"src {chance.choice(_LOCAL[version])} "
    if version == 6 and chance.random() < 0.15:  # noqa: PLR2004
        source = f"from {chance.choice(('2001:db8:2::/64', 'fd64::/16'))} "
    onlink = "onlink " if chance.random() < 0.1 else ""  # noqa: PLR2004
    return f"route add {prefix} {source}{tos}via {gateway} dev {device} {onlink}{end}"


def _rule(chance: Random, version: int) -> str:
    selectors: dict[str, Callable[[], str]] = {
        "from": lambda: f"from {chance.choice(_SOURCES[version][:4])}/{chance.choice((16, 24, 25, 32))}",
        "to": lambda: f"to {chance.choice([p for p in _PREFIXES[version] if p != 'default'])}",
        "iif": lambda: f"iif {chance.choice((*DEVICES, 'lo', 'gone0'))}",
        "oif": lambda: f"oif {chance.choice(DEVICES)}",
        "mark": lambda: f"fwmark {chance.choice(('1', '2', '0x10/0xf0'))}",
        "tos": lambda: "tos 0x10",
        "protocol": lambda: f"ipproto {chance.choice(('tcp', 'udp'))}",
        "sport": lambda: "sport 1000-2000",
        "dport": lambda: "dport 22",
        "uid": lambda: f"uidrange {chance.choice(('0-0', '1000-2000'))}",
    }
    if version == 6:  # noqa: PLR2004 - IPv6
        # Asked for a packet that came in, `ip -6 route get` names nobody; a packet belongs to root.
        del selectors["uid"]
    chosen = chance.sample(sorted(selectors), chance.choice((1, 1, 2, 3)))
    words = [str(selectors[name]()) for name in chosen]
    draw = chance.random()
    if draw < 0.7:  # noqa: PLR2004 - a share, like those below
        action = f"lookup {chance.choice((*_TABLES, '77'))}"
        if chance.random() < 0.3:  # noqa: PLR2004
            action += f" suppress_prefixlength {chance.choice((0, 16, 24, 48))}"
    elif draw < 0.85:  # noqa: PLR2004
        action = chance.choice(("prohibit", "unreachable", "blackhole"))
    else:
        action = f"goto {chance.choice((300, 400, 32766, 999))}"
    priority = chance.choice((100, 150, 200, 300, 300, 400, 500))
    negated = "not " if chance.random() < 0.15 else ""  # noqa: PLR2004
    return f"rule add priority {priority} {negated}{' '.join(words)} {action}"


def _question(chance: Random, version: int) -> RouteQuestion:
    device = chance.choice(("", *DEVICES[:3])) if chance.random() < 0.9 else ""  # noqa: PLR2004 - a share
    source = chance.choice(_SOURCES[version]) if device else chance.choice(("", *_LOCAL[version]))
    protocol = chance.choice(("", "", "tcp", "udp"))
    return RouteQuestion(
        chance.choice(_TARGETS[version]),
        source,
        device,
        chance.choice((0, 0, 1, 2, 0x1F)),
        chance.choice((0, 0, 0x10)) if version == 4 else 0,  # noqa: PLR2004 - IPv4
        protocol,
        chance.choice((1500, 50)) if protocol else 0,
        chance.choice((22, 80)) if protocol else 0,
    )
