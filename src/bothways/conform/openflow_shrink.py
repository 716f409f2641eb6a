"""A pipeline and a packet of which switch and model disagree, made as small as that still holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from bothways.conform.openflow_pipeline import DrawnPacket, Pipeline

__all__ = ["TRIES", "shrunk"]

T = TypeVar("T")
Candidate = tuple[Pipeline, DrawnPacket]

#: how often the switch is asked for one disagreement
TRIES: Final = 200
#: a packet without these is none that a network carries
_KEPT: Final = ("in_port=", "dl_src=", "dl_dst=")


def shrunk(
    pipeline: Pipeline,
    packet: DrawnPacket,
    holds: Callable[[Pipeline, DrawnPacket], bool],
    tries: int = TRIES,
) -> Candidate:
    """
    Take away flows, buckets, actions, terms and fields as long as *holds* is true of the rest.

    :param holds: whether the two still disagree.
    """
    best = (pipeline, packet)
    left = tries
    smaller = True
    while smaller and left > 0:
        smaller = False
        for candidate in _smaller(*best):
            left -= 1
            if holds(*candidate):
                best, smaller = candidate, True
                break
            if left <= 0:
                break
    return best


def _smaller(pipeline: Pipeline, packet: DrawnPacket) -> Iterator[Candidate]:
    """Everything that is one step smaller, the largest steps first."""
    for flows in _without(pipeline.flows):
        yield replace(pipeline, flows=flows), packet
    for groups in _without(pipeline.groups):
        yield replace(pipeline, groups=groups), packet
    if packet.ct_next:
        yield pipeline, replace(packet, ct_next=packet.ct_next[:-1])
    for index, flow in enumerate(pipeline.flows):
        for actions in _without(flow.actions):
            yield replace(pipeline, flows=_put(pipeline.flows, index, replace(flow, actions=actions))), packet
        for match in _without(flow.match):
            yield replace(pipeline, flows=_put(pipeline.flows, index, replace(flow, match=match))), packet
    for index, group in enumerate(pipeline.groups):
        for buckets in _without(group.buckets):
            yield (
                replace(pipeline, groups=_put(pipeline.groups, index, replace(group, buckets=buckets))),
                packet,
            )
        for place, (words, inside) in enumerate(group.buckets):
            for actions in _without(inside):
                fewer = _put(group.buckets, place, (words, actions))
                yield (
                    replace(pipeline, groups=_put(pipeline.groups, index, replace(group, buckets=fewer))),
                    packet,
                )
    kept = tuple(term for term in packet.terms[1:] if term.startswith(_KEPT))
    for terms in _without(tuple(term for term in packet.terms[1:] if term not in kept)):
        yield pipeline, replace(packet, terms=(packet.terms[0], *kept, *terms))


def _without(items: Sequence[T]) -> Iterator[tuple[T, ...]]:
    """The items without a half, a quarter … one of them."""
    size = len(items) // 2
    while size:
        for start in range(0, len(items), size):
            yield (*items[:start], *items[start + size :])
        size //= 2
    if len(items) == 1:
        yield ()


def _put(items: Sequence[T], index: int, item: T) -> tuple[T, ...]:
    return (*items[:index], item, *items[index + 1 :])
