"""
What tcpdump would print of a walk, tap by tap.

The words are those that every report quotes frames in, read back from composed frames. Time counts from the
first packet: the walk knows order and timers, a crossing takes a microsecond.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from bothways.capture.layers import Layers
from bothways.capture.link_layer import decode_ethernet
from bothways.capture.tcpdump_words import frame_words
from bothways.capture.tunnel import open_tunnel
from bothways.facts.expected import ExpectedCapture
from bothways.facts.prediction import Crossing, Prediction, Walk
from bothways.facts.sighting import Tap
from bothways.facts.snapshot import Snapshot
from bothways.report.predicted_frames import ANY, predicted_frame
from bothways.report.prediction_json import recorded
from bothways.report.words import counted, plain, question_words

__all__ = ["outcome_line", "render_prediction_tcpdump"]

_ARP: Final = "# ARP is asked anew in the walk; a station that knows its neighbour does not ask\n"


def outcome_line(prediction: Prediction, number: int) -> str:
    """Say which outcome is shown, and with which choices: one comment line for each."""
    walk = prediction.walks[number - 1]
    seen = ", the choices that a dump or capture recorded" if recorded(walk) else ""
    head = f"outcome {number} of {len(prediction.walks)}: {walk.fate}{seen}"
    lines = [
        question_words(prediction.question),
        head,
        *(f"if {choice.taken}" for choice in walk.choices),
        *(f"not known: {each}" for each in walk.unknown),
    ]
    return "".join(f"# {plain(line)}\n" for line in lines)


def render_prediction_tcpdump(
    prediction: Prediction, number: int, captures: Iterable[ExpectedCapture], snapshot: Snapshot
) -> str:
    """
    Return every tap's lines, ending with a newline.

    :param number: the outcome, from 1.
    """
    walk = prediction.walks[number - 1]
    parts = [outcome_line(prediction, number), _ARP]
    for capture in captures:
        parts.append(f"\n# {plain(_command(capture))}\n")
        parts.extend(f"{plain(line)}\n" for line in _lines(capture, walk, snapshot))
    return "".join(parts)


def _command(capture: ExpectedCapture) -> str:
    tap: Tap = capture.tap
    inside = "" if tap.netns == "root" else f"ip netns exec {tap.netns} "
    view = f" {capture.filter}" if capture.filter else ""
    return f"{tap.host}: {inside}tcpdump -nnS -i {tap.device}{view}"


def _lines(capture: ExpectedCapture, walk: Walk, snapshot: Snapshot) -> Iterator[str]:
    hidden = 0
    for crossing in capture.crossings:
        line = _line(crossing, snapshot, cooked=capture.tap.device == ANY)
        hidden += line is None
        if line is not None:
            yield line
    if not capture.crossings:
        yield "# nothing"
    if hidden:
        yield f"# and {counted(hidden, 'packet')} in a tunnel whose headers the dumps do not tell"
    if not walk.crossings:
        yield f"# {walk.why}"


def _line(crossing: Crossing, snapshot: Snapshot, *, cooked: bool) -> str | None:
    frame = predicted_frame(crossing, snapshot)
    layers = None if frame is None else decode_ethernet(frame.data, len(frame.data))
    if frame is None or not isinstance(layers, Layers):
        return None
    word = frame.word if cooked else ""
    return frame_words(open_tunnel(layers), crossing.at_ns, device=crossing.tap.device, way=word)
