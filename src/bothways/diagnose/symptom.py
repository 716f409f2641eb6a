"""What the captures say became of a connection, and what the client felt."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.diagnose.evidence import Ages
from bothways.facts.diagnosis import Fate, Symptom
from bothways.facts.packet import NO_FLAGS, Flag
from bothways.facts.trajectory import Connection, Trajectory, Way

__all__ = ["Story", "read_story", "symptoms"]

_WORST = (Fate.RESET, Fate.REFUSED, Fate.TIMEOUT, Fate.STALL, Fate.UNKNOWN, Fate.WORKS)


@dataclass(frozen=True, slots=True)
class Story:
    """
    A connection as it was observed.

    :param reset: the first RST of the connection, whoever sent it; None if there is none.
    :param synack: the first SYN/ACK, *syn* the first SYN, *ack* the first bare ACK of the client.
    """

    connection: Connection
    fate: Fate
    syn: Trajectory | None
    synack: Trajectory | None
    ack: Trajectory | None
    reset: Trajectory | None

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return _WORST.index(self.fate) if self.fate in _WORST else len(_WORST)


def read_story(connection: Connection) -> Story:
    """Read the fate of one connection from what was captured of it."""
    both = connection.trajectories
    syn = _first(both, Way.ORIGINAL, Flag.SYN, without=Flag.ACK)
    synack = _first(both, Way.REPLY, Flag.SYN | Flag.ACK)
    ack = _first(both, Way.ORIGINAL, Flag.ACK, without=Flag.SYN | Flag.RST | Flag.FIN)
    reset = next((t for t in both if t.flags & Flag.RST), None)
    fate = _fate(both, syn, synack, ack, reset)
    return Story(connection, fate, syn, synack, ack, reset)


def symptoms(story: Story, ages: Ages) -> tuple[Symptom, ...]:
    """What the client felt, in words; none where the connection works."""
    at = ages.all(*(story.reset.sightings if story.reset is not None else ()))
    client, server = story.connection.client, story.connection.server
    silent = ages.all(*(t.sightings[0] for t in story.connection.trajectories if t.flags == Flag.SYN))
    texts = {
        Fate.RESET: ("reset", f"{client} was connected to {server} and received a RST", at),
        Fate.REFUSED: ("refused", f"{client} asked {server} for a connection and received a RST", at),
        Fate.TIMEOUT: ("timeout", f"{client} asked {server} for a connection and received no answer", silent),
        Fate.STALL: ("stall", f"{client} and {server} shook hands, then data did not pass", ()),
    }
    if story.fate not in texts:
        return ()
    code, text, evidence = texts[story.fate]
    return (Symptom(code, text, evidence),)


def _fate(
    both: tuple[Trajectory, ...],
    syn: Trajectory | None,
    synack: Trajectory | None,
    ack: Trajectory | None,
    reset: Trajectory | None,
) -> Fate:
    data = {t.way for t in both if _carries_data(t)}
    if reset is not None and not _closes(reset, both):
        return Fate.RESET if synack is not None or ack is not None or data else Fate.REFUSED
    if data == {Way.ORIGINAL, Way.REPLY} or (data and ack is not None and synack is not None):
        return Fate.WORKS
    finished = {t.way for t in both if t.flags & Flag.FIN}
    if synack is not None and ack is not None and finished:
        return Fate.WORKS
    if syn is not None and synack is None:
        return Fate.TIMEOUT
    if synack is not None and ack is None:
        return Fate.TIMEOUT
    return Fate.STALL if _repeated(both) else Fate.UNKNOWN


def _closes(reset: Trajectory, both: tuple[Trajectory, ...]) -> bool:
    """True for a RST that only ends a conversation that a FIN had closed already."""
    index = both.index(reset)
    return any(t.flags & Flag.FIN for t in both[:index])


def _repeated(both: tuple[Trajectory, ...]) -> bool:
    return any(t.retransmission_of is not None for t in both)


def _carries_data(trajectory: Trajectory) -> bool:
    lengths = [s.packet.tcp.length for s in trajectory.sightings if s.packet.tcp is not None]
    return any(lengths) or bool(trajectory.flags & Flag.PSH)


def _first(
    both: tuple[Trajectory, ...], way: Way, flags: Flag, without: Flag = NO_FLAGS
) -> Trajectory | None:
    return next(
        (t for t in both if t.way is way and t.flags & flags == flags and not t.flags & without), None
    )
