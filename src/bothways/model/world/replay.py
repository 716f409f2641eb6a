"""
Fork by walking again.

A walk asks its oracle at every point where the network is free to choose. ``Replay`` answers from a
script and, past its end, with what a dump or capture recorded, else with the likeliest option; it
writes down what it was asked. ``scripts`` then yields the script of every other outcome.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bothways.facts.choice import Assumption, Choice, Freedom
from bothways.facts.span import Span

__all__ = ["Replay"]


class Replay:
    """An oracle that follows a script. Implements ``facts.choice.Oracle``."""

    def __init__(self, script: Mapping[str, str] | None = None) -> None:
        self._script = dict(script or {})
        self._made: dict[str, Choice] = {}
        self._assumed: dict[str, Assumption] = {}

    def choose(
        self,
        key: str,
        options: Sequence[str],
        *,
        freedom: Freedom,
        recorded: str | None = None,
        evidence: tuple[Span, ...] = (),
    ) -> str:
        """Return the option of the script, else the recorded one, else the first."""
        made = self._made.get(key)
        if made is not None and made.taken in options:
            return made.taken
        wanted = self._script.get(key, recorded)
        taken = wanted if wanted is not None and wanted in options else options[0]
        self._made[key] = Choice(key, freedom, tuple(options), taken, recorded, evidence)
        return taken

    def assume(self, assumption: Assumption) -> None:
        """Note an assumption once."""
        self._assumed.setdefault(assumption.text, assumption)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Points at which more than one thing could happen, in the order of the walk."""
        return tuple(c for c in self._made.values() if len(c.options) > 1)

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """What was taken for granted."""
        return tuple(self._assumed.values())

    def alternatives(self) -> Iterator[dict[str, str]]:
        """Scripts that take another option at a point beyond the end of this one's script."""
        prefix: dict[str, str] = {}
        for choice in self.choices:
            if choice.key not in self._script:
                for option in choice.options:
                    if option != choice.taken:
                        yield {**prefix, choice.key: option}
            prefix[choice.key] = choice.taken
