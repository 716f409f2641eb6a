"""The bundles of the project itself: every dump is read wholly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from parse_samples import JSON, SAMPLES, assert_spans

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "bundles"

#: the end of a file's name -> the format that it holds
FORMATS = {
    "addr.json": "addr", "addr.txt": "addr_text", "route.json": "route", "rule.json": "rule",
    "neigh.json": "neigh", "fdb.json": "fdb",
    "iptables-save.txt": "iptables", "ip6tables-save.txt": "iptables",
    "conntrack.txt": "conntrack", "conntrack-events.txt": "conntrack_events",
    "conntrack-stats.txt": "conntrack_stats", "conntrack-invalid-log.txt": "invalid_log", "ss.txt": "ss",
    "sysctl.txt": "sysctl", ".flows.txt": "flows", ".ports.txt": "ports", "ovs/show.txt": "vsctl_show",
    "ovsdb.jsonl": "ovsdb", ".fdb.txt": "fdb_show", "tnl-neigh-show.txt": "tnl_neigh",
    "trace/syn.txt": "kernel_stack", "trace/ack.txt": "kernel_stack", "collection.jsonl": "collection",
}  # fmt: skip


def dumps(root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(root.rglob("*")):
        for end, name in FORMATS.items():
            if path.is_file() and f"/{path.relative_to(root)}".endswith(end if end[0] == "." else f"/{end}"):
                yield name, path


@pytest.mark.parametrize("root", [ROOT / "examples", pytest.param(SHARED, marks=pytest.mark.shared)])
def test_every_dump_is_read_wholly(root: Path) -> None:
    rows: Counter[str] = Counter()
    for name, path in dumps(root):
        text = path.read_text(encoding="utf-8")
        parsed = SAMPLES[name].parser(text, file=path.name)
        assert_spans(parsed, text, whole=name not in JSON, file=path.name)
        assert parsed.problems == (), path
        rows[name] += len(parsed.rows)

    assert {"addr", "iptables", "flows", "ports", "route", "neigh", "conntrack", "invalid_log"} <= {
        name for name, count in rows.items() if count
    }
