"""What the captures say became of a connection, and what the client felt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bothways.diagnose.evidence import Ages
from bothways.facts.diagnosis import Fate, Symptom
from bothways.facts.packet import NO_FLAGS, Flag, Tcp
from bothways.facts.trajectory import Connection, Trajectory, Way

__all__ = ["Story", "read_story", "symptoms"]

_WORST = (Fate.RESET, Fate.REFUSED, Fate.TIMEOUT, Fate.STALL, Fate.UNKNOWN, Fate.WORKS)
_HALF: Final = 1 << 31
_WORD: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Story:
    """
    A connection as it was observed.

    :param reset: the first RST that was sent to the client, None if there is none.
    :param withdrawn: the first RST that the client sent, None if there is none.
    :param synack: the first SYN/ACK, *syn* the first SYN, *ack* the first bare ACK of the client.
    """

    connection: Connection
    fate: Fate
    syn: Trajectory | None
    synack: Trajectory | None
    ack: Trajectory | None
    reset: Trajectory | None
    withdrawn: Trajectory | None = None

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return _WORST.index(self.fate) if self.fate in _WORST else len(_WORST)

    @property
    def rst(self) -> Trajectory | None:
        """The RST that tells of the end: the one that the client received, else the client's own."""
        return self.reset or self.withdrawn

    @property
    def forgotten(self) -> bool:
        """
        True if the client's own RST only says that its stack did not know the connection any more.

        A process that aborts sends its RST with an ACK (``tcp_send_active_reset``). One without answers a
        segment that no socket wants (RFC 9293, 3.10.7.1): what ended the connection before was not captured.
        """
        return self.reset is None and self.withdrawn is not None and not self.withdrawn.flags & Flag.ACK

    @property
    def made(self) -> Trajectory | None:
        """The RST whose author is asked for; None if the one that ended the connection was not captured."""
        return None if self.forgotten else self.rst


def read_story(connection: Connection) -> Story:
    """Read the fate of one connection from what was captured of it."""
    both = connection.trajectories
    syn = _first(both, Way.ORIGINAL, Flag.SYN, without=Flag.ACK)
    synack = _first(both, Way.REPLY, Flag.SYN | Flag.ACK)
    ack = _first(both, Way.ORIGINAL, Flag.ACK, without=Flag.SYN | Flag.RST | Flag.FIN)
    reset = _first(both, Way.REPLY, Flag.RST)
    withdrawn = _first(both, Way.ORIGINAL, Flag.RST)
    story = Story(connection, Fate.UNKNOWN, syn, synack, ack, reset, withdrawn)
    return Story(connection, _fate(story), syn, synack, ack, reset, withdrawn)


def symptoms(story: Story, ages: Ages) -> tuple[Symptom, ...]:
    """What the client felt, in words; none where the connection works."""
    client, server = story.connection.client, story.connection.server
    rst = ages.all(*(story.rst.sightings if story.rst is not None else ()))
    silent = ages.all(*(t.sightings[0] for t in story.connection.trajectories if t.flags == Flag.SYN))
    repeated = ages.all(*(t.sightings[0] for t in story.connection.trajectories if _repeats(t)))
    if story.fate is Fate.RESET and story.reset is None:
        text = f"{client} was connected to {server} and reset the connection itself"
        if story.forgotten:
            text = (
                f"{client} was connected to {server} and then did not know the connection any more: "
                "what ended it was not captured"
            )
        return (Symptom("reset", text, rst),)
    texts = {
        Fate.RESET: ("reset", f"{client} was connected to {server} and received a RST", rst),
        Fate.REFUSED: ("refused", f"{client} asked {server} for a connection and received a RST", rst),
        Fate.TIMEOUT: ("timeout", f"{client} asked {server} for a connection and {_lack(story)}", silent),
        Fate.STALL: ("stall", f"{client} and {server} shook hands, then data did not pass", repeated),
    }
    if story.fate not in texts:
        return ()
    code, text, evidence = texts[story.fate]
    return (Symptom(code, text, evidence),)


def _lack(story: Story) -> str:
    if story.synack is None:
        return "received no answer"
    return "a SYN/ACK was sent, but the client never acknowledged one"


def _fate(story: Story) -> Fate:
    both = story.connection.trajectories
    opened = story.synack is not None or story.ack is not None
    data = {t.way for t in both if _carries_data(t)}
    if story.reset is not None and not _closes(story.reset, both):
        return Fate.RESET if opened or data else Fate.REFUSED
    stuck = [way for way in data if _stuck(way, both)]
    if stuck:
        return Fate.STALL
    if data == {Way.ORIGINAL, Way.REPLY} or any(_taken(way, both) for way in data):
        return Fate.WORKS
    if opened and any(t.flags & Flag.FIN and _acknowledged(t, both) for t in both):
        return Fate.WORKS
    if story.ack is None and not data and _unanswered(story):
        return Fate.TIMEOUT
    if story.withdrawn is not None and opened and not _closes(story.withdrawn, both):
        return Fate.RESET
    return Fate.STALL if any(_repeats(t) for t in both) else Fate.UNKNOWN


def _unanswered(story: Story) -> bool:
    """
    True if the handshake was tried again: the SYN, or the SYN/ACK without an objection of the client.

    A single SYN or SYN/ACK without more says nothing: what followed may have passed another tap.
    """
    again = [t for t in story.connection.trajectories if t.flags & Flag.SYN and _repeats(t)]
    return any(t.way is Way.ORIGINAL or story.withdrawn is None for t in again)


def _closes(reset: Trajectory, both: tuple[Trajectory, ...]) -> bool:
    """True for a RST that only ends a conversation that a FIN had closed already."""
    index = both.index(reset)
    return any(t.flags & Flag.FIN for t in both[:index])


def _repeats(trajectory: Trajectory) -> bool:
    return trajectory.retransmission_of is not None


def _stuck(way: Way, both: tuple[Trajectory, ...]) -> bool:
    """True if the last data of one side was sent again and the other side never took it."""
    last = [t for t in both if t.way is way and _carries_data(t)]
    return bool(last) and _repeats(last[-1]) and not _acknowledged(last[-1], both)


def _taken(way: Way, both: tuple[Trajectory, ...]) -> bool:
    """True if the other side acknowledged the last data of one side."""
    last = [t for t in both if t.way is way and _carries_data(t)]
    return bool(last) and _acknowledged(last[-1], both)


def _acknowledged(sent: Trajectory, both: tuple[Trajectory, ...]) -> bool:
    """
    True if the other side sent an ACK for data or a FIN afterwards.

    Where the captures show no numbers, any later ACK of the other side counts that is no SYN/ACK.
    """
    end = _end(sent)
    later = both[both.index(sent) + 1 :]
    answers = [t for t in later if t.way is not sent.way and t.flags & Flag.ACK and not t.flags & Flag.SYN]
    if end is None:
        return bool(answers)
    return any((ack - end) % _WORD < _HALF for ack in _numbers(answers))


def _end(sent: Trajectory) -> int | None:
    """The sequence number right behind a segment: its data, and one for a FIN."""
    for tcp in _tcp(sent):
        if tcp.seq is not None and tcp.length is not None:
            return (tcp.seq + tcp.length + bool(tcp.flags & Flag.FIN)) % _WORD
    return None


def _numbers(answers: Iterable[Trajectory]) -> list[int]:
    return [tcp.ack for t in answers for tcp in _tcp(t)[:1] if tcp.ack is not None and tcp.flags & Flag.ACK]


def _tcp(trajectory: Trajectory) -> list[Tcp]:
    return [s.packet.tcp for s in trajectory.sightings if s.packet.tcp is not None]


def _carries_data(trajectory: Trajectory) -> bool:
    return any(tcp.length for tcp in _tcp(trajectory)) or bool(trajectory.flags & Flag.PSH)


def _first(
    both: tuple[Trajectory, ...], way: Way, flags: Flag, without: Flag = NO_FLAGS
) -> Trajectory | None:
    return next(
        (t for t in both if t.way is way and t.flags & flags == flags and not t.flags & without), None
    )
