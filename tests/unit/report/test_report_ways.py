"""Two ways over one list of places: what both pass, what only one passes, where lines begin and end."""

from __future__ import annotations

import pytest
from report_samples import INCIDENT, PATHS

from bothways.facts.diagnosis import Author, Culprit
from bothways.facts.path import Path, Stop
from bothways.facts.trajectory import Way
from bothways.report.ways import Ways, lay_out


def way(places: str, direction: Way = Way.ORIGINAL) -> Path:
    name = "SYN" if direction is Way.ORIGINAL else "SYN/ACK"
    return Path(name, direction, tuple(Stop(each, "root") for each in places))


def drawn(ways: Ways) -> list[str]:
    """One row as its host and, for each track: o passes, | leads by, blank no line."""
    rows = [(group.host, row) for group in ways.hosts for row in group.rows]
    return [
        host + "".join("o" if t.stops else "|" if t.above and t.below else " " for t in row.tracks)
        for host, row in rows
    ]


@pytest.mark.parametrize(
    ("there", "back", "rows"),
    [
        pytest.param("abc", "cba", ["aoo", "boo", "coo"], id="the same"),
        pytest.param("abc", "ca", ["aoo", "bo|", "coo"], id="one is passed over"),
        pytest.param("abd", "dca", ["aoo", "bo|", "c|o", "doo"], id="they divide"),
        pytest.param("ab", "bc", ["ao ", "c|o", "boo"], id="the answer comes to another"),
        pytest.param("ab", "bac", ["c o", "aoo", "boo"], id="the answer goes on"),
        pytest.param("ab", "dc", ["ao ", "bo ", "c o", "d o"], id="nothing in common"),
    ],
)
def test_rows_go_down_from_the_client(there: str, back: str, rows: list[str]) -> None:
    assert drawn(lay_out((way(there), way(back, Way.REPLY)))) == rows


def test_one_way_alone_divides_from_nothing() -> None:
    for only, direction in ((way("abc"), "there"), (way("cba", Way.REPLY), "back")):
        ways = lay_out((only,))

        assert drawn(ways) == ["ao", "bo", "co"]
        assert ways.directions == (direction,)
        assert ways.sentence == ""
        assert not any(row.parted for group in ways.hosts for row in group.rows)


def test_nothing_is_drawn_of_nothing() -> None:
    assert lay_out(()) == Ways()
    assert lay_out((Path("SYN", Way.ORIGINAL, ()),)) == Ways()


def test_the_sentence_names_who_sees_one_half() -> None:
    ways = lay_out(PATHS, INCIDENT.authors, INCIDENT.culprits)
    router = INCIDENT.authors[0].netns

    assert ways.sentence == (
        f"only the SYN passes {router} of host1 and br-int of host1; only the SYN/ACK passes br-ex of host5"
    )


def test_author_and_culprits_are_marked_where_they_stand() -> None:
    ways = lay_out(PATHS, INCIDENT.authors, INCIDENT.culprits)
    marks = {(group.host, row.name): row.marks for group in ways.hosts for row in group.rows if row.marks}

    assert marks == {
        ("host1", INCIDENT.authors[0].netns): ("RST made here", "culprit: iptables"),
        ("host5", "br-int"): ("culprit: openflow",),
    }


def test_where_captures_show_no_bridges_a_culprit_stands_at_its_host() -> None:
    flow = Culprit("openflow", "b", "br-int table 100", "", None)
    ways = lay_out(
        (way("ab"), way("ba", Way.REPLY)), (Author("icmp", None, "a", "root", None, None, "model"),), (flow,)
    )

    assert [row.marks for group in ways.hosts for row in group.rows] == [
        ("icmp made here",),
        ("culprit: openflow",),
    ]
