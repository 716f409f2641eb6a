"""What ``learn`` writes into the flow that it adds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LearnSpec"]


@dataclass(frozen=True, slots=True)
class LearnSpec:
    """
    One specification of a ``learn`` action.

    The value is a constant, or bits of the packet that is being processed. A single field name stands for
    both its source and its target.

    :param does: ``match`` (the new flow matches *field* bits *low* to *high* on the value), ``load`` (the new
        flow writes the value there), ``output`` (the new flow sends to the port that the value names; no
        *field*).
    :param value: the constant, None if the value comes from the packet.
    :param source: normalised field that the value is read from, None for a constant. *source_low* and
        *source_high* are its bits, both included.
    :param field: normalised field that is matched or written, None for ``output``.
    :param text: the specification as printed, at a 1-based *column*.
    """

    does: str
    text: str
    column: int
    value: int | None = None
    source: str | None = None
    source_low: int = 0
    source_high: int = 0
    field: str | None = None
    low: int = 0
    high: int = 0
