"""Recorded bundles, whole and damaged: no exception, problems with places, and all the rest is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from bundle_samples import FILES, PCAP, SLL2, opened, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bothways.bundle import Bundle, BundleError, open_bundle
from bothways.facts.dump import Dump
from bothways.facts.span import Kind

SHARED = Path(__file__).resolve().parents[4] / "shared" / "bundles"
NAMES = ["dual-l3", "neutron-l3-only", "odl-l3-only"]
QROUTER = "qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f"

recorded = pytest.mark.shared


def sound(bundle: Bundle, root: Path) -> None:
    """What holds of any bundle: problems have places, and quoted lines read as in their file."""
    for problem in bundle.problems:
        assert problem.message
        assert "\n" not in problem.message
        file = root / problem.span.file
        assert problem.span.file in bundle.files or not file.is_file() or file.is_symlink()
        if problem.span.line is None or not problem.span.text:
            continue
        text = file.read_bytes().decode(errors="replace").removeprefix("\ufeff")
        line = text.split("\n")[problem.span.line - 1].removesuffix("\r")
        # A JSON dump is one line; its spans quote one object.
        assert problem.span.text in text if file.suffix == ".json" else problem.span.text == line
    assert list(dict.fromkeys(bundle.problems)) == list(bundle.problems)


def extent(bundle: Bundle) -> Mapping[str, int]:
    """How much was read of each file."""
    found: dict[str, int] = {}
    for netns in bundle.snapshot.namespaces():
        for field in netns.__slots__:
            dump = getattr(netns, field)
            if isinstance(dump, Dump):
                found[dump.file] = found.get(dump.file, 0) + len(dump)
    for host in bundle.snapshot.hosts.values():
        for bridge in host.switch.bridges.values() if host.switch else ():
            if bridge.flows is not None:
                found[bridge.flows.file] = len(bridge.flows)
    for capture in bundle.captures:
        found[capture.source] = len(capture.sightings)
    return found


@recorded
@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_bundle_is_read_without_a_problem(name: str) -> None:
    bundle = open_bundle(SHARED / name)

    assert bundle.problems == ()
    assert (bundle.root, bundle.title) == (name, name)
    assert str(bundle.question) == "tcp 192.168.111.210 > 192.168.111.223:22"
    assert [segment.name for segment in bundle.snapshot.segments] == ["external", "underlay", "vm"]
    assert all(capture.filter and capture.snaplen == 2048 for capture in bundle.captures)
    assert not any(file.endswith((".json", ".pcap")) for file in bundle.unread)


@recorded
def test_what_the_recorded_failure_holds() -> None:
    bundle = open_bundle(SHARED / "dual-l3")
    router = bundle.snapshot.netns("host1", QROUTER)
    switch = bundle.snapshot.hosts["host5"].switch
    captures = {str(capture.tap): capture for capture in bundle.captures}

    assert router is not None
    assert None not in (router.iptables, router.conntrack_events, router.invalid_log, router.sockets)
    assert router.ip6tables is None
    assert switch is not None
    assert list(switch.bridges) == ["br-ex", "br-int", "br-phy"]
    assert len(captures) == 11
    seen = {sighting.device for sighting in captures["host1:any"].sightings}
    assert seen == {"br-ex", "eth0", "eth1"}, "the names come from addr.json"
    tunnelled = captures["host5:eth1"].sightings
    assert {s.tunnel.vni for s in tunnelled if s.tunnel} == {0x43E}
    assert all(capture.dropped == 0 for capture in captures.values() if capture.sightings)


DAMAGE: Mapping[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda data: data[: len(data) // 2],
    "garbage": lambda _: bytes(range(256)) * 20,
    "prose": lambda _: b"sudo: a password is required\n",
    "flipped": lambda data: bytes(octet ^ (at % 7 == 0) * 0x15 for at, octet in enumerate(data)),
    "doubled": lambda data: data + data,
    "numbers": lambda data: data.replace(b"1", b"9" * 30),
}


@recorded
@pytest.mark.parametrize("kind", DAMAGE)
def test_one_damaged_file_spoils_no_other(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "case"
    shutil.copytree(SHARED / "dual-l3", folder, copy_function=shutil.copyfile)
    whole = open_bundle(folder)
    before = extent(whole)
    files = [name for name in whole.files if name != "bundle.toml"]
    for name in files[list(DAMAGE).index(kind) :: 14]:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(DAMAGE[kind](data))
        bundle = open_bundle(folder)
        (folder / name).write_bytes(data)

        after = extent(bundle)
        others = {file for file, count in before.items() if after.get(file) != count} - {name}
        # The devices of a cooked capture are named by addr.json; how many frames it holds does not change.
        assert others == set(), name
        assert {p.span.file for p in bundle.problems} <= related(name, whole), name


def related(name: str, bundle: Bundle) -> set[str]:
    """Files in which a damaged one may show: itself, and what rests on it."""
    place = name.rsplit("/", 1)[0]
    found = {name}
    if name.endswith("addr.json"):
        found |= {"bundle.toml", f"{place.replace('/netns/', '/captures/')}/any.pcap"}
    if "/ovs/" in name:
        found |= {file for file in bundle.files if file.startswith(f"{place}/")}
    return found


@recorded
@pytest.mark.parametrize("step", [2, 3, 5])
def test_missing_files_were_not_collected(tmp_path: Path, step: int) -> None:
    folder = tmp_path / "case"
    shutil.copytree(SHARED / "dual-l3", folder, copy_function=shutil.copyfile)
    before = extent(open_bundle(folder))
    gone = [name for name in sorted(before) if len(name) % step == 0]
    for name in gone:
        (folder / name).unlink()
    bundle = open_bundle(folder)

    assert gone
    # Entries are there as text and as XML; without the one the other is read.
    others = {name for name in extent(bundle) if name.endswith("conntrack.xml")}
    assert {name: count for name, count in extent(bundle).items() if name not in others} == {
        name: count for name, count in before.items() if name not in gone
    }
    assert {p.kind for p in bundle.problems} <= {Kind.UNREADABLE, Kind.CONTRADICTION}
    for problem in bundle.problems:
        assert "any.pcap" in problem.span.file or problem.span.file.endswith(".capture.json")


@recorded
def test_a_folder_in_place_of_each_file(tmp_path: Path) -> None:
    folder = tmp_path / "case"
    shutil.copytree(SHARED / "odl-l3-only", folder, copy_function=shutil.copyfile)
    for name in open_bundle(folder).files[::4]:
        (folder / name).unlink()
        (folder / name).mkdir()
        (folder / name / "x").write_bytes(b"x")
    bundle = open_bundle(folder)

    assert bundle.captures
    sound(bundle, folder)


IN_NETNS = (
    "addr.json", "addr.txt", "route.json", "route.txt", "rule.json", "rule.txt", "neigh.json", "neigh.txt",
    "fdb.json", "nft.txt", "ss.txt", "iptables-save.txt", "conntrack.txt", "conntrack-events.txt",
    "conntrack-stats.txt", "conntrack-invalid-log.txt", "sysctl.txt",
)  # fmt: skip
IN_OVS = ("show.txt", "ovsdb.jsonl", "br.flows.txt", "br.ports.txt", "br.fdb.txt", "tnl-neigh-show.txt")
NAMED = [
    "collection.jsonl",
    "hosts/a/kernel.txt",
    *(f"hosts/a/netns/root/{name}" for name in IN_NETNS),
    *(f"hosts/a/ovs/{name}" for name in IN_OVS),
    *(f"hosts/a/captures/root/any.{end}" for end in ("pcap", "txt", "capture.json")),
    "hosts/a/trace/x.txt",
]
KEYS = st.sampled_from(["ifindex", "ifname", "dst", "dev", "host", "argv", "start", "filter"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
CONTENT = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(str.encode),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([PCAP, SLL2, PCAP[:50], b"[{}]", b"{}", b"*filter\n-A INPUT -j DROP\n"]),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(st.sampled_from(NAMED), CONTENT, max_size=6))
def test_any_content_of_any_file(tmp_path: Path, files: dict[str, bytes]) -> None:
    folder = tmp_path / "case"
    shutil.rmtree(folder, ignore_errors=True)
    sound(opened(folder, files), folder)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=80), st.text(max_size=80).map(str.encode)))
def test_any_manifest_is_read_or_refused(tmp_path: Path, text: bytes) -> None:
    folder = tmp_path / "case"
    for content in (text, b'format = "bothways-bundle/1"\n' + text):
        write(folder, {**FILES, "bundle.toml": content})
        refused = ""
        try:
            sound(open_bundle(folder), folder)
        except BundleError as error:
            refused = str(error)
        assert not refused or str(folder) in refused
