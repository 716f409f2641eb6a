"""
Actions that send a packet somewhere: ``output``, ``enqueue``, ``controller``, ``resubmit``, a bare port.

Every function returns the name of the action and its arguments, as ``openflow_actions`` lists them, and
raises ``ValueError`` for what a switch would not print. Source: ovs-actions(7).
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from bothways.facts.openflow import LOCAL
from bothways.parse.openflow_fields import field_named, subfield
from bothways.parse.openflow_lex import Piece, cut, keyed
from bothways.parse.openflow_values import PORTS, RESERVED, number, port_number, unquoted

__all__ = ["controller", "enqueue", "output", "resubmit", "to_port"]

Args = dict[str, object]

#: what the controller gets of a packet where the flow does not say: all of it
_WHOLE_PACKET: Final = 0xFFFF
#: a comma outside the quotes of a name
_COMMA: Final = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*\Z)')


def to_port(text: str) -> tuple[str, Args]:
    """
    The action that sends to a port: its number, its name, a reserved port or a register.

    :raises ValueError: if it is none of these.
    """
    if _names_bits(text):
        part = subfield(text)
        return "output", {"field": part.name, "low": part.low, "high": part.high}
    port = port_number(text)
    if port is None:
        word = unquoted(text)
        if not word:
            raise ValueError(text)
        return _reserved(word.lower()) if word.lower() in PORTS else ("output", {"port_name": word})
    if port == LOCAL:
        return "output", {"port": LOCAL}
    reserved = RESERVED.get(port & 0xFFFF) if port >> 16 in (0, 0xFFFF) else None
    return _reserved(reserved) if reserved else ("output", {"port": port})


def _names_bits(text: str) -> bool:
    """True for ``reg0[0..15]`` and ``NXM_NX_REG0``, which no port is called; quotes make a name."""
    if text.startswith('"') or text.lower() in PORTS:
        return False
    return "[" in text or field_named(text) is not None


def _reserved(name: str) -> tuple[str, Args]:
    return name, {"max_len": _WHOLE_PACKET} if name == "controller" else {}


def output(_reader: object, _name: str, value: Piece) -> tuple[str, Args]:
    """``output:PORT``, ``output:PORT:MAX_LEN``, ``output(port=PORT,max_len=N)``, ``output:FIELD[a..b]``."""
    if "port=" not in value.text:
        named = value.text.startswith('"')
        port, colon, length = (value.text, "", "") if named else value.text.partition(":")
        name, args = to_port(port.strip())
        return name, {**args, "max_len": number(length)} if colon else args
    options = _options(value)
    name, args = to_port(options["port"])
    return name, {**args, "max_len": number(options["max_len"])} if "max_len" in options else args


def enqueue(_reader: object, _name: str, value: Piece) -> tuple[str, Args]:
    """``enqueue:PORT:QUEUE``."""
    port, _, queue = value.text.replace(",", ":").rpartition(":")
    name, args = to_port(port.strip())
    return name, {**args, "queue": number(queue)}


def controller(_reader: object, name: str, value: Piece) -> tuple[str, Args]:
    """``CONTROLLER``, ``CONTROLLER:MAX_LEN``, ``controller(max_len=N,…)``."""
    if value.text.strip().isdigit():
        return name, {"max_len": number(value.text)}
    options = _options(value)
    length = number(options["max_len"]) if "max_len" in options else _WHOLE_PACKET
    return name, {**options, "max_len": length}


def _options(value: Piece) -> dict[str, str]:
    pairs = (keyed(piece) for piece in cut(value.text, value.column))
    return {name: "" if inner is None else inner.text for name, inner in pairs}


class _NamesTables(Protocol):
    """Who knows the numbers of tables."""

    def table(self, text: str) -> int:
        """Number of a table that is given by its number or name."""


def resubmit(reader: _NamesTables, name: str, value: Piece) -> tuple[str, Args]:
    """``resubmit:PORT``, ``resubmit(PORT,TABLE)``, ``resubmit(,TABLE,ct)``."""
    parts = [part.strip() for part in _COMMA.split(value.text)]
    args: Args = {"port": None, "table": None, "ct": "ct" in parts[2:]}
    if parts[0] and parts[0].lower() != "in_port":
        port = port_number(parts[0])
        args |= {"port": port} if port is not None else {"port_name": unquoted(parts[0])}
    if len(parts) > 1 and parts[1]:
        args["table"] = reader.table(parts[1])
    return name, args
