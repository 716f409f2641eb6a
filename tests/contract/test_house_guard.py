"""The guard guards: a room that touches the world is caught, even where it swallows the error."""

from __future__ import annotations

from pathlib import Path

import pytest

from reasoning_guard import SOURCE, Guard, TouchedTheWorldError


def run_in_room(room: str, body: str, **names: object) -> None:
    """Run *body* as if it stood in a module of *room*."""
    code = compile(body, str(SOURCE / room / "invented.py"), "exec")
    exec(code, dict(names))  # noqa: S102  the body is a line of the table below


@pytest.mark.parametrize("room", ["facts", "parse", "correlate", "model", "diagnose", "report", "bundle"])
@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("import socket; socket.socket()", "opened a socket"),
        ("import socket; socket.getaddrinfo('localhost', 22)", "opened a socket"),
        ("import subprocess; subprocess.run(['true'])", "started a process"),
        ("import os; os.system('true')", "started a process"),
        ("import os; os.fork()", "started a process"),
        ("import os; os.posix_spawn('/bin/true', ['true'], {})", "started a process"),
        ("import os; os.environ['A'] = 'b'", "changed the environment"),
        ("open('/etc/hostname')", "read "),
        ("import os; os.listdir('/etc')", "read "),
        ("import pathlib; pathlib.Path('/etc').joinpath('hostname').read_text()", "read "),
        ("open(home / 'verdict.txt', 'w')", "wrote "),
        ("import os; os.open(home / 'verdict.txt', os.O_CREAT | os.O_WRONLY)", "wrote "),
        ("import os; os.mkdir(home / 'verdict')", "wrote "),
        ("try:\n    open('/etc/hostname')\nexcept Exception:\n    pass", "read "),
    ],
)
def test_a_room_that_touches_the_world_is_caught(
    reasoning_guard: Guard, room: str, body: str, found: str
) -> None:
    swallowed = "except" in body
    try:
        run_in_room(room, body, home=Path(__file__).parent)
    except TouchedTheWorldError:
        assert not swallowed
    seen = reasoning_guard.disarm()
    assert seen, f"`{body}` went unseen"
    assert f"bothways.{room} {found}" in seen[0]
    seen.clear()


@pytest.mark.parametrize("room", ["facts", "parse", "correlate", "model", "diagnose", "report"])
def test_only_bundle_and_capture_open_evidence(reasoning_guard: Guard, room: str, tmp_path: Path) -> None:
    evidence = tmp_path / "conntrack.txt"
    evidence.write_text("")
    with pytest.raises(TouchedTheWorldError, match="read "):
        run_in_room(room, "open(evidence)", evidence=evidence)
    reasoning_guard.disarm().clear()


@pytest.mark.parametrize("room", ["bundle", "capture"])
def test_bundle_and_capture_may_open_evidence_and_write_scratch_files(room: str, tmp_path: Path) -> None:
    run_in_room(room, "open(home / 'a', 'w').close(); open(home / 'a').close()", home=tmp_path)


def test_rooms_may_import_and_read_the_files_of_installed_packages() -> None:
    run_in_room("report", "import colorsys, pytest; open(pytest.__file__).close()")


@pytest.mark.parametrize("room", ["cli", "collect"])
def test_the_touching_half_is_free(room: str) -> None:
    run_in_room(room, "open('/etc/hostname').close()")


def test_a_test_is_free(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("the guard judges rooms, not tests")
