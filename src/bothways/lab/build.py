"""Run a plan."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from bothways.lab.act import Act

__all__ = ["BuildError", "build", "environment", "has_module", "missing_programs", "run_act"]

_PATIENCE: Final = 15.0
_PATH: Final = ":/usr/sbin:/sbin"
#: Program -> the package that brings it.
_PACKAGES: Final[Mapping[str, str]] = {
    "ethtool": "ethtool",
    "ip": "iproute2",
    "iptables-restore": "iptables",
    "nft": "nftables",
    "ovs-ofctl": "openvswitch-switch",
    "ovs-vsctl": "openvswitch-switch",
    "ovs-vswitchd": "openvswitch-switch",
    "ovsdb-server": "openvswitch-switch",
    "ovsdb-tool": "openvswitch-switch",
    "ping": "iputils-ping",
    "ss": "iproute2",
    "ssh-keygen": "openssh-client",
    "sysctl": "procps",
}


class BuildError(Exception):
    """
    A command of the plan failed.

    :param act: which.
    """

    def __init__(self, act: Act, text: str) -> None:
        super().__init__(text)
        self.act = act


def missing_programs(acts: Iterable[Act]) -> tuple[str, ...]:
    """Return packages that the plan needs and this machine lacks."""
    programs = {
        word for act in acts for word in act.argv[:6] if word in _PACKAGES or word == "/usr/sbin/sshd"
    }
    path = environment()["PATH"]
    return tuple(
        sorted(
            {_PACKAGES.get(each, "openssh-server") for each in programs if not shutil.which(each, path=path)}
        )
    )


def has_module(python: str, module: str) -> bool:
    """Whether a Python has a module."""
    find = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    try:
        return subprocess.run((python, "-I", "-c", find), capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def environment() -> dict[str, str]:
    """Return the environment of every command: no language, and the system's programs are found."""
    return {**os.environ, "PATH": os.environ.get("PATH", "") + _PATH, "LC_ALL": "C"}


def build(
    acts: Iterable[Act],
    tell: Callable[[str], None] = lambda _: None,
    doubt: Callable[[str], None] = lambda _: None,
) -> dict[str, float]:
    """
    Run every command of a plan in order; return the seconds of each stage.

    :param tell: is told each stage as it begins; *doubt* each failure that does not end the build.
    :raises BuildError: at the first one that fails.
    """
    seconds: dict[str, float] = {}
    stage = None
    for act in acts:
        if act.stage != stage:
            stage = act.stage
            tell(stage)
        began = time.monotonic()
        try:
            run_act(act)
        except BuildError as error:
            if not act.mild:
                raise
            doubt(str(error))
        seconds[stage] = seconds.get(stage, 0.0) + time.monotonic() - began
    return seconds


def run_act(act: Act) -> str:
    """
    Run one command and return what it printed.

    A command dies with this process, even when that is killed; a service stays.

    :raises BuildError: if it fails, with its own last words.
    """
    env = environment()
    if act.stays:
        service = subprocess.Popen(
            act.words,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _wait(act, service, env)
        service.returncode = 0  # it is not ours to wait for any more
        return ""
    words = ("setpriv", "--pdeathsig", "KILL", "--", *act.words)
    try:
        done = subprocess.run(
            words,
            input=act.given or "",
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=act.patience,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(act, f"it did not end within {act.patience:.0f} s") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        told = next((line for line in said if "rror" in line), said[-1] if said else "")
        raise BuildError(act, told or f"exit {done.returncode}")
    return done.stdout


def _wait(act: Act, service: subprocess.Popen[bytes], env: Mapping[str, str]) -> None:
    """Wait until a service is ready, its own way of telling."""
    deadline = time.monotonic() + _PATIENCE
    ask = Act(act.stage, act.until, act.space)
    while True:
        done = subprocess.run(ask.words, env=env, capture_output=True, text=True, check=False)
        if done.stdout.strip():
            return
        if service.poll() is not None:
            raise BuildError(act, f"it ended with exit {service.returncode} before it was ready")
        if time.monotonic() > deadline:
            raise BuildError(act, f"it was not ready after {_PATIENCE:.0f} s")
        time.sleep(0.01)
