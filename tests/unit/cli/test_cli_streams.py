"""The answer on standard output, the rest on standard error, and the exit code that belongs to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import bothways.cli.diagnose
from bothways.cli import main, screen
from bothways.facts.address import address
from bothways.facts.diagnosis import Cause, Confidence, Diagnosis, Evidence, Finding, Status
from bothways.facts.question import Question
from bothways.facts.span import Kind, Problem, Span

ROOT = Path(__file__).resolve().parents[3]
INCIDENT = str(ROOT / "examples" / "incident")
COMMAND = str(Path(sys.executable).with_name("bothways"))

QUESTION = Question("tcp", address("192.0.2.1"), address("192.0.2.2"), 22)
OTHER = "tcp 192.0.2.1:7 > 192.0.2.2:22: reset"
LATENT = (Finding("BW201", "works now", (Evidence(Span("a.txt", line=1, text="x")),)),)
HEALTHY = Diagnosis(Status.HEALTHY, QUESTION)
WAITING = Diagnosis(Status.HEALTHY, QUESTION, latent=LATENT)
FAILED = Diagnosis(
    Status.EXPLAINED, QUESTION, cause=Cause("BW101", "reply-bypasses-tracker", Confidence.PROVED, "so it is")
)
UNCLEAR = Diagnosis(Status.UNDETERMINED, QUESTION, latent=LATENT)

Answers = Callable[..., None]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Make the verdicts of the run: the first for what is asked, the others for what follows."""

    def given(*verdicts: Diagnosis) -> None:
        queue = list(verdicts)
        monkeypatch.setattr(bothways.cli.diagnose, "diagnose", lambda *_: queue.pop(0))

    return given


def run(*argv: str) -> Result:
    return CliRunner().invoke(main, list(argv))


@pytest.mark.parametrize(
    ("verdict", "options", "code"),
    [
        (HEALTHY, [], 0),
        (HEALTHY, ["--strict"], 0),
        (WAITING, [], 0),
        (WAITING, ["--strict"], 1),
        (FAILED, [], 1),
        (FAILED, ["--strict"], 1),
        (UNCLEAR, [], 3),
        (UNCLEAR, ["--strict"], 3),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_the_exit_code_is_the_status(
    answers: Answers, verdict: Diagnosis, options: list[str], code: int, form: list[str]
) -> None:
    answers(verdict)

    assert run("diagnose", INCIDENT, *options, *form).exit_code == code


def with_others(verdict: Diagnosis, *others: str) -> Diagnosis:
    return Diagnosis(verdict.status, verdict.question, cause=verdict.cause, others=others)


@pytest.mark.parametrize(
    ("asked", "other", "code"),
    [(HEALTHY, HEALTHY, 0), (HEALTHY, FAILED, 1), (UNCLEAR, FAILED, 1), (UNCLEAR, HEALTHY, 3)],
)
def test_with_all_the_exit_code_is_the_worst(
    answers: Answers, asked: Diagnosis, other: Diagnosis, code: int
) -> None:
    answers(with_others(asked, OTHER), other)

    assert run("diagnose", INCIDENT, "--all").exit_code == code


def test_without_all_others_are_only_named(answers: Answers) -> None:
    answers(with_others(HEALTHY, OTHER))
    result = run("diagnose", INCIDENT)

    assert result.exit_code == 0
    assert OTHER in result.stdout


def test_all_as_json_is_one_line_each(answers: Answers) -> None:
    answers(with_others(HEALTHY, OTHER, OTHER), FAILED, UNCLEAR)
    lines = run("diagnose", INCIDENT, "--all", "--json").stdout.splitlines()

    assert [json.loads(line)["status"] for line in lines] == ["healthy", "explained", "undetermined"]


def test_all_asks_for_each_other_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(_: object, question: Question | None) -> Diagnosis:
        asked.append(str(question))
        return with_others(HEALTHY, OTHER, "tcp [2001:db8::1]:7 > [2001:db8::2]:22: works")

    monkeypatch.setattr(bothways.cli.diagnose, "diagnose", answer)
    run("diagnose", INCIDENT, "--all")

    assert asked == ["None", "tcp 192.0.2.1:7 > 192.0.2.2:22", "tcp [2001:db8::1]:7 > [2001:db8::2]:22"]


def test_flow_may_come_in_several_words(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def answer(_: object, question: Question | None) -> Diagnosis:
        asked.append(question)
        return HEALTHY

    monkeypatch.setattr(bothways.cli.diagnose, "diagnose", answer)
    for words in (["tcp 192.0.2.1 > 192.0.2.2:22"], ["tcp", "192.0.2.1", ">", "192.0.2.2:22"]):
        assert run("diagnose", INCIDENT, *words).exit_code == 0

    assert asked == [QUESTION, QUESTION]


def problems(amount: int) -> tuple[Problem, ...]:
    return tuple(Problem(Kind.UNMODELLED, Span("a.txt", line=n + 1), "`x`") for n in range(amount))


@pytest.mark.parametrize(
    ("amount", "options", "listed", "rest"),
    [
        (0, [], 0, ""),
        (10, [], 10, ""),
        (11, [], 10, "1 more problem; --problems lists all"),
        (25, [], 10, "15 more problems; --problems lists all"),
        (25, ["--problems"], 25, ""),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_problems_go_to_standard_error(
    answers: Answers, amount: int, options: list[str], listed: int, rest: str, form: list[str]
) -> None:
    answers(Diagnosis(Status.HEALTHY, QUESTION, problems=problems(amount)))
    result = run("diagnose", INCIDENT, *options, *form)

    assert result.stderr.count("problem: a.txt:") == listed
    assert result.stderr.splitlines()[listed:] == ([rest] if rest else [])
    assert "problem: " not in result.stdout


def test_json_on_standard_output_is_json_alone() -> None:
    result = run("diagnose", INCIDENT, "--json")

    assert json.loads(result.stdout)["schema"] == "bothways/diagnosis/1"
    assert "backwards" in result.stderr


@pytest.mark.parametrize(
    ("terminal", "variables", "coloured"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, terminal: bool, coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)

    assert screen.colour() is coloured


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("100", 100), ("300", 120)])
def test_the_width_is_the_terminals_within_reason(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)

    assert screen.width() == width


def shell(line: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of bash; ``bothways`` in it is the installed command."""
    path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **variables}
    return subprocess.run(["bash", "-c", line], cwd=ROOT, env=environment, capture_output=True, check=False)


def test_a_reader_that_goes_away_changes_nothing() -> None:
    line = "set -o pipefail; bothways diagnose examples/incident 2>&3 | true"
    result = shell(f"exec 3>&2; {line}")

    assert result.returncode == 1
    assert b"Broken" not in result.stderr
    assert b"Traceback" not in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("form", ["", "--json"])
def test_output_that_cannot_be_written_is_said(form: str) -> None:
    result = shell(f"bothways diagnose examples/incident {form} > /dev/full")

    assert result.returncode == 4
    assert b"bothways: standard output cannot be written: no space left on device\n" in result.stderr
    assert b"Exception ignored" not in result.stderr


def test_closed_streams_leave_the_exit_code() -> None:
    assert shell("bothways diagnose examples/incident >&- 2>&-").returncode == 1


def test_a_terminal_without_unicode_gets_plain_letters() -> None:
    variables = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "COLUMNS": "80"}
    result = shell("bothways diagnose examples/incident", **variables)

    assert result.returncode == 1
    assert result.stdout.isascii()
    assert b"..." in result.stdout


def test_json_is_utf8_whatever_the_locale() -> None:
    variables = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = shell("bothways diagnose examples/incident --json", **variables)

    assert json.loads(result.stdout.decode("utf-8"))["status"] == "explained"
