"""What ``conntrack -E`` would print while packets pass; tests/live holds it against the kernel's."""

from __future__ import annotations

import pytest
from conntrack_samples import Told, namespace, tcp

from bothways.facts.address import address
from bothways.facts.conntrack import Entry, Tuple
from bothways.facts.packet import TCP
from bothways.facts.span import Span
from bothways.model.linux.conntrack.events import ConntrackEvents
from bothways.model.linux.conntrack.table import ConntrackTable

CLIENT, SERVER = "198.51.100.1:40000", "203.0.113.9:22"
SEGMENTS = {
    "S>": tcp(CLIENT, SERVER, "S", seq=1),
    "S.<": tcp(SERVER, CLIENT, "S.", seq=9, ack=2),
    ".>": tcp(CLIENT, SERVER, ".", seq=2, ack=10),
    "R<": tcp(SERVER, CLIENT, "R.", seq=0, ack=2),
    "F>": tcp(CLIENT, SERVER, "F.", seq=2, ack=10),
}
NEW, OPEN = "NEW SYN_SENT UNREPLIED", "UPDATE ESTABLISHED ASSURED"


def told(segments: str, *rows: Entry, dropped: tuple[int, ...] = ()) -> list[str]:
    """
    Let segments pass a table, and return what it tells.

    :param dropped: numbers of those that a rule drops, before they leave the hooks.
    """
    table = ConntrackTable(namespace({}, rows or None), oracle=Told(), kernel=None)
    lines: list[str] = []

    def tell(kind: str, entry: Entry, _: int) -> None:
        lines.append(" ".join((kind, entry.state or "", *sorted(entry.status))))

    table.events = ConntrackEvents(table.connections(), tell)
    for number, word in enumerate(segments.split()):
        tracking = table.track(SEGMENTS[word], number)
        table.events.tracked(tracking)
        if number not in dropped:
            assert table.confirm(tracking, number) is None
            table.events.confirmed(tracking.connection, number)
    return lines


@pytest.mark.parametrize(
    ("segments", "lines"),
    [
        ("S>", [NEW]),
        ("S> S>", [NEW]),  # a repeated SYN changes nothing
        ("S> S.< .>", [NEW, "UPDATE SYN_RECV", OPEN]),
        ("S> S.< .> F>", [NEW, "UPDATE SYN_RECV", OPEN, "UPDATE FIN_WAIT ASSURED"]),
        ("S> R<", [NEW, "DESTROY CLOSE UNREPLIED"]),  # gone before the answer counts as one
        ("S> .>", [NEW]),  # INVALID
        # the first SYN/ACK got lost: the kernel takes the next one as if it were the first, and says so again
        ("S> S.< S> S.< .>", [NEW, "UPDATE SYN_RECV", "UPDATE SYN_RECV", OPEN]),
    ],
)
def test_a_line_is_told_for_what_changed(segments: str, lines: list[str]) -> None:
    assert told(segments) == lines


def test_what_a_rule_drops_is_told_with_the_next_packet() -> None:
    assert told("S> S.< S.<", dropped=(1,)) == [NEW, "UPDATE SYN_RECV"]
    assert told("S>", dropped=(0,)) == []


def test_a_connection_that_was_there_before_is_told_when_it_changes() -> None:
    one, two = address("198.51.100.1"), address("203.0.113.9")
    row = Entry(
        Tuple(TCP, one, two, 40000, 22),
        Tuple(TCP, two, one, 22, 40000),
        Span("conntrack.txt", 1),
        "ESTABLISHED",
        100,
        frozenset({"ASSURED"}),
    )
    assert told(".> F>", row) == ["UPDATE FIN_WAIT ASSURED"]
