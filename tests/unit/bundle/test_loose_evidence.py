"""Loose evidence says what a bundle of it would, and quotes its files as they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bothways.bundle import Bundle, BundleError, open_bundle, open_evidence
from bothways.facts.span import Kind, Span

EXAMPLES = Path(__file__).parents[3] / "examples"
TRANSCRIPT = EXAMPLES / "incident-transcript.txt"


def opened(home: Path, text: str) -> Bundle:
    path = home / "t.txt"
    path.write_bytes(text.encode())
    return open_evidence([path])


def spans(value: Any) -> Iterator[Span]:
    if isinstance(value, Span):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from spans(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from spans(each)
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from spans(getattr(value, each.name))


def test_the_transcript_holds_what_the_bundle_of_the_incident_holds() -> None:
    loose, bundle = open_evidence([TRANSCRIPT]), open_bundle(EXAMPLES / "incident")
    wanted = {capture.tap: capture for capture in bundle.captures}

    assert {capture.tap for capture in loose.captures} == set(wanted)
    for capture in loose.captures:
        other = wanted[capture.tap]
        assert (capture.filter, capture.textual) == (other.filter, other.textual)
        assert [(s.time_ns, s.packet) for s in capture.sightings] == [
            (s.time_ns, s.packet) for s in other.sightings
        ]
    assert {(n.host, n.name) for n in loose.snapshot.namespaces()} == {
        (n.host, n.name) for n in bundle.snapshot.namespaces()
    }
    flows = [
        host.switch.bridges["br-int"].flows
        for host in (loose.snapshot.hosts["host5"], bundle.snapshot.hosts["host5"])
        if host.switch
    ]
    assert [(flow.table, flow.match, flow.actions) for flow in flows[0] or ()] == [
        (flow.table, flow.match, flow.actions) for flow in flows[1] or ()
    ]
    assert [dump.partial for dump in flows if dump] == ["grep 88.4", "grep 88.4"]
    assert sorted(stack.functions for stack in loose.stacks) == sorted(
        stack.functions for stack in bundle.stacks
    )


def test_every_span_reads_as_the_line_of_the_file() -> None:
    bundle = open_evidence([TRANSCRIPT])
    lines = TRANSCRIPT.read_text().split("\n")
    found = list(spans((bundle.snapshot.hosts, bundle.captures, bundle.stacks, bundle.problems)))

    assert len(found) > 40
    for span in found:
        assert span.file == TRANSCRIPT.as_posix()
        assert span.line is not None
        assert lines[span.line - 1] == span.text


def test_a_column_points_into_the_line_of_the_file(tmp_path: Path) -> None:
    bundle = opened(tmp_path, "    root@a:~# sysctl -a\n    net.ipv4.ip_forward = 1\n    net.ipv4.odd =\n")
    flows = opened(
        tmp_path, "    root@a:~# ovs-ofctl dump-flows br\n     table=0, nonsense=1 actions=drop\n"
    ).problems

    assert bundle.snapshot.hosts["a"].netns["root"].sysctl("net.ipv4.ip_forward") is not None
    for problem in flows:
        if problem.span.column is not None:
            assert problem.span.text[problem.span.column - 1 :].startswith("nonsense")


def test_two_dumps_of_one_thing(tmp_path: Path) -> None:
    one, two = "2: eth0: <UP> mtu 1 qdisc a\n", "3: eth1: <UP> mtu 1 qdisc a\n"

    def names(text: str) -> tuple[list[str], str | None]:
        devices = opened(tmp_path, text).snapshot.hosts["a"].netns["root"].devices
        assert devices is not None
        return [device.name for device in devices], devices.partial

    assert names(f"root@a:~# ip a\n{one}root@a:~# ip a\n{two}") == (["eth1"], None)
    assert names(f"root@a:~# ip a\n{one}root@a:~# ip a | grep x\n{two}") == (["eth0"], None)
    assert names(f"root@a:~# ip a | grep x\n{one}root@a:~# ip a\n{two}") == (["eth1"], None)
    assert names(f"root@a:~# ip a | grep x\n{one}root@a:~# ip a | grep y\n{two}") == (
        ["eth0", "eth1"],
        "grep x; grep y",
    )


def test_filtered_flows_of_one_bridge_add_up(tmp_path: Path) -> None:
    bundle = opened(
        tmp_path,
        "root@a:~# ovs-ofctl dump-flows br | grep x\n table=1 actions=drop\n"
        "root@a:~# ovs-ofctl dump-flows br table=2\n table=2 actions=drop\n"
        "root@a:~# ovs-ofctl show br\n 7(p): addr:02:00:00:00:00:01\n",
    )
    switch = bundle.snapshot.hosts["a"].switch
    assert switch is not None
    flows = switch.bridges["br"].flows
    assert flows is not None

    assert ([flow.table for flow in flows], flows.partial) == ([1, 2], "grep x; table=2")
    assert switch.bridges["br"].port_number(7) is not None


def test_groups_and_options_of_tunnels_are_pasted_as_well(tmp_path: Path) -> None:
    bundle = opened(
        tmp_path,
        "root@a:~# ovs-ofctl -O OpenFlow13 dump-flows br\n table=1 actions=group:5\n"
        "root@a:~# ovs-ofctl -O OpenFlow13 dump-groups br\nOFPST_GROUP_DESC reply (OF1.3) (xid=0x2):\n"
        " group_id=5,type=all,bucket=actions=output:7\n"
        "root@a:~# ovs-ofctl dump-tlv-map br\nNXT_TLV_TABLE_REPLY (xid=0x4):\n"
        " mapping table:\n  class  type  length  match field\n ------  ----  ------  --------------\n"
        "  0x102  0x80       4  tun_metadata0\n",
    )
    switch = bundle.snapshot.hosts["a"].switch
    assert switch is not None
    bridge = switch.bridges["br"]
    assert bridge.groups is not None
    assert bridge.tunnel_options is not None

    assert [group.number for group in bridge.groups] == [5]
    assert [option.field for option in bridge.tunnel_options] == ["tun_metadata0"]
    assert bundle.problems == ()


def test_a_capture_behind_a_pipe_has_no_filter_that_tells_what_is_missing(tmp_path: Path) -> None:
    syn = "19:25:18.052823 IP 192.0.2.1.17350 > 192.0.2.2.22: Flags [S], length 0\n"
    (capture,) = opened(tmp_path, f"root@a:~# tcpdump -ni eth0 arp | grep x\n{syn}").captures

    assert capture.filter is None


def test_tools_that_are_not_read_are_named_with_their_successor(tmp_path: Path) -> None:
    text = "root@a:~# uname -r\n6.1.0-18-amd64\nroot@a:~# iptables -nvL\nChain INPUT (policy ACCEPT)\n"
    bundle = opened(tmp_path, text)
    (problem,) = bundle.problems

    assert bundle.snapshot.hosts["a"].kernel == "6.1.0-18-amd64"
    assert (problem.kind, problem.hint) == (Kind.UNMODELLED, "run `iptables-save -c` instead")
    assert problem.span.text == "root@a:~# iptables -nvL"


def test_an_empty_dump_was_collected(tmp_path: Path) -> None:
    (tmp_path / "iptables-save.txt").write_text("")
    tables = open_evidence([tmp_path / "iptables-save.txt"]).snapshot.hosts["here"].netns["root"].iptables

    assert tables is not None
    assert len(tables) == 0


SCRAPS = [*TRANSCRIPT.read_text().split("\n"), "", "prose.", "```", "[", "{", "\x00", "\ufffd"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from(SCRAPS), max_size=30).map(lambda x: "\n".join(x).encode()),
    )
)
def test_whatever_the_file_holds_it_is_evidence_or_refused_with_a_sentence(
    tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(data)
    try:
        bundle = open_evidence([path])
    except BundleError:
        # It must be this and no other exception.
        return
    lines = data.decode(errors="replace").removeprefix("\ufeff").split("\n")
    for span in spans((bundle.snapshot.hosts, bundle.captures, bundle.stacks, bundle.problems)):
        if span.line is not None:
            assert lines[span.line - 1].removesuffix("\r") == span.text


@pytest.mark.parametrize("name", ["dual-l3"])
def test_the_files_of_a_bundle_given_one_by_one(name: str) -> None:
    home = EXAMPLES / name
    files = [
        path for path in sorted(home.rglob("*")) if path.suffix in (".pcap", ".txt") and path.stat().st_size
    ]
    loose, bundle = open_evidence(files), open_bundle(home)

    assert {capture.tap for capture in loose.captures} == {capture.tap for capture in bundle.captures}
    assert {(n.host, n.name) for n in loose.snapshot.namespaces() if n.iptables} == {
        (n.host, n.name) for n in bundle.snapshot.namespaces() if n.iptables and n.iptables.rows
    }


def test_dumps_of_a_namespace_complete_each_other_as_in_a_bundle(tmp_path: Path) -> None:
    text = (
        "root@a:~# ip r\ndefault via 192.0.2.9 dev eth0\n"
        "root@a:~# ip a\n2: eth0: <UP> mtu 1500 qdisc a\n    inet 192.0.2.2/24 scope global eth0\n"
        "root@a:~# ip rule\n0:\tfrom all lookup local\n32766:\tfrom all lookup main\n"
        "root@a:~# ip -d link\n2: eth0: <UP> mtu 1500 qdisc a\n"
        "    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n    veth\n"
        "root@a:~# nstat -az\n#kernel\nTcpExtListenDrops   3   0.0\n"
    )
    netns = opened(tmp_path, text).snapshot.hosts["a"].netns["root"]

    assert netns.routes is not None
    assert netns.routes.whole, "the addresses and rules show that no other table decides"
    assert [(device.name, device.kind) for device in netns.devices or ()] == [("eth0", "veth")]
    assert [(counter.name, counter.value) for counter in netns.counters or ()] == [("TcpExtListenDrops", 3)]


def test_links_alone_say_nothing_of_addresses(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(
        "2: eth0: <UP> mtu 1500 qdisc a\n    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n"
    )
    bundle = open_evidence([tmp_path / "x.txt"])

    assert bundle.snapshot.hosts["here"].netns["root"].devices is None
    assert [problem.kind for problem in bundle.problems] == [Kind.UNMODELLED]


def test_conntrack_as_xml_is_told_by_its_root(tmp_path: Path) -> None:
    (tmp_path / "x").write_text('<?xml version="1.0" encoding="utf-8"?>\n<conntrack>\n</conntrack>\n')

    assert open_evidence([tmp_path / "x"]).snapshot.hosts["here"].netns["root"].conntrack is not None


def test_a_capture_that_was_given_twice_counts_once(tmp_path: Path) -> None:
    paths = [tmp_path / "one.pcap", tmp_path / "two.pcap"]
    for path in paths:
        path.write_bytes((EXAMPLES / "dual-l3/hosts/host1/captures/root/br-ex.pcap").read_bytes())
    once, twice = (
        open_evidence(given, taps=[f"host1:br-ex={path}" for path in given]) for given in (paths[:1], paths)
    )

    assert [len(c.sightings) for c in twice.captures] == [len(c.sightings) for c in once.captures]
    assert any("given already" in p.message for p in twice.problems)
