"""
The kernel of this machine routes as `model/linux/routing.py` says.

A namespace gets routes, rules and tables. `ip route get` is asked, and the model, from dumps of the same.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from bothways.facts.choice import Assumption, Freedom
from bothways.facts.dump import Dump
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.model.linux.routing import Routing, Wanted
from bothways.parse.ip_json import parse_addr, parse_route, parse_rule

pytestmark = [pytest.mark.live, pytest.mark.needs("ip")]

SETUP = """
link add eth0 type veth peer name far0
link add eth1 type veth peer name far1
link set far0 up
link set far1 up
link set lo up
address add 192.0.2.1/24 dev eth0
address add 192.0.2.65/32 dev eth0
address add 198.51.100.1/24 dev eth1
link set eth0 up
link set eth1 up
route add default via 192.0.2.254 dev eth0
route add 203.0.113.0/24 via 198.51.100.9 dev eth1 metric 100
route add 203.0.113.0/24 via 192.0.2.9 dev eth0 metric 50
route add 203.0.113.128/25 via 198.51.100.9 dev eth1 metric 900
route add blackhole 203.0.113.200
route add unreachable 203.0.113.201
route add prohibit 203.0.113.202
route add default via 198.51.100.77 dev eth1 table 7
route add throw 203.0.113.0/25 table 7
route add unreachable default table 9 metric 4278198272
rule add priority 100 fwmark 0x10/0xf0 table 7
rule add priority 200 from 192.0.2.64/26 table 7
rule add priority 300 iif eth1 table 7
rule add priority 400 to 100.64.0.0/10 table 7
rule add priority 500 to 198.18.0.0/24 prohibit
rule add priority 550 to 198.18.1.0/24 goto 700
rule add priority 600 to 198.18.0.0/15 table 7
rule add priority 700 not from all to 0.0.0.0/0 table 9
rule add priority 800 fwmark 0x2 table main suppress_prefixlength 0
rule add priority 900 fwmark 0x2 table 9
""".strip()

QUESTIONS = [
    "192.0.2.1",
    "192.0.2.7",
    "192.0.2.255",
    "127.0.0.5",
    "198.51.100.200",
    "203.0.113.5",
    "203.0.113.130",
    "203.0.113.200",
    "203.0.113.201",
    "203.0.113.202",
    "198.18.0.9",
    "198.18.1.9",
    "198.18.2.9",
    "100.64.3.4",
    "100.200.3.4",
    "100.200.3.4 mark 0x10",
    "100.200.3.4 mark 0x1f",
    "100.200.3.4 mark 0x20",
    "100.200.3.4 mark 0x2",
    "203.0.113.5 mark 0x2",
    "192.0.2.1 mark 0x10",
    "203.0.113.5 mark 0x10",
    "203.0.113.130 mark 0x10",
    "100.200.3.4 from 192.0.2.65",
    "100.200.3.4 from 192.0.2.1",
    "100.200.3.4 from 198.51.100.50 iif eth1",
    "203.0.113.77 from 198.51.100.50 iif eth1",
    "192.0.2.1 from 192.0.2.9 iif eth0",
]
#: What `ip route get` prints where there is no way -> the model's kinds that stand for it.
REFUSALS = {
    "Network is unreachable": {"none"},
    "No route to host": {"unreachable"},
    "Permission denied": {"prohibit"},
    "Invalid argument": {"blackhole"},
}


class Silent:
    """An oracle for a world in which everything was collected."""

    def choose(
        self,
        key: str,
        options: object,
        *,
        freedom: Freedom,
        recorded: str | None = None,
        evidence: tuple[Span, ...] = (),
    ) -> str:
        raise AssertionError((key, options, freedom, recorded, evidence))

    def assume(self, assumption: Assumption) -> None:
        raise AssertionError(assumption)


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def space() -> Iterator[str]:
    name = f"bothways-test-{os.getpid()}-routes"
    assert run("ip", "netns", "add", name).returncode == 0
    try:
        batch = subprocess.run(
            ["ip", "-n", name, "-batch", "-"], input=SETUP, capture_output=True, text=True, check=False
        )
        assert batch.returncode == 0, batch.stderr
        assert run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.ip_forward=1").returncode == 0
        yield name
    finally:
        run("ip", "netns", "delete", name)


def dumped(name: str) -> Netns:
    def text(*argv: str) -> str:
        return run("ip", "-n", name, *argv).stdout

    return Netns(
        "here",
        name,
        devices=Dump(parse_addr(text("-d", "-j", "address"), file="addr.json").rows, "addr.json"),
        routes=Dump(
            parse_route(text("-j", "route", "show", "table", "all"), file="route.json").rows, "route.json"
        ),
        rules=Dump(parse_rule(text("-j", "rule"), file="rule.json").rows, "rule.json"),
    )


def kernel(name: str, question: str) -> set[str]:
    """``{"unicast eth0 192.0.2.254"}``, or the kinds that a refusal may be."""
    answer = run("ip", "-n", name, "-j", "route", "get", *question.split())
    if answer.returncode:
        return next(kinds for words, kinds in REFUSALS.items() if words in answer.stderr)
    (row,) = json.loads(answer.stdout)
    kind = row.get("type", "unicast")
    if kind != "unicast":
        return {kind}
    return {f"unicast {row['dev']} {row.get('gateway', row['dst'])}"}


def modelled(routing: Routing, question: str) -> str:
    destination, *words = question.split()
    named = dict(zip(words[::2], words[1::2], strict=True))
    source = named.get("from")
    found = routing.lookup(
        Wanted(
            ip_address(destination),
            None if source is None else ip_address(source),
            named.get("iif", ""),
            mark=int(named.get("mark", "0"), 0),
        )
    )
    return f"unicast {found.device} {found.next_hop}" if found.kind == "unicast" else found.kind


def test_the_model_routes_like_the_kernel(space: str) -> None:
    routing = Routing(dumped(space), Silent())
    differing = {
        question: (answer, modelled(routing, question))
        for question in QUESTIONS
        if modelled(routing, question) not in (answer := kernel(space, question))
    }

    assert differing == {}
