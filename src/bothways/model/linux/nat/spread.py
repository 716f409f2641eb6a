"""
Which of several addresses a connection gets: a hash without a secret, so it can be foretold.

``find_best_ips_proto`` of ``net/netfilter/nf_nat_core.c``: the source, and unless ``--persistent`` was asked
for the destination and the zone, are hashed with ``jhash2`` (Bob Jenkins' lookup3 over words), and the range
is scaled by the hash. So one host always gets the same address towards the same server. The words are read as
a little-endian machine reads them (x86, arm64).
"""

from __future__ import annotations

from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.conntrack import Tuple

__all__ = ["jhash2", "spread"]

_WORD: Final = 0xFFFFFFFF
_BEGIN: Final = 0xDEADBEEF
_WORDS: Final = 4
_BITS: Final = 32


def spread(
    now: Tuple, low: IPAddress, high: IPAddress, *, source: bool, zone: int = 0, persistent: bool = False
) -> IPAddress:
    """
    Pick the address of *low* to *high* that the kernel gives a connection.

    :param now: what the connection looks like before it is translated.
    :param source: True if its source is rewritten, False for its destination.
    :param zone: conntrack zone, which goes into the hash.
    :param persistent: the destination does not count.
    """
    last = 0 if low.version == 4 else _WORDS - 1  # noqa: PLR2004 - IPv4
    there = _words(now.dst)
    value = jhash2(_words(now.src), 0 if persistent else there[last] ^ zone)
    least, most = _numbers(low), _numbers(high)
    picked: list[int] = []
    whole = False
    for index in range(last + 1):
        first, count = (0, _WORD) if whole else (least[index], (most[index] - least[index] + 1) & _WORD)
        word = (first + (value * count >> _BITS)) & _WORD
        picked.append(word)
        whole = whole or word != most[index]
        if not persistent:
            value ^= there[index] if source else _swapped(word)
    return type(low)(int.from_bytes(b"".join(word.to_bytes(4) for word in picked)))


def jhash2(words: tuple[int, ...], begin: int) -> int:
    """
    Hash 32-bit words, as ``include/linux/jhash.h`` does.

    :param begin: the initial value.
    """
    a = b = c = (_BEGIN + (len(words) << 2) + begin) & _WORD
    left = list(words)
    while len(left) > 3:  # noqa: PLR2004 - three words a round
        a, b, c = _mixed((a + left[0]) & _WORD, (b + left[1]) & _WORD, (c + left[2]) & _WORD)
        left = left[3:]
    if not left:
        return c
    last = [*left, 0, 0]
    return _final((a + last[0]) & _WORD, (b + last[1]) & _WORD, (c + last[2]) & _WORD)


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    for by in (4, 6, 8, 16, 19, 4):
        # Each step mixes the third word into the first; then the three change places.
        a = ((a - c) & _WORD) ^ _rolled(c, by)
        c = (c + b) & _WORD
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for by in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _rolled(b, by)) & _WORD
        a, b, c = b, c, a
    # After seven steps the word that was changed last stands second.
    return b


def _rolled(word: int, by: int) -> int:
    return ((word << by) | (word >> (_BITS - by))) & _WORD


def _words(one: IPAddress) -> tuple[int, ...]:
    """Four words as a little-endian machine reads them; IPv4 takes the first, the others are zero."""
    octets = one.packed.ljust(16, b"\0")
    return tuple(int.from_bytes(octets[at : at + 4], "little") for at in range(0, 16, 4))


def _numbers(one: IPAddress) -> tuple[int, ...]:
    octets = one.packed
    return tuple(int.from_bytes(octets[at : at + 4]) for at in range(0, len(octets), 4))


def _swapped(word: int) -> int:
    return int.from_bytes(word.to_bytes(4), "little")
