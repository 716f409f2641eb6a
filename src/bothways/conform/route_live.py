"""
The model's routing held against the kernel that runs here, over random worlds.

One namespace of its own: routes, rules and sysctls of a world are set up, ``ip`` and ``sysctl`` dump them
as a bundle would hold them, ``ip route get`` is asked in one batch, and the model is asked from the dumps.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final

from bothways.conform.route_answer import RouteAnswers, kernel_answers
from bothways.conform.route_draw import DEVICES, RouteQuestion, RouteWorld, addresses, draw_route_world
from bothways.facts.dump import Dump
from bothways.facts.snapshot import Netns
from bothways.parse.ip_json import parse_addr, parse_route, parse_rule
from bothways.parse.sysctl import parse_sysctl

__all__ = ["RouteConformance", "RouteDisagreement", "hold_routes"]

_QUESTIONS: Final = 60
_CLEAN: Final = (
    *(f"route flush table {table}" for table in ("7", "9", "200")),
    "rule flush",
    "rule add priority 32766 lookup main",
)


@dataclass(frozen=True, slots=True)
class RouteDisagreement:
    """A question to which the model says one thing and the kernel another."""

    world: RouteWorld
    question: RouteQuestion
    kernel: str
    model: str


@dataclass(slots=True)
class RouteConformance:
    """What came of it. *reach* counts the kernel's answers by their kind."""

    questions: int = 0
    worlds: int = 0
    disagreements: list[RouteDisagreement] = field(default_factory=list)
    reach: Counter[str] = field(default_factory=Counter)


def hold_routes(count: int, seed: int) -> RouteConformance:
    """
    Ask so many questions.

    :raises OSError: if namespaces cannot be made here.
    """
    chance, found = Random(seed), RouteConformance()  # noqa: S311 (repeatable on purpose)
    with _namespace() as name:
        while found.questions < count:
            world = draw_route_world(chance, _QUESTIONS)
            _hold(name, world, found)
    return found


def _hold(name: str, world: RouteWorld, found: RouteConformance) -> None:
    _batch(name, (*_CLEAN, "rule add priority 32767 lookup default"), "-4")
    _batch(name, _CLEAN, "-6")
    # A device that goes down takes its routes and IPv6 addresses along; those without a device stay.
    _batch(name, [f"link set {device} down" for device in DEVICES])
    for version in ("-4", "-6"):
        _batch(
            name,
            [f"route flush type {kind}" for kind in ("blackhole", "unreachable", "prohibit", "throw")],
            version,
        )
    _batch(name, [f"address flush dev {device}" for device in DEVICES], "-6")
    _batch(name, (*(f"link set {device} up" for device in DEVICES), *addresses()))
    zero = [f"{text.partition('=')[0]}=0" for text in _all_sysctls()]
    _run("ip", "netns", "exec", name, "sysctl", "-qw", *zero)
    _run("ip", "netns", "exec", name, "sysctl", "-qw", *world.sysctls)
    for family in (4, 6):
        _batch(name, [words for of, words in world.commands if of == family], f"-{family}")
    # The kernel does not forget that there were rules (``fib_has_custom_rules``): now there is always one.
    _batch(name, ["rule add priority 32000 from 255.255.255.255 lookup main"], "-4")
    netns = _dumped(name)
    for family in (4, 6):
        asked = [q for q in world.questions if (":" in q.destination) is (family == 6)]  # noqa: PLR2004 - IPv6
        done = _batch(name, [q.words() for q in asked], "-o")
        model = RouteAnswers(netns)
        for question, kernel in zip(asked, kernel_answers(asked, done.stdout, done.stderr), strict=True):
            answer = model.ask(question)
            found.questions += 1
            found.reach[f"IPv{family} {kernel.partition(' ')[0] if kernel[0].islower() else kernel}"] += 1
            if answer != kernel:
                found.disagreements.append(RouteDisagreement(world, question, kernel, answer))
    found.worlds += 1


def _all_sysctls() -> Iterator[str]:
    for version, names in (
        (4, ("rp_filter", "accept_local", "route_localnet", "src_valid_mark", "ignore_routes_with_linkdown")),
        (6, ("ignore_routes_with_linkdown",)),
    ):
        for device in ("all", *DEVICES):
            yield from (f"net.ipv{version}.conf.{device}.{name}=0" for name in names)


def _dumped(name: str) -> Netns:
    def text(*argv: str) -> str:
        return _run("ip", "-n", name, *argv).stdout

    sysctls = _run("ip", "netns", "exec", name, "sysctl", "net.ipv4.conf", "net.ipv6.conf").stdout
    return Netns(
        "here",
        name,
        devices=Dump(parse_addr(text("-d", "-j", "address"), file="addr").rows, "addr"),
        routes=Dump(parse_route(text("-j", "route", "show", "table", "all"), file="route").rows, "route"),
        rules=Dump(parse_rule(text("-j", "rule"), file="rule").rows, "rule"),
        rules6=Dump(parse_rule(text("-6", "-j", "rule"), file="rule6").rows, "rule6"),
        sysctls=Dump(parse_sysctl(sysctls, file="sysctl").rows, "sysctl"),
    )


@contextmanager
def _namespace() -> Iterator[str]:
    name = f"bothways-routes-{os.getpid()}"
    if _run("ip", "netns", "add", name).returncode:
        raise OSError("a network namespace cannot be made here (`ip netns add` needs root)")
    try:
        setup = ["link set lo up"]
        for number, device in enumerate(DEVICES):
            setup += [f"link add {device} type veth peer name far{number}", f"link set {device} up"]
        setup += [f"link set far{number} up" for number in range(len(DEVICES) - 1)]
        quiet = (
            "net.ipv6.conf.all.accept_dad=0",
            "net.ipv6.conf.default.accept_dad=0",
            "net.ipv4.ip_forward=1",
        )
        _run("ip", "netns", "exec", name, "sysctl", "-qw", *quiet, "net.ipv6.conf.all.forwarding=1")
        _batch(name, setup)
        yield name
    finally:
        _run("ip", "netns", "delete", name)


def _batch(name: str, lines: Sequence[str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ip", "-n", name, *options, "-force", "-batch", "-"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False)
