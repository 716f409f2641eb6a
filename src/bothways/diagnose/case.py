"""Everything that is known of one connection before causes are asked."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.bundle import Bundle
from bothways.correlate import Correlation
from bothways.diagnose.author import Origin
from bothways.diagnose.evidence import Ages
from bothways.diagnose.hop import Hop
from bothways.diagnose.owners import Owners
from bothways.diagnose.symptom import Story
from bothways.diagnose.testimony import Testimony
from bothways.facts.diagnosis import Fate
from bothways.facts.prediction import Prediction, Walk
from bothways.facts.question import Question
from bothways.model.linux.bypass import CELL
from bothways.model.world import Observed

__all__ = ["Case"]


@dataclass(frozen=True, slots=True)
class Case:
    """
    One connection: what was observed of it, and what the model predicts.

    :param story: None if no capture shows the connection.
    :param origin: who sent its first RST, None if none was seen or nobody can be named.
    :param hop: the namespace of *origin*, replayed with what it was observed to receive.
    :param testimony: what kernels told of it, None if they told nothing.
    """

    bundle: Bundle
    question: Question
    correlation: Correlation
    observed: Observed
    prediction: Prediction
    ages: Ages
    owners: Owners
    story: Story | None = None
    origin: Origin | None = None
    hop: Hop | None = None
    testimony: Testimony | None = None

    @property
    def fate(self) -> Fate:
        """What was observed; without captures what the recorded walk ends in."""
        if self.story is not None and self.story.fate is not Fate.UNKNOWN:
            return self.story.fate
        return self.walk.fate

    @property
    def walk(self) -> Walk:
        """The predicted outcome that happened: recorded choices first, else one with the observed fate."""
        walks = self.prediction.walks
        first = walks[0]
        if self.story is None or first.fate is self.story.fate:
            return first
        undecided = {c.key for c in first.choices if c.recorded is None}
        same = [w for w in walks if w.fate is self.story.fate and _agrees(w, undecided)]
        return same[0] if same else first

    @property
    def bypassed(self) -> tuple[str, ...]:
        """What goes round the model where the connection passes: no verdict may rest on that part."""
        visits = () if self.hop is None else self.hop.visits
        inside = (s.reason for visit in visits for s in visit.steps if s.cell.startswith(CELL))
        return tuple(dict.fromkeys((*self.walk.bypassed, *inside)))

    @property
    def undecided(self) -> bool:
        """True if the connection lives or dies by a choice that neither captures nor dumps recorded."""
        if self.story is not None and self.story.fate is not Fate.UNKNOWN:
            return False
        possible = [w for w in self.prediction.walks if all(c.recorded in (None, c.taken) for c in w.choices)]
        return len({walk.fate for walk in possible}) > 1

    @property
    def kernel(self) -> str | None:
        """The kernel of the host of *origin*."""
        host = None if self.origin is None else self.bundle.snapshot.hosts.get(self.origin.host or "")
        return None if host is None else host.kernel


def _agrees(walk: Walk, undecided: set[str]) -> bool:
    """True if a walk departs from what was recorded only where nothing was."""
    return all(c.recorded in (None, c.taken) or c.key in undecided for c in walk.choices)
