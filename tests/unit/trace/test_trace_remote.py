"""A probe on another host, without one: a program in place of ssh runs the command here."""

from __future__ import annotations

import io
import os
import stat
import sys
import textwrap
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bothways.trace.clock_bounds import ClockBounds
from bothways.trace.local import Ending
from bothways.trace.remote import Refused, RemoteProbe, connect
from bothways.trace.remote_shell import shell_command

#: stands in the packed file in place of the probe: says what one says, and answers pings until its input ends
PROBE = """
import json, sys, time
def say(**line):
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\\n")
    sys.stdout.flush()
def main(arguments):
    if "--fails" in arguments:
        say(type="problem", text="no {BTF} here", hint="take another kernel")
        return 4
    say(type="start", arguments=arguments)
    say(type="ready", seconds=0.1)
    if "--breaks" in arguments:
        return 1
    for line in sys.stdin:
        say(type="pong", ping=int(line.split()[1]), wall_ns=time.time_ns() + 5_000_000_000)
    say(type="stop", events=0)
    return 0
"""

RUNS_HERE = """
    #!/bin/sh
    for last; do :; done
    exec sh -c "$last"
"""


def packed() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("bothways", "bothways/trace", "bothways/trace/probe"):
            archive.writestr(f"{name}/__init__.py", "")
        archive.writestr("bothways/trace/probe/__main__.py", PROBE)
    return buffer.getvalue()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a program of that name in front of all others."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def put(name: str, text: str) -> None:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text).lstrip())
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    put("python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    put("id", "#!/bin/sh\necho 0\n")
    put("ssh", RUNS_HERE)
    return put


def run(probe: RemoteProbe, *, until: str = "ready") -> tuple[list[str], Ending]:
    """Read all lines; ask for the end a moment after a line of that type has come."""
    lines = []
    for line in probe.lines():
        lines.append(line)
        if f'"type":"{until}"' in line:
            threading.Timer(0.3, probe.stop).start()
    return lines, probe.ending()


@pytest.mark.usefixtures("program")
def test_the_probe_runs_from_its_input_and_ends_with_it() -> None:
    probe = connect("somewhere", packed(), ["trace", "--filter", '[{"host":"192.0.2.1/32"}] \'"$x'])
    lines, ending = run(probe)
    assert [line[:16] for line in lines] == ['{"type":"start",', '{"type":"ready",', '{"type":"stop","']
    assert '"[{\\"host\\":\\"192.0.2.1/32\\"}] \'\\"$x"' in lines[0]
    assert '"--stdin-close-stops"' in lines[0]
    assert ending == Ending(0)


@pytest.mark.usefixtures("program")
def test_pings_bound_the_clock_of_the_host() -> None:
    probe = connect("somewhere", packed(), ["trace"])
    run(probe)
    bounds = probe.clock()
    assert bounds is not None
    low, high = bounds
    assert low <= 5_000_000_000 <= high
    assert high - low < 1_000_000_000


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(
    ("option", "text", "hint"),
    [
        ("--fails", "no {BTF} here", "take another kernel"),
        ("--breaks", "the probe ended with status 1, before its last line", ""),
    ],
)
def test_what_the_probe_could_not_do_is_told(option: str, text: str, hint: str) -> None:
    _, ending = run(connect("somewhere", packed(), ["trace", option]))
    assert ending == Ending("probe", text, hint)


@pytest.mark.parametrize(
    ("programs", "word", "words"),
    [
        ({"command": ""}, "no-python", "there is no Python"),
        ({"python3": "#!/bin/sh\nexit 1\n", "python": "#!/bin/sh\nexit 1\n"}, "old-python", "older than 3.6"),
        ({"id": "#!/bin/sh\necho 1000\n", "sudo": "#!/bin/sh\nexit 1\n"}, "no-root", "sudo wants a password"),
    ],
)
def test_what_a_host_lacks_is_told(
    program: Callable[[str, str], None], tmp_path: Path, programs: dict[str, str], word: str, words: str
) -> None:
    for name, text in programs.items():
        program(name, text)
    if word == "no-python":
        (tmp_path / "sh").symlink_to("/bin/sh")
        program("ssh", f'#!/bin/sh\nfor last; do :; done\nPATH={tmp_path} exec /bin/sh -c "$last"\n')
        (tmp_path / "python3").unlink()
    lines, ending = run(connect("admin@far", packed(), ["trace"]))
    assert lines == []
    assert ending.status == word
    assert words in ending.text
    assert ending.hint


def test_sudo_is_taken_where_it_asks_for_nothing(program: Callable[[str, str], None]) -> None:
    program("id", "#!/bin/sh\necho 1000\n")
    program("sudo", '#!/bin/sh\n[ "$1" = -n ] || exit 1\nshift\nSUDO=yes exec "$@"\n')
    lines, ending = run(connect("far", packed(), ["trace"]))
    assert len(lines) == 3
    assert ending == Ending(0)


@pytest.mark.parametrize(
    ("said", "word", "hint"),
    [
        ("Host key verification failed.", "host-key", "compare the fingerprint: ssh u@far"),
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            "host-key",
            "ssh-keygen -R far",
        ),
        ("u@far: Permission denied (publickey).", "refused", "ssh-copy-id u@far"),
        ("ssh: Could not resolve hostname far: Name or service not known", "refused", "ssh_config"),
        ("ssh: connect to host far port 22: Connection refused", "refused", "sshd"),
        ("ssh: connect to host far port 22: Connection timed out", "refused", "ssh u@far true"),
        ("something that nobody has seen {yet}", "refused", "ssh u@far true"),
    ],
)
def test_what_ssh_says_becomes_a_sentence(
    program: Callable[[str, str], None], said: str, word: str, hint: str
) -> None:
    program("ssh", f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\nexit 255\n")
    lines, ending = run(connect("u@far", packed(), ["trace"]))
    assert lines == []
    assert ending.status == word
    assert hint in ending.hint
    assert ending.text


def test_a_connection_that_breaks_is_told(program: Callable[[str, str], None]) -> None:
    program(
        "ssh",
        """
        #!/bin/sh
        printf '{"type":"start"}\\n{"type":"ready"}\\n'
        echo "client_loop: send disconnect: Broken pipe" >&2
        exit 255
        """,
    )
    lines, ending = run(connect("far", packed(), ["trace"]))
    assert len(lines) == 2
    assert ending.status == "lost"
    assert "Broken pipe" in ending.text


def test_an_end_before_the_start_is_no_hang(program: Callable[[str, str], None]) -> None:
    program("ssh", '#!/bin/sh\ntrap "exit 1" TERM\nexec cat >/dev/null\n')
    probe = connect("far", packed(), ["trace"])
    threading.Timer(0.2, probe.end).start()
    assert list(probe.lines()) == []
    assert probe.ending().status == "probe"


@pytest.mark.parametrize("host", ["", "-oProxyCommand=x", "a b"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(Refused, match="is no host"):
        connect(host, b"", [])


def test_a_machine_without_ssh_is_told() -> None:
    with pytest.raises(Refused) as caught:
        connect("far", b"", [], ssh="no-such-program")
    assert "openssh-client" in caught.value.hint


def test_the_command_names_every_way_out() -> None:
    command = shell_command(["trace"])
    assert command.startswith("exec sh -c ")
    for word in ("exit 41", "exit 42", "exit 43", "sudo -n"):
        assert word in command


@pytest.mark.parametrize(
    ("answers", "interval", "moved"),
    [
        ([(100, 1110, 120)], (990, 1010), False),
        ([(100, 1110, 120), (200, 1205, 206)], (999, 1005), False),
        ([(100, 1110, 120), (200, 5203, 206)], (990, 5003), True),
        ([(100, 1110, 120), (200, 5203, 206), (300, 1301, 302)], (990, 5003), True),
        ([(100, 1110, 90)], None, False),
    ],
)
def test_answers_narrow_the_bounds(
    answers: list[tuple[int, int, int]], interval: tuple[int, int] | None, *, moved: bool
) -> None:
    bounds = ClockBounds()
    for answer in answers:
        bounds.add(*answer)
    assert bounds.interval == interval
    assert bounds.moved == moved
