"""FLOW, the connection that a user asks about: ``tcp 192.0.2.1[:17350] > 192.0.2.2:22``."""

from __future__ import annotations

import re
from typing import Final

from bothways.facts.address import IPAddress, address
from bothways.facts.question import Question
from bothways.parse.ports import port_number

__all__ = ["FlowError", "parse_flow"]

_FORM: Final = "PROTOCOL SOURCE[:PORT] > DESTINATION:PORT"
_FLOW: Final = re.compile(r"\s*(?P<protocol>\w+)\s+(?P<source>\S+?)\s*-?>\s*(?P<destination>\S+)\s*\Z")
_BRACKETS: Final = re.compile(r"\[(?P<host>[^\]]*)\](?::(?P<port>.*))?\Z")
_PROTOCOLS: Final = {"tcp": True, "udp": True, "icmp": False}


class FlowError(ValueError):
    """
    A FLOW that cannot be read.

    :param hint: what to write instead.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def parse_flow(text: str) -> Question:
    """
    Read a FLOW. ``->`` is as good as ``>``; IPv6 addresses with a port stand in brackets.

    :raises FlowError: if it is none; the message names the part, the hint the expected form.
    """
    found = _FLOW.match(text)
    if found is None:
        example = "tcp 192.0.2.1 > 192.0.2.2:22"
        raise FlowError(f"`{text}` is not a flow, expected {_FORM}", f"write it like `{example}`, in quotes")
    protocol = found["protocol"].lower()
    if protocol not in _PROTOCOLS:
        known = ", ".join(_PROTOCOLS)
        raise FlowError(f"`{found['protocol']}` is not a protocol of a flow", f"use one of {known}")
    source, source_port = _end(found["source"])
    destination, destination_port = _end(found["destination"])
    if source.version != destination.version:
        raise FlowError(
            f"{source} and {destination} are of two families", "give two IPv4 or two IPv6 addresses"
        )
    ported = _PROTOCOLS[protocol]
    if ported and destination_port is None:
        bare = f"[{destination}]" if destination.version == 6 else str(destination)  # noqa: PLR2004 (IPv6)
        raise FlowError(f"the destination {destination} has no port", f"write it like `{bare}:22`")
    if not ported and (source_port is not None or destination_port is not None):
        raise FlowError(f"{protocol} has no ports", f"write `{protocol} {source} > {destination}`")
    return Question(protocol, source, destination, destination_port, source_port)


def _end(text: str) -> tuple[IPAddress, int | None]:
    bracketed = _BRACKETS.match(text)
    if bracketed:
        return _address(bracketed["host"]), _port(bracketed["port"])
    host, colon, port = text.rpartition(":")
    if not colon or ":" in host:
        return _address(text), None
    return _address(host), _port(port)


def _address(text: str) -> IPAddress:
    try:
        return address(text)
    except ValueError:
        hint = f"expected {_FORM}; names are not resolved"
        raise FlowError(f"`{text}` is not an IP address", hint) from None


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return port_number(text)
    except ValueError as error:
        raise FlowError(str(error), "a port is a number from 0 to 65535 or a name such as `ssh`") from None
