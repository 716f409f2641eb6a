"""
What ``conntrack -E`` would print of a walk, namespace by namespace.

Namespaces that track nothing of it are left out, and the datapaths of Open vSwitch, whose entries
``dpctl/dump-conntrack`` shows and no event tells.
"""

from __future__ import annotations

from bothways.facts.prediction import Prediction
from bothways.report.conntrack_words import event_words
from bothways.report.prediction_tcpdump import outcome_line
from bothways.report.words import plain

__all__ = ["render_prediction_conntrack"]


def render_prediction_conntrack(prediction: Prediction, number: int) -> str:
    """
    Return every namespace's lines, ending with a newline.

    :param number: the outcome, from 1.
    """
    walk = prediction.walks[number - 1]
    told: dict[tuple[str, str], list[str]] = {}
    for each in walk.tracker_events:
        told.setdefault((each.host, each.netns), []).append(event_words(each.kind, each.entry))
    parts = [outcome_line(prediction, number)]
    for (host, netns), lines in told.items():
        inside = "" if netns == "root" else f"ip netns exec {netns} "
        parts.append(f"\n# {plain(f'{host}: {inside}conntrack -E')}\n")
        parts.extend(f"{plain(line)}\n" for line in lines)
    if not told:
        parts.append("\n# no namespace on the way tracks the connection\n")
    return "".join(parts)
