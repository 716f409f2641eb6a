"""What reading one text gave: rows, and what could not be understood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from bothways.facts.span import Problem

__all__ = ["Parsed"]

Row_co = TypeVar("Row_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Parsed(Generic[Row_co]):
    """
    The outcome of one parser on one text.

    :param irrelevant: lines that are known and say nothing about packets (headers, blanks, comments).
    """

    rows: tuple[Row_co, ...] = ()
    problems: tuple[Problem, ...] = ()
    irrelevant: int = 0
