"""Recorded captures and tracker events beside the predicted ones: a mark where they differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from bothways.facts.expected import Comparison, Row, SideBySide, TrackerComparison
from bothways.facts.packet import Packet, flags_text
from bothways.report.conntrack_words import event_words
from bothways.report.paper import Sheet
from bothways.report.predicted_frames import ANY
from bothways.report.words import counted, milliseconds

__all__ = ["render_side_by_side"]

_COLUMN: Final = 10
_MARKS: Final = {(True, True): " ", (True, False): "<", (False, True): ">"}


def render_side_by_side(compared: SideBySide, *, title: str, width: int, colour: bool) -> str:
    """
    Return all taps, ending with a newline.

    A capture of all devices repeats what others show: it is listed only where it differs.
    """
    sheet = Sheet(width, colour)
    sheet.heading(f"Recorded beside predicted: {title}")
    if compared.why_not:
        sheet.paragraph(f"Nothing to compare: {compared.why_not}.")
        return sheet.text()
    same = sum(row.agrees for tap in compared.taps for row in tap.rows)
    total = sum(len(tap.rows) for tap in compared.taps)
    agreeing = sum(tap.agrees for tap in compared.taps)
    sheet.paragraph(
        f"{same} of {counted(total, 'packet')} are both recorded and predicted; "
        f"{agreeing} of {counted(len(compared.taps), 'tap')} show exactly what was predicted. Times are "
        "milliseconds since the first packet at the tap; the walk knows order and timers only."
    )
    if agreeing < len(compared.taps):
        sheet.paragraph(
            "< was only recorded, > only predicted. ARP is not compared, and the walk asks it anew: a switch "
            "may then know a station that it had forgotten, or the other way round."
        )
    for each in compared.taps:
        _tap(sheet, each)
    for tracker in compared.trackers:
        _tracker(sheet, tracker)
    return sheet.text()


def _tap(sheet: Sheet, tap: Comparison) -> None:
    head = str(tap.tap)
    if not tap.rows:
        sheet.space()
        sheet.line((head, "cyan"), ("  nothing recorded, nothing predicted", ""), indent=2)
        return
    if tap.agrees and tap.tap.device == ANY:
        sheet.space()
        sheet.line((head, "cyan"), (f"  {counted(len(tap.rows), 'packet')}, all as predicted", ""), indent=2)
        return
    sheet.space()
    sheet.line((head, "cyan"), indent=2)
    sheet.line((f"{'recorded':>{_COLUMN}} | {'predicted':>{_COLUMN}} |", "dim"), indent=2)
    starts = _starts(tap.rows)
    for row in tap.rows:
        _row(sheet, row, starts)
    if tap.unwatched:
        words = f"and {counted(tap.unwatched, 'packet')} predicted for after the capture's end"
        sheet.line((words, "dim"), indent=4)
    if tap.later:
        sheet.line((f"and {counted(tap.later, 'packet')} recorded after the walk's end", "dim"), indent=4)


def _tracker(sheet: Sheet, tracker: TrackerComparison) -> None:
    where = tracker.host if tracker.netns == "root" else f"{tracker.host}/{tracker.netns}"
    sheet.space()
    sheet.line((f"{where}: conntrack -E", "cyan"), indent=2)
    for row in tracker.rows:
        shown = row.recorded or row.predicted
        if shown is not None:
            mark = _MARKS[row.recorded is not None, row.predicted is not None]
            look = "" if row.agrees else "bold red"
            # seconds left are the recorder's: the walk has no durations
            words = event_words(shown.kind, replace(shown.entry, timeout=None))
            sheet.line((f"{mark} ", look), (words, look), indent=0)
    if tracker.later:
        sheet.line((f"and {counted(tracker.later, 'line')} recorded after the walk's end", "dim"), indent=4)


def _starts(rows: Iterable[Row]) -> tuple[int, int]:
    """First times of both columns."""
    one = [row.recorded.time_ns for row in rows if row.recorded is not None]
    two = [row.predicted.at_ns for row in rows if row.predicted is not None]
    return min(one, default=0), min(two, default=0)


def _row(sheet: Sheet, row: Row, starts: tuple[int, int]) -> None:
    one = "-" if row.recorded is None else milliseconds(row.recorded.time_ns - starts[0])
    two = "-" if row.predicted is None else milliseconds(row.predicted.at_ns - starts[1])
    shown = row.recorded or row.predicted
    if shown is None:
        return
    mark = _MARKS[row.recorded is not None, row.predicted is not None]
    tunnel = "" if shown.tunnel is None else f"VNI {shown.tunnel.vni} "
    look = "" if row.agrees else "bold red"
    words = f"{one:>{_COLUMN}} | {two:>{_COLUMN}} | {tunnel}{_words(shown.packet)}"
    sheet.line((f"{mark} ", look), (words, look), indent=0)


def _words(packet: Packet) -> str:
    """Ends and flags: what was compared."""
    flags = "" if packet.tcp is None else f" [{flags_text(packet.tcp.flags)}]"
    return f"{_end(packet, sending=True)} > {_end(packet, sending=False)}{flags}"


def _end(packet: Packet, *, sending: bool) -> str:
    end = packet.source if sending else packet.destination
    if end is None:
        return "?"
    return str(end.address) if end.port is None else f"{end.address}.{end.port}"
