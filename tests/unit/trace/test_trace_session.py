"""Probes of several hosts read at once, and where their lines are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bothways.correlate.kernel_account import account
from bothways.facts.kernel_event import KernelEvent
from bothways.parse.filter import parse_filter
from bothways.parse.kernel_trace import runs_of
from bothways.trace.filter_plan import plan_filter
from bothways.trace.local import Ending
from bothways.trace.session import Said, Session
from bothways.trace.sink import BundleSink, file_name
from kernel_trace_samples import CLIENT, SERVER, Story, headers, reset_story


class Told:
    """A probe that tells its lines at once."""

    def __init__(self, text: str, host: str = "", clock: tuple[int, int] | None = None) -> None:
        self.host = host
        self._lines = text.splitlines()
        self._clock = clock

    def lines(self) -> Iterator[str]:
        yield from self._lines

    def stop(self) -> None:
        pass

    def end(self) -> None:
        pass

    def clock(self) -> tuple[int, int] | None:
        return self._clock

    def ending(self) -> Ending:
        return Ending(0)


def heard(*probes: Told) -> list[Said]:
    session = Session(probes, plan_filter(parse_filter("")))
    said = [each for batch in session.batches() for each in batch]
    assert session.over
    assert session.ready
    assert session.problems == ()
    return said


def two_hosts() -> tuple[Story, Story]:
    """A packet that one host routes and the other drops; both think that they are called the same."""
    one, two = Story("same").start(), Story("same").start()
    syn = headers(CLIENT, SERVER, "S", ip_id=5)
    one.event("receive", 1, "root", "eth0", syn).event("xmit", 1, "root", "eth1", {**syn, "ttl": 63}).stop()
    two.at += 300_000
    two.event("receive", 1, "root", "eth0", {**syn, "ttl": 63})
    two.event("drop", 1, "root", "eth0", {**syn, "ttl": 63}, reason="IP_RPFILTER").stop()
    return one, two


def test_one_host_is_handed_on_as_it_said_it() -> None:
    story = reset_story()

    assert "".join(each.text + "\n" for each in heard(Told(story.text))) == story.text


def test_several_hosts_are_one_account() -> None:
    one, two = two_hosts()
    said = heard(Told(two.text, "h2", (-50_000, 50_000)), Told(one.text, "h1", (0, 0)))

    assert {json.loads(each.text)["host"] for each in said} == {"h1", "h2"}
    events = [each.line for each in said if isinstance(each.line, KernelEvent)]
    assert [event.host for event in events] == ["h1", "h1", "h2", "h2"]
    made = account(runs_of([each.line for each in said if each.line is not None], file=""))
    (packet,) = made.packets
    assert [each.event.place for each in packet.events] == ["h1:eth0", "h1:eth1", "h2:eth0", "h2:eth0"]
    (deed,) = made.deeds
    assert deed.event.place == "h2:eth0"
    bounds = {(clock.host, clock.relative_to): (clock.low_ns, clock.high_ns) for clock in made.clocks}
    assert list(bounds.values()) == [(-50_000, 50_000)]


def test_every_host_has_its_own_files(tmp_path: Path) -> None:
    one, two = two_hosts()
    sink = BundleSink(tmp_path, 'a "title" \\ with\nall of it')
    for each in heard(Told(one.text, "h1"), Told(two.text, "user@h2")):
        sink.write(each)
    sink.close()

    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jsonl"))
    assert files == ["hosts/h1/trace/trace.jsonl", "hosts/user@h2/trace/trace.jsonl"]
    assert (tmp_path / "bundle.toml").read_text().startswith('format = "bothways-bundle/1"')
    for path in tmp_path.rglob("*.jsonl"):
        kinds = [json.loads(line)["type"] for line in path.read_text().splitlines()]
        assert kinds == ["start", "ready", "event", "event", "stop"]


def test_lines_before_the_first_one_are_kept_behind_it(tmp_path: Path) -> None:
    story = reset_story()
    early = json.dumps({"type": "problem", "text": "a probe is missing"})
    sink = BundleSink(tmp_path)
    for each in heard(Told(f"{early}\n{story.text}")):
        sink.write(each)
    sink.close()
    (file,) = tmp_path.rglob("*.jsonl")

    assert [json.loads(line)["type"] for line in file.read_text().splitlines()][:3] == [
        "problem",
        "start",
        "ready",
    ]


def test_a_hosts_name_leads_nowhere_else() -> None:
    assert [file_name(name) for name in ("host1", "user@h-1.example", "../../etc", "..", "")] == [
        "host1",
        "user@h-1.example",
        ".._.._etc",
        "_",
        "_",
    ]
