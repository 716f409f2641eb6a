"""`bothways trace` without a kernel: a probe that tells a story stands in for the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bothways.bundle import open_bundle
from bothways.capture.pcapng import read_pcapng
from bothways.cli import main, trace_wanted
from bothways.facts.sighting import Tap
from bothways.trace.local import Ending
from kernel_trace_samples import CLIENT, NAME, Story, headers, reset_story


class Told:
    """A probe that tells its lines and ends, or goes on until it is stopped."""

    def __init__(
        self, text: str, host: str = "", ending: Ending | None = None, *, open_end: bool = False
    ) -> None:
        self.host = host
        self.stopped = False
        self._lines = text.splitlines()
        self._open = open_end
        self._ending = ending or Ending(0)

    def lines(self) -> Iterator[str]:
        last = self._lines.pop() if self._open else None
        yield from self._lines
        while self._open and not self.stopped:
            pass
        if last is not None:
            yield last

    def stop(self) -> None:
        self.stopped = True

    def end(self) -> None:
        self.stop()

    def clock(self) -> tuple[int, int] | None:
        return (-100_000, 100_000) if self.host else None

    def ending(self) -> Ending:
        return self._ending


ASKED: list[list[str]] = []


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Any:
    ASKED.clear()

    def put(*told: Told) -> None:
        waiting = list(told)

        def start(arguments: Sequence[str]) -> Told:
            ASKED.append(list(arguments))
            return waiting.pop(0)

        monkeypatch.setattr(trace_wanted, "start_local", start)

    return put


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["trace", *words])


def test_the_story_of_a_reset(probe: Any) -> None:
    probe(Told(reset_story().text))
    result = run("host 192.0.2.100 and tcp")

    assert result.exit_code == 0
    assert "ready: packets are traced from here on" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "#1 IP 192.0.2.10.17350 > 192.0.2.100.22: Flags [S], seq 1000"
    assert "destination 192.0.2.100:22 → 10.0.0.4:22" in lines[3]
    assert "#3 IP 192.0.2.100.22 > 192.0.2.10.17350: Flags [R], seq 5001  (answers #2)" in lines
    story = " ".join(result.stdout.partition("account:")[2].split())
    assert "RST sent by h1, namespace qrouter-1, device qg-1, function tcp_v4_send_reset: NO_SOCKET" in story
    assert "in answer to #2 IP 192.0.2.10.17350 > 192.0.2.100.22: Flags [.], ack 5001" in story
    assert "#1 went on: routed on, sent at h1/qrouter-1:qr-1 (ip_forward," in story
    assert "#2 did not: taken for the namespace itself, RST sent (NO_SOCKET)" in story
    assert "INVALID or untracked: tier raw_tracepoint did not tell which" in story
    assert "\x1b" not in result.output


def test_a_tier_that_sees_the_verdict_says_it(probe: Any) -> None:
    story = Story(tier="fentry").start()
    ack = headers(CLIENT, NAME, ".", seq=1, ack=9, ip_id=2)
    story.event("receive", 1, "r", "e0", ack)
    story.event("conntrack", 1, "r", "e0", ack, conntrack={"info": "INVALID", "state": "SYN_SENT"})
    story.event("drop", 1, "r", "e0", ack, reason="NO_SOCKET", location="tcp_v4_rcv+0x1").stop()
    probe(Told(story.text))

    assert "the tracker took #1 as INVALID, the entry was in SYN_SENT" in " ".join(run().stdout.split())


def test_json_is_the_lines_themselves(probe: Any) -> None:
    story = reset_story()
    probe(Told(story.text))
    result = run("--json")

    assert result.stdout == story.text
    assert [json.loads(line)["type"] for line in result.stdout.splitlines()][:2] == ["start", "ready"]


def test_what_the_probe_is_asked(probe: Any) -> None:
    probe(Told(reset_story().text))
    run(
        "tcp",
        "port",
        "22",
        "--netns",
        "qrouter-1",
        "--device",
        "qg-*",
        "--profile",
        "drop",
        "--stack",
        "all",
        "--no-follow-nat",
        "-c",
        "7",
        "--ring-size",
        "4M",
        "--tier",
        "raw_tracepoint",
        "--allow-system-changes",
    )
    (asked,) = ASKED
    options = dict(pairwise(asked))

    assert json.loads(options["--filter"]) == [[{"protocol": 6, "port": [22, 22]}]]
    assert options["--profile-events"] == "rst-sent,rst-received,icmp-sent,drop"
    assert (options["--stack"], options["--netns"], options["--device"]) == (
        "all",
        "qrouter-1",
        "qg-*",
    )
    assert (options["--count"], options["--ring-size"]) == ("7", str(4 << 20))
    assert {"--no-follow-nat", "--allow-system-changes"} <= set(asked)


def test_a_filter_behind_the_kernel_part_is_said_and_counted(probe: Any) -> None:
    probe(Told(reset_story().text))
    result = run("tcp and not (tcp[tcpflags] & (tcp-syn|tcp-rst) != 0)", "-c", "50")

    assert "filtered behind the kernel part: not tcp[tcpflags]" in result.stderr
    assert "4 events did not pass the filter behind the kernel part" in result.stdout
    assert "--count" not in ASKED[0]


def test_a_count_ends_it(probe: Any) -> None:
    told = Told(reset_story().text, open_end=True)
    probe(told)
    result = run("-c", "3", "--json")

    assert told.stopped
    assert sum('"type": "event"' in line for line in result.stdout.splitlines()) == 3


def test_a_timeout_ends_it(probe: Any) -> None:
    told = Told(reset_story().text, open_end=True)
    probe(told)

    assert run("--timeout", "0.2").exit_code == 0
    assert told.stopped


def test_the_users_command_runs_while_it_is_traced(probe: Any, tmp_path: Path) -> None:
    told = Told(reset_story().text, open_end=True)
    probe(told)
    mark = tmp_path / "mark"
    result = run("tcp", "--", "sh", "-c", f"echo x > {mark}; exit 3")

    assert mark.exists()
    assert told.stopped
    assert "`sh` ended with 3" in result.stderr
    assert result.exit_code == 0


def test_lines_go_into_a_bundle_that_is_read_again(probe: Any, tmp_path: Path) -> None:
    bundle = tmp_path / "case"
    later = reset_story().text.replace('"monotonic_ns": 5000000000', '"monotonic_ns": 6000000000')
    for text in (reset_story().text, later):
        probe(Told(text))
        assert run("tcp", "-o", str(bundle)).exit_code == 0

    opened = open_bundle(bundle)
    assert [(trace.host, trace.file, len(trace.events)) for trace in opened.traces] == [
        ("h1", "hosts/h1/trace/trace.jsonl", 10),
        ("h1", "hosts/h1/trace/trace-2.jsonl", 10),
    ]
    assert opened.problems == ()
    assert opened.unread == ()
    shown = " ".join(CliRunner().invoke(main, ["show", str(bundle)]).stdout.split())
    assert "2 kernel traces" in shown
    assert "hosts/h1/trace/trace.jsonl: 10 events, 1 RST sent, 1 drop, " in shown
    assert "0 lost, tier raw_tracepoint" in shown


def test_a_bundle_that_is_there_keeps_what_it_has(probe: Any, tmp_path: Path) -> None:
    (tmp_path / "bundle.toml").write_text('format = "bothways-bundle/1"\ntitle = "mine"\n')
    probe(Told(reset_story().text))
    run("tcp", "-o", str(tmp_path))

    assert open_bundle(tmp_path).title == "mine"


def test_rotated_files_are_one_trace(probe: Any, tmp_path: Path) -> None:
    probe(Told(reset_story().text))
    run("tcp", "-o", str(tmp_path), "--rotate", "4k")

    files = sorted(path.name for path in (tmp_path / "hosts/h1/trace").iterdir())
    assert len(files) > 2
    assert all(
        json.loads((tmp_path / "hosts/h1/trace" / name).read_text().splitlines()[0])["type"] == "start"
        for name in files
    )
    (trace,) = open_bundle(tmp_path).traces
    assert [event.number for event in trace.events] == list(range(1, 11))


def test_a_capture_file_says_what_the_kernel_did(probe: Any, tmp_path: Path) -> None:
    probe(Told(reset_story().text))
    file = tmp_path / "t.pcapng"
    run("tcp", "--pcapng", str(file))

    data = file.read_bytes()
    captures, problems = read_pcapng(data, tap=Tap("x", "root", "any"), file="t.pcapng", names=None)
    assert problems == ()
    taps = {str(capture.tap): len(capture.sightings) for capture in captures}
    assert taps["h1/qrouter-1:qg-1"] == 5
    assert b"RST SENT  NO_SOCKET" in data
    assert b"[raw_tracepoint, tcp:tcp_send_reset]" in data


def test_losses_are_shown_and_told(probe: Any) -> None:
    story = reset_story()
    story.lines.insert(4, {"type": "lost", "lost": 3, "total": 3})
    story.lines[-1]["lost"] = 3
    probe(Told(story.text))
    result = run()

    assert "lost: 3 events, 3 so far" in result.stderr
    assert "h1: 3 events lost: the account may lack events" in " ".join(result.stdout.split())


def test_the_cost_is_told_where_it_was_measured(probe: Any) -> None:
    story = reset_story()
    story.lines[-1]["cost"] = {"programs": [{"probe": "skb:kfree_skb", "runs": 10, "ns": 3500}]}
    probe(Told(story.text))

    assert "programs ran 10 times and took 3.5 µs, 350 ns a run (skb:kfree_skb 350 ns)" in " ".join(
        run().stdout.split()
    )


def test_a_probe_that_cannot_run_says_why(probe: Any) -> None:
    lacks = "tracing needs CAP_BPF and CAP_PERFMON"
    probe(Told('{"type": "problem", "text": "x"}\n', ending=Ending(4, lacks, "run it as root")))
    result = run("tcp")

    assert result.exit_code == 4
    assert result.stderr.splitlines() == ["x", f"bothways: {lacks}", "  hint: run it as root"]


def test_options_that_only_the_host_can_judge_are_a_wrong_call(probe: Any) -> None:
    probe(Told("", ending=Ending(2, "there is no namespace qrouter-9", "it has root")))

    assert run("--netns", "qrouter-9").exit_code == 2


def test_a_line_that_is_not_understood_is_told(probe: Any) -> None:
    probe(Told(reset_story().text.replace('"tcp_v4_rcv+0x91"', "91")))
    result = run()

    assert "`location`" in result.stderr
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tcp prot 22"], "a part of the filter is not understood"),
        (["arp"], "no packet of IPv4 or IPv6"),
        (["--profile", "resets"], "no profile `resets`"),
        (["--profile", "none.toml"], "`none.toml` cannot be read"),
        (["--rotate", "1M"], "-o names none"),
        (["--ring-size", "lots"], "no size such as 16M"),
        (["--count", "0"], "--count"),
        (["--list", "tcp"], "--list takes no FILTER"),
        (["--list", "-o", "case"], "--list traces nothing that could be kept"),
        (["--timeout", "nan"], "--timeout nan is no time"),
        (["--timeout", "inf"], "--timeout inf is no time"),
        (["--pcapng", "."], "`.` is a folder"),
        (["host server.example"], "names are not looked up"),
        (["ip[8] < 5"], "of pcap-filter(7) the tracer takes host"),
        (["tcp", "--"], "a command is expected behind `--`"),
    ],
)
def test_wrong_calls_are_refused(words: list[str], said: str, probe: Any) -> None:
    probe()
    result = run(*words)

    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_a_capture_that_could_not_be_written_is_refused_before_the_trace(probe: Any, tmp_path: Path) -> None:
    probe()
    result = run("--pcapng", str(tmp_path / "nowhere" / "x.pcapng"))

    assert result.exit_code == 4
    assert "there is no folder" in result.stderr
    assert ASKED == []


def test_a_command_that_is_not_there(probe: Any) -> None:
    probe(Told(reset_story().text, open_end=True))
    result = run("tcp", "--", "no-such-command")

    assert result.exit_code == 4
    assert "`no-such-command` cannot be started: no such file" in result.stderr


def test_a_profile_of_ones_own(probe: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('events = ["hook", "drop"]\nstack = "none"\nfilter = "tcp"\n')
    probe(Told(reset_story().text))
    run("host 192.0.2.1", "--profile", str(file))
    options = dict(pairwise(ASKED[0]))

    assert options["--profile-events"] == "hook,drop"
    assert options["--stack"] == "none"
    assert json.loads(options["--filter"]) == [[{"family": 4, "protocol": 6, "host": "192.0.2.1/32"}]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("events = [", "is not TOML"),
        ('events = ["explode"]', "there is no event `explode`"),
        ('event = ["drop"]', "`event` is no key"),
        ("events = 3", "a list of words"),
        ('stack = "deep"', "`stack` is one of"),
        ("filter = 3", "are texts"),
    ],
)
def test_a_wrong_profile_is_refused(text: str, said: str, probe: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    probe()
    result = run("--profile", str(file))

    assert result.exit_code == 2
    assert said in result.stderr


def test_help_names_the_verbs_below() -> None:
    result = run("--help")

    assert result.exit_code == 0
    assert "bothways trace [OPTIONS] [FILTER] [-- CMD…]" in result.stdout
    assert "diff" in result.stdout.partition("Verbs below")[2]


@pytest.mark.parametrize("more", [[], ["-c", "4"], ["-o", "case"]])
def test_lines_that_nobody_reads_are_handed_on_as_they_are(
    more: list[str], probe: Any, tmp_path: Path
) -> None:
    """As the probe writes them, without blanks: what is between the braces need not even be understood."""
    rows = [json.dumps(row, separators=(",", ":")) for row in reset_story().lines]
    rows[3] = '{"type":"event","n":2,"strange":[1,2'
    probe(Told("\n".join(rows) + "\n"))
    words = [str(tmp_path / word) if word == "case" else word for word in more]
    result = run("--json", *words)

    kept = [row for row in rows if '"type":"event"' in row][: 4 if "-c" in more else None]
    assert [line for line in result.stdout.splitlines() if '"type":"event"' in line] == kept
    if "-o" in more:
        assert (tmp_path / "case/hosts/h1/trace/trace.jsonl").read_text().splitlines() == rows
