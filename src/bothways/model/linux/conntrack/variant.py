"""
What the tracker did otherwise in older kernels, as named variants.

The release that a host runs chooses; distributions carry later changes back, so this is likely and not
sure. An unknown release takes the newest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

__all__ = ["VARIANTS", "Variant", "is_since", "variant_of"]

_SECOND: Final = 1_000_000_000
_RELEASE: Final = re.compile(r"(\d{1,3})\.(\d{1,4})")


@dataclass(frozen=True, slots=True)
class Variant:
    """
    One way in which the tracker behaves.

    :param since: first release, major and minor.
    :param stream_after_ns: how long an answered UDP connection must have lived to count as a stream
        (5.0, d535c8a69c19 ``conntrack: udp: only extend timeout to stream mode after 2s``).
    :param words_of_5_14: True if the log names a refused segment by its index and direction.
    :param overshot_is_remembered: a segment that begins just past the window counts as sent
        (6.0, cf97769c761a ``conntrack: work around exceeded receive window``; carried back, 5.15.70 has it).
    :param late_is_let_through: what comes too late is no longer INVALID (6.1, 6e250dcbff1d ``conntrack:
        ignore overly delayed tcp packets``), and the log shows the bound.
    :param late_end_shortens: a FIN or RST outside the window, answered by another, shortens the entry's
        time (6.1, 628d694344a0 ``reduce timeout when receiving out-of-window fin or rst``).
    :param rst_answers_the_other_side: a RST is the answer to a SYN that was let through only if it comes from
        the other side (May 2026, ``conntrack: tcp: do not force CLOSE on invalid-seq RST without direction
        check``; seen in 6.18.44; carried back: 7.0.12 and 5.10.259 have it, so the release is a guess).
    :param assured_as_stream: UDP is ASSURED only once it is a stream (5.16, b7b1d02fc439 ``conntrack: set on
        IPS_ASSURED if flows enters internal stream state``); before, by any packet after the first answer.
    :param clash_is_resolved: an entry that lost to another of the same flow is found by answers (5.7,
        6a757c07e51f ``conntrack: allow insertion of clashing entries``).
    :param reverse_clash_merges: a packet whose entry clashes joins the one in the table if both are the
        same flow or its reverse (2025; seen in 6.18.44, the release is a guess); before, it joined any where
        no NAT is set up.
    :param multicast_routers_untracked: ICMPv6 151 and 152 are left out of tracking (``fix ct-state for ICMPv6
        Multicast Router Discovery``; seen in 6.18.44, the release is a guess); before, they were INVALID.
    :param reset_rule_closes: a RST that a rule sends closes the entry (6.3, 2954fe60e33d ``let reset rules
        clean out conntrack entries``).
    """

    name: str
    since: tuple[int, int]
    stream_after_ns: int
    words_of_5_14: bool
    overshot_is_remembered: bool = False
    late_is_let_through: bool = False
    late_end_shortens: bool = False
    rst_answers_the_other_side: bool = False
    assured_as_stream: bool = False
    clash_is_resolved: bool = False
    reset_rule_closes: bool = False
    reverse_clash_merges: bool = False
    multicast_routers_untracked: bool = False


#: Newest first.
VARIANTS: Final = (
    Variant(
        "since 6.18",
        (6, 18),
        2 * _SECOND,
        words_of_5_14=True,
        assured_as_stream=True,
        clash_is_resolved=True,
        overshot_is_remembered=True,
        late_is_let_through=True,
        late_end_shortens=True,
        rst_answers_the_other_side=True,
        reverse_clash_merges=True,
        multicast_routers_untracked=True,
        reset_rule_closes=True,
    ),
    Variant(
        "6.3 to 6.17",
        (6, 3),
        2 * _SECOND,
        words_of_5_14=True,
        assured_as_stream=True,
        clash_is_resolved=True,
        overshot_is_remembered=True,
        late_is_let_through=True,
        late_end_shortens=True,
        reset_rule_closes=True,
    ),
    Variant(
        "6.1 to 6.2",
        (6, 1),
        2 * _SECOND,
        words_of_5_14=True,
        assured_as_stream=True,
        clash_is_resolved=True,
        overshot_is_remembered=True,
        late_is_let_through=True,
        late_end_shortens=True,
    ),
    Variant(
        "6.0",
        (6, 0),
        2 * _SECOND,
        words_of_5_14=True,
        overshot_is_remembered=True,
        assured_as_stream=True,
        clash_is_resolved=True,
    ),
    Variant(
        "5.16 to 5.19",
        (5, 16),
        2 * _SECOND,
        words_of_5_14=True,
        assured_as_stream=True,
        clash_is_resolved=True,
    ),
    Variant("5.14 to 5.15", (5, 14), 2 * _SECOND, words_of_5_14=True, clash_is_resolved=True),
    Variant("5.7 to 5.13", (5, 7), 2 * _SECOND, words_of_5_14=False, clash_is_resolved=True),
    Variant("5.0 to 5.6", (5, 0), 2 * _SECOND, words_of_5_14=False),
    Variant("before 5.0", (0, 0), 0, words_of_5_14=False),
)


@cache
def variant_of(kernel: str | None) -> Variant:
    """
    The variant of a release as ``uname -a`` or ``uname -r`` prints it.

    >>> variant_of("Linux host1 4.4.0-210-generic #242-Ubuntu SMP").name
    'before 5.0'
    """
    return next(variant for variant in VARIANTS if is_since(kernel, variant.since))


@cache
def is_since(kernel: str | None, release: tuple[int, int]) -> bool:
    """
    Whether a kernel is of a release, major and minor, or newer; one that is not known is the newest.

    >>> is_since("6.1.0-18-amd64", (6, 7))
    False
    """
    found = None if kernel is None else _RELEASE.search(kernel)
    return found is None or release <= (int(found[1]), int(found[2]))
