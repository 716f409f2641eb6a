"""What is in a bundle, for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final

from bothways.bundle import Bundle
from bothways.capture.tcpdump_words import clock_words
from bothways.report.inventory import CaptureRow, HostRow, NetnsRow, hosts_of, stack_rows, taps_of, trace_rows
from bothways.report.paper import Sheet
from bothways.report.words import counted, problem_line, question_words

__all__ = ["SECTIONS", "render_show_text"]

_SECOND: Final = 1_000_000_000


def render_show_text(bundle: Bundle, sections: Collection[str], *, width: int, colour: bool) -> str:
    """
    Return the sections that were asked for, ending with a newline.

    :param sections: some of ``SECTIONS``; none = all but the list of files.
    """
    sheet = Sheet(width, colour)
    if not sections:
        _head(sheet, bundle)
    for name, write in SECTIONS.items():
        if name in sections or (not sections and name != "files"):
            write(sheet, bundle)
    return sheet.text()


def _head(sheet: Sheet, bundle: Bundle) -> None:
    sheet.paragraph(bundle.title, indent=0, style="bold")
    asked = "nothing is asked" if bundle.question is None else f"asks about {question_words(bundle.question)}"
    sheet.line((asked, ""))
    spaces = sum(len(host.netns) for host in bundle.snapshot.hosts.values())
    counts = (
        counted(len(bundle.snapshot.hosts), "host"),
        counted(spaces, "namespace"),
        counted(len(bundle.captures), "capture"),
        *([counted(len(bundle.traces), "kernel trace")] if bundle.traces else ()),
        counted(len(bundle.files), "file"),
        counted(len(bundle.problems), "problem"),
    )
    sheet.paragraph(", ".join(counts), indent=0)


def _hosts(sheet: Sheet, bundle: Bundle) -> None:
    for host in hosts_of(bundle):
        sheet.heading(host.name)
        sheet.paragraph("kernel not collected" if host.kernel is None else host.kernel)
        for netns in host.netns:
            _netns(sheet, netns)
        _bridges(sheet, host)
    for segment in bundle.snapshot.segments:
        if segment is bundle.snapshot.segments[0]:
            sheet.heading("wires named by hand")
        sheet.item(((f"{segment.name}: ", "cyan"),), ", ".join(str(member) for member in segment.members))


def _netns(sheet: Sheet, netns: NetnsRow) -> None:
    sheet.line((f"namespace {netns.name}", "cyan"), indent=2)
    if netns.devices is not None:
        told = (f"{name} {' '.join(addresses)}".rstrip() for name, addresses in netns.devices)
        sheet.item((("devices: ", ""),), ", ".join(told) or "none", indent=4)
    dumps = [f"{dump.command} {dump.rows}" + (" (a part)" if dump.partial else "") for dump in netns.dumps]
    sheet.item((("rows: ", ""),), ", ".join(dumps) or "no dump was collected", indent=4)
    for dump in netns.dumps:
        if dump.partial:
            sheet.item(((f"filtered view: {dump.command}: ", "yellow"),), dump.partial, indent=4, hang=2)
    for does in netns.bypasses:
        sheet.item((("goes round the model: ", "yellow"),), does, indent=4, hang=2)
    read = [dump.read_at for dump in netns.dumps if dump.read_at is not None]
    if read:
        first, last = (clock_words(int(moment * _SECOND))[:8] for moment in (min(read), max(read)))
        sheet.line((f"read {first} to {last} UTC", ""), indent=4)


def _bridges(sheet: Sheet, host: HostRow) -> None:
    for bridge in host.bridges:
        flows = "flows not collected"
        if bridge.flows is not None:
            flows = counted(bridge.flows.rows, "flow")
            flows += f" (filtered view: {bridge.flows.partial})" if bridge.flows.partial else ""
        macs = "learned MACs not collected" if bridge.macs is None else counted(bridge.macs, "learned MAC")
        kind = f" ({bridge.datapath})" if bridge.datapath else ""
        ports = counted(bridge.ports, "port") if bridge.ports else "ports not collected"
        words = f"{ports}, {flows}, {macs}"
        words += f", {counted(bridge.groups, 'group')}" if bridge.groups else ""
        words += f", {counted(bridge.tunnel_options, 'tunnel option')}" if bridge.tunnel_options else ""
        sheet.item(((f"bridge {bridge.name}{kind}: ", "cyan"),), words, hang=2)


def _captures(sheet: Sheet, bundle: Bundle) -> None:
    sheet.heading("captures")
    rows = tuple(taps_of(bundle))
    if not rows:
        sheet.paragraph("none")
    for row in rows:
        sheet.line((str(row.tap), "cyan"), indent=2)
        sheet.paragraph(_capture(row), indent=4)


def _capture(row: CaptureRow) -> str:
    parts = [counted(row.packets, "packet") + (", as text" if row.textual else "")]
    if row.first is not None and row.last is not None:
        zone = "" if row.clock_only else " UTC"
        parts.append(f"{clock_words(row.first)} to {clock_words(row.last)}{zone}")
    lost = "losses not known" if row.dropped is None else f"{row.dropped} lost"
    parts.append(lost)
    view = {None: "filter not known", "": "no filter"}.get(row.filter, f"filter: {row.filter}")
    return ", ".join([*parts, view])


def _stacks(sheet: Sheet, bundle: Bundle) -> None:
    rows = tuple(stack_rows(bundle))
    if not rows:
        return
    sheet.heading("call stacks")
    for stack, file in rows:
        inner = stack.functions[0] if stack.functions else "no function"
        title = f", {stack.title}" if stack.title else ""
        sheet.item(((f"{file}: ", "cyan"),), f"{inner} and {len(stack.functions) - 1} above{title}", hang=2)


def _traces(sheet: Sheet, bundle: Bundle) -> None:
    rows = tuple(trace_rows(bundle))
    if not rows:
        return
    sheet.heading("kernel traces")
    for row in rows:
        parts = [counted(row.events, "event")]
        parts += [
            counted(amount, *names)
            for amount, names in (
                (row.resets, ("RST sent", "RSTs sent")),
                (row.errors, ("ICMP error sent", "ICMP errors sent")),
                (row.drops, ("drop",)),
            )
            if amount
        ]
        if row.first is not None and row.last is not None:
            parts.append(f"{clock_words(row.first)} to {clock_words(row.last)} UTC")
        parts.append("losses not known" if row.lost is None else f"{row.lost} lost")
        parts.append("tier not known" if row.tier is None else f"tier {row.tier}")
        sheet.item(((f"{row.file}: ", "cyan"),), ", ".join(parts), hang=2)


def _missing(sheet: Sheet, bundle: Bundle) -> None:
    sheet.heading("not collected")
    for host in hosts_of(bundle):
        for netns in host.netns:
            label = host.name if netns.name == "root" else f"{host.name}/{netns.name}"
            sheet.item(((f"{label}: ", "cyan"),), ", ".join(netns.missing) or "nothing is missing", hang=2)
        if not host.bridges:
            sheet.item(((f"{host.name}: ", "cyan"),), "nothing of Open vSwitch", hang=2)


def _problems(sheet: Sheet, bundle: Bundle) -> None:
    sheet.heading("problems")
    for problem in bundle.problems:
        sheet.paragraph(problem_line(problem), hang=2)
    if not bundle.problems:
        sheet.paragraph("none: every line was understood, or says nothing about connections")
    if bundle.unread:
        sheet.heading("files that are not read")
        for file in bundle.unread:
            sheet.line((file, ""), indent=2)


def _files(sheet: Sheet, bundle: Bundle) -> None:
    sheet.heading("files")
    for file in bundle.files:
        sheet.line((file, "" if file not in bundle.unread else "yellow"), indent=2)


#: Name of a section -> what writes it, in the order of the report.
SECTIONS: Final[Mapping[str, Callable[[Sheet, Bundle], None]]] = MappingProxyType(
    {
        "hosts": _hosts,
        "captures": _captures,
        "stacks": _stacks,
        "traces": _traces,
        "missing": _missing,
        "problems": _problems,
        "files": _files,
    }
)
