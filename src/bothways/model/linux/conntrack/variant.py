"""
What the tracker did otherwise in older kernels, as named variants.

The release that a host runs chooses; distributions carry later changes back, so this is likely and not
sure. An unknown release takes the newest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["VARIANTS", "Variant", "variant_of"]

_SECOND: Final = 1_000_000_000
_RELEASE: Final = re.compile(r"(\d{1,3})\.(\d{1,4})")


@dataclass(frozen=True, slots=True)
class Variant:
    """
    One way in which the tracker behaves.

    :param since: first release, major and minor.
    :param stream_after_ns: how long an answered UDP connection must have lived to count as a stream
        (5.0: ``netfilter: conntrack: udp: only extend timeout to stream mode after 2s``).
    :param words_of_5_14: True if the log names a refused segment by its index and direction.
    """

    name: str
    since: tuple[int, int]
    stream_after_ns: int
    words_of_5_14: bool


#: Newest first.
VARIANTS: Final = (
    Variant("since 5.14", (5, 14), 2 * _SECOND, words_of_5_14=True),
    Variant("5.0 to 5.13", (5, 0), 2 * _SECOND, words_of_5_14=False),
    Variant("before 5.0", (0, 0), 0, words_of_5_14=False),
)


def variant_of(kernel: str | None) -> Variant:
    """
    The variant of a release as ``uname -a`` or ``uname -r`` prints it.

    >>> variant_of("Linux host1 4.4.0-210-generic #242-Ubuntu SMP").name
    'before 5.0'
    """
    found = None if kernel is None else _RELEASE.search(kernel)
    if found is None:
        return VARIANTS[0]
    release = (int(found[1]), int(found[2]))
    return next(variant for variant in VARIANTS if variant.since <= release)
