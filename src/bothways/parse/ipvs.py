"""
IPVS services: ``ipvsadm -Sn``, ``ipvsadm -Ln``, ``/proc/net/ip_vs``.

One row a service, with the addresses of its real servers. Layout as ipvsadm prints it (ipvsadm(8)) and as
``net/netfilter/ipvs/ip_vs_ctl.c`` does (hexadecimal).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import pairwise
from typing import Final

from bothways.facts.address import IPAddress, address
from bothways.facts.bypass import Bypass, BypassKind, Selector
from bothways.facts.packet import TCP, UDP
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_ipvs"]

_HEX4: Final = re.compile(r"([0-9A-F]{8}):[0-9A-F]{4}\Z")
_HEX6: Final = re.compile(r"\[([0-9a-fA-F:]+)\]:[0-9A-F]{4}\Z")
_SCTP: Final = 132
_HEADS: Final = ("#", "IP Virtual Server", "Prot LocalAddress", "-> RemoteAddress", "Prot")
_LISTED: Final = frozenset({"TCP", "UDP", "SCTP", "FWM"})


@dataclass(slots=True)
class _Service:
    words: str
    span: Span
    touches: set[IPAddress] = field(default_factory=set)
    mark: int | None = None
    protocol: int | None = None
    #: None once a port is seen that stands for all, or that is a name.
    ports: set[int] | None = field(default_factory=set)

    def meet(self, name: str) -> None:
        """Take the port of a service or of a real server."""
        port = _port(name)
        if self.ports is not None and port:
            self.ports.add(port)
        else:
            self.ports = None

    def row(self) -> Bypass:
        ports = frozenset(self.ports or ())
        touches = frozenset(self.touches)
        only = Selector(protocol=self.protocol, touches=touches, ports=ports)
        only = only if self.mark is None else Selector()
        does = f"the IPVS service `{self.words}`"
        return Bypass(BypassKind.IPVS, does, self.span, only=only, mark=self.mark)


def parse_ipvs(text: str, *, file: str, read_at: float | None = None) -> Parsed[Bypass]:
    """Read services, in whichever of the three forms. No service is an empty dump."""
    reading: Reading[Bypass] = Reading()
    services: dict[str, _Service] = {}
    last = ""
    for span in lines(text, file=file, read_at=read_at):
        line = span.text.strip()
        words = line.split()
        if not line or line.startswith(_HEADS) or is_prompt(line):
            reading.skip()
            continue
        read = _READERS.get(words[0])
        try:
            found = None if read is None else read(words, last)
        except ValueError as error:
            reading.refuse(span, error)
            continue
        if found is None:
            reading.malformed(span, f"{quoted(line)} is no line of `ipvsadm -Sn`, `ipvsadm -Ln` or ip_vs")
            continue
        last, service_words, more = found
        service = services.setdefault(last, _Service(service_words, span))
        service.touches.update(more)
        kind, _, name = last.partition(" ")
        service.protocol = _PROTOCOLS.get(kind)
        served = words[words.index("-r") + 1] if "-r" in words[:-1] else words[1] if words[0] == "->" else ""
        for each in (name, served):
            if each:
                service.meet(each)
        if last.startswith("-f"):
            service.mark = _mark(last)
    reading.rows.extend(service.row() for service in services.values())
    return reading.done()


#: Of the kinds of services but those by mark.
_PROTOCOLS: Final[Mapping[str, int]] = {
    "-t": TCP, "TCP": TCP, "-u": UDP, "UDP": UDP, "--sctp-service": _SCTP, "SCTP": _SCTP,
}  # fmt: skip


def _port(name: str) -> int | None:
    """The port behind an address, None if it is a name."""
    text = name.rpartition(":")[2]
    if _HEX4.match(name) or _HEX6.match(name):
        return int(text, 16)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else None  # noqa: PLR2004 - 16 bits


_Read = tuple[str, str, tuple[IPAddress, ...]]


def _mark(key: str) -> int | None:
    number = key.rsplit(maxsplit=1)[-1]
    return int(number) if number.isascii() and number.isdigit() and len(number) <= 10 else None  # noqa: PLR2004 - 32 bits


def _saved(words: list[str], _: str) -> _Read | None:
    """``-A -t 10.0.0.1:80 -s rr``, ``-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m``."""
    values = dict(pairwise(words))
    kind = next((name for name in ("-t", "-u", "-f", "--sctp-service") if name in values), None)
    if kind is None:
        return None
    name = values[kind]
    key = f"{kind} {name}"
    touched = () if kind == "-f" else tuple(_host(name))
    if words[0] in ("-a", "--add-server") and "-r" in values:
        touched = (*touched, *_host(values["-r"]))
    return key, " ".join(words), touched


def _listed(words: list[str], _: str) -> _Read | None:
    """``TCP  10.0.0.1:80 rr``, ``FWM  1 rr``; in ``ip_vs`` with hexadecimal addresses."""
    if len(words) < 2:  # noqa: PLR2004 - kind and service
        return None
    if words[0] == "FWM":
        return f"-f {int(words[1], 16) if len(words[1]) == 8 else words[1]}", " ".join(words), ()  # noqa: PLR2004 - %08X
    hosts = tuple(_host(words[1]))
    shown = " ".join((words[0], ", ".join(str(host) for host in hosts), *words[2:]))
    told = shown if _HEX4.match(words[1]) else " ".join(words)
    return f"{words[0]} {words[1]}", told, hosts


def _server(words: list[str], last: str) -> _Read | None:
    """``-> 10.1.0.1:8080 Masq 1 0 0`` below its service."""
    if not last or len(words) < 2:  # noqa: PLR2004 - arrow and server
        return None
    return last, "", tuple(_host(words[1]))


def _host(text: str) -> Iterator[IPAddress]:
    four, six = _HEX4.match(text), _HEX6.match(text)
    if four is not None:
        yield ip_address(int(four[1], 16))
    elif six is not None:
        yield address(six[1])
    else:
        bare = text[1:].partition("]")[0] if text.startswith("[") else text.rpartition(":")[0] or text
        try:
            yield address(bare)
        except ValueError:
            raise ValueError(f"{quoted(text)} is no address; `ipvsadm -n` prints numbers") from None


_READERS: Final[Mapping[str, Callable[[list[str], str], _Read | None]]] = {
    **dict.fromkeys(("-A", "--add-service", "-a", "--add-server"), _saved),
    **dict.fromkeys(_LISTED, _listed),
    "->": _server,
}
