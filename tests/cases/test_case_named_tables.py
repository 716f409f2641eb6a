"""A site whose switch calls its tables by name is predicted as it was."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from bothways.bundle import open_bundle
from bothways.facts.diagnosis import Fate
from bothways.model.world import predict
from bothways.report.flow_table import flow_tables
from bothways.report.flow_table_text import render_flow_tables

SITE = Path(__file__).parents[2] / "examples/odl-l3-only"
_TABLE = re.compile(r"(table=|goto_table:|resubmit\(,)(\d+)")


def named(folder: Path) -> Path:
    """The site, with names in place of the numbers of tables, as `ovs-ofctl --names` prints them."""
    shutil.copytree(SITE, folder, ignore=shutil.ignore_patterns("captures"))
    for flows in folder.glob("hosts/*/ovs/br-int.flows.txt"):
        flows.write_text(_TABLE.sub(r'\1"stage \2"', flows.read_text()))
    return folder


def ends(folder: Path) -> list[tuple[Fate, list[str]]]:
    bundle = open_bundle(folder)
    assert bundle.question is not None
    walks = predict(bundle.snapshot, bundle.question).walks
    return [
        (walk.fate, [str(step.did) for j in walk.journeys for b in j.branches for step in b.steps])
        for walk in walks
    ]


def test_names_lead_the_same_way_as_numbers(tmp_path: Path) -> None:
    told = ends(named(tmp_path / "site"))
    assert told == ends(SITE)
    assert told[0][0] is Fate.WORKS


def test_a_filtered_view_with_names_is_no_way(tmp_path: Path) -> None:
    folder = named(tmp_path / "site")
    manifest = folder / "bundle.toml"
    part = '\n[[partial]]\nfile = "hosts/host5/ovs/br-int.flows.txt"\nfilter = "table=30"\n'
    manifest.write_text(manifest.read_text() + part)
    bundle = open_bundle(folder)
    assert bundle.question is not None
    for walk in predict(bundle.snapshot, bundle.question).walks:
        assert any("table 0 matches: the dump is a filtered view" in text for text in walk.unknown)


def test_tables_are_asked_for_and_shown_by_name(tmp_path: Path) -> None:
    bundle = open_bundle(named(tmp_path / "site"))
    tables = list(flow_tables(bundle, "br-int", "host5", 'table="stage 100"'))
    assert {row.flow.table_name for table in tables for row in table.rows} == {"stage 100"}
    assert "table stage 100" in render_flow_tables(tables, width=100, colour=False)
