"""The answer. Its JSON form is the contract ``bothways/diagnosis/1``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bothways.facts.path import Path
from bothways.facts.question import Question
from bothways.facts.sighting import Sighting, Tap
from bothways.facts.span import Problem, Span

__all__ = [
    "Accounted",
    "Author",
    "Basis",
    "Cause",
    "Change",
    "Clock",
    "Confidence",
    "Culprit",
    "Diagnosis",
    "Evidence",
    "Excerpt",
    "Fate",
    "Finding",
    "Ladder",
    "Link",
    "Next",
    "Outcome",
    "Remedy",
    "RuledOut",
    "Rung",
    "Status",
    "Symptom",
]


class Status(StrEnum):
    """Whether the case is decided."""

    EXPLAINED = "explained"
    HEALTHY = "healthy"
    UNDETERMINED = "undetermined"


class Confidence(StrEnum):
    """
    How sure a cause is.

    ``proved``: every link observed or predicted from collected facts, and the counterfactual was walked.
    ``supported``: links were inferred, or facts are missing that do not change the fate.
    ``suspected``: consistent with the evidence, other causes are not excluded.
    """

    PROVED = "proved"
    SUPPORTED = "supported"
    SUSPECTED = "suspected"


class Fate(StrEnum):
    """What becomes of a connection. A closed set, see ``docs/concepts/fates.md``."""

    WORKS = "works"
    RESET = "reset"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    STALL = "stall"
    ICMP_ERROR = "icmp-error"
    UNKNOWN = "unknown"


class Basis(StrEnum):
    """What a link of the chain rests on."""

    OBSERVED = "observed"
    PREDICTED = "predicted"
    CONFIG = "config"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A quoted line or frame. *age_s*: how long after the packet it was read, None = unknown."""

    span: Span
    age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Excerpt:
    """
    What stands around a quoted line or frame in its file.

    :param before: the nearest lines or frames above it that were understood, in the file's order.
    """

    span: Span
    before: tuple[Span, ...] = ()
    after: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Symptom:
    """What the client felt."""

    code: str
    text: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """A code of ``docs/causes`` with how sure it is."""

    code: str
    name: str
    confidence: Confidence
    summary: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause that exists beside the main one, or that is latent."""

    code: str
    summary: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the causal chain."""

    claim: str
    basis: Basis
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Author:
    """Who sent a RST or an ICMP error, or dropped a packet."""

    what: str
    frame: Evidence | None
    host: str | None
    netns: str | None
    device: str | None
    function: str | None
    basis: str


@dataclass(frozen=True, slots=True)
class Culprit:
    """
    A rule, flow, address … without which the connection lives.

    :param together: True if it lives only without all of those that say so.
    """

    kind: str
    host: str
    where: str
    text: str
    evidence: Evidence | None
    together: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One command of a remedy."""

    host: str
    command: str
    netns: str = "root"


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change that was walked in the model."""

    change: tuple[Change, ...]
    verdict: str
    why: str
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way the network can choose, and what becomes of the connection then."""

    choices: tuple[str, ...]
    fate: Fate
    observed: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Clock:
    """Bounds of one host's clock minus another's, nanoseconds; None = unbounded on that side."""

    host: str
    relative_to: str
    low_ns: int | None
    high_ns: int | None
    assumption: str


@dataclass(frozen=True, slots=True)
class RuledOut:
    """A cause that was looked for and refuted."""

    cause: str
    why: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Accounted:
    """How many observed packets of the connection the explanation covers."""

    packets: int
    unexplained: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Next:
    """A command that would settle what is unknown."""

    host: str
    command: str
    why: str


@dataclass(frozen=True, slots=True)
class Rung:
    """
    One packet on the ladder: the taps that saw it, in order.

    :param sightings: in order of the path; times are on each host's own clock.
    :param corrected_ns: for each sighting, the time on the reference host's clock.
    :param missing: taps where it should have been seen and was not, with why that is known.
    """

    name: str
    sightings: tuple[Sighting, ...]
    corrected_ns: tuple[int, ...]
    missing: tuple[tuple[Tap, str], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Ladder:
    """
    Columns (taps from the client to the server) and rungs (packets in time order).

    :param supposed: what the model supposed when it walked these packets; "" if captures show them.
    """

    taps: tuple[Tap, ...] = ()
    rungs: tuple[Rung, ...] = ()
    reference: str = ""
    supposed: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """
    Everything that bothways says of one connection.

    :param healthy: how the same connection would pass the same taps if it worked; empty if no walk works.
    :param paths: where the first packet of each way went; empty if neither captures nor dumps show it.
    :param excerpts: what stands around the quoted lines and frames.
    """

    status: Status
    question: Question | None
    title: str = ""
    symptoms: tuple[Symptom, ...] = ()
    cause: Cause | None = None
    also: tuple[Finding, ...] = ()
    latent: tuple[Finding, ...] = ()
    chain: tuple[Link, ...] = ()
    authors: tuple[Author, ...] = ()
    culprits: tuple[Culprit, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    clocks: tuple[Clock, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    assumptions: tuple[str, ...] = ()
    accounted: Accounted = Accounted(0)
    unknown: tuple[str, ...] = ()
    next: tuple[Next, ...] = ()
    others: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    ladder: Ladder = field(default_factory=Ladder)
    healthy: Ladder = field(default_factory=Ladder)
    paths: tuple[Path, ...] = ()
    excerpts: tuple[Excerpt, ...] = ()
