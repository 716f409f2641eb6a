"""
Options of Geneve tunnels: ``tun_metadata0`` to ``tun_metadata63``.

Which option a field is, each switch decides for itself (``ovs-ofctl dump-tlv-map``). A packet that does not
have an option reads as zero, and no flow that names the field matches it: beside its value, each field has
one bit that says whether the option is there. Source: ovs-fields(7), section Tunnel Options;
``lib/tun-metadata.c``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bothways.facts.dump import Dump
from bothways.facts.openflow import TunnelOption
from bothways.model.openflow.field import KNOWN, Bits

__all__ = ["OPTIONS", "OPTION_WIDTH", "OTHERS", "is_option", "presence", "received"]

#: the fields
OPTIONS: Final = tuple(f"tun_metadata{number}" for number in range(64))
#: bits of the longest option
OPTION_WIDTH: Final = 992
#: what a key says of options that it does not name: that there are none, or that nobody knows
OTHERS: Final = "tun_metadata"
_PRESENCE: Final = "has_"
_CRITICAL: Final = 0x80


def is_option(name: str) -> bool:
    """Whether a field is an option, or says whether one is there."""
    return name.startswith((OTHERS, _PRESENCE + OTHERS))


def presence(name: str) -> str:
    """The field of one bit that says whether an option is there."""
    return _PRESENCE + name


def received(
    sent: Mapping[str, Bits],
    sender: Dump[TunnelOption] | None,
    taker: Dump[TunnelOption] | None,
) -> dict[str, int] | str:
    """
    What the switch at the other end of a tunnel finds of the options that were sent.

    :param sent: fields of the copy that went out.
    :param sender: which option each field is where it went out, *taker* where it comes in; where one of the
        two is not known, they are taken for the same.
    :return: fields of the arrival; if not all options are known, why.
    """
    found: dict[str, int] = {OTHERS: 0}
    if sent.get(OTHERS, (0, KNOWN))[1] != KNOWN:
        return "which options it came with is not known"
    for name in OPTIONS:
        there, known = sent.get(presence(name), (0, KNOWN))
        if not there & known & 1:
            if known & 1:
                continue
            return f"whether it has {name} is not known"
        value, known = sent[name]
        if known != KNOWN:
            return f"what is written to {name} is not known"
        here = _name(name, sender, taker)
        if here is None:
            continue
        if here not in OPTIONS:
            return here
        found[here], found[presence(here)] = value, 1
    return found


def _name(name: str, sender: Dump[TunnelOption] | None, taker: Dump[TunnelOption] | None) -> str | None:
    """The field of an option at the other end, None if it has none there; a sentence if nobody knows."""
    if sender is None or taker is None:
        return name
    option = next((row for row in sender.rows if row.field == name), None)
    if option is None:
        return f"{sender.file} does not say which option {name} is"
    wanted = option.option_class, option.type
    there = next((row for row in taker.rows if (row.option_class, row.type) == wanted), None)
    words = f"{name}, an option of class {option.option_class:#x} and type {option.type:#x}"
    if there is None:
        return f"{taker.file} lacks {words}, which is critical" if option.type & _CRITICAL else None
    if there.length != option.length:
        return f"{taker.file} has {there.length} bytes for {words}, and {sender.file} {option.length}"
    return there.field
