"""
Bits of fields, and numbers, as a switch prints them in actions.

Source: ``mf_format_subfield`` of ``lib/meta-flow.c``.
"""

from __future__ import annotations

from bothways.parse.openflow_fields import FIELDS, code_of

__all__ = ["part_text", "sharp"]


def part_text(text: str) -> str:
    """A part of a field as somebody spelt it, by its code."""
    name, bracket, rest = text.strip().partition("[")
    code = code_of(name)
    low, _, high = rest.removesuffix("]").partition("..")
    field = FIELDS.get(name) or FIELDS.get(code)
    whole = field is not None and low == "0" and high == str(field.width - 1)
    return f"{code}[]" if whole or not bracket else f"{code}[{rest}"


def sharp(value: int) -> str:
    """A number in hexadecimal, zero without its prefix."""
    return f"{value:#x}" if value else "0"
