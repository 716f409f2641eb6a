"""Captures of a bundle: bytes or text, what is known of how they ran, and which device a frame crossed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from bundle_samples import ADDR, PCAP, SLL2, about, opened, write

from bothways.bundle import Bundle, open_bundle
from bothways.capture.pcapng_write import Interface, Record, write_pcapng
from bothways.facts.sighting import Capture, Tap
from bothways.facts.span import Kind

PLACE = "hosts/a/captures/root"
TEXT = "19:25:18.1 IP 192.0.2.1.1 > 192.0.2.9.22: Flags [S], seq 1, length 0\n"


def pcapng(names: Sequence[str], frames: Sequence[int]) -> bytes:
    """A file of some interfaces, and a frame of each of those that are numbered."""
    frame = PCAP[40:]
    return write_pcapng(
        [Interface(name) for name in names], [Record(number, at, frame) for at, number in enumerate(frames)]
    )


def only(bundle: Bundle) -> Capture:
    (capture,) = bundle.captures
    return capture


def test_a_capture_is_of_the_tap_that_its_path_names(tmp_path: Path) -> None:
    capture = only(opened(tmp_path, {"hosts/a/captures/blue/qg-5d88ef18-33.pcap": PCAP}))

    assert capture.tap == Tap("a", "blue", "qg-5d88ef18-33")
    assert capture.source == "hosts/a/captures/blue/qg-5d88ef18-33.pcap"
    assert (len(capture.sightings), capture.textual) == (1, False)
    assert (capture.filter, capture.dropped, capture.received, capture.started) == (None, None, None, None)


def test_a_namespace_of_which_only_captures_are_here_is_a_namespace(tmp_path: Path) -> None:
    bundle = opened(tmp_path, {"hosts/a/captures/blue/eth0.pcap": PCAP})

    netns = bundle.snapshot.netns("a", "blue")
    assert netns is not None
    assert netns.devices is None


@pytest.mark.parametrize(
    ("addr", "devices", "told"),
    [
        (ADDR.replace('"ifindex":1,"ifname":"lo"', '"ifindex":7,"ifname":"tap1"'), ["eth0", "tap1"], 0),
        (ADDR, ["eth0", None], 1),
        ("[]", [None, None], 1),
    ],
)
def test_addr_json_names_the_devices_of_a_cooked_capture(
    tmp_path: Path, addr: str, devices: list[str | None], told: int
) -> None:
    bundle = opened(tmp_path, {"hosts/a/netns/root/addr.json": addr, f"{PLACE}/any.pcap": SLL2})

    assert [s.device for s in only(bundle).sightings] == devices
    assert len(about(bundle, f"{PLACE}/any.pcap")) == told


def test_devices_are_named_inside_their_own_namespace_only(tmp_path: Path) -> None:
    bundle = opened(tmp_path, {"hosts/a/captures/blue/any.pcap": SLL2})

    assert [s.device for s in only(bundle).sightings] == [None, None]
    (problem,) = about(bundle, "hosts/a/captures/blue/any.pcap")
    assert "no addr.json names them" in problem.message


def test_a_text_is_read_with_its_footer(tmp_path: Path) -> None:
    capture = only(
        opened(tmp_path, {f"{PLACE}/eth0.txt": TEXT + "1 packet captured\n2 packets dropped by kernel\n"})
    )

    assert (capture.textual, capture.captured, capture.received, capture.dropped) == (True, 1, None, 2)
    assert [s.span.line for s in capture.sightings] == [1]


def test_of_both_the_bytes_are_read(tmp_path: Path) -> None:
    capture = only(opened(tmp_path, {f"{PLACE}/eth0.txt": TEXT, f"{PLACE}/eth0.pcap": PCAP}))

    assert capture.source == f"{PLACE}/eth0.pcap"


def test_the_description_outranks_the_footer(tmp_path: Path) -> None:
    meta = {"filter": "tcp port 22", "snaplen": 96, "started": 1.5, "stopped": 9, "captured": 7, "dropped": 0}
    capture = only(
        opened(
            tmp_path,
            {
                f"{PLACE}/eth0.txt": TEXT + "1 packet captured\n4 packets received by filter\n",
                f"{PLACE}/eth0.capture.json": json.dumps(meta),
            },
        )
    )

    assert (capture.filter, capture.snaplen, capture.started, capture.stopped) == (
        "tcp port 22",
        96,
        1.5,
        9.0,
    )
    assert (capture.captured, capture.received, capture.dropped) == (7, 4, 0)


def test_an_empty_filter_is_a_filter_that_admits_all(tmp_path: Path) -> None:
    bundle = opened(
        tmp_path,
        {f"{PLACE}/eth0.pcap": PCAP, f"{PLACE}/eth0.capture.json": '{"filter": "", "dropped": null}'},
    )

    assert (only(bundle).filter, only(bundle).dropped, bundle.problems) == ("", None, ())


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ("", ["not JSON"]),
        ("{", ["not JSON"]),
        ("[" * 5000, ["not JSON"]),
        ("[]", ["a JSON object is expected"]),
        ('{"dropped": -1}', ["`dropped` of a capture cannot be `-1`"]),
        ('{"dropped": true, "filter": 7}', ["`dropped`", "`filter`"]),
        ('{"dropped": 1.5}', ["`dropped`"]),
        ('{"started": "soon"}', ["`started`"]),
        ('{"started": 1e999}', ["`started`"]),
        ('{"started": NaN}', ["`started`"]),
        ('{"started": ' + "9" * 400 + "}", ["`started`"]),
        ('{"snaplen": [1]}', ["`snaplen`"]),
    ],
)
def test_an_odd_description_is_a_problem_and_the_capture_counts(
    tmp_path: Path, meta: str, said: list[str]
) -> None:
    bundle = opened(tmp_path, {f"{PLACE}/eth0.pcap": PCAP, f"{PLACE}/eth0.capture.json": meta})

    told = about(bundle, f"{PLACE}/eth0.capture.json")
    assert len(told) == len(said)
    assert all(any(word in p.message for p in told) for word in said)
    assert all((p.kind, p.span.line) == (Kind.MALFORMED, 1) for p in told)
    assert len(only(bundle).sightings) == 1
    assert only(bundle).dropped is None


def test_a_number_of_thousands_of_digits_is_told(tmp_path: Path) -> None:
    bundle = opened(
        tmp_path,
        {f"{PLACE}/eth0.pcap": PCAP, f"{PLACE}/eth0.capture.json": '{"dropped": ' + "9" * 6000 + "}"},
    )

    assert len(about(bundle, f"{PLACE}/eth0.capture.json")) == 1


@pytest.mark.parametrize(
    ("extra", "captures", "told"), [({}, 0, 1), ({f"{PLACE}/eth0.pcapng": pcapng([], [])}, 1, 0)]
)
def test_a_description_without_its_capture(
    tmp_path: Path, extra: dict[str, bytes], captures: int, told: int
) -> None:
    bundle = opened(tmp_path, {f"{PLACE}/eth0.capture.json": "{}", **extra})

    assert len(bundle.captures) == captures
    assert len(about(bundle, f"{PLACE}/eth0.capture.json")) == told


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("eth0.pcapng", pcapng([""], [0])),
        ("eth0.pcap", pcapng(["eth0"], [0])),
        ("eth0.pcapng", PCAP),
        ("eth0.pcap.gz", gzip.compress(PCAP, mtime=0)),
        ("eth0.pcapng.gz", gzip.compress(pcapng(["eth0"], [0]), mtime=0)),
    ],
    ids=["pcapng", "pcapng named pcap", "pcap named pcapng", "pcap in gzip", "pcapng in gzip"],
)
def test_what_a_file_is_its_bytes_say(tmp_path: Path, name: str, data: bytes) -> None:
    bundle = opened(tmp_path, {f"{PLACE}/{name}": data})

    assert (only(bundle).tap, only(bundle).source) == (Tap("a", "root", "eth0"), f"{PLACE}/{name}")
    assert len(only(bundle).sightings) == 1
    assert bundle.problems == ()
    assert bundle.unread == ()


def test_a_file_of_several_interfaces_is_several_captures(tmp_path: Path) -> None:
    meta = '{"filter": "tcp", "captured": 3, "dropped": 0}'
    bundle = opened(
        tmp_path,
        {
            f"{PLACE}/all.pcapng": pcapng(["eth0", "eth1", "a/blue:qg-1"], [0, 2, 0]),
            f"{PLACE}/all.capture.json": meta,
        },
    )

    assert [(str(c.tap), [s.span.frame for s in c.sightings]) for c in bundle.captures] == [
        ("a:eth0", [1, 3]),
        ("a:eth1", []),
        ("a/blue:qg-1", [2]),
    ]
    # What is said of the file holds for each of them, but its counts are of no single one.
    assert {(c.filter, c.captured, c.dropped) for c in bundle.captures} == {("tcp", None, None)}


@pytest.mark.parametrize("name", ["all.pcapng", "z.pcapng"])
def test_a_tap_counts_once_and_the_file_named_after_it_counts(tmp_path: Path, name: str) -> None:
    bundle = opened(
        tmp_path, {f"{PLACE}/{name}": pcapng(["eth0", "eth1"], [0, 1]), f"{PLACE}/eth0.pcap": PCAP}
    )

    assert {c.tap.device: c.source for c in bundle.captures} == {
        "eth0": f"{PLACE}/eth0.pcap",
        "eth1": f"{PLACE}/{name}",
    }
    (problem,) = bundle.problems
    assert (problem.kind, problem.span.file) == (Kind.CONTRADICTION, f"{PLACE}/{name}")


def test_link_json_alone_names_the_devices_of_a_cooked_capture(tmp_path: Path) -> None:
    folder = write(tmp_path, {"hosts/b/netns/root/link.json": ADDR, "hosts/b/captures/root/any.pcap": SLL2})
    bundle = open_bundle(folder)

    assert [s.device for s in only(bundle).sightings] == ["eth0", None]


def test_an_empty_capture_file_is_a_problem_and_an_empty_text_is_a_capture_that_saw_nothing(
    tmp_path: Path,
) -> None:
    bundle = opened(tmp_path, {f"{PLACE}/eth0.pcap": b"", f"{PLACE}/eth1.txt": ""})

    assert [(c.tap.device, len(c.sightings)) for c in bundle.captures] == [("eth0", 0), ("eth1", 0)]
    (problem,) = bundle.problems
    assert (problem.kind, problem.span.file) == (Kind.UNREADABLE, f"{PLACE}/eth0.pcap")


def test_time_stamps_that_run_backwards_are_told_once_for_each_capture(tmp_path: Path) -> None:
    line = "IP 192.0.2.1.1 > 192.0.2.9.22: Flags [S], length 0"
    back = "".join(f"19:25:1{n}.0 {line}\n" for n in (5, 4, 6, 3))
    bundle = opened(
        tmp_path, {f"{PLACE}/eth0.txt": back, f"{PLACE}/eth1.txt": back, f"{PLACE}/eth2.txt": TEXT}
    )

    assert [p.span.file for p in bundle.problems] == [f"{PLACE}/eth0.txt", f"{PLACE}/eth1.txt"]
    assert all("run backwards twice: lines 2 and 4" in p.message for p in bundle.problems)


def test_captures_come_in_the_order_of_their_files(tmp_path: Path) -> None:
    names = ["b/captures/root/eth0", "a/captures/root/eth1", "a/captures/blue/eth9", "a/captures/root/any"]
    bundle = opened(tmp_path, {f"hosts/{name}.txt": TEXT for name in names})

    assert [str(c.tap) for c in bundle.captures] == ["a/blue:eth9", "a:any", "a:eth1", "b:eth0"]
