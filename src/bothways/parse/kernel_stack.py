"""
Call stacks as dmesg, ftrace, perf and bpftrace print them, innermost frame first.

``[59039.551150]  [<ffffffff816abfe9>] dev_hard_start_xmit+0x169/0x3d0 [module]``; a ``?`` marks a frame that
the unwinder found on the stack and cannot vouch for. Compiler suffixes (``.isra.95.part.96``) are no part of
a function's name.

ftrace (``trace_pipe``, ``options/stacktrace``, ``func_stack_trace``) and ``perf script`` put the event above
its stack: ``sshd-812 [001] ..s1. 59039.551150: tcp_send_reset: …``. It is the title, and its time that of the
frames.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from bothways.facts.kernel_stack import KernelStack, StackFrame
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.reading import Reading, lines

__all__ = ["parse_kernel_stacks"]

_SYSLOG: Final = re.compile(r"^.{0,200}?\bkernel:\s?")
_STAMP: Final = re.compile(r"\s*(?:<\d>)?\[\s*(\d{1,12}\.\d{1,9})\]\s?")
_FRAME: Final = re.compile(
    r"\s*(?:\[<[0-9a-fA-Fx]*>\]\s*)?(?P<doubt>\?\s+)?(?P<name>[A-Za-z_][\w.]*)\+0x[0-9a-f]+/0x[0-9a-f]+"
    r"(?:\s+\[(?P<module>[\w-]+)[^\]]*\])?\s*\Z"
)
_FTRACE: Final = re.compile(r"\s*=>\s*(?P<name>[A-Za-z_][\w.]*)(?:\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?)?\s*\Z")
#: perf script: ``ffffffff816abfe9 tcp_v4_rcv+0x1 ([kernel.kallsyms])``; bcc: ``tcp_v4_rcv+0x1 [kernel]``.
_PERF: Final = re.compile(
    r"\s*(?:[0-9a-f]{8,16}\s+)?(?P<name>[A-Za-z_][\w.]*)(?:\+0x[0-9a-f]+)?\s+"
    r"(?:\((?:\[kernel\.kallsyms\]|\[kernel\.vmlinux\]\S*|\[\w+\]|\S*vmlinux\S*)\)|\[(?:kernel|\w+)\])\s*\Z"
)
#: The line of an event: task and pid, CPU, flags, seconds since boot, what happened.
_EVENT: Final = re.compile(
    r"\s*\S.{0,40}?(?:-|\s)\d{1,8}\s+(?:\([^)]{0,20}\)\s+)?\[\d{1,4}\]\s+(?:[.\w#]{2,6}\s+)?"
    r"(?P<time>\d{1,12}\.\d{1,9}):\s+(?P<what>\S.*)\Z"
)
_EVENT_STACK: Final = re.compile(r"(?:kernel_stack:\s*)?<stack trace>\s*\Z")
_BPFTRACE: Final = re.compile(r"\s*(?P<name>[A-Za-z_][\w.]*)\+(?:0x[0-9a-f]+|\d+)\s*\Z")
_SUFFIX: Final = re.compile(r"\.(?:isra|part|constprop|cold|llvm)\b.*\Z")
#: Lines inside or above a stack that describe the machine and not the case.
_FRINGE: Final = re.compile(
    r"\s*(?:</?(?:IRQ|TASK|EOI|NMI|SOFTIRQ|#\w+)>|Call [Tt]race:?|CPU: |Hardware name|Modules linked|"
    r"RIP: |RSP: |R[A-Z0-9]{2}: |"
    r"Code: |FS: |CS: |CR2: |DR0: |---\[|Workqueue:|Tainted|Stack:|kernel_stack|<stack trace>|ORIG_RAX)"
)
_DEVICE_COMMENT: Final = re.compile(r"\s*#\s*device\s*[:=]\s*(?P<name>\S+)", re.IGNORECASE)
_DEVICE_WORD: Final = re.compile(
    r"\b(?P<how>device|dev|on)\b[ =:]+[`'\"]?(?P<name>[A-Za-z_][\w.@-]*)", re.IGNORECASE
)

#: Frames of one dump are printed within microseconds; two dumps of one packet flow lie further apart.
_GAP_S: Final = 0.1


@dataclass(slots=True)
class _Draft:
    """What is known while the lines are read."""

    host: str | None
    title: str = ""
    device: str | None = None
    time: float | None = None
    frames: list[StackFrame] = field(default_factory=list)

    def close(self, reading: Reading[KernelStack]) -> None:
        """Make a row of the frames read so far."""
        if self.frames:
            device = self.device or _named(self.title)
            reading.rows.append(KernelStack(self.host, tuple(self.frames), self.title, device))
            self.frames = []
            self.title = ""
            self.time = None


def parse_kernel_stacks(
    text: str, *, file: str, read_at: float | None = None, host: str | None = None
) -> Parsed[KernelStack]:
    """
    Read every stack of a text. Lines of prose end a stack; the last one above a stack is its title.

    The device is the one of the latest ``# device: NAME`` comment, or else the one that the title names after
    ``device``, ``dev`` or ``on``.
    """
    reading: Reading[KernelStack] = Reading()
    draft = _Draft(host)
    for span in lines(text, file=file, read_at=read_at):
        body, time = _stamped(span.text)
        frame = _frame(body, draft.time if time is None else time, span)
        if frame is not None:
            if _apart(draft.frames, time):
                draft.close(reading)
            draft.frames.append(frame)
            continue
        reading.skip()
        event = _EVENT.match(body)
        if event is not None:
            _begin(event, draft, reading)
            continue
        if _FRINGE.match(body):
            continue
        draft.close(reading)
        _prose(body, draft)
    draft.close(reading)
    return reading.done()


def _begin(event: re.Match[str], draft: _Draft, reading: Reading[KernelStack]) -> None:
    """An event's line: the stack below it is its own. ``<stack trace>`` belongs to the event before."""
    draft.close(reading)
    draft.time = float(event["time"])
    if not _EVENT_STACK.match(event["what"]):
        draft.title = event["what"].strip()


def _stamped(line: str) -> tuple[str, float | None]:
    body = _SYSLOG.sub("", line, count=1)
    stamp = _STAMP.match(body)
    if stamp is None:
        return body, None
    return body[stamp.end() :], float(stamp[1])


def _frame(body: str, time: float | None, span: Span) -> StackFrame | None:
    found = _FRAME.match(body)
    if found is not None:
        return StackFrame(
            function=_SUFFIX.sub("", found["name"]),
            span=span,
            certain=found["doubt"] is None,
            module=found["module"],
            time=time,
        )
    found = _FTRACE.match(body) or _BPFTRACE.match(body) or _PERF.match(body)
    if found is None:
        return None
    return StackFrame(function=_SUFFIX.sub("", found["name"]), span=span, time=time)


def _apart(frames: list[StackFrame], time: float | None) -> bool:
    before = frames[-1].time if frames else None
    return time is not None and before is not None and not 0 <= time - before <= _GAP_S


def _prose(body: str, draft: _Draft) -> None:
    comment = _DEVICE_COMMENT.match(body)
    if comment:
        draft.device = comment["name"]
    elif body.strip():
        draft.title = body.strip().lstrip("#").strip()


def _named(title: str) -> str | None:
    for found in _DEVICE_WORD.finditer(title):
        name = found["name"].rstrip(".,:")
        # `on` is an English word too, so what follows it has to look like a device.
        if found["how"].lower() != "on" or re.search(r"[\d-]", name):
            return name
    return None
