"""A prediction for people and for programs: every outcome, every step."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from report_samples import PREDICTION, REWRITE

from bothways.facts.prediction import Branch
from bothways.facts.step import Did
from bothways.report.json import render_json
from bothways.report.prediction_json import prediction_json
from bothways.report.prediction_text import render_prediction_text


def test_the_text_names_every_fate_and_marks_the_recorded_one() -> None:
    text = render_prediction_text(PREDICTION, width=100, colour=False)

    assert text.startswith("PREDICTED: reset or works\ntcp 192.168.111.210 > 192.168.111.223:22\n")
    assert "Outcome 1 of 2: reset, the choice that a dump recorded" in text
    assert "Outcome 2 of 2: works\n" in text


def test_a_step_says_where_what_why_and_from_which_line() -> None:
    text = render_prediction_text(PREDICTION, width=120, colour=False)

    assert "host1/qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f:qg-5d88ef18-33\n" in text
    said = "nf_nat_ipv4_in  translated: the rule translates the destination [nat PREROUTING]"
    assert said in text
    assert "destination 192.168.111.223:22 -> 88.88.88.4:22" in text
    assert "iptables-save.txt:86" in text
    assert "table=110  dropped: no flow takes it" in text


def test_tables_that_are_merely_passed_share_a_line() -> None:
    walk = PREDICTION.walks[0]
    (journey,) = walk.journeys
    last = journey.branches[0].steps[-1]
    passed = [
        replace(last, function=f"table={n}", did=Did.MATCHED, after=last.before, reason="priority=0 matches",
                cell="priority=0")
        for n in (0, 20, 30)
    ]  # fmt: skip
    branch = Branch((*passed, last))
    changed = replace(PREDICTION, walks=(replace(walk, journeys=(replace(journey, branches=(branch,)),)),))
    text = render_prediction_text(changed, width=100, colour=False)

    assert "      table=0, 20, 30  matched: priority=0 matches\n      table=110  dropped: " in text


def test_what_was_taken_for_granted_is_said_with_the_command_that_shows_it() -> None:
    text = render_prediction_text(PREDICTION, width=100, colour=False)

    assert "taken for granted: ip_forward is 1 [`sysctl -a` would show it]" in text
    assert "not known: nothing else" in text


@pytest.mark.parametrize(("complete", "said"), [(True, False), (False, True)])
def test_missing_outcomes_are_said(*, complete: bool, said: bool) -> None:
    text = render_prediction_text(replace(PREDICTION, complete=complete), width=100, colour=False)

    assert ("are not all" in text) is said


def test_nothing_walked_is_said() -> None:
    text = render_prediction_text(replace(PREDICTION, walks=()), width=100, colour=False)

    assert text.startswith("PREDICTED: nothing, no way could be walked")


def test_without_colour_no_escapes() -> None:
    assert "\x1b" not in render_prediction_text(PREDICTION, width=100, colour=False)
    assert "\x1b[" in render_prediction_text(PREDICTION, width=100, colour=True)


def test_the_json_holds_every_step() -> None:
    document = json.loads(render_json(prediction_json(PREDICTION)))

    assert (document["schema"], document["complete"]) == ("bothways/prediction/1", True)
    first, second = document["outcomes"]
    assert (first["fate"], first["observed"]) == ("reset", True)
    assert (second["fate"], second["observed"]) == ("works", False)
    sent, translated, dropped = first["journeys"][0]["branches"][0]["steps"]
    assert sent["place"] == {"host": "host1", "netns": "root", "device": "br-ex", "port": ""}
    assert translated["after"]["text"] != translated["before"]["text"]
    assert (dropped["did"], dropped["after"]) == ("dropped", None)
    assert dropped["evidence"] == [
        {"file": REWRITE.file, "line": REWRITE.line, "text": REWRITE.text, "age_s": None}
    ]
