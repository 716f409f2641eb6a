"""The model against the kernel of this machine, with sequences that nobody recorded."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from bothways.cli import main
from bothways.conform.generation import fresh_cases
from bothways.conform.live import asked
from bothways.conform.recording import Case, read_recording
from bothways.conform.replay import replay
from bothways.conform.words import conformance_text

pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "nft")]


def namespaces() -> set[str]:
    said = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in said.splitlines() if line.startswith(f"bw{os.getpid()}-")}


def test_fresh_sequences_agree_and_are_kept(tmp_path: Path) -> None:
    kept = tmp_path / "fresh.jsonl.gz"

    result = CliRunner().invoke(
        main, ["conform", "conntrack", "--live", "--count", "400", "--seed", "7", "--record", str(kept)]
    )

    assert result.stdout.splitlines()[1] == "0 disagreements", result.stdout
    assert result.exit_code == 0
    cases = list(read_recording(kept, lambda *_: None))  # rulesets of NAT stand beside them
    assert len(cases) == 400
    assert replay(cases).disagreements == 0
    assert namespaces() == set()
    verdicts = Counter(each["verdict"] for case in cases for each in case.results)
    assert verdicts.keys() >= {"NEW", "ESTABLISHED", "INVALID", "RELATED", "UNTRACKED"}
    assert min(verdicts[each] for each in ("NEW", "ESTABLISHED", "INVALID")) > 100
    deliveries = {each["delivery"] for case in cases for each in case.results}
    assert deliveries >= {"forwarded", "local"}
    assert {each.family for each in cases} == {4, 6}
    assert any("answered" in each for case in cases for each in case.results)


def test_the_kernel_answers_as_recorded() -> None:
    """The recorder of this tool says of the same segments what another one recorded before."""
    path = Path(__file__).parents[1] / "unit" / "model" / "data" / "conntrack-6.18.jsonl.gz"
    recorded = [case for number, case in enumerate(read_recording(path)) if number % 9 == 0]

    with asked(recorded) as answered:
        again = list(answered)

    differ = [one.name for one, other in zip(recorded, again, strict=True) if not same(one, other)]
    assert differ == []


def same(one: Case, other: Case) -> bool:
    return all(
        {**left, "timeout": 0} == {**right, "timeout": 0}
        and abs((left.get("timeout") or 0) - (right.get("timeout") or 0)) <= 1
        for left, right in zip(one.results, other.results, strict=True)
    )


def test_a_kernel_that_breaks_off_leaves_nothing_behind() -> None:
    def broken() -> None:
        with asked(fresh_cases(1, 50)) as answered:
            next(answered)
            assert namespaces() != set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()

    assert namespaces() == set()


def test_a_model_that_is_wrong_is_found() -> None:
    """Liberal settings are hidden from the model: the running kernel must contradict it."""
    with asked(fresh_cases(2, 300)) as answered:
        heard = [replace(each, sysctls=()) for each in answered]

    outcome = replay(heard)
    assert outcome.disagreements > 0, conformance_text(outcome)
