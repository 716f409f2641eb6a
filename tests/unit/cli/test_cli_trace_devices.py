"""``bothways trace devices``: what is asked, what is shown, and how it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from bothways.cli.ending import CommandError
from bothways.cli.trace_devices import command, devices_text
from bothways.trace.local import Ending

HOST = {
    "type": "host",
    "schema": "bothways/trace-devices/1",
    "host": "h1",
    "kernel": "6.1.0",
    "functions": True,
    "why_not": None,
}


def device(
    number: int, name: str, transmit: str | None, driver: str | None = None, **more: Any
) -> dict[str, Any]:
    row = {"ifindex": number, "device": name, "kind": None, "driver": driver, "mtu": 1500, "up": True}
    return {**row, "transmit": transmit, **more}


ROUTER = {
    "type": "namespace",
    "netns": "qrouter-1",
    "inode": 4026532000,
    "path": "/run/netns/qrouter-1",
    "pids": [7],
    "processes": 1,
    "why_not": None,
    "devices": [
        device(1, "lo", "loopback_xmit", mtu=65536),
        device(12, "qg-1", "internal_dev_xmit", "openvswitch", up=False),
    ],
}
SHUT = {
    **ROUTER,
    "netns": "inode:9",
    "inode": 9,
    "devices": [],
    "processes": 0,
    "why_not": "it cannot be entered: x",
}


def test_namespaces_are_paragraphs_and_devices_lines() -> None:
    assert devices_text([HOST, ROUTER, SHUT]) == (
        "h1, kernel 6.1.0\n"
        "\n"
        "qrouter-1 (inode 4026532000, 1 process)\n"
        "      device  driver         mtu  state  transmitted by\n"
        "   1  lo      -            65536  up     loopback_xmit\n"
        "  12  qg-1    openvswitch   1500  down   internal_dev_xmit\n"
        "\n"
        "inode:9 (inode 9)\n"
        "  it cannot be entered: x\n"
    )


def test_a_host_is_called_as_the_user_called_it() -> None:
    assert devices_text([HOST], "root@far").startswith("root@far, kernel 6.1.0\n")


def test_unknown_functions_have_a_reason() -> None:
    text = devices_text([{**HOST, "functions": False, "why_not": "EPERM at BPF_PROG_LOAD"}])
    assert "which function transmits is not known: EPERM at BPF_PROG_LOAD" in text


def test_names_cannot_move_the_cursor() -> None:
    assert "\x1b" not in devices_text([{**ROUTER, "netns": "\x1b[2J"}])


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[list[dict[str, Any]], Ending]]:
    """What hosts answer, by name; `local` is this machine."""
    known: dict[str, tuple[list[dict[str, Any]], Ending]] = {"local": ([HOST, ROUTER], Ending(0))}

    def ask(host: str, _packed: bytes, arguments: list[str]) -> tuple[list[dict[str, Any]], Ending]:
        assert arguments == ["devices"]
        return known[host]

    monkeypatch.setattr("bothways.trace.local.ask_local", lambda arguments: ask("local", b"", arguments))
    monkeypatch.setattr("bothways.trace.remote.ask", ask)
    return known


@pytest.mark.parametrize(
    ("words", "devices"),
    [
        ([], ["lo", "qg-1"]),
        (["--netns", "qrouter-*"], ["lo", "qg-1"]),
        (["--netns", "inode:4026532000"], ["lo", "qg-1"]),
        (["--netns", "other*"], []),
        (["--device", "qg-*"], ["qg-1"]),
        (["--device", "tap*"], []),
    ],
)
@pytest.mark.usefixtures("answers")
def test_what_was_not_asked_for_is_left_out(words: list[str], devices: list[str]) -> None:
    ran = CliRunner().invoke(command, [*words, "--json"], standalone_mode=False)
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert rows[0] == HOST
    assert [each["device"] for row in rows[1:] for each in row["devices"]] == devices


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--netns", "qrouter-2"], ("there is no network namespace `qrouter-2`", "there is qrouter-1 …")),
        (["--device", "qg-2"], ("there is no device `qg-2`", "`bothways trace devices` lists them all")),
    ],
)
@pytest.mark.usefixtures("answers")
def test_a_name_that_nothing_has_is_a_mistake(words: list[str], said: tuple[str, str]) -> None:
    ran = CliRunner().invoke(command, words, standalone_mode=False)
    assert isinstance(ran.exception, CommandError)
    assert (ran.exception.message, ran.exception.hint, ran.exception.code) == (*said, 2)


@pytest.mark.usefixtures("answers")
def test_a_glob_that_fits_nothing_is_answered() -> None:
    ran = CliRunner().invoke(command, ["--device", "tap*"], standalone_mode=False)
    assert ran.return_value == 0
    assert "there is no device `tap*`" in ran.stderr


def test_several_hosts_are_told_apart(answers: dict[str, tuple[list[dict[str, Any]], Ending]]) -> None:
    answers["far"] = ([HOST, ROUTER], Ending(0))
    ran = CliRunner().invoke(command, ["--host", "far", "--host", "local", "--json"], standalone_mode=False)
    rows = [json.loads(line) for line in ran.output.splitlines()]
    assert [row.get("host") for row in rows] == ["far", "far", "h1", None]


def test_one_host_that_fails_ends_it(answers: dict[str, tuple[list[dict[str, Any]], Ending]]) -> None:
    answers["far"] = ([], Ending("host-key", "its host key is not known here", "ssh far"))
    ran = CliRunner().invoke(command, ["--host", "far"], standalone_mode=False)
    assert isinstance(ran.exception, CommandError)
    assert (ran.exception.message, ran.exception.hint) == ("far: its host key is not known here", "ssh far")


def test_one_of_several_that_fails_is_told_and_the_others_shown(
    answers: dict[str, tuple[list[dict[str, Any]], Ending]],
) -> None:
    answers["far"] = ([], Ending("lost", "the connection was lost", ""))
    ran = CliRunner().invoke(command, ["--host", "far", "--host", "local"], standalone_mode=False)
    assert ran.return_value == 4
    assert "qrouter-1" in ran.output
    assert "far: the connection was lost" in ran.stderr
