"""Pieces missing: less may be known, and the verdict may be open; nobody is accused wrongly."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from mutilate import CLASSES, single_files, write_as_text, write_cut, write_kept
from truth import BUNDLES, TRUTHS
from verdicts import told, wrongs

from bothways.bundle import BundleError

#: Of the many combinations a sample that is the same on every machine.
DICE = random.Random(20)  # noqa: S311 - a sample, and no secret
#: Every class of pieces for one case, and one for each other.
MISSING = [("dual-l3", what) for what in CLASSES]
MISSING += [(name, what) for name in BUNDLES if name != "dual-l3" for what in DICE.sample(sorted(CLASSES), 1)]
#: With these the network's choice is not recorded, and whoever takes one as made accuses wrongly.
UNCHOSEN = ["dual-l3", "dual-odl-won", "dual-odl-won-application-resets", "dual-half-odl-inbound"]
#: One file at a time.
FILES = [(name, DICE.choice(single_files(BUNDLES[name]))) for name in BUNDLES if name != "dual-l3"]
FILES += [("dual-l3", file) for file in single_files(BUNDLES["dual-l3"])[::9]]
#: How people let tcpdump print.
STYLES = [(), ("-e",), ("-tt", "-S"), ("-e", "-v"), ("-q",)]


@pytest.mark.parametrize(("name", "what"), MISSING)
def test_a_class_of_evidence_is_missing(name: str, what: str, tmp_path: Path) -> None:
    left = write_kept(BUNDLES[name], tmp_path, CLASSES[what])
    if left:
        judge(name, tmp_path)
    else:
        with pytest.raises(BundleError):
            told(tmp_path)


@pytest.mark.parametrize("name", UNCHOSEN)
def test_a_choice_that_nothing_recorded_is_left_open(name: str, tmp_path: Path) -> None:
    write_kept(BUNDLES[name], tmp_path, CLASSES["no neighbours and no captures"])
    answer = told(tmp_path)

    assert answer["status"] == "undetermined"
    assert len({outcome["fate"] for outcome in answer["outcomes"]}) == 2
    assert [outcome for outcome in answer["outcomes"] if outcome["observed"]] == []


@pytest.mark.parametrize(("name", "file"), FILES)
def test_one_file_is_missing(name: str, file: str, tmp_path: Path) -> None:
    write_kept(BUNDLES[name], tmp_path, lambda each: each != file)
    judge(name, tmp_path)


@pytest.mark.parametrize("name", [*BUNDLES][::2])
def test_half_of_the_files_are_missing(name: str, tmp_path: Path) -> None:
    dice = random.Random(name)  # noqa: S311 - the same half each time, and no secret
    write_kept(BUNDLES[name], tmp_path, lambda file: not file.startswith("hosts/") or dice.random() < 0.5)
    judge(name, tmp_path)


@pytest.mark.parametrize("name", BUNDLES)
def test_captures_break_off_in_the_middle_of_a_frame(name: str, tmp_path: Path) -> None:
    write_cut(BUNDLES[name], tmp_path, seed=len(name))
    judge(name, tmp_path)


@pytest.mark.needs("tcpdump")
@pytest.mark.parametrize("name", [*BUNDLES][1::2])
def test_captures_are_text(name: str, tmp_path: Path) -> None:
    write_as_text(BUNDLES[name], tmp_path, *STYLES[len(name) % len(STYLES)])
    judge(name, tmp_path)


def judge(name: str, bundle: Path) -> None:
    captures = [*bundle.glob("hosts/*/captures/*/*.pcap"), *bundle.glob("hosts/*/captures/*/*.txt")]
    answer = told(bundle)
    assert wrongs(TRUTHS[name], answer, dumps_alone=not captures) == []
