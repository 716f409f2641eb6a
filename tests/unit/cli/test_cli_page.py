"""The page that `--html` and `demo` write, and where it goes."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import bothways.cli.demo
from bothways.cli import main

ROOT = Path(__file__).resolve().parents[3]
INCIDENT = str(ROOT / "examples" / "incident")


def run(*argv: str) -> Result:
    return CliRunner().invoke(main, list(argv))


def test_the_page_refers_to_nothing_outside(tmp_path: Path) -> None:
    page = tmp_path / "verdict.html"
    result = run("diagnose", INCIDENT, "--html", str(page))
    text = page.read_text("utf-8")

    assert result.exit_code == 1
    assert result.stderr.endswith(f"page: {page}\n")
    assert str(page) not in result.stdout
    assert text.startswith("<!doctype html>")
    assert re.findall(r"""<\w[^>]*\s(?:src|href|action|data)\s*=\s*["']?(?!["']?#)""", text) == []
    assert re.findall(r"//[\w.-]+/|@import|url\((?!#)|<script", text) == []


def test_the_page_of_the_incident_has_a_column_per_tap_and_a_dashed_arrow(tmp_path: Path) -> None:
    page = tmp_path / "verdict.html"
    run("diagnose", INCIDENT, "--html", str(page))
    text = page.read_text("utf-8")

    columns = re.findall(r'<text class="device"[^>]*>([^<]+)</text>', text)
    assert {"qg-5d88ef18-33", "qr-dcedd015-a5"} < set(columns)
    assert len(columns) == 4
    assert re.search(r"SYN/ACK \[S\.\] was not seen at host1/qrouter-[\w-]+:q[gr]-", text)


def test_json_and_page_go_together(tmp_path: Path) -> None:
    page = tmp_path / "verdict.html"
    result = run("diagnose", INCIDENT, "--json", "--html", str(page))

    assert result.stdout.startswith("{")
    assert page.exists()


def test_the_path_of_the_page_is_the_last_line_of_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("demo")

    assert result.exit_code == 0
    assert result.stdout.startswith("EXPLAINED: BW101")
    last = Path(result.stdout.splitlines()[-1])
    assert last == tmp_path / "bothways-demo.html"
    assert "<svg" in last.read_text("utf-8")


def test_the_demo_writes_where_it_is_told(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = run("demo", "--html", str(page))

    assert result.stdout.splitlines()[-1] == str(page)
    assert page.exists()


def test_the_demo_finds_a_place_if_the_current_folder_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bothways-demo.html").mkdir()  # refuses to be written, even for root
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    result = run("demo")

    assert result.exit_code == 0
    last = Path(result.stdout.splitlines()[-1])
    assert last.is_relative_to(tmp_path)
    assert last.is_file()


def test_a_place_that_was_asked_for_and_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    result = run("demo", "--html", str(tmp_path))

    assert result.exit_code == 4
    assert "cannot be written" in result.stderr


def test_an_installation_without_the_incident_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bothways.cli.demo, "_PLACES", (Path("nowhere"),))
    result = run("demo")

    assert result.exit_code == 4
    assert "the incident's evidence is missing" in result.stderr


def test_the_demo_lays_recorded_beside_predicted() -> None:
    result = run("demo", "--html", os.devnull)

    said = " ".join(result.stdout.split())
    assert "Recorded beside predicted: the incident Nothing to compare" in said
    assert "49 of 50 packets are both recorded and predicted; 10 of 11 taps" in said
