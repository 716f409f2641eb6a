"""
What kernels told: ``hosts/HOST/trace/*.jsonl``, a file for each run of the tracer, more if it was rotated.

The host is that under which a file lies, whatever its lines say.
"""

from __future__ import annotations

from bothways.bundle.folder import Folder
from bothways.facts.kernel_trace import KernelTrace
from bothways.facts.span import Kind, Span
from bothways.parse.kernel_event import parse_kernel_trace
from bothways.parse.kernel_trace import joined, runs_of

__all__ = ["read_traces"]

_ENDING = ".jsonl"


def read_traces(folder: Folder, host: str) -> tuple[KernelTrace, ...]:
    """Read all traces of one host, in the order of their files. Problems go to *folder*."""
    runs: list[KernelTrace] = []
    for name in sorted(folder.below("hosts", host, "trace"), key=_in_order):
        file = f"hosts/{host}/trace/{name}"
        text = folder.text(file) if name.endswith(_ENDING) and folder.has(file) else None
        if text is None:
            continue
        parsed = parse_kernel_trace(text, file=file)
        folder.problems.extend(parsed.problems)
        runs.extend(runs_of(parsed.rows, file=file, host=host))
    traces = joined(runs)
    for trace in traces:
        _doubt(folder, trace)
    return traces


def _in_order(name: str) -> tuple[str, int, str]:
    """The order in which files of a rotated trace were written: ``trace.jsonl``, ``trace.2.jsonl``."""
    stem, _, number = name.removesuffix(_ENDING).rpartition(".")
    return (stem, int(number), name) if stem and number.isdigit() else (name.removesuffix(_ENDING), 0, name)


def _doubt(folder: Folder, trace: KernelTrace) -> None:
    """What is missing in a trace is no statement about packets."""
    if trace.lost:
        message = f"{trace.lost} events were lost: what is not in this trace may have happened all the same"
        folder.problem(Kind.UNREADABLE, Span(trace.file), message, "trace again with a larger --ring-size")
    elif trace.stop is None and trace.events:
        folder.problem(Kind.UNREADABLE, Span(trace.file), "the trace breaks off: its last line is missing")
