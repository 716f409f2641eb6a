"""A bundle in an archive reads like the folder that was packed; hostile members are refused."""

from __future__ import annotations

import io
import stat
import sys
import tarfile
import types
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from bundle_samples import ADDR, FILES, FORMAT, PCAP, write
from hypothesis import given
from hypothesis import strategies as st

from bothways.bundle import Bundle, BundleError, archive, compression, open_bundle
from bothways.facts.span import Kind

CASE = {**FILES, "hosts/a/captures/root/eth0.pcap": PCAP, "hosts/a/netns/root/ss.txt": ""}
ADDR_FILE = "hosts/a/netns/root/addr.json"


def tarred(path: Path, files: Mapping[str, str | bytes], mode: str = "w", *more: tarfile.TarInfo) -> Path:
    """:param more: members without content, after the files."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload] # mode is a plain string here
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in more:
            tar.addfile(info)
    return path


def zipped(path: Path, files: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def same(found: Bundle, folder: Bundle) -> bool:
    return (found.snapshot, found.captures, found.stacks, found.problems, found.files, found.unread) == (
        folder.snapshot, folder.captures, folder.stacks, folder.problems, folder.files, folder.unread,
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("top", ["", "./", "case/", "a/b/"])
def test_a_tar_reads_like_its_folder(tmp_path: Path, mode: str, top: str) -> None:
    packed = tarred(tmp_path / "case", {top + name: data for name, data in CASE.items()}, mode)

    assert same(open_bundle(packed), open_bundle(write(tmp_path / "folder", CASE)))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_zip_reads_like_its_folder(tmp_path: Path, method: int) -> None:
    mac = {"__MACOSX/case/._bundle.toml": "x", "case/.DS_Store": "x"}
    files = {f"case/{name}": data for name, data in CASE.items()}
    packed = zipped(tmp_path / "case.zip", {**files, **mac}, method)

    assert same(open_bundle(packed), open_bundle(write(tmp_path / "folder", CASE)))


@pytest.mark.shared
def test_a_recorded_bundle_reads_alike(tmp_path: Path) -> None:
    folder = Path(__file__).resolve().parents[4] / "shared" / "bundles" / "odl-l3-only"
    with tarfile.open(tmp_path / "case.tar.gz", "w:gz") as tar:
        tar.add(folder, "odl-l3-only")

    assert same(open_bundle(tmp_path / "case.tar.gz"), open_bundle(folder))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/etc/passwd", "a path that leaves the archive"),
        ("../outside", "a path that leaves the archive"),
        ("hosts/../../outside", "a path that leaves the archive"),
        ("hosts\\a\\x", "a path that leaves the archive"),
    ],
)
@pytest.mark.parametrize("pack", [tarred, zipped])
def test_a_path_that_leaves_is_refused(tmp_path: Path, name: str, said: str, pack: object) -> None:
    assert callable(pack)
    bundle = open_bundle(pack(tmp_path / "case", {**CASE, name: "secret"}))

    (problem,) = bundle.problems
    assert (problem.kind, problem.span.file) == (Kind.UNREADABLE, "case")
    assert said in problem.message
    assert name.strip("/") in problem.message
    assert set(bundle.files) == set(CASE)


@pytest.mark.parametrize(
    ("info", "said"),
    [
        (member("hosts/a/x", tarfile.SYMTYPE, "/etc/passwd"), "a link that leaves the archive"),
        (member("hosts/a/x", tarfile.SYMTYPE, "../../../x"), "a link that leaves the archive"),
        (member("hosts/a/x", tarfile.LNKTYPE, "../x"), "a link that leaves the archive"),
        (member("hosts/a/x", tarfile.SYMTYPE, "nowhere"), "a link that leads to no file"),
        (member("hosts/a/x", tarfile.SYMTYPE, "x"), "a link that leads to no file"),
        (member("hosts/a/x", tarfile.SYMTYPE, "netns"), "a link that leads to no file"),
        (member("hosts/a/x", tarfile.CHRTYPE), "neither a file nor a folder"),
        (member("hosts/a/x", tarfile.FIFOTYPE), "neither a file nor a folder"),
    ],
)
def test_other_members_of_a_tar_are_refused(tmp_path: Path, info: tarfile.TarInfo, said: str) -> None:
    bundle = open_bundle(tarred(tmp_path / "case.tar", CASE, "w", info))

    (problem,) = bundle.problems
    assert said in problem.message
    assert "`hosts/a/x`" in problem.message
    assert set(bundle.files) == set(CASE)


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "../root/addr.json"),
        (tarfile.LNKTYPE, ADDR_FILE),
        (tarfile.SYMTYPE, "../root/../root/addr.json"),
    ],
)
def test_a_link_inside_counts_as_its_file(tmp_path: Path, kind: bytes, target: str) -> None:
    link = member("hosts/a/netns/blue/addr.json", kind, target)
    bundle = open_bundle(tarred(tmp_path / "case.tar", CASE, "w", link))

    blue = bundle.snapshot.netns("a", "blue")
    assert blue is not None
    assert [d.name for d in blue.devices or ()] == ["lo", "eth0"]
    assert bundle.problems == ()


@pytest.mark.parametrize(("target", "found"), [("addr.json", True), ("../../../../../etc/passwd", False)])
def test_links_of_a_zip(tmp_path: Path, target: str, *, found: bool) -> None:
    path = zipped(tmp_path / "case.zip", CASE)
    with zipfile.ZipFile(path, "a") as packed:
        info = zipfile.ZipInfo("hosts/a/netns/root/link.json")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(info, target)
    bundle = open_bundle(path)

    assert ("hosts/a/netns/root/link.json" in bundle.files) is found
    assert len(bundle.problems) == (0 if found else 1)


def test_of_two_members_of_one_name_the_later_counts(tmp_path: Path) -> None:
    path = tarred(tmp_path / "case.tar", {**CASE, "hosts/a/kernel.txt": "old"})
    tarred(path, {"hosts/a/kernel.txt": "new"}, "a")
    bundle = open_bundle(path)

    assert bundle.snapshot.hosts["a"].kernel == "new"
    (problem,) = bundle.problems
    assert "stands in the archive twice" in problem.message


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_of_an_archive_that_was_cut_the_beginning_is_used(tmp_path: Path, mode: str) -> None:
    noise = {f"hosts/a/netns/root/{number}.txt": bytes(range(256)) * 40 for number in range(300)}
    whole = tarred(tmp_path / "whole", {**CASE, **noise}, mode).read_bytes()
    short = tmp_path / "short"
    short.write_bytes(whole[: len(whole) * 2 // 3])
    bundle = open_bundle(short)

    assert bundle.snapshot.netns("a", "root") is not None
    assert [p.kind for p in bundle.problems] == [Kind.MALFORMED]
    assert "the archive is damaged" in bundle.problems[0].message


def test_a_damaged_member_of_a_zip_spoils_no_other(tmp_path: Path) -> None:
    path = zipped(tmp_path / "case.zip", CASE, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(ADDR.encode(), ADDR.replace("eth0", "eth9").encode()))
    bundle = open_bundle(path)

    (problem,) = bundle.problems
    assert f"`{ADDR_FILE}` is left out: it cannot be read" in problem.message
    assert len(bundle.captures) == 1


def test_a_zip_with_a_password_has_members_that_cannot_be_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "case.zip", {"hosts/a/kernel.txt": "6.1"}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + at] |= 1  # the flag that says so
    path.write_bytes(data)

    with pytest.raises(BundleError, match="holds no evidence"):
        open_bundle(path)


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_LARGEST", 1 << 20)
    monkeypatch.setattr(compression, "_LARGEST_STREAM", 4 << 20)
    zeros = {f"hosts/a/netns/root/{n}.txt": bytes(600_000) for n in range(3)}

    for path in (tarred(tmp_path / "bomb.tgz", zeros, "w:gz"), zipped(tmp_path / "bomb.zip", zeros)):
        with pytest.raises(BundleError, match="is too large an archive"):
            open_bundle(path)


def test_one_member_that_is_too_large_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_LARGEST_MEMBER", 100_000)
    monkeypatch.setattr(compression, "_LARGEST_STREAM", 4 << 20)
    large = {**CASE, "hosts/a/netns/root/x.txt": bytes(200_000)}

    for path in (tarred(tmp_path / "x.tgz", large, "w:gz"), zipped(tmp_path / "x.zip", large)):
        (problem,) = open_bundle(path).problems
        assert "it is larger than" in problem.message

    huge = tarred(tmp_path / "y.tgz", {**CASE, "hosts/a/netns/root/x.txt": bytes(9 << 20)}, "w:gz")
    with pytest.raises(BundleError, match="is too large an archive"):
        open_bundle(huge)


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_MOST_MEMBERS", 3)

    with pytest.raises(BundleError, match="more than 3 members"):
        open_bundle(tarred(tmp_path / "case.tar", CASE))


def test_a_zip_that_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "case.zip", {**CASE, "hosts/a/netns/root/x.txt": b"x" * 5000})
    data = path.read_bytes()
    path.write_bytes(data.replace((5000).to_bytes(4, "little"), (9).to_bytes(4, "little")))

    (problem,) = open_bundle(path).problems
    assert "`hosts/a/netns/root/x.txt` is left out" in problem.message


def test_a_zstd_archive_names_the_extra_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    (tmp_path / "case.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(600))

    with pytest.raises(BundleError) as caught:
        open_bundle(tmp_path / "case.tar.zst")
    assert "`zstandard`" in caught.value.message
    assert "pip install 'bothways[zst]'" in caught.value.hint


def test_zstd_is_unpacked_by_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = tarred(tmp_path / "case.tar", CASE).read_bytes()

    class Decompressor:
        def stream_reader(self, stream: io.BufferedReader, *, read_across_frames: bool) -> io.BytesIO:
            assert read_across_frames
            assert stream.read(4) == b"\x28\xb5\x2f\xfd"
            return io.BytesIO(zlib.decompress(stream.read()))

    fake = types.SimpleNamespace(ZstdDecompressor=Decompressor, ZstdError=zlib.error)
    monkeypatch.setitem(sys.modules, "zstandard", fake)
    (tmp_path / "case.zst").write_bytes(b"\x28\xb5\x2f\xfd" + zlib.compress(content))

    assert same(open_bundle(tmp_path / "case.zst"), open_bundle(write(tmp_path / "folder", CASE)))


def test_an_archive_without_evidence_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no evidence"):
        open_bundle(tarred(tmp_path / "case.tar", {"bundle.toml": FORMAT}))


@given(data=st.data(), cut=st.integers(0, 20_000), mode=st.sampled_from(["w", "w:gz", "zip"]))
def test_damaged_archives_are_errors_or_problems(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, cut: int, mode: str
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = zipped(folder / "x", CASE) if mode == "zip" else tarred(folder / "x", CASE, mode)
    octets = bytearray(path.read_bytes())
    for at, octet in data.draw(
        st.lists(st.tuples(st.integers(0, len(octets) - 1), st.integers(0, 255)), max_size=6)
    ):
        octets[at] = octet
    path.write_bytes(octets[: len(octets) - cut % len(octets)] if cut % 2 else octets)
    try:
        bundle = open_bundle(path)
    except BundleError:
        return
    assert all(problem.message for problem in bundle.problems)
