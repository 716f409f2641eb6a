"""The verdict in a terminal: who did it first, every line quoted, nothing that moves the cursor."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from report_samples import HEALTHY, INCIDENT, QUESTION, UNDETERMINED, hostile

from bothways.facts.diagnosis import Diagnosis
from bothways.report.text import headline, render_text

ESCAPE = "\x1b"


def printed(diagnosis: Diagnosis, width: int = 100, *, colour: bool = False) -> str:
    return render_text(diagnosis, width=width, colour=colour)


def headings(text: str) -> list[str]:
    """Lines at the margin that follow an empty one."""
    return re.findall(r"(?<=\n\n)(\S.*)$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("diagnosis", "first"),
    [
        (INCIDENT, "EXPLAINED: BW101 reply-bypasses-tracker (proved)"),
        (HEALTHY, "HEALTHY: nothing stands in the way of this connection"),
        (UNDETERMINED, "UNDETERMINED: the evidence does not decide what becomes of this connection"),
        (
            replace(UNDETERMINED, cause=INCIDENT.cause),
            "UNDETERMINED: suspicion: BW101 reply-bypasses-tracker (proved)",
        ),
    ],
)
def test_the_verdict_is_the_first_line(diagnosis: Diagnosis, first: str) -> None:
    assert printed(diagnosis).splitlines()[:2] == [
        first,
        str(QUESTION) + (f"  ({diagnosis.title})" if diagnosis.title else ""),
    ]


def test_who_did_it_comes_before_why_and_doubts_come_last() -> None:
    found = [each.partition(":")[0] for each in headings(printed(INCIDENT))]

    assert found == [
        "RST sent by host1, namespace qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f, device qg-5d88ef18-33",
        "What was felt",
        "Why, link by link",
        "Culprits",
        "What was tried in the model",
        "2 outcomes, the network chooses",
        "Clocks",
        "Ruled out",
        "Taken for granted",
        "Not known",
        "To know more, run",
        "1 other connection in the captures (--all diagnoses them)",
        "Its packets were seen 31 times, all explained",
    ]


def test_where_nothing_is_decided_what_would_decide_comes_first() -> None:
    found = headings(printed(UNDETERMINED))

    assert found[0] == "RST sent by a station that the evidence does not name [seen in a capture]"
    assert found[1:3] == ["Not known", "To know more, run"]


def test_a_healthy_answer_accuses_nobody() -> None:
    text = printed(HEALTHY)

    assert "Culprits" not in text
    assert "RST" not in text
    assert "Latent: works now, may fail later" in text


def test_nobody_says_that_it_works_where_nothing_is_decided() -> None:
    text = printed(replace(UNDETERMINED, latent=HEALTHY.latent))

    assert "Latent: may make it fail" in text
    assert "works now, may" not in text


def test_every_link_is_there_with_its_places() -> None:
    text = printed(INCIDENT)

    for number, link in enumerate(INCIDENT.chain, 1):
        assert f"{number}. {link.claim.split()[0]}" in text
        for evidence in link.evidence:
            assert str(evidence.span) in text


def test_culprits_that_count_only_together_stand_apart() -> None:
    alone, *rest = INCIDENT.culprits
    both = replace(INCIDENT, culprits=(alone, *(replace(each, together=True) for each in rest)))
    text = printed(both)

    assert "Culprits: without any one of them, it lives" in text
    assert "Culprits: without all of these together, it lives" in text
    assert "together" not in printed(INCIDENT)


def test_a_culprit_is_quoted_whole() -> None:
    (culprit,) = [each for each in INCIDENT.culprits if each.kind == "openflow"]
    squeezed = "".join(printed(INCIDENT, 80).split())

    assert "".join(culprit.text.split()) in squeezed


def test_the_age_of_a_dump_is_said_and_that_of_a_frame_is_not() -> None:
    lines = printed(INCIDENT).splitlines()

    (dump,) = [n for n, line in enumerate(lines) if line.endswith("addr.json:1")]
    assert lines[dump + 1].strip() == "(read 43 min after the packet)"
    assert not [line for line in lines if ".pcap#" in line and "read " in line]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_prose_keeps_to_the_width(width: int) -> None:
    """Only what is to be copied whole may stand out: paths, and commands."""
    for line in printed(INCIDENT, width).splitlines():
        assert len(line) <= width or "/" in line or "# " in line, line


@pytest.mark.parametrize("diagnosis", [INCIDENT, HEALTHY, UNDETERMINED])
def test_without_colour_the_same_words_stand_there(diagnosis: Diagnosis) -> None:
    bare, coloured = printed(diagnosis), printed(diagnosis, colour=True)

    assert ESCAPE not in bare
    assert ESCAPE in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == bare


def test_hostile_evidence_moves_no_cursor_and_is_no_markup() -> None:
    text = printed(hostile())

    assert not [letter for letter in text if not (letter.isprintable() or letter == "\n")]
    assert "\\x1b[2J[red]" in text


def test_more_connections_than_fit_are_counted() -> None:
    many = replace(INCIDENT, others=tuple(f"tcp 192.0.2.1:{n} > 192.0.2.2:22: reset" for n in range(9)))
    text = printed(many)

    assert "9 other connections in the captures" in text
    assert "… and 4 more in --json" in text


def test_what_stays_unexplained_is_quoted() -> None:
    text = printed(UNDETERMINED)

    assert "Its packets were seen 3 times, 1 not explained:" in text
    assert "qg-5d88ef18-33.pcap#5" in text.partition("not explained:")[2]


def test_problems_are_counted_by_kind() -> None:
    assert "2 problems in the evidence: 1 contradiction, 1 not modelled" in printed(INCIDENT)


def test_a_headline_is_one_line() -> None:
    assert headline(INCIDENT) == "BW101 reply-bypasses-tracker (proved)"
    assert "\n" not in headline(HEALTHY)
