"""Recorded cases: the incident in other clothes is recognised, and what only looks like it is not."""

from __future__ import annotations

import pytest
from truth import TRUTHS
from verdicts import told_of_whole, wrongs


@pytest.mark.parametrize("name", TRUTHS)
def test_what_is_said_is_true(name: str) -> None:
    truth, answer = TRUTHS[name], told_of_whole(name)

    assert wrongs(truth, answer) == []
    assert answer["status"] in truth.statuses
    assert answer["question"] is not None


@pytest.mark.parametrize("name", [name for name in TRUTHS if TRUTHS[name].fate != "works"])
def test_the_symptom_is_what_the_client_felt(name: str) -> None:
    assert [symptom["code"] for symptom in told_of_whole(name)["symptoms"]] == [TRUTHS[name].fate]


@pytest.mark.parametrize("name", [name for name in TRUTHS if TRUTHS[name].author])
def test_the_author_of_the_reset_is_named_or_left_open(name: str) -> None:
    for author in told_of_whole(name)["authors"]:
        named = (author["host"], author["netns"], author["device"])
        assert author["what"] == "rst"
        assert named in (TRUTHS[name].author, (None, None, None))


@pytest.mark.parametrize("name", [name for name in TRUTHS if TRUTHS[name].code is None])
def test_an_open_case_says_what_to_do_next(name: str) -> None:
    answer = told_of_whole(name)
    if answer["status"] == "undetermined":
        assert answer["next"] or answer["unknown"]


@pytest.mark.parametrize(
    "name", [name for name in TRUTHS if name != "incident" and TRUTHS[name].code == "BW101"]
)
def test_in_any_clothes_both_culprits_and_both_outcomes_are_named(name: str) -> None:
    answer = told_of_whole(name)
    if name in ("incident", "dual-drop-invalid"):  # without dumps, and without a RST: less may be said
        return
    assert answer["cause"]["confidence"] in ("proved", "supported")
    assert {culprit["host"] for culprit in answer["culprits"]} == {"host1", "host5"}
    assert {(o["fate"], o["observed"]) for o in answer["outcomes"]} == {("reset", True), ("works", False)}
    assert [link["basis"] for link in answer["chain"]].count("observed") >= 2
    assert all(link["evidence"] for link in answer["chain"])
