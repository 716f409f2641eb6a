"""Devices of namespaces, and the functions that transmit for them, as this machine's kernel has them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.live, pytest.mark.needs("ip")]

NAME = "bwdev"
MANY = 40  # more than the program lists in one run
FUNCTIONS = {
    "lo": ("loopback_xmit", None),
    "bwdev0": ("veth_xmit", "veth"),
    "bwtap": ("tun_net_xmit", "tun"),
    "bwbr": ("br_dev_xmit", "bridge"),
}


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    def do(line: str) -> None:
        subprocess.run(line.split(), check=True, capture_output=True)

    subprocess.run(["ip", "netns", "delete", NAME], check=False, capture_output=True)
    do(f"ip netns add {NAME}")
    try:
        do(f"ip -n {NAME} link add bwdev0 type veth peer name bwdev1")
        do(f"ip -n {NAME} link set bwdev0 up mtu 1400")
        do(f"ip -n {NAME} tuntap add dev bwtap mode tap")
        do(f"ip -n {NAME} link add bwbr type bridge")
        for number in range(MANY):
            do(f"ip -n {NAME} tuntap add dev many{number} mode tap")
        yield NAME
    finally:
        do(f"ip netns delete {NAME}")


def netns(path: str) -> int:
    return Path(path).stat().st_ino


def ask(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", "from bothways.cli import main; main()", "trace", "devices", *words]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def rows(*words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ask("--json", *words).stdout.splitlines()]


def test_each_device_has_its_function(namespace: str) -> None:
    host, row = rows("--netns", namespace)
    assert (host["type"], host["functions"], host["why_not"]) == ("host", True, None)
    assert (row["netns"], row["inode"]) == (namespace, netns(f"/run/netns/{namespace}"))
    devices = {each["device"]: each for each in row["devices"]}
    assert {name: (devices[name]["transmit"], devices[name]["driver"]) for name in FUNCTIONS} == FUNCTIONS
    assert (devices["bwdev0"]["mtu"], devices["bwdev0"]["up"], devices["bwdev0"]["kind"]) == (
        1400,
        True,
        "veth",
    )
    assert not devices["bwtap"]["up"]


def test_no_device_is_missed(namespace: str) -> None:
    (_, row) = rows("--netns", namespace)
    shown = subprocess.run(
        ["ip", "-n", namespace, "-j", "link"], check=True, capture_output=True, text=True
    ).stdout
    expected = {(each["ifindex"], each["ifname"]) for each in json.loads(shown)}
    assert {(each["ifindex"], each["device"]) for each in row["devices"]} == expected
    assert len(expected) > MANY


def test_a_namespace_of_a_process_is_found() -> None:
    with subprocess.Popen(["unshare", "-n", "sleep", "30"]) as process:
        inode = 0
        while not inode or inode == netns("/proc/self/ns/net"):
            inode = netns(f"/proc/{process.pid}/ns/net")
        try:
            (_, row) = rows("--netns", f"inode:{inode}")
        finally:
            process.kill()
        assert row["pids"] == [process.pid]
        assert row["devices"][0]["device"] == "lo"


def test_the_text_has_a_line_for_each_device(namespace: str) -> None:
    said = ask("--netns", namespace, "--device", "bwtap")
    assert said.returncode == 0
    assert [line.split() for line in said.stdout.splitlines()][-1] == [
        next(
            str(each["ifindex"])
            for each in rows("--netns", namespace)[1]["devices"]
            if each["device"] == "bwtap"
        ),
        "bwtap",
        "tun",
        "1500",
        "down",
        "tun_net_xmit",
    ]


def test_this_process_stays_where_it_is(namespace: str) -> None:
    from bothways.trace.probe.devices import list_devices  # noqa: PLC0415 (what the test is about)

    before = netns("/proc/self/ns/net")
    told = [each for each in list_devices() if each.get("netns") == namespace]
    assert told
    assert netns("/proc/self/ns/net") == before
