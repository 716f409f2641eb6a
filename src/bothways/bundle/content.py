"""What an opened bundle holds."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.kernel_stack import KernelStack
from bothways.facts.kernel_trace import KernelTrace
from bothways.facts.question import Question
from bothways.facts.sighting import Capture
from bothways.facts.snapshot import Snapshot
from bothways.facts.span import Problem

__all__ = ["Bundle"]


@dataclass(frozen=True, slots=True)
class Bundle:
    """
    One case: the evidence of one folder, read.

    :param root: name of the folder.
    :param title: ``title`` of ``bundle.toml``, or the folder's name.
    :param question: the connection that ``bundle.toml`` asks about, None if it asks about none.
    :param stacks: call stacks of ``trace/*.txt``, in the order of files and lines.
    :param problems: what could not be read, or does not fit the rest, in the order of files.
    :param files: every file below the folder, as paths with ``/``, sorted.
    :param traces: what kernels told (``trace/*.jsonl``), one for each run of the tracer on a host.
    :param unread: files in the places of evidence whose format is not read. They are no problem.
    """

    root: str
    title: str
    question: Question | None
    snapshot: Snapshot
    captures: tuple[Capture, ...] = ()
    stacks: tuple[KernelStack, ...] = ()
    problems: tuple[Problem, ...] = ()
    files: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    traces: tuple[KernelTrace, ...] = ()
