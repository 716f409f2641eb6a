"""A kernel trace beside dumps and captures, and in place of captures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bothways.bundle import open_bundle, open_evidence
from bothways.diagnose import diagnose
from bothways.facts.diagnosis import Author, Basis, Diagnosis, Status
from bothways.report.json import diagnosis_json
from bothways.report.text import render_text
from kernel_trace_samples import FORWARDED, RESET, Story, headers

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CLIENT, NAME, SERVER, SPORT = "192.168.111.210", "192.168.111.223", "88.88.88.4", 17350


def kernel_of(host: str, router: str, outside: str, inside: str, *, tier: str = "raw_tracepoint") -> Story:
    """What the router's kernel tells of the incident's SYN, ACK and RST."""
    story = Story(host=host, tier=tier).start()
    syn = headers(CLIENT, NAME, "S", seq=1000, ip_id=101)
    translated = {**syn, "destination": SERVER, "ttl": 63}
    story.event("receive", 1, router, outside, syn)
    story.event("xmit", 1, router, inside, translated, before=syn, stack=FORWARDED)
    ack = headers(CLIENT, NAME, ".", seq=1001, ack=5001, ip_id=102, length=52)
    story.event("receive", 2, router, outside, ack)
    if tier == "fentry":
        story.event(
            "conntrack", 2, router, outside, ack, conntrack={"info": "INVALID"}, function="nf_conntrack_in"
        )
    story.event(
        "rst-sent", 2, router, outside, ack, reason="NO_SOCKET", function="tcp_v4_send_reset", stack=RESET
    )
    rst = headers(NAME, CLIENT, "R", seq=5001, ip_id=0, length=40, source_port=22, destination_port=SPORT)
    story.event("xmit", 3, router, outside, rst, provoked_by=2)
    return story.stop()


def with_trace(example: str, tmp_path: Path, story: Story, *, captures: bool = True) -> Diagnosis:
    bundle = tmp_path / "case"
    shutil.copytree(EXAMPLES / example, bundle)
    if not captures:
        for folder in bundle.glob("hosts/*/captures"):
            shutil.rmtree(folder)
    trace = bundle / "hosts" / story.host / "trace"
    trace.mkdir(exist_ok=True)
    (trace / "trace.jsonl").write_text(story.text, encoding="utf-8")
    return diagnose(open_bundle(bundle), remedies=False)


ROUTER = "qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f"
OUTSIDE, INSIDE = "qg-5d88ef18-33", "qr-dcedd015-a5"


def author(verdict: Diagnosis) -> Author:
    (found,) = verdict.authors
    return found


@pytest.mark.parametrize("example", ["incident", "dual-l3"])
def test_the_author_is_the_kernels_own(example: str, tmp_path: Path) -> None:
    verdict = with_trace(example, tmp_path, kernel_of("host1", ROUTER, OUTSIDE, INSIDE))

    assert verdict.status is Status.EXPLAINED
    assert verdict.cause is not None
    assert verdict.cause.code == "BW101"
    found = author(verdict)
    assert (found.what, found.host, found.netns, found.device) == ("rst", "host1", ROUTER, OUTSIDE)
    assert (found.function, found.basis) == ("tcp_v4_send_reset", "trace")
    assert found.frame is not None
    assert (found.frame.span.file, found.frame.span.line) == ("hosts/host1/trace/trace.jsonl", 6)
    said = diagnosis_json(verdict)["authors"]
    assert isinstance(said, list)
    assert json.loads(said[0]["frame"]["text"])["event"] == "rst-sent"


@pytest.mark.parametrize(("tier", "basis"), [("raw_tracepoint", Basis.PREDICTED), ("fentry", Basis.OBSERVED)])
def test_links_are_proved_as_far_as_the_tier_sees(tier: str, basis: Basis, tmp_path: Path) -> None:
    plain = diagnose(open_bundle(EXAMPLES / "dual-l3"), remedies=False)
    verdict = with_trace("dual-l3", tmp_path, kernel_of("host1", ROUTER, OUTSIDE, INSIDE, tier=tier))

    def by(diagnosis: Diagnosis) -> list[Basis]:
        return [link.basis for link in diagnosis.chain]

    invalid = next(n for n, link in enumerate(verdict.chain) if "INVALID there" in link.claim)
    local = next(n for n, link in enumerate(verdict.chain) if "delivered locally" in link.claim)
    logged = by(plain)[invalid] is Basis.OBSERVED
    assert by(verdict)[invalid] is (Basis.OBSERVED if logged else basis)
    assert by(plain)[local] is Basis.CONFIG
    assert by(verdict)[local] is Basis.OBSERVED
    lines = [e.span.line for e in verdict.chain[local].evidence if e.span.file.endswith("trace.jsonl")]
    assert lines == [7 if tier == "fentry" else 6]


def test_a_trace_stands_in_for_captures(tmp_path: Path) -> None:
    verdict = with_trace("dual-l3", tmp_path, kernel_of("host1", ROUTER, OUTSIDE, INSIDE), captures=False)

    assert [symptom.code for symptom in verdict.symptoms] == ["reset"]
    assert author(verdict).basis == "trace"
    assert verdict.cause is not None
    assert verdict.cause.code == "BW101"


def test_a_drop_that_the_kernel_told_of_is_a_link_where_the_model_knows_none(tmp_path: Path) -> None:
    bundle = tmp_path / "case"
    trace = bundle / "hosts" / "h1" / "trace"
    trace.mkdir(parents=True)
    story = Story(host="h1").start()
    syn = headers("192.0.2.1", "192.0.2.2", "S", ip_id=1)
    story.event("receive", 1, "root", "eth0", syn)
    story.event(
        "drop", 1, "root", "eth0", syn, reason="IP_RPFILTER", location="ip_rcv_finish_core+0x7"
    ).stop()
    (trace / "trace.jsonl").write_text(story.text, encoding="utf-8")
    verdict = diagnose(open_bundle(bundle))

    assert verdict.status is Status.UNDETERMINED
    found = author(verdict)
    assert (found.what, found.host, found.netns, found.function) == (
        "drop",
        "h1",
        "root",
        "ip_rcv_finish_core",
    )
    link = next(link for link in verdict.chain if "dropped" in link.claim)
    assert "IP_RPFILTER" in link.claim
    assert link.basis is Basis.OBSERVED
    assert [e.span.line for e in link.evidence] == [4]


def test_another_connections_events_accuse_nobody(tmp_path: Path) -> None:
    story = Story(host="host1").start()
    syn = headers("192.168.111.99", NAME, "S", ip_id=1)
    story.event("receive", 1, ROUTER, OUTSIDE, syn)
    story.event("drop", 1, ROUTER, OUTSIDE, syn, reason="NETFILTER_DROP").stop()
    verdict = with_trace("dual-l3", tmp_path, story)

    assert author(verdict).basis != "trace"
    assert not [link for link in verdict.chain if "NETFILTER_DROP" in link.claim]


def test_a_reset_by_another_namespace_refutes_the_suspicion(tmp_path: Path) -> None:
    verdict = with_trace("dual-l3", tmp_path, kernel_of("host5", "root", "eth0", "tap0"))

    assert verdict.cause is None
    assert (author(verdict).host, author(verdict).netns) == ("host5", "root")


def test_a_lone_trace_names_the_author(tmp_path: Path) -> None:
    """A file that somebody sent, without a bundle around it: its lines name their host."""
    file = tmp_path / "mail.txt"
    file.write_text(kernel_of("host1", ROUTER, OUTSIDE, INSIDE).text, encoding="utf-8")
    verdict = diagnose(open_evidence([file]), remedies=False)

    assert verdict.question is not None
    assert str(verdict.question) == f"tcp {CLIENT}:{SPORT} > {NAME}:22"
    found = author(verdict)
    assert (found.host, found.netns, found.function, found.basis) == (
        "host1",
        ROUTER,
        "tcp_v4_send_reset",
        "trace",
    )
    assert found.frame is not None
    assert found.frame.span.file == file.as_posix()
    assert any("sent the RST in tcp_v4_send_reset" in link.claim for link in verdict.chain)


def test_an_event_is_quoted_in_words(tmp_path: Path) -> None:
    verdict = with_trace("dual-l3", tmp_path, kernel_of("host1", ROUTER, OUTSIDE, INSIDE))
    text = " ".join(render_text(verdict, width=160, colour=False).split())

    assert f"{OUTSIDE} IP {CLIENT}.17350 > {NAME}.22: Flags [.], ack 5001: RST SENT NO_SOCKET" in text
    assert '{"type"' not in text
