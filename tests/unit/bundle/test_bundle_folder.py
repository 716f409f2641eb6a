"""The files of a bundle: what is found, what is refused, and what cannot be opened at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from bundle_samples import ADDR, FILES, FORMAT, opened, write

from bothways.bundle import BundleError, open_bundle
from bothways.bundle.folder import open_folder
from bothways.facts.span import Kind

ADDR_FILE = "hosts/a/netns/root/addr.json"


def test_files_are_in_a_fixed_order_folder_by_folder(tmp_path: Path) -> None:
    write(tmp_path, {"b/x": "", "b-x": "", "a": "", "b/a/z": "", "B": ""})

    assert list(open_folder(tmp_path).files) == ["B", "a", "b/a/z", "b/x", "b-x"]


def test_what_lies_below_a_place(tmp_path: Path) -> None:
    write(tmp_path, {"hosts/a/ovs/x.txt": "", "hosts/a/ovs/sub/y": "", "hosts/b/z": "", "hosts/top": ""})
    folder = open_folder(tmp_path)

    assert folder.below("hosts") == ["a", "b", "top"]
    assert folder.below("hosts", "a", "ovs") == ["sub", "x.txt"]
    assert folder.below("nowhere") == []


def test_a_missing_file_is_none_and_an_empty_one_is_empty(tmp_path: Path) -> None:
    folder = open_folder(write(tmp_path, {"empty": ""}))

    assert (folder.text("missing"), folder.data("missing")) == (None, None)
    assert (folder.text("empty"), folder.data("empty")) == ("", b"")
    assert folder.problems == []
    assert folder.used == {"empty"}


def test_bytes_that_are_no_text_are_replaced_and_told_once(tmp_path: Path) -> None:
    folder = open_folder(write(tmp_path, {"x.txt": b"fine\nbad \xff and \xfe\r\nmore \xff"}))

    bad = "\N{REPLACEMENT CHARACTER}"
    assert folder.text("x.txt") == f"fine\nbad {bad} and {bad}\r\nmore {bad}"
    (problem,) = folder.problems
    assert (problem.kind, problem.span.line) == (Kind.MALFORMED, 2)
    assert problem.span.text == f"bad {bad} and {bad}"
    assert "byte 0xff is not UTF-8" in problem.message


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("nowhere", "does not exist", ""),
        ("file", "a bundle is a folder or an archive", "tar.zst and zip are read"),
        ("case.tar.gz", "a bundle is a folder or an archive", "tar.zst and zip are read"),
    ],
)
def test_what_is_no_folder_is_an_error(tmp_path: Path, name: str, said: str, hint: str) -> None:
    write(tmp_path, {"file": "x", "case.tar.gz": "x"})

    with pytest.raises(BundleError) as caught:
        open_bundle(tmp_path / name)
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    "files", [{}, {"bundle.toml": FORMAT}, {"hosts/readme.txt": "x"}, {"netns/root/addr.json": ADDR}]
)
def test_a_folder_without_evidence_is_an_error_with_a_hint(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(BundleError) as caught:
        open_bundle(write(tmp_path, files))
    assert "holds no evidence" in caught.value.message
    assert "docs/reference/bundle.md" in caught.value.hint
    assert "\n  hint: " in str(caught.value)


def test_a_link_inside_the_bundle_counts_as_its_file(tmp_path: Path) -> None:
    write(tmp_path, {**FILES, "shared/addr.json": ADDR})
    (tmp_path / ADDR_FILE).unlink()
    (tmp_path / ADDR_FILE).symlink_to("../../../../shared/addr.json")
    bundle = open_bundle(tmp_path)

    assert bundle.problems == ()
    netns = bundle.snapshot.netns("a", "root")
    assert netns is not None
    assert netns.device("eth0") is not None


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("../outside.json", "leaves the bundle"),
        ("nowhere.json", "leads nowhere"),
        ("bundle.toml/x", "leads nowhere"),
        ("loop.json", "leads nowhere"),
        ("hosts/a/netns", "a symbolic link to a folder"),
    ],
)
def test_other_links_are_refused_with_a_problem(tmp_path: Path, target: str, said: str) -> None:
    (tmp_path / "outside.json").write_text("secret")
    folder = write(tmp_path / "case", FILES)
    link = folder / "loop.json"
    link.symlink_to(folder / target if target != "loop.json" else link)
    bundle = open_bundle(folder)

    (problem,) = bundle.problems
    assert (problem.kind, problem.span.file) == (Kind.UNREADABLE, "loop.json")
    assert said in problem.message
    assert "loop.json" not in bundle.files
    assert "secret" not in str(bundle)


def test_what_is_neither_file_nor_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    os.mkfifo(tmp_path / "hosts/a/netns/root/route.json")

    (problem,) = open_bundle(tmp_path).problems
    assert "neither a file nor a folder" in problem.message


def test_a_folder_where_a_file_is_expected(tmp_path: Path) -> None:
    bundle = opened(
        tmp_path, {"hosts/a/netns/root/route.json/x": "y", "hosts/a/captures/root/eth0.pcap/x": "y"}
    )

    netns = bundle.snapshot.netns("a", "root")
    assert netns is not None
    assert netns.routes is None
    assert netns.devices is not None
    assert bundle.captures == ()


def test_a_file_where_a_folder_is_expected(tmp_path: Path) -> None:
    bundle = opened(
        tmp_path, {"hosts/b": "x", "hosts/a/ovs": "x", "hosts/a/captures/root": "x", "hosts/a/trace": "x"}
    )

    assert list(bundle.snapshot.hosts) == ["a"]
    assert bundle.captures == ()


def test_a_name_that_is_no_text_is_shown_with_escapes(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    with open(os.fsencode(tmp_path) + b"/hosts/a/netns/root/\xff.txt", "wb") as file:  # noqa: PTH123 - a name in bytes
        file.write(b"x")
    bundle = open_bundle(tmp_path)

    assert "hosts/a/netns/root/\\udcff.txt" in bundle.files
    assert str(bundle).encode()


def test_files_whose_format_is_not_read_are_listed_and_no_problem(tmp_path: Path) -> None:
    bundle = opened(
        tmp_path,
        {
            "hosts/a/netns/root/lsof.txt": "x",
            "hosts/a/ovs/coverage-show.txt": "x",
            "hosts/a/notes.txt": "x",
            "README": "x",
        },
    )

    assert bundle.problems == ()
    assert bundle.unread == ("hosts/a/netns/root/lsof.txt", "hosts/a/ovs/coverage-show.txt")
