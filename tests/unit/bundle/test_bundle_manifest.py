"""``bundle.toml``: what it may say, and what is told of what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundle_samples import FORMAT, about, opened

from bothways.bundle import Bundle, BundleError, open_bundle
from bothways.facts.address import address
from bothways.facts.question import Question
from bothways.facts.snapshot import Member
from bothways.facts.span import Kind

QUESTION = """
[question]
protocol = "tcp"
source = "192.0.2.1"
source_port = 17350
destination = "192.0.2.9"
destination_port = 22
"""


def told(folder: Path, text: str) -> Bundle:
    return opened(folder, {"bundle.toml": FORMAT + text})


def test_a_bundle_without_one_is_named_after_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my-case"
    opened(folder, {})
    (folder / "bundle.toml").unlink()
    bundle = open_bundle(folder)
    assert (bundle.root, bundle.title, bundle.question, bundle.problems) == ("my-case", "my-case", None, ())


def test_title_and_question(tmp_path: Path) -> None:
    bundle = told(tmp_path, 'title = "ssh is reset"\n' + QUESTION)

    assert (bundle.title, bundle.problems) == ("ssh is reset", ())
    assert bundle.question == Question("tcp", address("192.0.2.1"), address("192.0.2.9"), 22, 17350)
    assert str(bundle.question) == "tcp 192.0.2.1:17350 > 192.0.2.9:22"


def test_a_question_may_leave_ports_and_protocol_out(tmp_path: Path) -> None:
    bundle = told(tmp_path, '[question]\nsource = "2001:db8::1"\ndestination = "2001:db8::2"\n')

    assert bundle.question == Question("tcp", address("2001:db8::1"), address("2001:db8::2"))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[[segments]]\nname = "w"\nends = ["a:eth0", "b:eth0"]\n', 2, "a wire needs `members`"),
        (
            '[[segments]]\nmembers = []\nends = ["a:eth0"]\n',
            4,
            "`ends` is not known in `segments`, expected name",
        ),
        ('[[partial]]\nfile = "f"\nfilters = "grep x"\n', 4, "`filters` is not known in `partial`"),
        (QUESTION + "sport = 5\n", 9, "`sport` is not known in `question`"),
    ],
)
def test_what_means_nothing_in_a_table_is_told(tmp_path: Path, text: str, line: int, said: str) -> None:
    problems = told(tmp_path, text).problems

    assert any(said in each.message and each.span.line == line for each in problems), problems


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ('"tcp"', '"sctp"', 4, "`sctp` is not one of tcp, udp, icmp"),
        ('"192.0.2.1"', '"client"', 5, "`client` is not an address"),
        ('"192.0.2.1"', "192", 5, "the question needs `source`, an address in quotes"),
        ("17350", "70000", 6, "`70000` is not a port"),
        ("17350", "-1", 6, "`-1` is not a port"),
        ("= 22", "= true", 8, "`True` is not a port"),
        ("= 22", '= "ssh"', 8, "`ssh` is not a port"),
    ],
)
def test_a_question_that_cannot_be_asked(
    tmp_path: Path, before: str, after: str, line: int, said: str
) -> None:
    bundle = told(tmp_path, QUESTION.replace(before, after, 1))

    assert bundle.question is None
    (problem,) = bundle.problems
    assert (problem.kind, problem.span.file, problem.span.line) == (Kind.MALFORMED, "bundle.toml", line)
    assert said in problem.message
    assert bundle.snapshot.netns("a", "root") is not None


def test_segments_name_their_members(tmp_path: Path) -> None:
    bundle = told(
        tmp_path,
        '[[segments]]\nname = "external"\nmembers = ["a:eth0", "a:eth0", "a:lo"]\n'
        '[[segments]]\nmembers = ["a/root:eth0"]\n',
    )

    first, second = bundle.snapshot.segments
    assert (first.name, first.members) == (
        "external",
        (Member("a", "root", "eth0"), Member("a", "root", "lo")),
    )
    assert (second.name, second.members) == ("segment 2", (Member("a", "root", "eth0"),))
    assert (first.span.line, second.span.line) == (2, 5)
    assert bundle.problems == ()


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("b:eth0", "no host `b` is in the bundle"),
        ("a/blue:eth0", "nothing of the namespace `blue` was collected"),
        ("a:eth9", "has no device `eth9`"),
    ],
)
def test_a_member_that_no_dump_knows_is_a_contradiction(tmp_path: Path, member: str, said: str) -> None:
    bundle = told(tmp_path, f'[[segments]]\nname = "x"\nmembers = ["a:eth0", "{member}"]\n')

    assert bundle.snapshot.segments[0].members == (Member("a", "root", "eth0"),)
    (problem,) = bundle.problems
    assert (problem.kind, problem.span.line) == (Kind.CONTRADICTION, 2)
    assert said in problem.message


def test_a_member_of_a_host_whose_devices_were_not_collected_stays(tmp_path: Path) -> None:
    bundle = opened(
        tmp_path,
        {"bundle.toml": FORMAT + '[[segments]]\nmembers = ["b:eth0"]\n', "hosts/b/netns/root/ss.txt": ""},
    )

    assert bundle.snapshot.segments[0].members == (Member("b", "root", "eth0"),)
    assert bundle.problems == ()


def test_filtered_views(tmp_path: Path) -> None:
    bundle = told(
        tmp_path,
        '[[partial]]\nfile = "./hosts/a/netns/root/addr.json"\nfilter = "grep eth0"\n'
        '[[partial]]\nfile = "hosts/a/netns/root/route.json"\nfilter = "grep x"\n',
    )

    netns = bundle.snapshot.netns("a", "root")
    assert netns is not None
    assert netns.devices is not None
    assert (netns.devices.partial, netns.devices.whole) == ("grep eth0", False)
    (problem,) = bundle.problems
    assert problem.span.line == 6
    assert "is said to be a filtered view and is not here" in problem.message


@pytest.mark.parametrize(
    ("text", "line", "kind", "said"),
    [
        ("title = 7\n", 2, Kind.MALFORMED, "`title` must be text"),
        ("question = 7\n", 2, Kind.MALFORMED, "must be written as `[question]`"),
        ("segments = 7\n", 2, Kind.MALFORMED, "must be written as `[[segments]]`"),
        ("segments = [7]\n", None, Kind.MALFORMED, "must be written as `[[segments]]`"),
        ("[segments]\nname = 'x'\n", 2, Kind.MALFORMED, "must be written as `[[segments]]`"),
        ("[[segments]]\nmembers = 'a:eth0'\n", 2, Kind.MALFORMED, "`members` must be a list"),
        (
            "[[segments]]\nmembers = ['eth0']\n",
            3,
            Kind.MALFORMED,
            "`eth0` is not a member, write HOST:DEVICE",
        ),
        ("[[segments]]\nmembers = [7]\n", 3, Kind.MALFORMED, "`7` is not a member"),
        ("[[partial]]\nfile = 7\n", 2, Kind.MALFORMED, "needs `file` and `filter` as text"),
        ("[[partial]]\nfilter = 'x'\n", 2, Kind.MALFORMED, "needs `file` and `filter` as text"),
        ("flavour = 'x'\n", 2, Kind.UNMODELLED, "`flavour` is not known"),
        ("[extra]\nx = 1\n", 2, Kind.UNMODELLED, "`extra` is not known"),
    ],
)
def test_entries_that_cannot_be_used(
    tmp_path: Path, text: str, line: int | None, kind: Kind, said: str
) -> None:
    bundle = told(tmp_path, text)

    (problem,) = about(bundle, "bundle.toml")
    assert (problem.kind, problem.span.line) == (kind, line)
    assert said in problem.message
    netns = bundle.snapshot.netns("a", "root")
    assert netns is not None
    assert netns.devices is not None


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("", "no `format`", ""),
        ("title = 'x'\n", 'expected `format = "bothways-bundle/1"`', ""),
        (
            "title = 'x'\nformat = 'bothways-bundle/2'\n",
            "bundle.toml:2: format `bothways-bundle/2` is not read",
            "another version",
        ),
        ("format = 1\n", "bundle.toml:1: format `1` is not read", "another version"),
        ("format = \n", "bundle.toml:1: not TOML", ""),
        ("format = 'x'\n\n[[[\n", "bundle.toml:3: not TOML", ""),
        ("x = " + "[" * 3000, "not TOML", ""),
        ("\ufeffformat = 'bothways-bundle/1'\n", "not TOML", ""),
    ],
)
def test_a_manifest_that_cannot_be_read_is_an_error_with_its_line(
    tmp_path: Path, text: str, said: str, hint: str
) -> None:
    with pytest.raises(BundleError) as caught:
        opened(tmp_path, {"bundle.toml": text})
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert str(tmp_path) in caught.value.message


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    bundle = opened(tmp_path, {"bundle.toml": FORMAT.encode() + b'title = "caf\xe9"\n'})

    assert bundle.title == "caf\N{REPLACEMENT CHARACTER}"
    assert [p.span.line for p in about(bundle, "bundle.toml")] == [2]
