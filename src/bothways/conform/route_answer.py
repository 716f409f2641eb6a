"""
What the model and what ``ip route get`` say to one question, in the same words.

``unicast DEVICE NEXT-HOP [SOURCE]``, ``local``, ``broadcast``, or why not: ``Network is unreachable`` …
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise
from typing import Final

from bothways.conform.route_draw import RouteQuestion
from bothways.facts.choice import Assumption, Freedom
from bothways.facts.packet import ICMP, TCP, UDP, Ip, Packet
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.model.linux.addresses import select
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.layer import Layer
from bothways.model.linux.netfilter import Netfilter
from bothways.model.linux.passage import Account
from bothways.model.linux.routing import Outcome, Routing, Wanted
from bothways.model.linux.sender import impossible_ipv4, validate
from bothways.model.linux.settings import Settings
from bothways.model.linux.sockets import Sockets

__all__ = ["RouteAnswers", "kernel_answers"]

_IPV4: Final = 4
_PROTOCOLS: Final = {"tcp": TCP, "udp": UDP, "icmp": ICMP}
#: ``fib_props``: what a lookup fails with.
_ERRORS: Final[Mapping[str, str]] = {
    "none": "Network is unreachable",
    "unreachable": "No route to host",
    "prohibit": "Permission denied",
    "blackhole": "Invalid argument",
}
_INVALID: Final = "Invalid argument"
_KINDS: Final = frozenset({"local", "broadcast", "multicast", "anycast"})


class _Root:
    """An oracle for questions that root asks of a namespace of which everything is known."""

    def choose(
        self,
        key: str,
        options: Sequence[str],
        *,
        freedom: Freedom,
        recorded: str | None = None,
        evidence: tuple[Span, ...] = (),
    ) -> str:
        """Rules about users apply to root; nothing else is open."""
        del freedom, recorded, evidence
        if "uidrange" not in options[0]:
            raise LookupError(key)
        applies = ("uidrange 0-" in options[0]) is not ("not uidrange" in options[0])
        return options[applies]

    def assume(self, assumption: Assumption) -> None:
        """Leave it."""


class RouteAnswers:
    """The model of one namespace, asked as ``ip route get`` asks the kernel."""

    def __init__(self, netns: Netns) -> None:
        oracle, routing, settings = _Root(), Routing(netns, _Root()), Settings(netns)
        table = ConntrackTable(netns, oracle=oracle, kernel=None)
        netfilter = Netfilter(netns, table, routing, oracle=oracle, kernel=None)
        self._layer = Layer(netns, routing, netfilter, Sockets(netns, oracle), settings, oracle)

    def ask(self, question: RouteQuestion) -> str:
        """What the model says."""
        destination = ip_address(question.destination)
        source = ip_address(question.source) if question.source else None
        wanted = Wanted(
            destination,
            source,
            question.device_in,
            None,
            question.mark,
            question.tos,
            _PROTOCOLS.get(question.protocol, UDP if destination.version == _IPV4 else None),
            question.sport or None,
            question.dport or None,
        )
        if question.device_in and destination.version == _IPV4:
            return self._comes_in(wanted)
        found = self._layer.routing.lookup(wanted)
        if found.kind != "unicast":
            return _ERRORS.get(found.kind, found.kind)
        chosen = ""
        if not question.device_in:
            chosen = str(source or found.source or self._chosen(found, wanted) or "")
        return f"unicast {found.device} {found.next_hop} {chosen}".rstrip()

    def _chosen(self, found: Outcome, wanted: Wanted) -> object:
        if wanted.destination.version == _IPV4:
            toward = None if found.direct else found.next_hop
            return select(self._layer.netns, found.device, toward)
        return select(self._layer.netns, found.device, wanted.destination)

    def _comes_in(self, wanted: Wanted) -> str:
        """``ip_route_input_slow`` in its order, as far as a question asks."""
        layer, device = self._layer, wanted.device_in
        source = wanted.source or ip_address(0)
        ip = Ip(source, wanted.destination, wanted.protocol or UDP, tos=wanted.tos)
        if impossible_ipv4(layer, device, ip) is not None:
            return _INVALID
        found = layer.routing.lookup(wanted)
        forwards = layer.settings.forwarding(device)
        if found.kind in _ERRORS:
            closed = forwards is not None and not forwards.value
            return _ERRORS["unreachable" if closed else found.kind]
        if found.kind not in ("local", "broadcast") and forwards is not None and not forwards.value:
            return _ERRORS["unreachable"]
        if found.kind == "broadcast":
            ip = replace(ip, dst=ip_address(0))
        onward = found.device if found.kind == "unicast" else ""
        buffer = Buffer(Packet(ip=ip), device_in=device, mark=wanted.mark)
        account = Account(layer.netns.host, layer.netns.name)
        if validate(layer, account, buffer, ip, onward).refusal:
            return _INVALID
        return f"unicast {found.device} {found.next_hop}" if found.kind == "unicast" else found.kind


def kernel_answers(questions: Sequence[RouteQuestion], output: str, errors: str) -> list[str]:
    """
    Read what ``ip -o -force -batch`` printed: an answer for each question, in their order.

    :raises ValueError: if answers and errors do not add up to the questions.
    """
    failed: dict[int, str] = {}
    reason = ""
    for line in errors.splitlines():
        if line.startswith("Command failed"):
            failed[int(line.rpartition(":")[2])] = reason
        else:
            reason = line.removeprefix("RTNETLINK answers: ").removeprefix("Error: ")
    lines = iter(output.splitlines())
    answers = []
    for number, question in enumerate(questions, 1):
        if number in failed:
            answers.append(failed[number])
            continue
        printed = next(lines, None)
        if printed is None:
            raise ValueError(f"no answer to question {number}")
        answers.append(_read(printed, question))
    if next(lines, None) is not None:
        raise ValueError("more answers than questions")
    return answers


def _read(line: str, question: RouteQuestion) -> str:
    words = line.replace("\\", " ").split()
    if words[0] in _KINDS:
        return "local" if words[0] == "anycast" else words[0]
    pairs = dict(pairwise(words))
    hop = pairs.get("via", question.destination)
    source = "" if question.device_in else question.source or pairs.get("src", "")
    return f"unicast {pairs['dev']} {ip_address(hop)} {source}".rstrip()
