"""Whatever is typed, or handed over as a bundle: an exit code, one sentence, a hint, never a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import bothways.cli.diagnose
from bothways.cli import main

ROOT = Path(__file__).resolve().parents[3]
INCIDENT = str(ROOT / "examples" / "incident")
USAGE, COULD_NOT_RUN = 2, 4


def run(*argv: str) -> Result:
    return CliRunner().invoke(main, list(argv))


def assert_refused(result: Result, code: int, *said: str) -> None:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 2, lines
    assert lines[0].startswith("bothways: ")
    assert lines[1].startswith("  hint: ")
    for each in said:
        assert each in result.stderr


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["diagno"], ["no verb `diagno`, expected one of ", "did you mean"]),
        (["why"], ["no verb `why`", "`bothways --help`"]),
        ([INCIDENT], ["a verb is expected before", f"`bothways diagnose {INCIDENT}`"]),
        (["--colour"], ["no such option '--colour'", "`bothways --help`"]),
        (["diagnose"], ["missing argument 'BUNDLE", "`bothways diagnose --help`"]),
        (["diagnose", INCIDENT, "--htm"], ["no such option '--htm'"]),
        (["diagnose", INCIDENT, "--html"], ["option '--html' requires an argument"]),
        (["predict", INCIDENT, "--html", "x"], ["no such option '--html'", "`bothways predict --help`"]),
        (["demo", "x"], ["unexpected extra argument", "`bothways demo --help`"]),
        (["diagnose", INCIDENT, "nonsense"], ["`nonsense` is not a flow, expected PROTOCOL SOURCE"]),
        (["diagnose", INCIDENT, ""], ["`` is not a flow"]),
        (["diagnose", INCIDENT, "tcp", "192.0.2.1"], ["`tcp 192.0.2.1` is not a flow", "in quotes"]),
        (["diagnose", INCIDENT, "tcp a > 192.0.2.2:22"], ["`a` is not an IP address", "not resolved"]),
        (["diagnose", INCIDENT, "tcp 192.0.2.1 > 192.0.2.2"], ["192.0.2.2 has no port"]),
        (["diagnose", INCIDENT, "tcp 192.0.2.1 > 192.0.2.2:70000"], ["70000", "0 to 65535"]),
        (["diagnose", INCIDENT, "sctp 192.0.2.1 > 192.0.2.2:22"], ["`sctp`", "tcp, udp, icmp"]),
        (["diagnose", INCIDENT, "tcp 192.0.2.1 > [2001:db8::1]:22"], ["two families"]),
        (["predict", INCIDENT, "icmp 192.0.2.1 > 192.0.2.2:22"], ["icmp has no ports"]),
    ],
)
def test_wrong_usage(argv: list[str], said: list[str]) -> None:
    assert_refused(run(*argv), USAGE, *said)


def test_a_flow_is_read_before_the_bundle_is_opened() -> None:
    assert_refused(run("diagnose", "nowhere", "nonsense"), USAGE, "not a flow")


def test_without_a_verb_the_help_is_shown_and_nothing_was_done() -> None:
    result = run()

    assert result.exit_code == USAGE
    assert result.stdout == ""
    assert "diagnose" in result.stderr


def a_bundle(home: Path, manifest: str | bytes, *files: str) -> Path:
    home.mkdir()
    data = manifest.encode() if isinstance(manifest, str) else manifest
    (home / "bundle.toml").write_bytes(data)
    for file in files:
        path = home / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return home


@pytest.mark.parametrize("verb", ["diagnose", "predict"])
@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("format = ", ["bundle.toml:1: not TOML", "docs/reference/bundle.md"]),
        ("[question\n", ["not TOML"]),
        ("title = 'x'\n", ['expected `format = "bothways-bundle/1"`']),
        ('format = "bothways-bundle/9"\n', ["`bothways-bundle/9` is not read"]),
        (b"\xff\xfe\x00", ["not TOML"]),
    ],
)
def test_a_broken_manifest(tmp_path: Path, verb: str, manifest: str | bytes, said: list[str]) -> None:
    case = a_bundle(tmp_path / "case", manifest, "hosts/a/kernel.txt")

    assert_refused(run(verb, str(case)), COULD_NOT_RUN, *said)


@pytest.mark.parametrize("verb", ["diagnose", "predict"])
def test_what_is_no_bundle(tmp_path: Path, verb: str) -> None:
    file, empty = tmp_path / "a.txt", tmp_path / "empty"
    file.write_text("no evidence")
    empty.mkdir()
    (tmp_path / "case.tar.gz").write_text("")

    assert_refused(run(verb, str(tmp_path / "nope")), COULD_NOT_RUN, "does not exist", "a bundle is a folder")
    assert_refused(run(verb, INCIDENT, INCIDENT), COULD_NOT_RUN, "is a bundle of its own", "name it alone")
    assert_refused(run(verb, str(file)), COULD_NOT_RUN, "no evidence was found", "expected captures")
    assert_refused(run(verb, str(empty)), COULD_NOT_RUN, "holds no evidence", "docs/reference/bundle.md")
    assert_refused(run(verb, str(tmp_path / "case.tar.gz")), COULD_NOT_RUN, "case.tar.gz")


def test_files_and_the_flow_behind_them_are_told_apart(tmp_path: Path) -> None:
    ticket = str(Path(INCIDENT).parent / "incident-transcript.txt")
    more = tmp_path / "more.txt"
    more.write_text("root@host9:~# uname -r\n6.1.0\n")

    assert run("diagnose", ticket, str(more), "tcp 192.168.111.210 > 192.168.111.223:22").exit_code == 1
    assert run("diagnose", ticket, "tcp", "192.168.111.210", ">", "192.168.111.223:22").exit_code == 1
    assert_refused(run("diagnose", ticket, "nope.pcap"), COULD_NOT_RUN, "`nope.pcap` does not exist")


def test_a_place_that_nothing_tells_is_asked_for_with_the_option(tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("2: eth0: <UP> mtu 1500 qdisc noqueue\n")
    one, two = (str(tmp_path / name) for name in ("one.txt", "two.txt"))
    result = run("diagnose", one, two)

    assert_refused(
        result, COULD_NOT_RUN, "nothing says where", f"--place HOST/NETNS={one} --place HOST/NETNS={two}"
    )
    assert run("diagnose", one, two, "--place", f"a={one}", "--place", f"a/q={two}").exit_code == 3
    assert_refused(run("diagnose", one, "--tap", "x"), COULD_NOT_RUN, "`--tap x` is not a place")


def test_a_flow_in_the_place_of_the_bundle_is_recognised() -> None:
    flow = "tcp 192.0.2.1 > 192.0.2.2:22"

    assert_refused(run("diagnose", flow), COULD_NOT_RUN, "reads like a FLOW", "BUNDLE comes first")


def test_a_name_that_the_system_refuses() -> None:
    assert_refused(run("diagnose", "x" * 5000), COULD_NOT_RUN, "file name too long")


def test_a_file_name_moves_no_cursor() -> None:
    result = run("diagnose", "no\x1b[2J\nsuch")

    assert_refused(result, COULD_NOT_RUN, "no\\x1b[2J\\nsuch")


def test_a_bundle_that_names_no_connection_cannot_be_predicted(tmp_path: Path) -> None:
    case = a_bundle(tmp_path / "case", 'format = "bothways-bundle/1"\n', "hosts/a/kernel.txt")

    assert_refused(run("predict", str(case)), USAGE, "no connection is named", "[question]", "'tcp SOURCE >")


def test_a_bundle_that_names_no_connection_is_undetermined(tmp_path: Path) -> None:
    case = a_bundle(tmp_path / "case", 'format = "bothways-bundle/1"\n', "hosts/a/kernel.txt")
    result = run("diagnose", str(case))

    assert result.exit_code == 3
    assert "which connection is meant" in result.stdout


@pytest.mark.parametrize("place", ["missing/page.html", "."])
def test_a_page_that_cannot_be_written_is_said_after_the_verdict(tmp_path: Path, place: str) -> None:
    result = run("diagnose", INCIDENT, "--html", str(tmp_path / place))

    assert result.exit_code == COULD_NOT_RUN
    assert result.stdout.startswith("EXPLAINED")
    *_, said, hint = result.stderr.splitlines()
    assert "cannot be written" in said
    assert hint.startswith("  hint: ")


@pytest.mark.parametrize("debug", [False, True])
def test_an_unexpected_exception_is_called_a_bug(monkeypatch: pytest.MonkeyPatch, *, debug: bool) -> None:
    def fails(*_: object) -> object:
        return bothways.cli.diagnose.open_case(Path(INCIDENT)).nothing  # type: ignore[attr-defined]

    monkeypatch.setattr(bothways.cli.diagnose, "diagnose", fails)
    monkeypatch.setattr(os, "environ", {**os.environ, "BOTHWAYS_DEBUG": "1" if debug else ""})
    result = run("diagnose", INCIDENT)

    assert result.exit_code == COULD_NOT_RUN
    assert result.stdout == ""
    assert ("Traceback" in result.stderr) is debug
    *_, said, hint = result.stderr.splitlines()
    assert said.startswith("bothways: this is a bug in bothways: AttributeError: ")
    assert " at cli/diagnose.py:" in said
    assert "BOTHWAYS_DEBUG=1" in hint


def test_an_interrupt_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(bothways.cli.diagnose, "diagnose", interrupted)
    result = run("diagnose", INCIDENT)

    assert (result.exit_code, result.stdout) == (130, "")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=some.lists(some.text(max_size=20), max_size=3))
def test_no_words_give_a_traceback(words: list[str]) -> None:
    result = run("diagnose", INCIDENT, "--", *words, "x")

    assert result.exit_code == USAGE
    assert "Traceback" not in result.output
    assert "a bug" not in result.output
