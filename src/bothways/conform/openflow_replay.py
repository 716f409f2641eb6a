"""Traced packets through the model: it must say what the switch said."""

from __future__ import annotations

import gc
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from bothways.conform.openflow_bridges import BuiltSwitch, built
from bothways.conform.openflow_case import Setting, TraceCase
from bothways.conform.openflow_comparison import compare_trace
from bothways.conform.openflow_conformance import TraceConformance, TraceDisagreement, TraceVerdict
from bothways.conform.openflow_datapath import NotFollowedError, thresholds
from bothways.conform.openflow_packet import PacketTextError, arrival_of, read_packet
from bothways.conform.openflow_walk import Walked, walks
from bothways.facts.openflow import Action
from bothways.model.openflow.passage import Arrival

__all__ = ["SHOWN", "Replay", "hold_trace", "replay_traces"]

#: disagreements that are kept whole, if nothing else is asked for
SHOWN: Final = 5
_QUOTED: Final = re.compile(r"`([A-Za-z_]+)[^`]*`")
_ASKED: Final = re.compile(r"check_pkt_larger\((\d+)\)")
_KEY: Final = re.compile(r"\btun_id=\w+")
_WITHOUT_LENGTH: Final = "its length is not known"
_NUMBER: Final = re.compile(r"\b(?:0x[0-9a-f]+|\d+)\b")
_PLACE: Final = re.compile(r" (?:a packet in )?switch \S+ (?:table[= ]N)?")


def hold_trace(case: TraceCase, switch: BuiltSwitch) -> TraceVerdict:
    """Run the model through one traced packet and compare."""
    if switch.beyond:
        return TraceVerdict(0, unknown=tuple(f"not in the model: {what}" for what in switch.beyond))
    first = case.told[0]
    if first.flow is None:
        return TraceVerdict(0, unknown=("the switch refused the packet, or the recording does not hold it",))
    names = {port.name: port.number or 0 for port in switch.bridges[case.start].ports.values()}
    try:
        arrival = arrival_of(read_packet(_whole(first.flow, case.args), names))
    except PacketTextError as error:
        return TraceVerdict(0, unknown=(str(error),))
    limits = thresholds(" ".join(told.actions for told in case.told))
    verdict = _of_sizes(case, switch, arrival, limits)
    if not limits and any(_WITHOUT_LENGTH in text for text in verdict.unknown):
        # Nothing that depends on the size came of it, so it is the same for all sizes.
        verdict = _of_sizes(case, switch, arrival, _asked_for(case))
    return verdict


def _whole(flow: str, args: Sequence[str]) -> str:
    """The packet with its tunnel's key, which a switch does not print of one that it has no flag for."""
    given = _KEY.search(args[-1]) if args else None
    return flow if given is None or _KEY.search(flow) else f"{flow},{given[0]}"


def _of_sizes(case: TraceCase, switch: BuiltSwitch, arrival: Arrival, limits: Iterable[int]) -> TraceVerdict:
    """Compare a packet as long as each limit, and one that is longer; without limits one of no length."""
    sizes: list[int | None] = [size + more for size in limits for more in (0, 1)]
    verdict = TraceVerdict(0)
    for size in sizes or [None]:
        branches = walks(switch, case.start, arrival, size=size, ct_next=case.ct_next, learns=case.learns)
        verdict = _one(case, branches, size)
        if verdict.difference is not None or verdict.unknown:
            break
    return verdict


def _asked_for(case: TraceCase) -> list[int]:
    """The sizes that flows and groups ask about."""
    texts = (text for record in case.setting.bridges.values() for text in (*record.flows, *record.groups))
    return sorted({int(size) for text in texts for size in _ASKED.findall(text)})


def _one(case: TraceCase, branches: Iterator[Walked], size: int | None) -> TraceVerdict:
    """Compare one packet of one size: it agrees if one branch of what is free does."""
    checks = len(case.told) + 1 + (case.tables is not None)
    first: TraceVerdict | None = None
    for walked in branches:
        if walked.unknown:
            verdict = TraceVerdict(checks, walked, unknown=walked.unknown)
        else:
            try:
                verdict = TraceVerdict(checks, walked, compare_trace(case, walked, size))
            except NotFollowedError as error:
                return TraceVerdict(checks, walked, unknown=(f"the comparison does not follow: {error}",))
            if verdict.difference is None:
                return verdict
        if first is None or walked.rest:
            first = verdict
    return first or TraceVerdict(checks)


class Replay:
    """Holds cases one after the other; the bridges of a setting are built once."""

    def __init__(self, *, keep: int = SHOWN) -> None:
        self.outcome = TraceConformance(reach={"actions": Counter(), "fields": Counter()})
        self._keep = keep
        self._setting: Setting | None = None
        self._switch = BuiltSwitch({})

    def hold(self, case: TraceCase) -> TraceVerdict:
        """Hold one case and count it."""
        if case.setting is not self._setting:
            self._setting, self._switch = case.setting, built(case.setting)
        verdict = hold_trace(case, self._switch)
        outcome = self.outcome
        outcome.cases += 1
        outcome.checks += verdict.checks
        if verdict.unknown:
            outcome.unknown += 1
            outcome.reasons.update(dict.fromkeys((_class(verdict.unknown[0]),), 1))
            if len(outcome.first_unknown) < self._keep:
                outcome.first_unknown.append((case, verdict.unknown[0]))
        elif verdict.difference is not None and verdict.walked is not None:
            outcome.disagreements += 1
            outcome.fields[verdict.difference.field] += 1
            if len(outcome.first) < self._keep:
                outcome.first.append(TraceDisagreement(case, verdict.difference, verdict.walked))
        if verdict.walked is not None:
            self._reached(verdict.walked)
        return verdict

    def _reached(self, walked: Walked) -> None:
        actions, fields = self.outcome.reach["actions"], self.outcome.reach["fields"]
        for _, _, flow in walked.visited:
            if flow is not None:
                actions.update(name for action in flow.actions for name in _names(action))
                fields.update(dict.fromkeys((term.field for term in flow.match), 1))


def _names(action: Action) -> Iterator[str]:
    yield action.name
    inner = action.args.get("actions")
    for each in inner if isinstance(inner, tuple) else ():
        if isinstance(each, Action):
            yield from _names(each)


def _class(reason: str) -> str:
    """A reason without the numbers and names of one case."""
    text = _NUMBER.sub("N", _QUOTED.sub(r"`\1`", reason))
    return _PLACE.sub(" ", text).strip()


def replay_traces(cases: Iterable[TraceCase], *, keep: int = SHOWN) -> TraceConformance:
    """
    Hold the model against traced packets.

    :param keep: how many disagreements are kept whole.
    """
    replay = Replay(keep=keep)
    start = time.process_time()
    collecting = gc.isenabled()
    gc.disable()  # nothing here refers in circles, and looking for them takes a tenth of the time
    try:
        for case in cases:
            replay.hold(case)
    finally:
        if collecting:
            gc.enable()
    replay.outcome.seconds = time.process_time() - start
    return replay.outcome
