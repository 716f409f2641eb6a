"""
``learn(...)`` in the normal form: settings in the switch's order, defaults left out.

Source: ``learn_format`` of ``lib/learn.c``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from bothways.facts.openflow import Action
from bothways.parse.openflow_fields import FIELDS, code_of
from bothways.parse.openflow_lex import Piece, keyed
from bothways.parse.openflow_values import number
from bothways.parse.openflow_written_bits import part_text, sharp

__all__ = ["learn_text"]

_ORDER: Final = (
    "table", "idle_timeout", "hard_timeout", "fin_idle_timeout", "fin_hard_timeout", "priority",
    "send_flow_rem", "delete_learned", "cookie", "limit", "result_dst",
)  # fmt: skip
_NAMES: Final = {
    "dl_type": "eth_type",
    "dl_src": "eth_src",
    "dl_dst": "eth_dst",
    "nw_src": "ip_src",
    "nw_dst": "ip_dst",
}
_PROTOCOLS: Final = {"6": "tcp", "17": "udp", "132": "sctp"}
_HEX: Final = frozenset({"dl_type", "eth_type"})
_DEFAULTS: Final = {"priority": 32768, "table": None}


def learn_text(action: Action, _version: int) -> str:
    """The action in the normal form."""
    settings, specs = action.args.get("settings"), action.args.get("specs")
    given: Mapping[str, object] = settings if isinstance(settings, dict) else {}
    told = [f"table={action.args['table']}"]
    for key in _ORDER[1:]:
        if key not in given:
            continue
        text = str(given[key])
        if key == "result_dst":
            told.append(f"result_dst={part_text(text)}")
        elif not text:
            told.append(key)
        elif number(text) != _DEFAULTS.get(key, 0):
            told.append(f"{key}={number(text):#x}" if key == "cookie" else f"{key}={number(text)}")
    protocol = _protocol(specs if isinstance(specs, tuple) else ())
    told += [_spec(str(spec), protocol) for spec in specs] if isinstance(specs, tuple) else []
    return f"learn({','.join(told)})"


def _spec(text: str, protocol: str) -> str:
    word, inner = keyed(Piece(text, 1))
    if inner is not None and word == "output":
        return f"output:{part_text(inner.text)}"
    if inner is not None and word == "load":
        given, _, target = inner.text.partition("->")
        value = sharp(number(given)) if given[:1].isdigit() else part_text(given)
        return f"load:{value}->{part_text(target)}"
    target, equals, given = text.partition("=")
    if not equals:
        return part_text(target)
    if "[" in given or code_of(given) != given or given in FIELDS:
        return (
            part_text(target)
            if part_text(target) == part_text(given)
            else f"{part_text(target)}={part_text(given)}"
        )
    return f"{_named(target, protocol)}={sharp(number(given)) if target in _HEX else given}"


def _protocol(specs: Iterable[object]) -> str:
    """Whose ports ``tp_src`` are in the flow that is learned."""
    for spec in specs:
        name, _, value = str(spec).partition("=")
        if name in ("nw_proto", "ip_proto", "NXM_OF_IP_PROTO[]"):
            return _PROTOCOLS.get(value, "tcp")
    return "tcp"


def _named(field: str, protocol: str) -> str:
    if field in ("tp_src", "tp_dst"):
        return f"{protocol}_{field[3:]}"
    return _NAMES.get(field, field)
