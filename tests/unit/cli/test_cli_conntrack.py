"""``bothways conntrack``: the tracker stepped by hand."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from bothways.cli import main


def run(*argv: str) -> Result:
    return CliRunner().invoke(main, ["conntrack", *argv], env={"COLUMNS": "80"})


def test_the_incident() -> None:
    result = run("S> (S.<) .>")

    assert result.exit_code == 0
    assert "SYN_SENT -> SYN_SENT         INVALID: not translated" in result.stdout
    assert "the SYN passed here but no SYN/ACK did" in result.stdout
    assert "[SYN_SENT/original/ACK]" in result.stdout
    assert "log: nf_ct_proto_6: packet (index 3) in dir 0 invalid, state SYN_SENT" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_words_need_no_quotes_where_the_shell_leaves_them_alone() -> None:
    assert run("S>", "S.<", ".>").stdout == run("S> S.< .>").stdout


def test_json_for_programs() -> None:
    document = json.loads(run("S> S.< .>", "--json", "--kernel", "4.19").stdout)

    assert document["schema"] == "bothways/conntrack/1"
    assert document["kernel"] == "before 5.0"
    assert [step["after"] for step in document["steps"]] == ["SYN_SENT", "SYN_RECV", "ESTABLISHED"]
    assert document["steps"][2]["status"] == ["ASSURED", "SEEN_REPLY"]


def test_settings_decide() -> None:
    assert "no entry -> ESTABLISHED" in run(".>").stdout
    assert "nf_conntrack_tcp_loose=0 forbids" in " ".join(run(".>", "--loose", "0").stdout.split())


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["S> SA<"], ["column 5: `A` is no TCP flag", "hint: tcpdump prints ACK as a dot"]),
        ([""], ["column 1: no segment"]),
        (["S>", "--kernel", "new"], ["`new` is not a kernel release", "--kernel 5.4"]),
        (["S>", "--loose", "2"], ["2 is not in the range"]),
        ([], ["missing argument 'SEGMENTS"]),
    ],
)
def test_what_cannot_be_read(argv: list[str], said: list[str]) -> None:
    result = run(*argv)

    assert (result.exit_code, result.stdout) == (2, "")
    for each in said:
        assert each in result.stderr
