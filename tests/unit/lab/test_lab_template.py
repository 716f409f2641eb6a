"""Texts that scenarios fill in, held against what the real programs write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bothways.facts.span import Kind
from bothways.lab.schema import SCENARIO, Each, Table
from bothways.lab.template import TemplateError, fill, known
from bothways.parse.iptables import parse_iptables

#: ``iptables-save`` in the namespace of a router that neutron-l3-agent 29.0.0 programmed.
RECORDED = Path(__file__).parent / "data" / "neutron-29.iptables-save.txt"
ROUTER = {
    "external": "qg-5d88ef18-33",
    "internal": ["qr-dcedd015-a5"],
    "gateway": "192.168.111.222",
    "floating": {"192.168.111.223": "88.88.88.4"},
    "metadata": True,
}


def rules(text: str) -> dict[tuple[str, str], list[str]]:
    """Rules by table and chain, in their order."""
    found: dict[tuple[str, str], list[str]] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("-A "):
            found.setdefault((table, line.split()[1]), []).append(line)
    return found


def test_the_routers_rules_are_those_of_the_agent_itself() -> None:
    ours, theirs = (
        rules(fill("iptables", "neutron-router", ROUTER)),
        rules(RECORDED.read_text(encoding="utf-8")),
    )
    assert ours.keys() == theirs.keys()
    for chain, lines in theirs.items():
        assert sorted(ours[chain]) == sorted(lines), chain
    nat = ("nat", "neutron-l3-agent-snat")
    assert ours[nat] == theirs[nat]


def test_every_template_is_read_back() -> None:
    parameters: dict[str, dict[str, Any]] = {
        "neutron-router": ROUTER,
        "kube-proxy": {
            "pods": "10.244.0.0/16",
            "services": [
                {
                    "name": "web",
                    "cluster": "10.96.0.20",
                    "port": 80,
                    "endpoints": ["10.244.2.10:8080", "10.244.1.9:8080"],
                },
                {"name": "none", "cluster": "10.96.0.21", "port": 80, "endpoints": []},
            ],
        },
    }
    for name in known("iptables"):
        parsed = parse_iptables(fill("iptables", name, parameters[name]), file="x")
        assert [each for each in parsed.problems if each.kind is Kind.MALFORMED] == []
        assert len(parsed.rows) >= 3


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(TemplateError, match="no template `x` for iptables, there are kube-proxy"):
        fill("iptables", "x", {})
    with pytest.raises(TemplateError, match="template `neutron-router`: 'external' is undefined"):
        fill("iptables", "neutron-router", {})


def test_the_page_lists_every_template() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/reference/scenario.md").read_text(encoding="utf-8")
    for kind in ("iptables", "nft", "flows"):
        for name in known(kind):
            assert f"| `{name}` | `{kind}` |" in page


def test_the_page_lists_every_key() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/reference/scenario.md").read_text(encoding="utf-8")
    missing = [key for key in keys(SCENARIO) if f"`{key}`" not in page and f"{key}]" not in page]
    assert missing == []


def keys(form: object) -> set[str]:
    """Every key that a table, or one below it, admits."""
    if isinstance(form, Each):
        return keys(form.form)
    if not isinstance(form, Table):
        return set()
    return set(form.keys).union(*(keys(each) for each in form.keys.values()))
