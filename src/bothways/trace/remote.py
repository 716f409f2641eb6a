"""
The probe on another host, through the ``ssh`` of this machine.

The program is OpenSSH's own, and no library: what the user has set up in ``ssh_config``, agents, jump
hosts, certificates and known hosts simply holds. The probe goes through its standard input and runs from
memory; when the connection ends, for whatever reason, the probe's input ends, and with it the probe.

The other host's clock is bounded by pings: it was read between the moment in which we asked and that in
which we heard.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import orjson

from bothways.trace.carry import payload
from bothways.trace.clock_bounds import ClockBounds
from bothways.trace.local import Ending
from bothways.trace.remote_shell import NO_PYTHON, NO_ROOT, OLD_PYTHON, shell_command

__all__ = ["Refused", "RemoteProbe", "ask", "connect"]

_OPTIONS: Final = (
    "BatchMode=yes",  # several hosts would ask for passwords at once
    "ConnectTimeout=10",
    "ServerAliveInterval=5",  # a connection that is lost is noticed within 15 seconds
    "ServerAliveCountMax=3",
    "LogLevel=ERROR",
)
_HOSTS: Final = "a name of ssh_config, user@host, or ssh://user@host:port"
_PATIENCE_S: Final = 5.0
_PINGS_AT_FIRST: Final = 5
_PING_EVERY_S: Final = 5.0
_PING_GAP_S: Final = 0.05
_LAST_PONG_S: Final = 0.5
_SSH_FAILED: Final = 255

#: what the end of ssh means by what it wrote, in the order in which it is looked for: word, sentence, hint
_FAILURES: Final[tuple[tuple[str, str, str, str], ...]] = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "host-key",
        "its host key is not the one that is known",
        "if the host was installed anew, remove the old key: ssh-keygen -R {name}",
    ),
    (
        "Host key verification failed",
        "host-key",
        "its host key is not known here",
        "connect once by hand and compare the fingerprint: ssh {host}",
    ),
    (
        "Permission denied",
        "refused",
        "ssh did not let us in",
        "passwords are not asked for: bring a key there (ssh-copy-id {host}), or an agent here (ssh-add)",
    ),
    (
        "Could not resolve hostname",
        "refused",
        "there is no host of that name",
        "names are those of ssh_config and of the resolver",
    ),
    ("Connection refused", "refused", "nothing takes ssh there", "is sshd running, on that port?"),
    ("timed out", "refused", "no answer", "can this machine reach it: ssh {host} true"),
    ("No route to host", "refused", "no way there", "can this machine reach it: ssh {host} true"),
    ("Network is unreachable", "refused", "no way there", "ip route get {name} says why"),
)

_REFUSALS: Final[Mapping[int, tuple[str, str, str]]] = {
    NO_PYTHON: (
        "no-python",
        "there is no Python",
        "the probe needs Python 3.6 or newer there, and nothing else",
    ),
    OLD_PYTHON: (
        "old-python",
        "its Python is older than 3.6",
        "a newer one beside it is enough, if it is called python3",
    ),
    NO_ROOT: (
        "no-root",
        "we are not root there, and sudo wants a password",
        "name the user (root@{name}), or let sudo run without a password for it",
    ),
    126: ("refused", "the shell there may not run commands", "an ordinary shell is needed"),
    127: ("refused", "it has no sh", "an ordinary shell is needed"),
}


class Refused(Exception):  # noqa: N818  what it says is a sentence for the user
    """Nothing can be started here; the text says why, ``hint`` what to do."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint


class RemoteProbe:
    """
    A probe on another host. Its end is asked for by closing its standard input.

    :param host: as ssh takes it: a name of ssh_config, ``user@host``, ``ssh://user@host:port``.
    :param command: the program and options in front of the host.
    """

    def __init__(self, host: str, packed: bytes, arguments: list[str], command: Sequence[str]) -> None:
        self.host = host
        self._bounds = ClockBounds()
        self._asked: dict[int, int] = {}
        self._problem = "", ""
        self._ending: Ending | None = None
        self._stopped = self._attached = False
        self._long = arguments[:1] == ["trace"]  # this verb has a last line; others are over when they are
        self._lock = threading.Lock()
        self._ready, self._stopping, self._heard = threading.Event(), threading.Event(), threading.Event()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the process
        # In a session of its own: an interrupt from the terminal reaches it through us, in order.
        self._process = subprocess.Popen(
            [*command, "--", host, shell_command(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,
        )
        self._speaker = threading.Thread(target=self._speak, args=(payload(packed),), daemon=True)
        self._speaker.start()

    # -- speaking
    # ----------------------------------------------------------------------------------------------------

    def _speak(self, opening: bytes) -> None:
        """
        Send the probe, and then ask for the time.

        Often at first, now and then later, and once at the end.
        """
        try:
            self._write(opening)
            self._ready.wait()
            number = 0
            while not self._stopping.is_set():
                self._ping(number)
                number += 1
                self._stopping.wait(_PING_GAP_S if number < _PINGS_AT_FIRST else _PING_EVERY_S)
            if self._attached and self._process.poll() is None:
                self._heard.clear()
                self._ping(number)
                self._heard.wait(_LAST_PONG_S)
        except (OSError, ValueError):
            pass  # the connection is gone; who reads the lines notices
        finally:
            with suppress(OSError, ValueError):
                if self._process.stdin is not None:
                    self._process.stdin.close()

    def _write(self, data: bytes) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def _ping(self, number: int) -> None:
        with self._lock:
            self._asked[number] = time.time_ns()
        self._write(b"ping %d\n" % number)

    def stop(self) -> None:
        """Ask it to detach; what it has gathered still comes."""
        self._stopping.set()
        self._ready.set()

    def end(self) -> None:
        """End it if it has not ended by itself."""
        self.stop()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()

    # -- hearing
    # -----------------------------------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """Every line of the probe, until it or the connection ends."""
        for line in self._process.stdout or ():
            heard = time.time_ns()
            if line.startswith(b'{"type":"pong"'):
                self._take_pong(line, heard)
                continue
            text = line.decode(errors="replace").rstrip("\r\n")
            if line.startswith(b'{"type":"ready"'):
                self._attached = True
                self._ready.set()
            elif line.startswith(b'{"type":"problem"'):
                self._remember(text)
            elif line.startswith(b'{"type":"stop"'):
                self._stopped = True
            yield text
        self.stop()
        self._process.wait()
        self._speaker.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _take_pong(self, line: bytes, heard: int) -> None:
        with suppress(orjson.JSONDecodeError, KeyError, TypeError):
            pong = orjson.loads(line)
            with self._lock:
                asked = self._asked.pop(pong["ping"])
            self._bounds.add(asked, int(pong["wall_ns"]), heard)
            self._heard.set()

    def _remember(self, text: str) -> None:
        with suppress(orjson.JSONDecodeError, AttributeError):
            said = orjson.loads(text)
            self._problem = str(said.get("text") or ""), str(said.get("hint") or "")

    def clock(self) -> tuple[int, int] | None:
        """Bounds of its wall clock less ours, nanoseconds; None before the first answer to a ping."""
        return self._bounds.interval

    def ending(self) -> Ending:
        """How it ended, once there are no more lines."""
        if self._ending is None:
            self._ending = self._told_ending(self._process.wait())
        return self._ending

    def _told_ending(self, status: int) -> Ending:
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip()
        self._said.close()
        if status == 0 and (self._stopped or not self._long):
            return Ending(0)
        word, text, hint = self._judged(status, said)
        name = self.host.rpartition("@")[2]
        return Ending(word, text.format(host=self.host, name=name), hint.format(host=self.host, name=name))

    def _judged(self, status: int, said: str) -> tuple[str, str, str]:
        quoted = _literal(said.splitlines()[-1].strip()) if said else ""
        if status in _REFUSALS:
            return _REFUSALS[status]
        if status == _SSH_FAILED and not self._attached:
            for words, kind, text, hint in _FAILURES:
                if words in said:
                    return kind, text, hint
            return "refused", "ssh failed" + (f": {quoted}" if quoted else ""), "try: ssh {host} true"
        if status in {_SSH_FAILED, -15, -9}:
            why = f" ({quoted})" if quoted else ""
            return "lost", "the connection was lost" + why, "the probe there has ended with it"
        text, hint = self._problem
        if text:
            return "probe", _literal(text), _literal(hint)
        why = f": {quoted}" if quoted else ""
        return "probe", f"the probe ended with status {status}, before its last line{why}", ""


def _literal(text: str) -> str:
    """Text that stands as it is when names are put in."""
    return text.replace("{", "{{").replace("}", "}}")


def connect(
    host: str, packed: bytes, arguments: Sequence[str], *, ssh: str = "ssh", options: Sequence[str] = ()
) -> RemoteProbe:
    """
    Start a probe on another host; returns at once.

    :param packed: the probe as one file (:func:`bothways.trace.carry.pack`).
    :param arguments: its verb and options: ``["trace", …]``.
    :param options: of ssh, as ``-F FILE``, ``-p PORT``; what they say is stronger than our own.
    :raises Refused: where this machine has no ssh, or *host* is no host.
    """
    if not host or host.startswith("-") or any(letter.isspace() for letter in host):
        raise Refused(f"{shlex.quote(host)} is no host", _HOSTS)
    program = shutil.which(ssh)
    if program is None:
        raise Refused(f"there is no program {ssh}", "apt-get install openssh-client")
    ours = [word for option in _OPTIONS for word in ("-o", option)]
    words = list(arguments)
    if words[:1] == ["trace"]:
        words.append("--stdin-close-stops")
    return RemoteProbe(host, packed, words, [program, "-T", *options, *ours])


def ask(
    host: str, packed: bytes, arguments: Sequence[str], *, ssh: str = "ssh", options: Sequence[str] = ()
) -> tuple[list[dict[str, Any]], Ending]:
    """
    Run another verb of the probe on a host to its end; return the objects that it printed, and how it ended.

    The parameters are those of :func:`connect`, and so is what it raises.
    """
    probe = connect(host, packed, arguments, ssh=ssh, options=options)
    rows: list[dict[str, Any]] = []
    for line in probe.lines():
        with suppress(orjson.JSONDecodeError):
            said = orjson.loads(line)
            rows.extend([said] if isinstance(said, dict) else [])
    return rows, probe.ending()
