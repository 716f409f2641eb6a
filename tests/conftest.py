"""What every test runs under: the guard of the reasoning half, and a word about what cannot run here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import hypothesis
import pytest

from reasoning_guard import GUARD, Guard, TouchedTheWorldError

ROOT = Path(__file__).resolve().parent.parent

# The same examples on every machine; `pytest --hypothesis-profile=seek` looks for new ones.
hypothesis.settings.register_profile(
    "bothways", database=None, deadline=None, derandomize=True, max_examples=100
)
hypothesis.settings.register_profile("seek", database=None, deadline=None, max_examples=1000)
hypothesis.settings.load_profile("bothways")


@pytest.fixture(autouse=True)
def reasoning_guard() -> Iterator[Guard]:
    """Fail the test if a room of the reasoning half touches the world during it."""
    GUARD.arm()
    yield GUARD
    seen = GUARD.disarm()
    if seen:
        raise TouchedTheWorldError("; ".join(seen))


#: program -> the package of Debian and Ubuntu that brings it
PACKAGES: Mapping[str, str] = {
    "chromium": "chromium",
    "conntrack": "conntrack",
    "ethtool": "ethtool",
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "ovs-ofctl": "openvswitch-switch",
    "ovs-vswitchd": "openvswitch-switch",
    "ping": "iputils-ping",
    "ssh": "openssh-client",
    "sshd": "openssh-server",
    "tcpdump": "tcpdump",
    "tshark": "tshark",
}
LACKS = "this machine lacks "
NO_ROOT = "needs root"
NO_SHARED = "the recorded evidence beside the project is not here"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that names the programs which a test drives."""
    config.addinivalue_line("markers", "needs(*programs): runs only where these programs are installed")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Skip what cannot run here, with a reason that the summary can turn into one command."""
    for item in items:
        needs = {program for mark in item.iter_markers("needs") for program in mark.args}
        missing = sorted(program for program in needs if not _installed(program))
        if missing:
            item.add_marker(pytest.mark.skip(reason=LACKS + " ".join(missing)))
        if item.get_closest_marker("live") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason=NO_ROOT))
        if item.get_closest_marker("shared") and not (ROOT.parent / "shared").is_dir():
            item.add_marker(pytest.mark.skip(reason=NO_SHARED))


def _installed(program: str) -> bool:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what this machine did not run, and the one command that changes it."""
    reasons = [
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    ]
    if not reasons:
        return
    terminalreporter.section("not run on this machine")
    for reason in sorted(set(reasons)):
        terminalreporter.line(f"{reasons.count(reason)} skipped: {reason}")
    programs = {
        name for reason in reasons if reason.startswith(LACKS) for name in reason[len(LACKS) :].split()
    }
    if programs:
        packages = sorted({PACKAGES.get(program, program) for program in programs})
        terminalreporter.line(f"to run them: apt-get install -y {' '.join(packages)}")
    if NO_ROOT in reasons:
        terminalreporter.line("to run them: sudo make test")
