"""
A disagreement made small: packets, rules, routes and sysctls are left out while it lasts.

Halves first, then quarters, down to single ones (delta debugging, Zeller 2002), each kind by itself and then
all again, until nothing can go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bothways.conform.netfilter_case import Sent, Setting

__all__ = ["Small", "shrunk"]

_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Small:
    """What is left of a disagreement; its last packet disagrees."""

    setting: Setting
    sent: tuple[Sent, ...]


def shrunk(setting: Setting, sent: Sequence[Sent], disagrees: Callable[[Small], bool]) -> Small:
    """
    Make a disagreement small.

    :param sent: packets, the last of which disagrees; it stays.
    :param disagrees: asks kernel and model again; True if the last packet still disagrees in the same way.
    """
    small = Small(setting, tuple(sent))
    for _ in range(_ROUNDS):
        before = small
        small = _fewer(
            small, small.sent[:-1], lambda s, kept: Small(s.setting, (*kept, s.sent[-1])), disagrees
        )
        small = _fewer(small, small.setting.lines, _with_lines, disagrees)
        small = _fewer(
            small,
            small.setting.ways,
            lambda s, kept: replace(s, setting=replace(s.setting, ways=kept)),
            disagrees,
        )
        small = _fewer(
            small,
            small.setting.sysctls,
            lambda s, kept: replace(s, setting=replace(s.setting, sysctls=kept)),
            disagrees,
        )
        bare = replace(small, setting=small.setting.without_idle_chains())
        if bare != small and disagrees(bare):
            small = bare
        if small == before:
            break
    return small


def _with_lines(small: Small, kept: tuple[Any, ...]) -> Small:
    return replace(small, setting=replace(small.setting, lines=kept))


def _fewer(
    small: Small,
    parts: tuple[Any, ...],
    remade: Callable[[Small, tuple[Any, ...]], Small],
    disagrees: Callable[[Small], bool],
) -> Small:
    """Leave out as many parts as possible."""
    size = len(parts)
    while size and parts:
        at = 0
        while at < len(parts):
            kept = parts[:at] + parts[at + size :]
            attempt = remade(small, kept)
            if disagrees(attempt):
                small, parts = attempt, kept
            else:
                at += size
        size //= 2
    return small
