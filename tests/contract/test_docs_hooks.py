"""The page about the incident's hooks names probes, events and steps that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bothways.trace.probe.probes import PROBES
from bothways.trace.probe.tracefs_tap import TAPS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "concepts" / "hooks.md").read_text(encoding="utf-8")
MODEL = "".join(
    path.read_text(encoding="utf-8") for path in (ROOT / "src" / "bothways" / "model").rglob("*.py")
)

ROWS = [
    tuple(cell.strip() for cell in line.strip("|\n").split("|"))
    for line in PAGE.partition("## Names")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| what")
]
NAMED = [(each.name, each.event) for each in PROBES] + [(each.probe, each.event) for each in TAPS]


def code(cell: str) -> str:
    return cell.strip("`")


def test_the_table_has_all_of_the_incidents_hooks() -> None:
    first = " ".join(row[0] for row in ROWS)
    for hook in ("ndo_start_xmit", "ip_rcv", "NAT hook", "ipv4_conntrack_in", "tcp_packet"):
        assert hook in first


@pytest.mark.parametrize("row", [row for row in ROWS if row[3].startswith("`")])
def test_a_row_is_what_the_code_does(row: tuple[str, ...]) -> None:
    _, _, probe, event, step = (code(cell) for cell in row)
    assert (probe, event) in NAMED
    assert re.search(rf'"{re.escape(step)}[" ]', MODEL) is not None, step


def test_every_tier_has_a_row() -> None:
    tiers = set(re.findall(r"^\| `([a-z_]+)`", PAGE, re.MULTILINE))
    assert {way.tier for each in PROBES for way in each.ways} <= tiers
    assert "tracefs" in tiers
