"""What reading one text gave: rows, and what could not be understood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from bothways.facts.span import Problem

__all__ = ["Parsed"]

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Parsed(Generic[Row]):
    """
    The outcome of one parser on one text.

    :param irrelevant: lines that are known and say nothing about packets (headers, blanks, comments).
    """

    rows: tuple[Row, ...] = ()
    problems: tuple[Problem, ...] = ()
    irrelevant: int = 0
