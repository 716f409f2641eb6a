"""
Values that are made once for each key, and found quickly.

``functools.cache`` packs the arguments of each call into a tuple, which takes longer than most of what is
looked up for each packet. Here the call itself is that of a dictionary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["once"]

K = TypeVar("K")
V = TypeVar("V")


def once(make: Callable[[K], V]) -> Callable[[K], V]:
    """
    A function of one argument that remembers all that it ever returned.

    >>> double = once(lambda number: [number, number])
    >>> double(2) is double(2)
    True
    """

    class Made(dict[K, V]):
        __slots__ = ()

        def __missing__(self, key: K) -> V:
            value = self[key] = make(key)
            return value

    return Made().__getitem__
