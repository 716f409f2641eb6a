"""A ticket gives the verdict of the bundle with the same evidence, however it was pasted."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bothways.bundle import open_bundle, open_evidence
from bothways.diagnose import diagnose
from bothways.report.json import diagnosis_json, render_json

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "incident-transcript.txt"
TICKET = ROOT.parent / "shared" / "seed" / "000_259d801622b4441f.txt"
QROUTER = "qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f"

#: (host, command, output) of each prompt of the example, and the two call stacks behind it
Run = tuple[str, str, list[str]]


def told(path: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(render_json(diagnosis_json(diagnose(open_evidence([path])))))
    return answer


@cache
def told_by_the_bundle() -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(
        render_json(diagnosis_json(diagnose(open_bundle(ROOT / "examples" / "incident"))))
    )
    return answer


def runs() -> list[Run]:
    found: list[Run] = []
    for line in EXAMPLE.read_text().splitlines():
        prompt = re.match(r"root@(\w+):~#\s?(.*)", line)
        if prompt:
            found.append((prompt[1], prompt[2], []))
        elif line and found[-1][1]:
            found[-1][2].append(line)
    return [run for run in found if run[1]]


def spans(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "file" in node:
            yield node
        for value in node.values():
            yield from spans(value)
    elif isinstance(node, list):
        for value in node:
            yield from spans(value)


def without_places(node: object) -> object:
    """A verdict without file, line and the words of lines, which differ from one pasting to another."""
    if isinstance(node, dict):
        return {
            key: without_places(value)
            for key, value in node.items()
            if key not in ("file", "line", "text", "problems", "age_s", "ladder")
        }
    if isinstance(node, list):
        return [without_places(value) for value in node]
    return node


@pytest.mark.parametrize(
    "path", [pytest.param(TICKET, marks=pytest.mark.shared), EXAMPLE], ids=["ticket", "example"]
)
def test_the_incident_as_it_stands_is_diagnosed_as_its_bundle(path: Path) -> None:
    verdict, expected = told(path), told_by_the_bundle()

    assert verdict["status"] == "explained"
    assert verdict["cause"]["code"] == "BW101"
    assert verdict["cause"]["confidence"] in ("supported", "suspected")
    assert (verdict["authors"][0]["device"], verdict["authors"][0]["netns"]) == ("qg-5d88ef18-33", QROUTER)
    for part in ("cause", "chain", "also", "culprits", "clocks", "symptoms", "outcomes", "unknown", "next"):
        assert without_places(verdict[part]) == without_places(expected[part]), part


@pytest.mark.parametrize(
    "path", [pytest.param(TICKET, marks=pytest.mark.shared), EXAMPLE], ids=["ticket", "example"]
)
def test_every_quoted_line_stands_in_the_file(path: Path) -> None:
    lines = path.read_text().split("\n")
    quoted = list(spans(told(path)))

    assert len(quoted) > 20
    for span in quoted:
        assert span["file"] == path.as_posix()
        assert lines[span["line"] - 1].rstrip("\r") == span["text"]


@pytest.mark.parametrize(
    "path", [pytest.param(TICKET, marks=pytest.mark.shared), EXAMPLE], ids=["ticket", "example"]
)
def test_the_incident_contradicts_itself_in_the_same_way(path: Path) -> None:
    problems = told(path)["problems"]

    assert len(problems) == len(told_by_the_bundle()["problems"])
    assert any("backwards" in each and "twice" in each for each in problems)
    assert any("table=40 counts 0" in each and "table=100 counts 2" in each for each in problems)


def as_github_issue() -> str:
    words = ["# ssh to floating IP fails", "", "**Environment**: Newton, ODL Boron", ""]
    for host, command, output in runs():
        words += [f"On the node I see the following ({command.split()[0]}):", "", "```console"]
        words += [f"root@{host}:~# {command}", *output, "```", "", "What does this mean? :confused:", ""]
    return "\n".join([*words, "- [x] I have searched for duplicates", "1. and read the docs"])


def as_chat() -> str:
    words = []
    for host, command, output in runs():
        words += [f"[10:02] <alice> look at this on {host}:"]
        words += [f"[10:02] <alice> {line}" for line in (f"[root@{host} ~]# {command}", *output)]
        words += ["[10:03] <bob> hmm, who sends that reset?", "[10:04] <alice> no idea"]
    return "\n".join(words)


def with_windows_line_ends() -> str:
    words = []
    for host, command, output in runs():
        words += [f"[root@{host} ~]# {command}", *output, f"[root@{host} ~]# "]
    return "\ufeff" + "\r\n".join(words) + "\r\n"


def with_sudo() -> str:
    words = []
    for host, command, output in runs():
        words += [f"stack@{host}:~$ sudo {command}", "[sudo] password for stack: ", *output, ""]
    return "\n".join(words)


def from_an_environment() -> str:
    words = []
    for host, command, output in runs():
        words += [f"(overcloud) [heat-admin@{host} ~]$ sudo {command}", *output]
    return "\n".join(words)


def in_containers() -> str:
    names = {"ip": "neutron_l3_agent", "ovs-ofctl": "openvswitch_vswitchd"}
    words = []
    for host, command, output in runs():
        inside = names.get(command.split()[0])
        words += [
            f"root@{host}:~# " + (f"docker exec -it {inside} {command}" if inside else command),
            *output,
        ]
    return "\n".join(words)


def over_ssh() -> str:
    words = []
    for host, command, output in runs():
        words += [f"$ ssh -t root@{host} '{command}'", *output, f"Connection to {host} closed.", ""]
    return "\n".join(words)


def as_html() -> str:
    words = ["<p>Hello,</p>"]
    for host, command, output in runs():
        words += ["<p>this is what I see:</p>", "<pre><code>"]
        words += [html.escape(line) for line in (f"root@{host}:~# {command}", *output)]
        words += ["</code></pre>"]
    return "\n".join(words)


def as_quoted_mail() -> str:
    return "\n".join(
        ["On Monday somebody wrote:"] + [f"> {line}" for line in EXAMPLE.read_text().splitlines()]
    )


def in_a_shell_of_the_namespace() -> str:
    words = []
    for host, command, output in runs():
        inside = re.match(r"ip netns exec (\S+) (.*)", command)
        if inside:
            words += [
                f"root@{host}:~# ip netns exec {inside[1]} bash",
                f"root@{host}:~# {inside[2]}",
                *output,
            ]
            words += [f"root@{host}:~# exit", "exit"]
        else:
            words += [f"root@{host}:~# {command}", *output]
    return "\n".join(words)


def with_remarks() -> str:
    words = []
    for host, command, output in runs():
        words += [f"root@{host}:~# {command}"]
        words += [f"{line}    <-- look here" if "[R]" in line else line for line in output]
        words += ["so that is that.", ""]
    return "\n".join(words)


STYLES: list[Callable[[], str]] = [
    as_github_issue,
    as_chat,
    with_windows_line_ends,
    with_sudo,
    from_an_environment,
    in_containers,
    over_ssh,
    as_html,
    as_quoted_mail,
    in_a_shell_of_the_namespace,
    with_remarks,
]


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_the_verdict_does_not_depend_on_how_it_was_pasted(tmp_path: Path, style: Callable[[], str]) -> None:
    path = tmp_path / "ticket.txt"
    path.write_bytes(style().encode())
    verdict, expected = told(path), told_by_the_bundle()

    for part in ("cause", "culprits", "clocks", "outcomes", "authors", "symptoms"):
        assert without_places(verdict[part]) == without_places(expected[part]), part
    lines = style().removeprefix("\ufeff").split("\n")
    for span in spans(verdict):
        assert lines[span["line"] - 1].removesuffix("\r") == span["text"]


def test_a_renumbered_ticket_has_the_same_verdict(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    for old, new in {
        "192.168.111.": "203.0.113.", "88.88.88.": "10.7.0.", "88.4": "7.0.4", "0x58585804": "0x0a070004",
        "fa:16:3e": "fa:16:4f", "0xfa163e": "0xfa164f", "host1": "net-a", "host5": "cmp-b",
        "5d88ef18-33": "1122aabb-cc",
        "5a367e1d-9162-4b90-af5a-ff4655c7571f": "77777777-0000-4b90-af5a-000000000000", "17350": "40404",
        "table=100": "table=51", "br-int": "br-x",
    }.items():  # fmt: skip
        text = text.replace(old, new)
    path = tmp_path / "ticket.txt"
    path.write_text(text)
    verdict = told(path)

    assert (verdict["status"], verdict["cause"]["code"]) == ("explained", "BW101")
    assert (verdict["authors"][0]["host"], verdict["authors"][0]["device"]) == ("net-a", "qg-1122aabb-cc")
    assert ("cmp-b", "br-x table 51") in [(each["host"], each["where"]) for each in verdict["culprits"]]


@pytest.mark.parametrize("lost", range(6))
def test_a_ticket_with_a_piece_missing_accuses_nobody_else(tmp_path: Path, lost: int) -> None:
    kept = [run for number, run in enumerate(runs()) if number != lost]
    path = tmp_path / "ticket.txt"
    path.write_text(
        "\n".join("\n".join([f"root@{host}:~# {typed}", *output]) for host, typed, output in kept)
    )
    verdict = told(path)

    assert verdict["status"] in ("explained", "undetermined")
    assert verdict["cause"] is None or verdict["cause"]["code"] == "BW101"
    assert verdict["cause"] is None or verdict["cause"]["confidence"] != "proved"


def test_output_below_another_hosts_prompt_is_not_taken_for_this_hosts(tmp_path: Path) -> None:
    """Prose ends an output: what stands below it, without a prompt, may be of any machine."""
    host, typed, output = runs()[1]
    path = tmp_path / "ticket.txt"
    path.write_text(
        "\n".join([f"root@{host}:~# {typed}", *output[:4], "", "And elsewhere:", "", *output[4:]])
    )
    bundle = open_evidence([path])

    assert [len(capture.sightings) for capture in bundle.captures] == [4]
    (problem,) = [each for each in bundle.problems if "nothing says where" in each.message]
    assert problem.hint == f"add --tap HOST/NETNS:DEVICE={path}:{problem.span.line}"
