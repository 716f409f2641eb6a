"""One thing to try."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Attempt"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    Commands that belong together.

    :param commands: ``HOST[/NETNS]: COMMAND`` each, in the order in which they are run.
    :param does: what they do, as the beginning of a sentence.
    :param fails_because: for popular ones the reason for which they fail, said only where the walk fails too.
    """

    commands: tuple[str, ...]
    does: str
    fails_because: str = ""
