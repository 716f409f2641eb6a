"""The tracer on two hosts over real ssh: servers in namespaces, one account of both."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from router_bed import Bed, bed

from bothways.trace.carry import pack
from bothways.trace.local import Ending
from bothways.trace.remote import RemoteProbe, ask, connect

pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "nft", "ping", "sshd", "ssh")]

PREFIX = "bwts"
ADDRESSES = {"hostr": "10.97.1.1", "hosts": "10.97.2.2"}
Event = dict[str, Any]


@pytest.fixture(scope="module")
def site() -> Iterator[Bed]:
    with bed(PREFIX) as each:
        yield each


def keys(folder: Path, name: str) -> Path:
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@contextmanager
def servers(site: Bed, folder: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    host, user = keys(folder, "host"), keys(folder, "user")
    (folder / "authorized").write_bytes(user.with_suffix(".pub").read_bytes())
    Path("/run/sshd").mkdir(exist_ok=True)
    running = {}
    try:
        for name, namespace in (("hostr", site.router), ("hosts", site.server)):
            options = {
                "ListenAddress": ADDRESSES[name],
                "HostKey": host,
                "PidFile": "none",
                "AuthorizedKeysFile": folder / "authorized",
                "UsePAM": "no",
                "StrictModes": "no",
                "PermitRootLogin": "prohibit-password",
                "UseDNS": "no",
            }
            words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
            line = ["ip", "netns", "exec", namespace, "/usr/sbin/sshd", "-D", "-f", "/dev/null"]
            running[name] = subprocess.Popen([*line, "-E", f"{folder}/log", *words])
        known = host.with_suffix(".pub").read_text().split()[:2]
        (folder / "known").write_text("".join(f"{each} {' '.join(known)}\n" for each in ADDRESSES.values()))
        (folder / "config").write_text(
            "".join(f"Host {name}\n  HostName {address}\n" for name, address in ADDRESSES.items())
            + f"Host *\n  User root\n  IdentityFile {user}\n  IdentitiesOnly yes\n"
            + f"  UserKnownHostsFile {folder}/known\n  GlobalKnownHostsFile /dev/null\n"
        )
        # Ours is the client's place: ssh starts in its namespace.
        program = folder / "ssh"
        program.write_text(f'#!/bin/sh\nexec ip netns exec {site.client} {shutil.which("ssh")} "$@"\n')
        program.chmod(0o755)
        wait_for(folder)
        yield running
    finally:
        for process in running.values():
            process.terminate()
            process.wait()


def wait_for(folder: Path) -> None:
    for name in ADDRESSES:
        for _ in range(50):
            line = [str(folder / "ssh"), "-F", f"{folder}/config", "-o", "BatchMode=yes", name, "true"]
            if subprocess.run(line, capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)


@pytest.fixture(scope="module")
def folder(site: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("ssh")
    with servers(site, path):
        yield path


def start(folder: Path, host: str, *options: str) -> RemoteProbe:
    return connect(
        host, pack(), ["trace", *options], ssh=str(folder / "ssh"), options=("-F", f"{folder}/config")
    )


def until_ready(probe: RemoteProbe) -> Iterator[Event]:
    """All lines; the first next() returns when the probe is attached."""
    for text in probe.lines():
        yield json.loads(text)


def processes() -> set[str]:
    """Command lines of probes."""
    found = set()
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = each.read_bytes()
        except OSError:
            continue
        if b"bothways.trace.probe" in line and b"import os,sys" in line:
            found.add(each.parent.name)
    return found


def left_behind() -> set[str]:
    places = (tempfile.gettempdir(), str(Path.home()), "/run")
    return {str(each) for root in places for each in Path(root).glob("bothways*")}


def test_two_hosts_tell_one_story(site: Bed, folder: Path) -> None:
    before = left_behind()
    probes = [
        start(
            folder,
            name,
            "--netns",
            f"inode:{site.inode(namespace)}",
            "--filter",
            json.dumps([{"port": [9, 9]}]),
        )
        for name, namespace in (("hostr", site.router), ("hosts", site.server))
    ]
    told: dict[str, list[Event]] = {}
    lines = {probe.host: until_ready(probe) for probe in probes}
    for host, each in lines.items():
        told[host] = []
        for line in each:
            told[host].append(line)
            if line["type"] == "ready":
                break
    site.connect(9)
    time.sleep(0.6)
    for probe in probes:
        probe.stop()
    for host, each in lines.items():
        told[host] += each
    assert [probe.ending() for probe in probes] == [Ending(0), Ending(0)]
    for probe in probes:
        bounds = probe.clock()
        assert bounds is not None
        assert bounds[0] <= 0 <= bounds[1]  # both hosts share this machine's clock
        assert bounds[1] - bounds[0] < 60_000_000_000  # how wide hangs on how busy the machine is
    events = {host: [each for each in rows if each["type"] == "event"] for host, rows in told.items()}
    assert {each["netns"] for each in events["hostr"] if each["netns"]} == {site.router}
    assert {each["netns"] for each in events["hosts"] if each["netns"]} == {site.server}
    (reset,) = [each for each in events["hosts"] if each["event"] == "rst-sent"]
    assert reset["device"] == f"{PREFIX}s0"
    assert any(each["event"] in {"xmit", "receive"} for each in events["hostr"])
    assert processes() == set()
    assert left_behind() == before


def test_a_connection_that_is_cut_leaves_nothing(folder: Path) -> None:
    probe = start(folder, "hosts")
    for line in until_ready(probe):
        if line["type"] == "ready":
            break
    assert processes()
    ssh = [
        each.parent.name
        for each in Path("/proc").glob("[0-9]*/cmdline")
        if each.read_bytes().split(b"\0")[0].endswith(b"ssh") and b"hosts" in each.read_bytes().split(b"\0")
    ]
    for each in ssh:
        os.kill(int(each), signal.SIGKILL)
    list(probe.lines())
    assert probe.ending().status == "lost"
    for _ in range(50):
        if not processes():
            break
        time.sleep(0.1)
    assert processes() == set()


def test_a_wrong_host_key_is_told(folder: Path, tmp_path: Path) -> None:
    other = keys(tmp_path, "other").with_suffix(".pub").read_text().split()[:2]
    config = tmp_path / "config"
    known = tmp_path / "known"
    known.write_text(f"{ADDRESSES['hosts']} {' '.join(other)}\n")
    config.write_text((folder / "config").read_text().replace(f"{folder}/known", str(known)))
    rows, ending = ask("hosts", pack(), ["devices"], ssh=str(folder / "ssh"), options=("-F", str(config)))
    assert rows == []
    assert ending.status == "host-key"
    assert "ssh-keygen -R hosts" in ending.hint


def test_devices_are_listed_over_ssh(site: Bed, folder: Path) -> None:
    rows, ending = ask(
        "hostr", pack(), ["devices"], ssh=str(folder / "ssh"), options=("-F", f"{folder}/config")
    )
    assert ending == Ending(0)
    (router,) = [each for each in rows if each.get("netns") == site.router]
    assert {each["device"]: each["transmit"] for each in router["devices"]}[site.inner] == "veth_xmit"


def test_one_command_watches_both_hosts(site: Bed, folder: Path) -> None:
    visit = f"import socket; s = socket.socket(); s.settimeout(2); s.connect_ex(('{ADDRESSES['hosts']}', 9))"
    line = [sys.executable, "-c", "from bothways.cli import main; main()", "trace", "tcp port 9"]
    line += ["--host", "hostr", "--host", "hosts", "--ssh-config", f"{folder}/config", "--timeout", "20"]
    line += ["--", "ip", "netns", "exec", site.client, sys.executable, "-c", visit]
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    ran = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert "hostr" in ran.stdout
    assert "hosts" in ran.stdout
    assert f"{PREFIX}s0" in ran.stdout
    assert "tcp_v4_send_reset" in ran.stdout
    assert processes() == set()
