"""iptables-save dumps of other projects, and the rules that iptables tests its own extensions with."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from parse_samples import assert_spans

from bothways.facts.iptables import Rule, Table
from bothways.facts.parsed import Parsed
from bothways.facts.span import Kind
from bothways.model.linux.iptables.matches import MATCHES
from bothways.model.linux.iptables.targets import TARGETS
from bothways.parse.iptables import parse_iptables
from bothways.parse.iptables_write import iptables_save

pytestmark = pytest.mark.shared

ORACLES = Path(__file__).resolve().parents[4] / "shared" / "oracles" / "iptables"
ACCEPTED = "ok"
#: characters of a dump; seven larger ones differ from others in length only
SLOW = 200_000


@cache
def dumps() -> tuple[tuple[str, bool, int, str], ...]:
    """Name, whether ``iptables-restore --test`` takes it, number of rules, text."""
    return tuple(
        (
            row["file"],
            row["restore_test"] == ACCEPTED,
            row["rules"],
            (ORACLES / row["file"]).read_text(encoding="utf-8"),
        )
        for row in json.loads((ORACLES / "index.json").read_text(encoding="utf-8"))
    )


def rules(parsed: Parsed[Table]) -> Iterator[Rule]:
    for table in parsed.rows:
        for chain in table.chains.values():
            yield from chain.rules


def test_no_dump_that_iptables_takes_is_malformed_or_loses_a_rule() -> None:
    taken = [dump for dump in dumps() if dump[1]]
    assert len(taken) > 240

    wrong = []
    for name, _, count, text in taken:
        parsed = parse_iptables(text, file=name)
        assert_spans(parsed, text, file=name)
        bad = [str(problem) for problem in parsed.problems if problem.kind is Kind.MALFORMED]
        if bad or len(list(rules(parsed))) != count:
            wrong.append((name, count, bad))
    assert wrong == []


def test_a_dump_that_iptables_refuses_is_read_all_the_same() -> None:
    for name, taken, _, text in dumps():
        if not taken and len(text) < SLOW:
            assert_spans(parse_iptables(text, file=name), text, file=name)


def test_what_iptables_prints_itself_is_understood_wholly() -> None:
    lines = counted = 0
    with gzip.open(ORACLES / "real_tool_outputs.jsonl.gz", "rt", encoding="utf-8") as outputs:
        for line in outputs:
            row = json.loads(line)
            parsed = parse_iptables(row["save"], file=row["file"])
            assert parsed.problems == (), row["file"]
            lines += row["save"].count("\n")
            for rule in rules(parsed):
                assert (rule.packets, rule.octets) == (0, 0)
                counted += 1
    assert lines > 12_000
    assert counted > 5900


#: differences of no weight: defaults that iptables fills in, and other words for the same number
FILLED = frozenset({
    "ah.ahspi", "ah.ah", "esp.espspi", "esp.esp", "connlimit.connlimit-mask", "connlimit.connlimit-saddr",
    "hashlimit.hashlimit-burst", "recent.mask", "recent.name", "recent.rsource", "string.from", "string.to",
    "dscp.dscp", "dscp.dscp-class", "tos.tos", "owner.uid-owner", "owner.gid-owner",
    "cluster.cluster-local-node", "cluster.cluster-local-nodemask", "log-level", "reject-with", "set-dscp",
    "set-dscp-class", "nflog-group",
    "rateest.rateest-bps", "rateest.rateest-bps1", "rateest.rateest-bps2", "nflog-prefix", "queue-num",
    "set-tos", "and-tos", "or-tos", "xor-tos",
})  # fmt: skip


def key(rule: Rule) -> tuple[object, ...]:
    matches = {
        (match.name, repr(match.value), match.negate, match.modelled)
        for match in rule.matches
        if match.name not in FILLED
    }
    target = rule.target
    if target is None:
        return matches, None
    options = {(name, repr(value)) for name, value in target.options.items() if name not in FILLED}
    return matches, (target.name, target.goto, target.modelled, frozenset(options))


def one_rule(table: str, chain: str, words: str) -> tuple[Rule, Parsed[Table]]:
    text = f"*{table}\n:{chain} ACCEPT [0:0]\n-A {chain} {words}\nCOMMIT\n"
    parsed = parse_iptables(text, file="f")
    return next(rules(parsed)), parsed


def test_a_rule_as_typed_and_as_iptables_saves_it_are_read_as_the_same_rule() -> None:
    outcome: Counter[str] = Counter()
    wrong = []
    for case in json.loads((ORACLES / "extension_rule_cases.json").read_text(encoding="utf-8")):
        if case["result"] != "OK" or case["extension"].startswith(("libarpt", "libebt")):
            continue
        typed, said = one_rule(case["table"], case["chains"][0], case["rule"])
        saved, told = one_rule(case["table"], case["chains"][0], case["saved"])
        kinds = {problem.kind for parsed in (said, told) for problem in parsed.problems}
        understood = {bool(said.problems), bool(told.problems)}
        if Kind.MALFORMED in kinds or understood == {True, False} or (not kinds and key(typed) != key(saved)):
            wrong.append((case["rule"], case["saved"], kinds))
        outcome["not modelled" if kinds else "understood"] += 1

    assert wrong == []
    assert outcome["understood"] >= 617
    assert outcome["not modelled"] <= 2


def test_what_is_not_modelled_says_so_in_the_rule_too() -> None:
    for name, taken, _, text in dumps():
        if not taken:
            continue
        parsed = parse_iptables(text, file=name)
        noted = {problem.span.line for problem in parsed.problems}
        open_rules = {
            rule.span.line
            for rule in rules(parsed)
            if not all(match.modelled for match in rule.matches)
            or (rule.target is not None and not rule.target.modelled)
        }
        assert open_rules <= noted


#: modules that ask for nothing, which facts do not keep
BARE = re.compile(r" -m (?:tcp|udp|icmp|icmp6|sctp|esp|ah|time)(?= -[mjg] |$)")


def test_what_iptables_prints_is_written_again_word_for_word() -> None:
    count = 0
    with gzip.open(ORACLES / "real_tool_outputs.jsonl.gz", "rt", encoding="utf-8") as outputs:
        for line in outputs:
            row = json.loads(line)
            given = [BARE.sub("", each) for each in row["save"].splitlines() if not each.startswith("#")]
            wanted = [re.sub(r"^(:\S+ \S+) \[\d+:\d+\]", r"\1 [0:0]", each) for each in given]
            written = iptables_save(parse_iptables(row["save"], file="f").rows).splitlines()
            assert sorted(written) == sorted(wanted), row["file"]
            count += 1
    assert count == 254


def test_almost_every_kind_of_match_and_target_in_use_is_modelled() -> None:
    modelled: set[str] = set()
    other: set[str] = set()
    for name, taken, _, text in dumps():
        for table in parse_iptables(text, file=name).rows if taken else ():
            for chain in table.chains.values():
                for rule in chain.rules:
                    for match in rule.matches:
                        (modelled if match.modelled and match.name in MATCHES else other).add(match.name)
                    target = rule.target
                    if target is not None and target.name not in table.chains:
                        known = target.modelled and target.name in (*TARGETS, "RETURN")
                        (modelled if known else other).add(f"-j {target.name}")
    assert len(modelled) > 70
    assert len(modelled) / len(modelled | other) > 0.97, other - modelled
