"""What hosts of other people printed: every file is read, and nothing that is good is malformed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from parse_samples import Parser, assert_spans

from bothways.facts.span import Kind
from bothways.parse.conntrack import parse_counters, parse_entries, parse_events
from bothways.parse.ip_route_text import parse_neigh_text, parse_route_text, parse_rule_text
from bothways.parse.ip_text import parse_addr_text
from bothways.parse.iptables import parse_iptables
from bothways.parse.openflow import parse_flows
from bothways.parse.openflow_ports import parse_ports
from bothways.parse.ovs_vsctl import parse_vsctl_show

pytestmark = pytest.mark.shared

ORACLES = Path(__file__).resolve().parents[4] / "shared" / "oracles"

#: how the file of a command is called -> its parser
COMMANDS: Mapping[str, tuple[str, Parser]] = {
    "ip addr": (r"(ip_addr|ip_-o_addr|ip_-d_address|ip_address_show|ip_-s_-d_link)$", parse_addr_text),
    "ip route": (r"ip(_-6)?_route_show_table_all$", parse_route_text),
    "ip rule": (r"(ip_rule_list|ip_-[46]_rule)$", parse_rule_text),
    "ip neigh": (r"neigh_show(_nud_noarp)?$", parse_neigh_text),
    "conntrack -L": (r"conntrack_-L_-o_extended$", parse_entries),
    "conntrack -S": (r"conntrack_-S$", parse_counters),
    "iptables-save": (r"(iptables-save|ip6tables-save)", parse_iptables),
    "ovs-ofctl dump-flows": (
        r"(ovs-ofctl.*dump-flows_br|bridge\.dump-flows|flow_dumps\.\d+\.txt$)",
        parse_flows,
    ),
    "ovs-ofctl show": (r"(ovs-ofctl.*_show_br|dump-ports-desc_)", parse_ports),
    "ovs-vsctl show": (r"ovs-vsctl(_-t_5)?_show$", parse_vsctl_show),
}
#: lines that no tool printed as its answer: file names of links that became texts, and complaints
NO_ANSWER = re.compile(r"sos_commands/\S+|ovs-\w+: .*|[^|]*\|\d+\|\w+\|(?:WARN|ERR)\|.*")


def files(pattern: str) -> Iterator[Path]:
    for folder in ("texts", "deployments"):
        for path in sorted((ORACLES / folder).rglob("*")):
            if path.is_file() and re.search(pattern, path.name):
                yield path


@pytest.mark.parametrize("command", COMMANDS)
def test_what_other_hosts_printed_is_understood(command: str) -> None:
    pattern, parser = COMMANDS[command]
    odd = []
    seen = rows = 0
    for path in files(pattern):
        text = path.read_text(encoding="utf-8", errors="replace")
        parsed = parser(text, file=path.name)
        assert_spans(parsed, text, file=path.name)
        seen += 1
        rows += len(parsed.rows)
        odd += [
            str(problem)
            for problem in parsed.problems
            if not NO_ANSWER.fullmatch(problem.span.text.strip())
            and problem.kind in (Kind.MALFORMED, Kind.UNMODELLED, Kind.CONTRADICTION)
        ]

    assert odd == []
    assert seen
    assert rows or command == "ip neigh"


def test_tracked_connections_of_several_projects() -> None:
    text = (ORACLES / "texts" / "conntrack" / "misc_conntrack_lines.txt").read_text(encoding="utf-8")
    kept = "".join(f"{line}\n" for line in text.splitlines() if not line.lstrip().startswith("["))
    events = "".join(f"{line}\n" for line in text.splitlines() if line.lstrip().startswith("["))

    entries = parse_entries(kept, file="conntrack.txt")
    # One line was cut off in its reply tuple by whoever pasted it.
    assert [problem.span.line for problem in entries.problems] == [2]
    assert len(entries.rows) == kept.count("\n") - 1
    log = parse_events(events, file="conntrack-events.txt")
    assert log.problems == ()
    assert len(log.rows) == events.count("\n")
