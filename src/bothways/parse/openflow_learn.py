"""
``learn(...)``: the flow that a switch adds when a packet passes.

Settings are ``NAME=VALUE``; everything else specifies what the new flow matches, writes and does. Source:
ovs-actions(7), section The learn action; ``learn_parse_spec`` of ``lib/learn.c``.
"""

from __future__ import annotations

from typing import Final, Protocol

from bothways.facts.openflow import LearnSpec
from bothways.parse.openflow_fields import Subfield, field_named, subfield
from bothways.parse.openflow_lex import Piece, assigned, cut, keyed
from bothways.parse.openflow_values import FORMS, number
from bothways.parse.reading import NotModelledError, quoted

__all__ = ["learn"]

Args = dict[str, object]

#: parts of ``learn`` that are not specifications of the new flow
_SETTINGS: Final = frozenset(
    {
        "table", "priority", "idle_timeout", "hard_timeout", "fin_idle_timeout", "fin_hard_timeout", "cookie",
        "limit", "result_dst", "send_flow_rem", "delete_learned",
    }
)  # fmt: skip


class _NamesTables(Protocol):
    """Who knows the numbers of tables."""

    def table(self, text: str) -> int:
        """Number of a table that is given by its number or name."""


def learn(reader: _NamesTables, name: str, value: Piece) -> tuple[str, Args]:
    """
    Read what stands in ``learn(...)``.

    :return: *table*, *priority*, *settings* (name -> text), *specs* (texts as printed) and *rules*, a tuple
        of ``LearnSpec``; where they are given, *limit*, and *field* and *low* of the bit that *result_dst*
        names.
    :raises ValueError: if a part is not as a switch takes it.
    """
    settings: dict[str, str] = {}
    specs: list[str] = []
    rules: list[LearnSpec] = []
    for piece in cut(value.text, value.column):
        word, inner = keyed(piece)
        if word in _SETTINGS:
            settings[word] = "" if inner is None else inner.text
        else:
            specs.append(piece.text)
            rules.append(_rule(piece))
    table, priority = reader.table(settings.get("table", "1")), number(settings.get("priority", "32768"))
    args: Args = {"table": table, "priority": priority, "settings": settings, "specs": tuple(specs)}
    if "limit" in settings:
        args["limit"] = number(settings["limit"])
    if "result_dst" in settings:
        told = _known(settings["result_dst"])
        args |= {"field": told.name, "low": told.low}
    return name, {**args, "rules": tuple(rules)}


def _rule(piece: Piece) -> LearnSpec:
    word, inner = keyed(piece)
    if word == "output" and inner is not None:
        part = _known(inner.text)
        return LearnSpec(
            "output", piece.text, piece.column, source=part.name, source_low=part.low, source_high=part.high
        )
    if word == "load" and inner is not None:
        return _load(piece, inner.text)
    target, equals, given = assigned(piece.text)
    if ":" in target or (equals and piece.text[len(target) : len(target) + 1] != "="):
        raise ValueError(piece.text)
    return _match(piece, target, given if equals else target)


def _load(piece: Piece, text: str) -> LearnSpec:
    """``load:VALUE->FIELD`` or ``load:SOURCE->FIELD``."""
    given, arrow, named = text.partition("->")
    if not arrow:
        raise ValueError(text)
    target = _known(named)
    if given.strip()[:1].isdigit():
        value = number(given)
        if value >> target.width:
            raise ValueError(text)
        return LearnSpec(
            "load", piece.text, piece.column, value, field=target.name, low=target.low, high=target.high
        )
    return _copied("load", piece, _known(given), target)


def _match(piece: Piece, named: str, given: str) -> LearnSpec:
    target = _known(named)
    if "[" in given or field_named(given) is not None:
        return _copied("match", piece, _known(given), target)
    form = "number" if "[" in named else target.form
    value, mask = FORMS[form].decode(given, target.width)
    if mask is not None:
        raise ValueError(given)
    return LearnSpec(
        "match", piece.text, piece.column, value, field=target.name, low=target.low, high=target.high
    )


def _copied(does: str, piece: Piece, source: Subfield, target: Subfield) -> LearnSpec:
    if source.width != target.width:
        raise ValueError(piece.text)
    return LearnSpec(
        does,
        piece.text,
        piece.column,
        None,
        source.name,
        source.low,
        source.high,
        target.name,
        target.low,
        target.high,
    )


def _known(text: str) -> Subfield:
    """Bits of a field; tunnel options have no fixed width."""
    part = subfield(text)
    if part.name.startswith("tun_metadata") and "[" not in text:
        raise NotModelledError(f"the tunnel option {quoted(text)} is not modelled")
    return part
