"""A trace from its options to its account."""

from __future__ import annotations

import errno
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

from bothways.cli.ending import CommandError, ExitCode, reason
from bothways.cli.screen import colour, say, say_data, tell, width
from bothways.cli.trace_wanted import (
    LOCAL,
    Wanted,
    end_probes,
    plan,
    probe_arguments,
    refuse_contradictions,
    start_probes,
)
from bothways.correlate.kernel_account import same_kernel
from bothways.facts.kernel_event import KernelEvent
from bothways.facts.kernel_trace import KernelTrace, TraceLine, TraceLost, TraceNote, TraceReady, TraceStart
from bothways.parse.kernel_trace import runs_of
from bothways.report.kernel_live import LiveSheet
from bothways.report.words import counted, plain, problem_line
from bothways.trace.command import Command, start_command
from bothways.trace.filter_plan import FilterPlan
from bothways.trace.profile import Profile
from bothways.trace.session import Probe, Said, Session
from bothways.trace.sink import BundleSink

__all__ = ["run_trace"]

#: Events that the account is made of; of a longer trace it tells the end.
MOST_EVENTS: Final = 60_000
#: What is still on its way when the user's command has ended.
_AFTER_S: Final = 0.4
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def run_trace(wanted: Wanted) -> int:
    """
    Trace, and return the exit code.

    :raises CommandError: if options contradict each other, or if nothing can be traced.
    """
    refuse_contradictions(wanted)
    profile, planned = plan(wanted)
    if wanted.listing:
        from bothways.cli.trace_list import list_probes  # noqa: PLC0415 (only where wanted)

        return list_probes(wanted.hosts, as_json=wanted.as_json)
    if not planned.exact and not wanted.as_json:
        tell(f"filtered behind the kernel part: {', '.join(planned.behind)}")
    probes = start_probes(wanted, probe_arguments(wanted, profile, planned))
    try:
        return _Run(wanted, profile, planned, probes).through()
    finally:
        end_probes(probes)


@dataclass(slots=True)
class _Kept:
    """The lines of a run, for its account."""

    lines: list[TraceLine] = field(default_factory=list)
    events: int = 0
    forgotten: int = 0

    def keep(self, line: TraceLine) -> None:
        """Keep a line; of events the latest."""
        self.lines.append(line)
        self.events += isinstance(line, KernelEvent)
        if self.events > MOST_EVENTS:
            self._forget()

    def _forget(self) -> None:
        surplus = self.events - MOST_EVENTS // 2
        self.forgotten += surplus
        self.events -= surplus
        left: list[TraceLine] = []
        for line in self.lines:
            if surplus and isinstance(line, KernelEvent):
                surplus -= 1
            else:
                left.append(line)
        self.lines = left

    def traces(self) -> tuple[KernelTrace, ...]:
        """What each host told."""
        return runs_of(self.lines, file="")


class _Run:
    """One trace while it goes on."""

    def __init__(
        self, wanted: Wanted, profile: Profile, plan: FilterPlan, probes: Sequence[tuple[str, Probe]]
    ) -> None:
        self._wanted = wanted
        self._probes = probes
        # Lines that only go into files and to programs need not be understood.
        self._accounts = not wanted.as_json or wanted.pcapng is not None
        self._session = Session([probe for _, probe in probes], plan, unread=not self._accounts)
        self._unsaid = frozenset(profile.unsaid)
        self._sheet = LiveSheet(width=width() if colour() else 0, colour=colour(), unsaid=self._unsaid)
        self._kept = _Kept()
        title = f"kernel trace of {wanted.filter}" if wanted.filter else "kernel trace"
        self._sink = None if wanted.output is None else BundleSink(wanted.output, title, wanted.rotate)
        self._command: Command | None = None
        self._begun: float | None = None
        self._stop_at: float | None = None
        self._asked = 0
        self._told = 0
        self._lost: dict[int, int] = {}
        self._attached = ""
        self._notes: list[TraceNote] = []
        self._starts: list[TraceStart] = []
        self._doubled: set[int] = set()

    def through(self) -> int:
        """Go on until it is over; return the exit code."""
        try:
            with self._interruptible():
                for batch in self._session.batches():
                    self._take(batch)
                    self._look_at_the_clock()
        except OSError as error:
            raise CommandError(
                f"`{error.filename or self._wanted.output}` cannot be written: {reason(error)}",
                "free space there, or name another folder"
                if error.errno in _FULL
                else "name a folder that you may write to",
            ) from error
        finally:
            if self._command is not None:
                self._command.end()
            if self._sink is not None:
                with suppress(OSError):
                    self._sink.close()
        return self._finish()

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """An interrupt ends the trace in order; the second one ends everything."""

        def ask(number: int, _frame: FrameType | None) -> None:
            self._asked += 1
            if self._asked > 1:
                raise KeyboardInterrupt
            del number
            self._session.stop()

        # Under nohup a terminal that closes is no reason to end.
        hung_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
        before = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM, *hung_up)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _take(self, batch: Sequence[Said]) -> None:
        most = self._wanted.count
        events: list[Said] = []
        printed: list[str] = []
        for said in batch:
            if isinstance(said.line, KernelEvent) and said.run in self._doubled:
                self._keep(said)
                printed.append(said.text + "\n")
                continue
            if said.line is None or isinstance(said.line, KernelEvent):
                if most is not None and self._told >= most:
                    continue
                # What is not shown is not counted, or fewer lines than wanted would stand there.
                shown = self._wanted.as_json or said.line is None or said.line.happening not in self._unsaid
                self._told += shown
                events.append(said)
            else:
                self._note(said)
            if said.line is not None and self._accounts:
                self._kept.keep(said.line)
            self._keep(said)
            printed.append(said.text + "\n")
        if self._sink is not None:
            self._sink.flush()
        if self._wanted.as_json and printed:
            say_data("".join(printed))
        elif events:
            rows = [(e.run, e.line, e.moment_ns) for e in events if isinstance(e.line, KernelEvent)]
            say("".join(f"{line}\n" for line in self._sheet.lines(rows)))
        if most is not None and self._told >= most:
            self._session.stop()

    def _keep(self, said: Said) -> None:
        if self._sink is not None:
            self._sink.write(said)

    def _note(self, said: Said) -> None:
        """Tell people what is no event."""
        match said.line:
            case TraceStart(host=host, tier=tier, probes=probes):
                if any(same_kernel(said.line, other) for other in self._starts):
                    self._doubled.add(said.run)
                self._starts.append(said.line)
                attached = sum(1 for each in probes if each.attached)
                self._attached = f"{host} by {tier}, {attached} of {counted(len(probes), 'probe')}"
            case TraceReady(seconds=seconds):
                took = "" if seconds is None else f" in {seconds:.2f} s"
                tell(f"attached: {plain(self._attached)}{took}")
            case TraceLost(lost=lost, host=host):
                self._lost[said.run] = self._lost.get(said.run, 0) + lost
                where = f" on {plain(host)}" if host else ""
                tell(f"lost: {counted(lost, 'event')}{where}, {self._lost[said.run]} so far")
            case TraceNote():
                self._notes.append(said.line)
            case _:
                pass

    def _tell_notes(self) -> None:
        for note in self._notes:
            tell(f"{plain(note.text)}" + (f"\n  hint: {plain(note.hint)}" if note.hint else ""))
        self._notes.clear()

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        if self._begun is not None:
            self._tell_notes()
        if self._begun is None and self._session.ready:
            self._begun = now
            tell("ready: packets are traced from here on")
            if self._wanted.argv:
                self._command = self._started()
        if (
            self._begun is not None
            and self._wanted.timeout is not None
            and now - self._begun > self._wanted.timeout
        ):
            self._session.stop()
        if self._command is not None and self._command.status is not None and self._stop_at is None:
            self._stop_at = now + _AFTER_S
        if self._stop_at is not None and now >= self._stop_at:
            self._session.stop()

    def _started(self) -> Command:
        try:
            return start_command(self._wanted.argv, aside=self._wanted.as_json)
        except OSError as error:
            message = f"`{self._wanted.argv[0]}` cannot be started: {reason(error)}"
            raise CommandError(message, "what stands behind `--` is run as it is") from error

    def _finish(self) -> int:
        endings = [(host, probe.ending()) for host, probe in self._probes]
        failed = [(host, ending) for host, ending in endings if ending.status != 0]
        if self._begun is None and failed:
            host, ending = failed[0]
            self._notes = [note for note in self._notes if note.text != ending.text]
            self._tell_notes()
            where = "" if host == LOCAL or ending.text.startswith(host) else f"{host}: "
            code = ExitCode.WRONG_USAGE if ending.status == ExitCode.WRONG_USAGE else ExitCode.COULD_NOT_RUN
            raise CommandError(f"{where}{ending.text or 'the probe ended'}", ending.hint, code)
        for problem in self._session.problems[:5]:
            tell(f"problem: {problem_line(problem)}")
        if not self._wanted.as_json:
            self._say_account()
        elif self._wanted.pcapng is not None:
            self._write_pcapng()
        if self._command is not None and self._command.status:
            tell(f"`{self._wanted.argv[0]}` ended with {self._command.status}")
        for host, ending in failed:
            tell(f"{host}: {ending.text}" + (f"\n  hint: {ending.hint}" if ending.hint else ""))
        if self._sink is not None:
            for path in self._sink.written:
                tell(f"kept: {path}")
        return ExitCode.COULD_NOT_RUN if failed else ExitCode.DONE

    def _say_account(self) -> None:
        from bothways.correlate.kernel_account import account  # noqa: PLC0415 (at the end, out of the way of events)
        from bothways.report.kernel_account import render_account  # noqa: PLC0415 (rich is loaded only here)

        told = account(self._kept.traces())
        say("\n" + render_account(told, width=width(), colour=colour()))
        if self._session.left_out:
            say(
                f"{counted(self._session.left_out, 'event')} did not pass the filter behind the kernel part\n"
            )
        if self._kept.forgotten:
            say(f"the account tells of the last events; {self._kept.forgotten} before them are not in it\n")
        if self._wanted.pcapng is not None:
            self._write_pcapng()

    def _write_pcapng(self) -> None:
        from bothways.correlate.kernel_account import account  # noqa: PLC0415 (only where wanted)
        from bothways.report.kernel_pcapng import kernel_pcapng  # noqa: PLC0415 (only where wanted)

        path = self._wanted.pcapng
        if path is None:
            return
        try:
            path.write_bytes(kernel_pcapng(account(self._kept.traces())))
        except OSError as error:
            raise CommandError(f"`{path}` cannot be written: {reason(error)}", "name another file") from error
        tell(f"capture: {path}")
