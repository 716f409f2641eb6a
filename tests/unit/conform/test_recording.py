"""Recordings: read, written, and damaged."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bothways.conform.generation import fresh_cases
from bothways.conform.recording import Case, RecordingError, line_of, read_recording, write_recording

SEGMENT = {"dir": "A", "flags": "S", "seq": 1000, "ack": 0, "win": 512, "len": 0}
RESULT = {"verdict": "NEW", "ctdir": "original", "delivery": "forwarded", "state": "SYN_SENT"}
LINE: dict[str, Any] = {
    "id": "one",
    "class": "hand",
    "nat": False,
    "sysctl": {"nf_conntrack_tcp_loose": 1},
    "segments": [SEGMENT],
    "results": [RESULT],
}


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in lines))
    return path


def test_a_line_is_a_sequence(tmp_path: Path) -> None:
    cases = list(read_recording(written(tmp_path / "a.jsonl", LINE, "", LINE)))

    settings = (("nf_conntrack_tcp_loose", 1),)
    assert cases == [Case("one", "hand", False, settings, (SEGMENT,), (RESULT,))] * 2  # noqa: FBT003 (nat)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    cases = [replace(each, results=({**RESULT},) * len(each.segments)) for each in fresh_cases(3, 60)]

    assert write_recording(tmp_path / name, cases) == 60
    assert list(read_recording(tmp_path / name)) == cases
    assert (tmp_path / name).read_bytes().startswith(b"\x1f\x8b") == name.endswith(".gz")


def test_a_compressed_file_needs_no_name_for_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(json.dumps(LINE).encode()))

    assert len(list(read_recording(tmp_path / "a"))) == 1


def with_segment(**changed: object) -> dict[str, Any]:
    return {**LINE, "segments": [{**SEGMENT, **changed}]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "no JSON"),
        ("[1]", "no recorded sequence"),
        ("7", "no recorded sequence"),
        ({"id": "x"}, "'segments'"),
        ({**LINE, "segments": []}, "0 segments, but 1 results"),
        ({**LINE, "results": [RESULT, RESULT]}, "1 segments, but 2 results"),
        ({**LINE, "segments": [{"dir": "A"}]}, "'seq'"),
        ({**LINE, "results": [{"verdict": 7, "delivery": "none", "state": None}]}, "result 0 is damaged"),
        ({**LINE, "sysctl": {"a": "b"}}, "a sysctl is no number"),
        ({**LINE, "sysctl": None}, "no recorded sequence"),
        (with_segment(dir="C"), "segment 0 is damaged"),
        (with_segment(flags="SX"), "segment 0 is damaged"),
        (with_segment(seq=1 << 32), "segment 0 is damaged"),
        (with_segment(seq=-1), "segment 0 is damaged"),
        (with_segment(ack="7"), "segment 0 is damaged"),
        (with_segment(win=65536), "segment 0 is damaged"),
        (with_segment(len=1.5), "segment 0 is damaged"),
        (with_segment(opts={"raw": "0"}), "segment 0 is damaged"),
        (with_segment(opts={"sack": [[1]]}), "segment 0 is damaged"),
        (with_segment(opts={"ts": [1]}), "segment 0 is damaged"),
        (with_segment(opts={"wscale": "x"}), "no recorded sequence"),
        (with_segment(doff=16), "segment 0 is damaged"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: object, said: str) -> None:
    path = written(tmp_path / "a.jsonl", LINE, line)

    with pytest.raises(RecordingError) as caught:
        list(read_recording(path))
    assert str(caught.value).startswith(f"{path}:2: ")
    assert said in str(caught.value)


@pytest.mark.parametrize("keep", [0.5, 0.99])
def test_a_compressed_file_that_breaks_off_is_named(tmp_path: Path, keep: float) -> None:
    whole = gzip.compress("".join(line_of(each) for each in fresh_cases(5, 400)).encode())
    (tmp_path / "a.gz").write_bytes(whole[: int(len(whole) * keep)])

    with pytest.raises(RecordingError, match=r"a\.gz:\d+: "):
        list(read_recording(tmp_path / "a.gz"))
