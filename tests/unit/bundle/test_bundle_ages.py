"""When a dump was read: the start of the command in ``collection.jsonl`` whose output it holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bundle_samples import about, opened

from bothways.bundle.ages import Ages
from bothways.facts.collection import CommandRun
from bothways.facts.span import Kind, Span

SPAN = Span("collection.jsonl", 1)


def run(
    words: str, start: float | None = 100.0, *, netns: str = "root", status: int | None = 0, host: str = "a"
) -> CommandRun:
    return CommandRun(host, netns, tuple(words.split()), SPAN, start=start, exit=status)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("addr.json", "ip -d -j addr"),
        ("addr.txt", "ip a"),
        ("addr.json", "/usr/sbin/ip -j address show"),
        ("route.json", "ip -j route show table all"),
        ("route.txt", "ip r"),
        ("rule.json", "ip -j rule"),
        ("neigh.json", "ip -j neigh"),
        ("neigh.txt", "ip -s neighbour show"),
        ("fdb.json", "bridge -j fdb"),
        ("iptables-save.txt", "iptables-save -c"),
        ("iptables-save.txt", "sudo iptables-nft-save"),
        ("ip6tables-save.txt", "ip6tables-legacy-save"),
        ("nft.txt", "nft -a list ruleset"),
        ("conntrack.txt", "conntrack -L -o extended"),
        ("conntrack-stats.txt", "conntrack -S"),
        ("conntrack-events.txt", "conntrack -E -o timestamp"),
        ("ss.txt", "ss -tan"),
        ("sysctl.txt", "sysctl net"),
        ("nstat.txt", "nstat -az"),
        ("link.json", "ip -d -j link"),
        ("conntrack.xml", "conntrack -L -o xml"),
    ],
)
def test_a_dump_is_as_old_as_its_command(file: str, words: str) -> None:
    assert Ages([run(words)]).of_dump("a", "root", file) == 100.0


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("addr.json", "ip -j route"),
        ("route.json", "ip -j rule"),
        ("rule.json", "ip -j route"),
        ("conntrack.txt", "conntrack -S"),
        ("iptables-save.txt", "ip6tables-save"),
        ("nstat.txt", "netstat -s"),
        ("ss.txt", "less file"),
    ],
)
def test_another_command_says_nothing(file: str, words: str) -> None:
    assert Ages([run(words)]).of_dump("a", "root", file) is None


@pytest.mark.parametrize(
    "row",
    [
        run("ip -j addr", netns="blue"),
        run("ip netns exec blue ip -j addr"),
        run("ip -n blue -j addr"),
        run("ip -netns blue -j addr"),
    ],
)
def test_the_namespace_is_told_by_the_record_or_by_the_command(row: CommandRun) -> None:
    ages = Ages([row])

    assert ages.of_dump("a", "blue", "addr.json") == 100.0
    assert ages.of_dump("a", "root", "addr.json") is None
    assert ages.of_dump("b", "blue", "addr.json") is None


def test_of_several_runs_the_last_that_did_not_fail_counts() -> None:
    rows = [run("ip a", 1.0), run("ip a", 2.0, status=None), run("ip a", 3.0, status=1), run("ip a", None)]

    assert Ages(rows).of_dump("a", "root", "addr.txt") == 2.0


def test_a_bridge_has_ages_of_its_own() -> None:
    ages = Ages(
        [
            run("ovs-ofctl dump-flows br-int", 1.0),
            run("ovs-ofctl dump-flows br-int2", 2.0),
            run("ovs-ofctl -O OpenFlow13 show br-int", 3.0),
            run("ovs-appctl fdb/show br-int", 4.0),
            run("ovs-vsctl show", 5.0),
            run("ovsdb-client dump -f json", 6.0),
            run("ovs-appctl tnl/neigh/show", 7.0),
        ]
    )

    assert [ages.of_bridge("a", "br-int", kind) for kind in ("flows", "ports", "fdb")] == [1.0, 3.0, 4.0]
    assert ages.of_bridge("a", "br-int", "groups") is None
    switch = ("show.txt", "ovsdb.jsonl", "tnl-neigh-show.txt", "x.txt")
    assert ages.of_switch("a", "list-interface.txt") is None
    listed = Ages([run("ovs-vsctl list Interface", 8.0), run("ovs-vsctl --columns=name list port", 9.0)])
    assert [listed.of_switch("a", f"list-{name}.txt") for name in ("interface", "port")] == [8.0, 9.0]
    assert [ages.of_switch("a", file) for file in switch] == [5.0, 6.0, 7.0, None]
    assert ages.of_bridge("a", "br-ex", "flows") is None


def rows(*records: object) -> str:
    return "\n".join(record if isinstance(record, str) else json.dumps(record) for record in records)


def test_every_fact_of_a_dump_has_its_age(tmp_path: Path) -> None:
    record = {"host": "a", "argv": ["ip", "-d", "-j", "addr"], "start": 1795375518.5, "exit": 0}
    bundle = opened(tmp_path, {"collection.jsonl": rows(record)})

    netns = bundle.snapshot.netns("a", "root")
    assert netns is not None
    assert netns.devices is not None
    assert netns.devices.read_at == 1795375518.5
    assert {device.span.read_at for device in netns.devices} == {1795375518.5}


def test_without_a_record_the_age_is_unknown(tmp_path: Path) -> None:
    netns = opened(tmp_path, {}).snapshot.netns("a", "root")

    assert netns is not None
    assert netns.devices is not None
    assert netns.devices.read_at is None


def test_odd_rows_are_problems_and_the_rest_counts(tmp_path: Path) -> None:
    good = {"host": "a", "argv": ["ip", "a"], "start": 5}
    bundle = opened(
        tmp_path,
        {
            "collection.jsonl": rows(
                "not json", good, "", "[1, 2]", {"argv": ["ip", "a"]},
                {"host": "a", "start": "soon", "argv": []},
                {"host": "a", "argv": ["ip", "a"], "start": 10**400}, "[" * 5000, "\ufffd",
            )
        },
    )  # fmt: skip

    netns = bundle.snapshot.netns("a", "root")
    assert netns is not None
    assert netns.devices is not None
    assert netns.devices.read_at == 5.0
    told = about(bundle, "collection.jsonl")
    assert [p.span.line for p in told] == [1, 4, 5, 6, 7, 8, 9]
    assert {p.kind for p in told} == {Kind.MALFORMED}
