"""The probe's command line."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.trace.probe.options import Misused, parse_options

TERM = {"family": 4, "protocol": 6, "host": "192.0.2.1/32", "port": [22, 22]}


def test_nothing_said_is_everything_asked() -> None:
    options = parse_options([])
    assert (options.filter, options.events, options.netns, options.devices) == ([], [], [], [])
    assert (options.stack, options.follow_nat, options.count, options.timeout, options.tier) == (
        "drop",
        True,
        None,
        None,
        None,
    )
    assert not options.stdin_close_stops
    assert not options.allow_system_changes


def test_a_namespace_has_a_name_a_path_and_a_number() -> None:
    own = Path("/proc/self/ns/net").stat().st_ino
    options = parse_options(["--netns", "/proc/self/ns/net", "--netns", f"inode:{own}"])
    assert options.netns == [own, own]


def test_all_that_can_be_said() -> None:
    words = [
        "--filter",
        json.dumps([TERM]),
        "--profile-events",
        "drop,rst-sent",
        "--stack",
        "all",
        "--netns",
        "inode:4026531840",
    ]
    words += [
        "--netns",
        "inode:7",
        "--device",
        "qg-*",
        "--no-follow-nat",
        "--ring-size",
        "1000000",
        "--count",
        "3",
    ]
    words += ["--timeout", "1.5", "--tier", "kprobe", "--stdin-close-stops", "--allow-system-changes"]
    options = parse_options(words)
    assert options.filter == [TERM]
    assert options.events == ["drop", "rst-sent"]
    assert options.netns == [4026531840, 7]
    assert options.devices == ["qg-*"]
    assert options.ring_size == 1 << 20
    assert (options.stack, options.follow_nat, options.count, options.timeout, options.tier) == (
        "all",
        False,
        3,
        1.5,
        "kprobe",
    )
    assert options.stdin_close_stops
    assert options.allow_system_changes


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("[]", []),
        ("[[]]", []),
        (json.dumps([TERM, TERM]), [TERM, TERM]),
        (json.dumps([[TERM, TERM]]), [TERM, TERM]),
        (json.dumps([[TERM], [TERM]]), [TERM, TERM]),
        (json.dumps([{"host": ["192.0.2.1/32", "192.0.2.2/32"], "port": [[1, 2], [3, 4]]}]), None),
    ],
)
def test_a_filter_is_a_list_of_terms(text: str, terms: list[object] | None) -> None:
    expected = json.loads(text) if terms is None else terms
    assert parse_options(["--filter", text]).filter == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--filter", "{"], "JSON"),
        (["--filter", "{}"], "list of terms"),
        (["--filter", "[3]"], "list of terms"),
        (["--filter", json.dumps([TERM] * 9)], "takes 8"),
        (["--filter", '[{"colour": 1}]'], "a term has no colour"),
        (["--filter", '[{"port": [22]}]'], "two numbers"),
        (["--filter", '[{"port": [23, 22]}]'], "two numbers"),
        (["--filter", '[{"port": [0, 65536]}]'], "two numbers"),
        (["--filter", '[{"family": "4"}]'], "a number"),
        (["--filter", '[{"host": 4}]'], "an address"),
        (["--netns", "no-such-router"], "no network namespace no-such-router; (it has|near it:) "),
        (["--netns", "/nowhere/at/all"], "/nowhere/at/all: No such file"),
        (["--ring-size", "10"], "--ring-size 10"),
        (["--stack", "some"], "--stack"),
        (["--tier", "magic"], "--tier"),
        (["--count", "many"], "--count"),
        (["eth0"], "eth0"),
    ],
)
def test_what_cannot_be_meant_is_said(words: list[str], said: str) -> None:
    with pytest.raises(Misused, match=said):
        parse_options(words)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.sampled_from(sorted(TERM)), each),
    )
)
def test_any_json_is_a_filter_or_misused(value: object) -> None:
    with contextlib.suppress(Misused):
        parse_options(["--filter", json.dumps(value)])


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/proc/self/status", "no file of a network namespace"),
        ("/proc/self/ns/mnt", "another kind"),
        ("/dev/null", "no file of a network namespace"),
        ("/nowhere/net", "No such file"),
    ],
)
def test_a_path_has_to_be_that_of_a_network_namespace(path: str, said: str) -> None:
    with pytest.raises(Misused, match=said):
        parse_options(["--netns", path])


def test_the_path_of_a_network_namespace_is_taken() -> None:
    path = "/proc/self/ns/net"
    assert parse_options(["--netns", path]).netns == [Path(path).stat().st_ino]


def test_a_number_that_nobody_has_is_told() -> None:
    assert parse_options(["--netns", "/proc/self/ns/net"]).problems() == []
    (problem,) = parse_options(["--netns", "inode:12"]).problems()
    assert "inode:12" in problem["text"]


@pytest.mark.parametrize("glob", ["", "sixteen-letters-"])
def test_a_device_that_cannot_be(glob: str) -> None:
    with pytest.raises(Misused, match="--device"):
        parse_options(["--device", glob])


def test_what_a_trace_is_narrowed_to() -> None:
    assert parse_options([]).only() == {}
    words = ["--device", "qg-*", "--count", "3", "--profile-events", "drop,xmit", "--netns", "inode:7"]
    assert parse_options(words).only() == {
        "events": ["drop", "xmit"], "netns": [7], "device": ["qg-*"], "count": 3,
    }  # fmt: skip
