"""`--device GLOB`: events at such devices, and those at no device where such a device is."""

from __future__ import annotations

from typing import Any

import pytest

from bothways.trace.probe.asked_devices import AskedDevices

THERE = {1: ("lo", "eth0"), 2: ("lo", "qr-1", "qg-1"), 3: ("lo",)}


def asked(*globs: str) -> AskedDevices:
    return AskedDevices(list(globs), lambda: THERE)


def event(device: str | None, inode: int | None = 2) -> dict[str, Any]:
    return {"device": device, "netns_inode": inode}


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("qr-*", ["qr-1", "qr-abcdef"], ["qg-1", "xqr-1"]),
        ("*-x", ["a-x"], ["a-y"]),
        ("eth?", ["eth0"], ["eth10", "eth"]),
        ("eth[!0]", ["eth1"], ["eth0"]),
        ("lo", ["lo"], ["lo0"]),
    ],
)
def test_globs_are_taken_to_the_letter(glob: str, yes: list[str], no: list[str]) -> None:
    wanted = asked(glob)
    assert [name for name in yes if not wanted.takes(event(name))] == []
    assert [name for name in no if wanted.takes(event(name))] == []


def test_who_asks_for_no_device_gets_every_event_and_nobody_is_asked() -> None:
    def nobody() -> dict[int, tuple[str, ...]]:
        raise AssertionError

    everything = AskedDevices([], nobody)
    assert everything.takes(event(None, None))
    assert everything.takes(event("eth0"))


@pytest.mark.parametrize(("inode", "told"), [(1, False), (2, True), (3, False), (None, False)])
def test_an_event_at_no_device_counts_where_such_a_device_is(inode: int | None, *, told: bool) -> None:
    assert asked("qr-*").takes(event(None, inode)) is told


def test_a_device_that_came_later_is_learned() -> None:
    wanted = asked("tap*")
    assert not wanted.takes(event(None, 9))
    assert wanted.takes(event("tap1", 9))
    assert wanted.takes(event(None, 9))
