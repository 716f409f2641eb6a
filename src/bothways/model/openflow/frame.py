"""A list of actions that is being executed, and what actions put on the stack."""

from __future__ import annotations

from dataclasses import dataclass, field

from bothways.facts.openflow import Action
from bothways.facts.span import Span

__all__ = ["Frame", "Stacked"]

#: what ``push`` puts on the stack: bits, known bits, and how many bytes it takes there
Stacked = tuple[int, int, int]


@dataclass(slots=True)
class Frame:
    """
    A list of actions that is being executed.

    :param at: the next action.
    :param depth: how often the way here went back to the same or an earlier table.
    :param step: index of the step that these actions write to.
    :param level: table that ``resubmit`` starts from where it is not *table*: an action set is executed when
        the tables are done, so it starts where the translation began.
    """

    table: int
    actions: tuple[Action, ...]
    evidence: tuple[Span, ...]
    cell: str
    depth: int
    step: int
    at: int = 0
    changes: list[str] = field(default_factory=list)
    level: int | None = None

    @property
    def origin(self) -> int:
        """The table that ``resubmit`` starts from."""
        return self.table if self.level is None else self.level
