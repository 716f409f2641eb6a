"""How a translation ends: the copies that go out, or why none does."""

from __future__ import annotations

from dataclasses import replace

from bothways.facts.step import Did, Step
from bothways.model.openflow.passage import Output, Passage
from bothways.model.openflow.run import Run

__all__ = ["passage_of"]


def passage_of(run: Run) -> Passage:
    """The finished passage: copies that go out, or why none does."""
    outputs = sorted(run.outputs, key=lambda output: bool(output.mirror)) if run.mirror else run.outputs
    if len(outputs) > 1:
        outputs = [_as_copy(run, output) for output in outputs]
    steps: tuple[Step, ...] = ()
    if not outputs or outputs[0].mirror:  # a mirror's copy does not save the packet
        _end(run)
        steps = tuple(run.steps)
    return Passage(tuple(outputs), steps, tuple(run.unknown), tuple(run.finals), tuple(run.visited))


def _as_copy(run: Run, output: Output) -> Output:
    last = output.steps[-1] if output.steps else None
    reason = f"one of {len(run.outputs)} copies, out of {output.port.name}"
    function, evidence = ("", ()) if last is None else (last.function, last.evidence)
    step = Step(run.place, function, Did.COPIED, output.packet, output.packet, reason, evidence)
    return replace(output, steps=(*output.steps, step))


def _end(run: Run) -> None:
    """Write why nothing goes out."""
    evidence = run.steps[-1].evidence if run.steps else ()
    if run.blind:
        run.note(Did.UNKNOWN, next(reversed(run.unknown)), evidence)
        return
    if run.controlled:
        if not run.traced:
            run.doubt(f"what the controller of {run.bridge.host} {run.bridge.name} does with a packet")
        run.note(Did.UNKNOWN, "goes to the controller only, which is outside the evidence", evidence)
        return
    reason, step = run.losses[-1] if run.losses else ("no action sends the packet out", None)
    last = len(run.steps) - 1
    if step is not None and step == last and run.steps[last].did is Did.MATCHED:
        old = run.steps[last]
        run.steps[last] = replace(old, did=Did.DROPPED, after=None, reason=f"{old.reason}; {reason}")
    else:
        run.note(Did.DROPPED, reason, evidence)
