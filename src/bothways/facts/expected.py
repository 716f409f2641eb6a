"""What a walk promises that captures would hold, and how it compares with what they do hold."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.conntrack import ConntrackEvent
from bothways.facts.prediction import Crossing, TrackerEvent, Walk
from bothways.facts.question import Question
from bothways.facts.sighting import Sighting, Tap

__all__ = ["Comparison", "ExpectedCapture", "Row", "SideBySide", "TrackerComparison", "TrackerRow"]


@dataclass(frozen=True, slots=True)
class ExpectedCapture:
    """
    What a capture at one tap would hold of a walk.

    :param filter: the pcap-filter that the tap ran with, None if unknown; what it refuses is left out.
    """

    tap: Tap
    crossings: tuple[Crossing, ...]
    filter: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One packet at a tap: recorded, predicted, or both."""

    recorded: Sighting | None
    predicted: Crossing | None

    @property
    def agrees(self) -> bool:
        """True if it was both."""
        return self.recorded is not None and self.predicted is not None


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    One tap.

    :param later: packets recorded after the end of the walk; *unwatched* packets that are predicted for after
        the end of the capture. Neither is a row.
    """

    tap: Tap
    rows: tuple[Row, ...]
    later: int = 0
    unwatched: int = 0

    @property
    def agrees(self) -> bool:
        """True if every packet was both recorded and predicted, in the same order."""
        return all(row.agrees for row in self.rows)


@dataclass(frozen=True, slots=True)
class TrackerRow:
    """One line of ``conntrack -E``: recorded, predicted, or both."""

    recorded: ConntrackEvent | None
    predicted: TrackerEvent | None

    @property
    def agrees(self) -> bool:
        """True if it was both."""
        return self.recorded is not None and self.predicted is not None


@dataclass(frozen=True, slots=True)
class TrackerComparison:
    """
    What the tracker of one namespace told of the connection.

    :param later: lines recorded after what was compared; they are no rows.
    """

    host: str
    netns: str
    rows: tuple[TrackerRow, ...]
    later: int = 0

    @property
    def agrees(self) -> bool:
        """True if every line was both recorded and predicted, in the same order."""
        return all(row.agrees for row in self.rows)


@dataclass(frozen=True, slots=True)
class SideBySide:
    """
    The recorded evidence of a connection beside what one walk promises.

    :param walk: the outcome that was compared.
    :param why_not: why nothing can be compared, "" if it was.
    :param trackers: the namespaces whose ``conntrack -E`` was recorded.
    """

    question: Question | None
    walk: Walk | None
    taps: tuple[Comparison, ...]
    why_not: str = ""
    trackers: tuple[TrackerComparison, ...] = ()
