"""Choose the connection that a diagnosis is about."""

from __future__ import annotations

from typing import Final

from bothways.correlate import find
from bothways.diagnose.symptom import Story, read_story
from bothways.facts.packet import ICMP, ICMP6, TCP, UDP
from bothways.facts.question import Question
from bothways.facts.trajectory import Connection

__all__ = ["pick", "question_of"]

_NAMES: Final = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMP6: "icmp"}


def pick(
    connections: tuple[Connection, ...], question: Question | None
) -> tuple[Story | None, tuple[Story, ...]]:
    """
    The story that is asked for, and all the others, worst first.

    Without a question the worst broken connection is taken, the earliest of equals.
    """
    stories = [read_story(connection) for connection in connections if connection.protocol == TCP]
    ranked = sorted(stories, key=lambda story: story.rank)
    if question is None:
        return (ranked[0], tuple(ranked[1:])) if ranked else (None, ())
    if question.protocol != "tcp":
        return None, tuple(ranked)
    asked = [s for s in ranked if _asked(s.connection, question)]
    chosen = asked[0] if asked else None
    if chosen is None:
        wanted = find(connections, question)
        chosen = next((s for s in ranked if s.connection is wanted), None)
    return chosen, tuple(s for s in ranked if s is not chosen)


def question_of(story: Story) -> Question:
    """The question that a story answers: its connection, as the client named it."""
    client, server = story.connection.client, story.connection.server
    return Question(
        _NAMES[story.connection.protocol], client.address, server.address, server.port, client.port
    )


def _asked(connection: Connection, question: Question) -> bool:
    client = {connection.client, *connection.client_names}
    server = {connection.server, *connection.server_names}
    return any(
        e.address == question.source and question.source_port in (None, e.port) for e in client
    ) and any(
        e.address == question.destination and question.destination_port in (None, e.port) for e in server
    )
