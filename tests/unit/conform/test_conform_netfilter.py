"""``bothways conform netfilter``: recorded rulesets through the model, as a user meets it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bothways.cli import main
from bothways.conform.netfilter_case import Chain, Line, Sent, Setting
from bothways.conform.netfilter_comparison import Frame, compared, unlike
from bothways.conform.netfilter_conformance import hold_netfilter
from bothways.conform.netfilter_draw import Drawn, fresh_setting
from bothways.conform.netfilter_place import mac_behind
from bothways.conform.netfilter_recording import (
    NetfilterFileError,
    netfilter_case_of,
    netfilter_line,
    read_netfilter,
)
from bothways.conform.netfilter_replay import read_router
from bothways.conform.netfilter_shrink import Small, shrunk

ROOT = Path(__file__).parents[3]
SAMPLE = Path(__file__).parent / "data" / "netfilter-6.18.jsonl.gz"
SCHEMA = ROOT / "docs" / "reference" / "conformance.schema.json"


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["conform", "netfilter", *words])


def first_lines(count: int) -> list[dict[str, Any]]:
    with gzip.open(SAMPLE, "rt") as lines:
        return [json.loads(next(lines)) for _ in range(count)]


def written(folder: Path, *said: object) -> Path:
    path = folder / "rules.jsonl"
    path.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in said))
    return path


# -- the verb ------------------------------------------------------------------------------------------


def test_a_recording_of_a_kernel_agrees_and_says_what_it_reached() -> None:
    result = run(str(SAMPLE))

    assert result.exit_code == 0, result.stdout
    assert "0 disagree" in result.stdout
    for heading in ("matches of iptables", "targets of iptables", "words of nft", "sysctls", "fates"):
        assert f"{heading} that decided (" in result.stdout


def test_json_keeps_its_schema(tmp_path: Path) -> None:
    told = first_lines(1)[0]
    told["packets"][0] |= {"out": [], "local": 9}
    result = run(str(written(tmp_path, told)), "--json")
    document = json.loads(result.stdout)

    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
    assert document["subject"] == "netfilter"
    assert document["disagreements"] == 1
    assert document["agree"] + document["disagreements"] == document["checks"]
    assert result.exit_code == 1


def falsified(told: dict[str, Any], change: Callable[[dict[str, Any]], bool]) -> bool:
    """Change the first packet of a case that can be; False if none can."""
    return any(change(packet) for packet in told["packets"])


def lost(packet: dict[str, Any]) -> bool:
    return bool(packet["out"]) and packet["out"].pop() is not None


def with_other_ttl(packet: dict[str, Any]) -> bool:
    for out in packet["out"]:
        if out[1][24:28] == "0800":
            at = 2 * 22
            out[1] = out[1][:at] + f"{int(out[1][at : at + 2], 16) ^ 1:02x}" + out[1][at + 2 :]
            return True
    return False


def delivered(packet: dict[str, Any]) -> bool:
    packet["local"] += 1
    return True


def marked(packet: dict[str, Any]) -> bool:
    for entry in packet["entries"]:
        entry["mark"] = entry.get("mark", 0) + 1
        return True
    return False


def elsewhere(packet: dict[str, Any]) -> bool:
    for out in packet["out"]:
        out[0] = "nfz"
        return True
    return False


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lost, "fate"),
        (with_other_ttl, "ttl"),
        (delivered, "local"),
        (marked, "entry"),
        (elsewhere, "device"),
    ],
)
def test_a_kernel_that_does_otherwise_disagrees(
    change: Callable[[dict[str, Any]], bool], field: str, tmp_path: Path
) -> None:
    told = next(each for each in first_lines(20) if falsified(each, change))
    result = run(str(written(tmp_path, told)))

    assert result.exit_code == 1
    assert f"1 disagree ({field} 1)" in result.stdout
    assert "kernel  " in result.stdout
    assert "model   " in result.stdout


def test_what_is_unknown_fails_only_if_strict(tmp_path: Path) -> None:
    told = next(
        each
        for each in first_lines(20)
        if each["packets"][0]["into"]
        and bytes.fromhex(each["packets"][0]["frame"])[23] == 6
        and not each["dumps"]["ip6tables-save.txt"]
    )
    told["packets"] = told["packets"][:1]
    del told["dumps"]["iptables-save.txt"]
    path = str(written(tmp_path, told))

    assert run(path).exit_code == 0
    assert "1 unknown" in run(path).stdout
    assert "unknown because:" in run(path).stdout
    assert run(path, "--strict").exit_code == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda told: told.pop("kernel"), "kernel: expected text, found null"),
        (lambda told: told.update(dumps=[]), "dumps: expected an object, found []"),
        (lambda told: told["dumps"].update({"ss.txt": 5}), "dumps.ss.txt: expected text, found 5"),
        (
            lambda told: told["packets"][1].update(frame="xyz"),
            "packets[1].frame: expected hexadecimal octets",
        ),
        (lambda told: told["packets"][0].update(out=[["nfa"]]), "packets[0].out[0]: expected a device and"),
        (
            lambda told: told["packets"][0].update(local=True),
            "packets[0].local: expected a number, found true",
        ),
        (
            lambda told: told["packets"][0].update(entries=[{"original": [6], "reply": [], "status": []}]),
            "packets[0].entries[0].original: expected protocol, two addresses, two ports, found [6]",
        ),
        (lambda told: told["packets"].append(7), "expected text, found null"),
    ],
)
def test_a_damaged_line_is_named(
    change: Callable[[dict[str, Any]], object], says: str, tmp_path: Path
) -> None:
    told = first_lines(1)[0]
    whole = json.dumps(told)
    change(told)
    result = run(str(written(tmp_path, whole, told)))

    assert result.exit_code == 4
    assert "rules.jsonl:2: " in result.stderr
    assert says in result.stderr
    assert "hint: one JSON object is expected on each line" in result.stderr


def test_other_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.jsonl").write_text("what\n")
    (tmp_path / "cut.jsonl.gz").write_bytes(SAMPLE.read_bytes()[:9000])

    assert "text.jsonl:1: not JSON" in run(str(tmp_path / "text.jsonl")).stderr
    assert "the gzip file is damaged or cut off" in run(str(tmp_path / "cut.jsonl.gz")).stderr
    assert "no such file" in run(str(tmp_path / "none.jsonl")).stderr


def test_wrong_words_are_told_what_to_do() -> None:
    assert "--live" in run().stderr
    assert "not both" in run(str(SAMPLE), "--live").stderr
    assert "add --live" in run(str(SAMPLE), "--record", "x").stderr


# -- the recording -------------------------------------------------------------------------------------


def test_a_recording_is_read_as_it_was_written() -> None:
    for case in read_netfilter(SAMPLE):
        line = netfilter_line(case)
        assert netfilter_case_of(json.loads(line), "x:1") == case


@settings(max_examples=25, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda c: (
            st.lists(c)
            | st.dictionaries(
                st.sampled_from(
                    ["id", "kernel", "dumps", "packets", "frame", "into", "out", "local", "entries"]
                ),
                c,
            )
        ),
    )
)
def test_anything_else_is_refused_and_never_raises(said: object) -> None:
    if not isinstance(said, dict):
        return
    with suppress(NetfilterFileError):
        netfilter_case_of(said, "f:3")


def test_a_routers_dumps_are_understood_but_for_what_a_rule_may_say() -> None:
    rules = ("nft.txt: ", "iptables-save.txt: ", "ip6tables-save.txt: ")
    for case in read_netfilter(SAMPLE):
        netns, problems = read_router(case.dumps)

        assert [each for each in problems if not each.startswith(rules)] == []
        assert {device.name for device in netns.devices or ()} == {"lo", "nfa", "nfb", "nfc"}
        assert netns.sysctl("net.ipv4.ip_forward") is not None


# -- drawing, comparing, shrinking ---------------------------------------------------------------------


def drawn(seed: int) -> Drawn:
    return fresh_setting(Random(seed))  # noqa: S311 - chance from a seed


def test_a_seed_draws_the_same_and_another_does_not() -> None:
    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_a_setting_is_written_as_the_tools_read_it() -> None:
    setting = Setting(
        (
            Chain("iptables", "filter", "FORWARD", "DROP"),
            Chain("iptables", "filter", "ALPHA", "-"),
            Chain("nft", "ip own", "base", "type filter hook forward priority 0; policy accept;"),
            Chain("nft", "ip own", "alpha", ""),
        ),
        (
            Line("iptables", "filter", "ALPHA", "-j ACCEPT"),
            Line("nft", "ip own", "", "set s { type ipv4_addr; }"),
            Line("nft", "ip own", "base", "jump alpha"),
        ),
    )

    assert setting.restore("iptables") == (
        "*filter\n:FORWARD DROP [0:0]\n:ALPHA - [0:0]\n-A ALPHA -j ACCEPT\nCOMMIT\n"
    )
    assert setting.restore("ip6tables") == ""
    assert setting.native() == (
        "table ip own {\nset s { type ipv4_addr; }\nchain alpha {\n\n}\n"
        "chain base {\ntype filter hook forward priority 0; policy accept;\njump alpha\n}\n}\n"
    )


@pytest.mark.parametrize(
    ("kernel", "model", "field"),
    [
        ([("a", {"ttl": 63})], [("a", {"ttl": 63})], ""),
        ([("a", {"ttl": 63})], [("a", {"ttl": None})], ""),
        ([("a", {"ttl": 63})], [("a", {"ttl": 64})], "ttl"),
        ([("a", {"src": "1.1.1.1"})], [("b", {"src": "1.1.1.1"})], "device"),
        ([("a", {"src": "1.1.1.1"})], [], "fate"),
        ([], [("a", {"src": "1.1.1.1"})], "fate"),
        ([("a", {"sport": 5})], [("a", {})], "sport"),
        ([("a", {"ttl": 1}), ("b", {"ttl": 2})], [("b", {"ttl": 2}), ("a", {"ttl": 1})], ""),
    ],
)
def test_packets_are_paired_and_open_fields_agree(
    kernel: list[tuple[str, dict[str, object]]], model: list[tuple[str, dict[str, object]]], field: str
) -> None:
    theirs, ours = [Frame(*each) for each in kernel], [Frame(*each) for each in model]

    assert compared(theirs, ours)[0] == field
    assert (unlike(theirs[0], ours[0]) is None) is (field == "") if len(kernel) == len(model) == 1 else True


def test_a_disagreement_is_made_small() -> None:
    lines = tuple(Line("iptables", "filter", "FORWARD", f"-s 10.0.0.{n} -j DROP") for n in range(9))
    chains = (Chain("iptables", "filter", "FORWARD", "ACCEPT"), Chain("iptables", "filter", "IDLE", "-"))
    setting = Setting(chains, lines, (("a", "1"), ("b", "2")), ("route add x", "route add y"))
    sent = tuple(Sent("nfa", bytes([n])) for n in range(12))

    def disagrees(small: Small) -> bool:
        return (
            lines[4] in small.setting.lines
            and ("b", "2") in small.setting.sysctls
            and sent[3] in small.sent
            and sent[7] in small.sent
        )

    small = shrunk(setting, sent, disagrees)

    assert small.setting == replace(
        setting, chains=chains[:1], lines=lines[4:5], sysctls=(("b", "2"),), ways=()
    )
    assert small.sent == (sent[3], sent[7], sent[11])


def test_a_neighbours_mac_follows_from_its_address() -> None:
    assert mac_behind("10.91.2.254") == "02:91:0a:5b:02:fe"
    assert mac_behind("fd91:3::11") == "02:96:00:03:00:11"


def test_an_outcome_without_cases_is_one() -> None:
    assert hold_netfilter([]).checks == 0
