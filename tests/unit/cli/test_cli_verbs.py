"""The table of verbs says what the verbs say of themselves."""

from __future__ import annotations

from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

from bothways.cli import main


@pytest.mark.parametrize("name", sorted(main.commands))
def test_a_verb_is_loaded_when_called_and_matches_its_line(name: str) -> None:
    verb = main.get_command(click.Context(main), name)

    assert verb is not None
    assert verb.name == name
    assert verb.get_short_help_str(200) == main.commands[name].get_short_help_str(200)


@pytest.mark.parametrize("argv", [["--help"], ["-h"], *([name, "-h"] for name in sorted(main.commands))])
def test_help_goes_to_standard_output(argv: list[str]) -> None:
    result = CliRunner().invoke(main, argv)

    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: bothways")
    assert result.stderr == ""


def test_the_help_names_every_verb_and_exit_code() -> None:
    text = CliRunner().invoke(main, ["--help"]).stdout

    for name in main.commands:
        assert f"\n  {name} " in text
    assert "0 healthy or done, 1 cause found, 2 wrong usage, 3 undetermined" in text


def test_the_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout == f"bothways {version('bothways')}\n"


def test_an_unknown_verb_is_none() -> None:
    assert main.get_command(click.Context(main), "nothing") is None
