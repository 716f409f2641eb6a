"""``bothways conform openflow [FILE] [--live]``, behind the verb."""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from bothways.cli.ending import CommandError, ExitCode, reason
from bothways.cli.screen import say, say_data, tell
from bothways.conform.live import CannotAskError
from bothways.conform.openflow_bridges import built
from bothways.conform.openflow_case import TraceCase
from bothways.conform.openflow_conformance import TraceConformance, TraceDisagreement
from bothways.conform.openflow_generation import fresh_pipelines
from bothways.conform.openflow_live import DIED, SLOW, Asking, line_of_case
from bothways.conform.openflow_pipeline import DrawnPacket, Pipeline
from bothways.conform.openflow_recording import TraceFileError, read_traces
from bothways.conform.openflow_replay import Replay, hold_trace, replay_traces
from bothways.conform.openflow_shrink import shrunk
from bothways.conform.openflow_switch import PrivateSwitch
from bothways.conform.openflow_unixctl import PATIENCE
from bothways.conform.openflow_words import trace_json, trace_text

__all__ = ["DISAGREEMENTS", "OpenflowWishes", "conform_openflow"]

#: where shrunk disagreements are kept, if no other file is named
DISAGREEMENTS: Final = Path("openflow-disagreements.jsonl")
_TELL_EVERY: Final = 2.0
_KINDS: Final = {DIED: "packets it died of", SLOW: f"packets it did not answer in {PATIENCE:.0f} s"}


@dataclass(frozen=True, slots=True)
class OpenflowWishes:
    """
    What was asked for on the command line.

    :param pipelines: file with the pipelines of FILE's traces, None: look beside it.
    :param strict: count what the model does not know as a disagreement.
    :param record: where what was asked and heard is kept.
    :param shrunk: where shrunk disagreements are kept.
    """

    file: Path | None
    pipelines: Path | None
    show: int
    strict: bool
    as_json: bool
    count: int
    seed: int | None
    record: Path | None
    shrunk: Path


def conform_openflow(wishes: OpenflowWishes) -> ExitCode:
    """Hold the model's tables against recorded or fresh traces, and print how it went."""
    try:
        if wishes.file is not None:
            outcome = replay_traces(read_traces(wishes.file, wishes.pipelines), keep=wishes.show)
        else:
            outcome = _live(wishes)
    except TraceFileError as error:
        raise CommandError(str(error), error.hint) from error
    except CannotAskError as error:
        raise CommandError(str(error), error.hint) from error
    except OSError as error:
        raise CommandError(f"{error.filename or wishes.file}: {reason(error)}") from error
    if wishes.as_json:
        say_data(json.dumps(trace_json(outcome), indent=2) + "\n")
    else:
        say(trace_text(outcome, reach=wishes.file is None))
    wrong = outcome.disagreements + (outcome.unknown if wishes.strict else 0)
    return ExitCode.CAUSE_FOUND if wrong else ExitCode.DONE


# -- a running switch ----------------------------------------------------------------------------------


def _live(wishes: OpenflowWishes) -> TraceConformance:
    seed = random.SystemRandom().randrange(1 << 32) if wishes.seed is None else wishes.seed
    refused: Counter[str] = Counter()
    replay = Replay(keep=wishes.show)
    found: list[tuple[Pipeline, DrawnPacket, str]] = []
    kinds: set[tuple[str, str]] = set()
    start = time.process_time()
    with ExitStack() as stack:
        # A file that cannot be written is told before the work, not after it.
        lines = None if wishes.record is None else stack.enter_context(_opened(wishes.record))
        switch = stack.enter_context(PrivateSwitch())
        tell(f"bothways: asking Open vSwitch {switch.version}, seed {seed}")
        asking = Asking(switch, lambda text: refused.update([_kind(text)]))
        fresh = asking.cases(fresh_pipelines(seed), wishes.count)
        for pipeline, packet, case in _watched(fresh, wishes.count):
            if lines is not None:
                lines.write(line_of_case(case, asking.dpif))
            verdict = replay.hold(case)
            if verdict.difference is not None and len(found) < wishes.show:
                kind = (pipeline.name, verdict.difference.field)
                if kind not in kinds:  # packets of one pipeline mostly disagree for one reason
                    kinds.add(kind)
                    found.append((pipeline, packet, verdict.difference.field))
        replay.outcome.seconds = time.process_time() - start
        _keep_shrunk(wishes, asking, found, replay.outcome.first)
    if refused:
        told = ", ".join(f"{what} {count:,}" for what, count in refused.most_common(4))
        tell(f"bothways: the switch did not take: {told}")
    return replay.outcome


def _watched(
    cases: Iterator[tuple[Pipeline, DrawnPacket, TraceCase]], count: int
) -> Iterator[tuple[Pipeline, DrawnPacket, TraceCase]]:
    """Pass cases on, and tell a terminal how far it is."""
    watched = sys.stderr is not None and sys.stderr.isatty()
    last = time.monotonic()
    for number, case in enumerate(cases, 1):
        if watched and time.monotonic() - last > _TELL_EVERY:
            last = time.monotonic()
            tell(f"bothways: {number:,} of {count:,} packets")
        yield case


def _keep_shrunk(
    wishes: OpenflowWishes,
    asking: Asking,
    found: list[tuple[Pipeline, DrawnPacket, str]],
    first: list[TraceDisagreement],
) -> None:
    """Make disagreements small, show those, and keep them in a file that ``conform openflow`` reads."""
    if not found:
        return
    small_ones: list[TraceDisagreement] = []
    with _opened(wishes.shrunk) as lines:
        for number, (pipeline, packet, field) in enumerate(found):
            small, least = shrunk(pipeline, packet, lambda p, k, f=field: _disagrees(asking, p, k, f))  # type: ignore[misc] # a default binds the loop's value
            setting = asking.load(small)
            case = None if setting is None else asking.ask(setting, least, f"{pipeline.name}/small{number}")
            if setting is None or case is None:
                continue
            lines.write(line_of_case(case, asking.dpif))
            verdict = hold_trace(case, built(setting))
            if verdict.difference is not None and verdict.walked is not None:
                small_ones.append(TraceDisagreement(case, verdict.difference, verdict.walked))
    first[:] = small_ones or first
    tell(f"bothways: {len(found)} disagreements, shrunk, are in {wishes.shrunk}")


def _disagrees(asking: Asking, pipeline: Pipeline, packet: DrawnPacket, field: str) -> bool:
    setting = asking.load(pipeline)
    case = None if setting is None else asking.ask(setting, packet, "smaller")
    if setting is None or case is None:
        return False
    difference = hold_trace(case, built(setting)).difference
    return difference is not None and difference.field == field


def _kind(text: str) -> str:
    if text in _KINDS:
        return _KINDS[text]
    return "packets it cannot read" if "syntax" in text or "Syntax" in text else "pipelines"


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        import gzip  # noqa: PLC0415 (only for who wants it)

        return gzip.open(path, "wt", encoding="utf-8")
    return path.open("w", encoding="utf-8")
