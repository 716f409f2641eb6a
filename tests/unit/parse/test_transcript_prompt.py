"""Prompts, and markup around a line, against tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.parse.markup import fence, plain
from bothways.parse.prompt import read_prompt


@pytest.mark.parametrize(
    ("line", "host", "command"),
    [
        ("root@host1:~# ip a", "host1", "ip a"),
        ("root@host1:/var/log/x# ip a", "host1", "ip a"),
        ("    root@host1:~#", "host1", ""),
        ("[root@host1 ~]# ip a", "host1", "ip a"),
        ("[stack@director-0 ~]$ ip a", "director-0", "ip a"),
        ("(overcloud) [heat-admin@cmp-0 ~]$ sudo ip a", "cmp-0", "sudo ip a"),
        ("()[neutron@host1 /]$ ip a", "host1", "ip a"),
        ("(neutron-l3-agent)[root@host1 /]# ip a", "host1", "ip a"),
        ("(venv) me@node.example.org:~$ ip a", "node.example.org", "ip a"),
        ("host1:~ # ip a", "host1", "ip a"),
        ("host1# ip a", "host1", "ip a"),
        ("bash-5.1# ip a", None, "ip a"),
        ("# ip a", None, "ip a"),
        ("~$ ip a", None, "ip a"),
    ],
)
def test_a_prompt_names_its_host(line: str, host: str | None, command: str) -> None:
    prompt = read_prompt(line)

    assert prompt is not None
    assert (prompt.host, prompt.command) == (host, command)
    assert line[prompt.column - 1 :].strip() == command


@pytest.mark.parametrize(
    "line",
    [
        "17: eth0: <BROADCAST,UP> mtu 1500",
        "11:52:37.157712 IP 192.0.2.1.22 > 192.0.2.2.33: Flags [R]",
        "-A INPUT -j ACCEPT",
        "write to me@example.org: it is #1",
        "#define X 1",
        "",
    ],
)
def test_what_is_no_prompt(line: str) -> None:
    assert read_prompt(line) is None


@pytest.mark.parametrize(
    ("line", "cleaned"),
    [
        ("19:25:18.05 IP a > b: Flags [S], <br />", "19:25:18.05 IP a > b: Flags [S],"),
        ("<code>17: a: <BROADCAST,UP> mtu 9</code>", "      17: a: <BROADCAST,UP> mtu 9"),
        ("> 19:25:18 IP a", "  19:25:18 IP a"),
        ("- root@h:~# ip a", "  root@h:~# ip a"),
        ("[10:02] <alice> 19:25:18 IP a", "                19:25:18 IP a"),
        ("`ip a`", " ip a"),
        ("actions=goto_table:50 (浮动ip与租户ip的转换)", "actions=goto_table:50"),
        ("Flags [R], length 0   <-- here", "Flags [R], length 0"),
        ("Flags [R], length 0 ← 这里", "Flags [R], length 0"),
        ('-A a -m comment --comment "für x" -j b', '-A a -m comment --comment "für x" -j b'),
        ("*nat", "*nat"),
        ("-A INPUT -j ACCEPT", "-A INPUT -j ACCEPT"),
        ("[59039.55]  [<ffff>] ip_rcv+0x2a2/0x3f0", "[59039.55]  [<ffff>] ip_rcv+0x2a2/0x3f0"),
    ],
)
def test_markup_and_remarks_become_blanks(line: str, cleaned: str) -> None:
    assert plain(line) == cleaned


def test_entities_are_letters() -> None:
    assert plain("a &gt; b &amp; &lt;UP&gt; &#60;") == "a > b & <UP> <"


@pytest.mark.parametrize(
    ("line", "sign"),
    [("```console", "```"), ("  ~~~", "~~~"), ("<pre>", "<>"), ("{code:bash}", "<>"), ("a ``` b", None)],
)
def test_fences(line: str, sign: str | None) -> None:
    assert fence(line) == sign


@given(st.text(max_size=200).filter(lambda text: "\n" not in text and "&" not in text))
def test_cleaning_moves_nothing(line: str) -> None:
    cleaned = plain(line)

    assert len(cleaned) <= len(line)
    for at, letter in enumerate(cleaned):
        assert letter in (line[at], " ")


@given(st.text(max_size=300))
def test_no_line_raises(line: str) -> None:
    read_prompt(line)
    plain(line)
    fence(line)
