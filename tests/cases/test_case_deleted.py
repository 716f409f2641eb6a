"""Random deletions: whatever is left, nobody is accused wrongly, and nothing is healthy that was not."""

from __future__ import annotations

from pathlib import Path

import pytest
from deletions import write_deleted
from truth import BUNDLES, TRUTHS
from verdicts import told, wrongs

from bothways.bundle import BundleError

EXAMPLES = ("incident", "dual-l3", "neutron-l3-only", "odl-l3-only")
#: 200 of the examples, 50 of each, ten to a test.
BATCHES = [(name, start) for name in EXAMPLES for start in range(0, 50, 10)]
#: Whatever looks like the incident and is not is more easily misread: two of each.
OTHERS = [(name, seed) for name in BUNDLES if name not in EXAMPLES for seed in (0, 1)]


@pytest.mark.parametrize(("name", "start"), BATCHES)
def test_random_deletions_of_an_example(name: str, start: int, tmp_path: Path) -> None:
    for seed in range(start, start + 10):
        judge(name, seed, tmp_path / str(seed))


@pytest.mark.parametrize(("name", "seed"), OTHERS)
def test_random_deletions_of_another_case(name: str, seed: int, tmp_path: Path) -> None:
    judge(name, seed, tmp_path)


def judge(name: str, seed: int, bundle: Path) -> None:
    write_deleted(BUNDLES[name], bundle, seed)
    captures = [*bundle.glob("hosts/*/captures/*/*.pcap"), *bundle.glob("hosts/*/captures/*/*.txt")]
    try:
        answer = told(bundle)
    except BundleError:
        assert not list(bundle.glob("hosts/*/*"))
        return
    assert (seed, wrongs(TRUTHS[name], answer, dumps_alone=not captures)) == (seed, [])
    if answer["status"] == "undetermined":
        assert answer["unknown"], seed
        assert answer["next"], seed
