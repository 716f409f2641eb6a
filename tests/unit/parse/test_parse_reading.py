"""Lines, quotes, prompts, and where a JSON object stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.span import Kind, Span
from bothways.parse.json_objects import Document, Record
from bothways.parse.ports import port_number, port_range
from bothways.parse.reading import NotModelledError, Reading, is_prompt, lines, quoted


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    spans = list(lines("\ufeffa\r\nb\x0bc\u2028d\n\n", file="f", read_at=2.5))

    assert [(span.line, span.text) for span in spans] == [(1, "a"), (2, "b\x0bc\u2028d"), (3, ""), (4, "")]
    assert {(span.file, span.read_at) for span in spans} == {("f", 2.5)}


def test_a_quote_is_one_short_line() -> None:
    assert quoted("a\n\tb") == "`a b`"
    assert len(quoted("x" * 1000)) == 82


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        ("root@host1:~# ip addr", True),
        ("[root@host1 ~]# ip addr", True),
        ("[jenkins@releng-1 ~]>", True),
        ("stack@host1:~/devstack$ sudo ip netns exec qrouter-1 iptables-save", True),
        ("$ ip addr", True),
        ("# ip addr", True),
        ("2: eth0@if3: <UP> mtu 1500", False),
        ("tcp 6 119 SYN_SENT src=192.0.2.1", False),
        ("-A PREROUTING -m comment --comment a@b:c# -j ACCEPT", False),
        ("#comment", False),
        ("", False),
    ],
)
def test_prompts_of_shells(line: str, prompt: bool) -> None:  # noqa: FBT001 (a column of the table)
    assert is_prompt(line) is prompt


def test_the_kind_of_an_error_is_the_kind_of_the_problem() -> None:
    reading: Reading[int] = Reading()
    reading.refuse(Span("f", 1), NotModelledError("not yet"))
    reading.refuse(Span("f", 2), ValueError("never"))
    reading.refuse(Span("f", 3, text="as it reads"), ValueError())

    parsed = reading.done()
    assert [(p.kind, p.message) for p in parsed.problems] == [
        (Kind.UNMODELLED, "not yet"),
        (Kind.MALFORMED, "never"),
        (Kind.MALFORMED, "cannot read `as it reads`"),
    ]


def test_every_object_of_a_json_text_knows_its_place() -> None:
    text = '[ {"a": 1},\n  {"b":\n 2} ]\n[]\n[{"c": 3}]'
    reading: Reading[Record] = Reading()
    records = list(Document(text, file="f", read_at=1.0).objects(reading))

    assert [(r.span.line, r.span.column, r.span.text) for r in records] == [
        (1, 3, '{"a": 1}'),
        (2, 3, '{"b":2}'),  # of several lines, so in compact form
        (5, 2, '{"c": 3}'),
    ]
    assert reading.problems == []


@pytest.mark.parametrize(
    ("text", "kept", "message"),
    [
        ('{"a": 1}', 0, "a JSON array was expected here"),
        ("no json", 0, "a JSON array was expected here"),
        ('[{"a": 1}, {"b": ', 1, "broken JSON"),
        ('[{"a": 1} {"b": 2}]', 1, "the JSON array does not end"),
        ('[{"a": 1}', 1, "the JSON array does not end"),
        ('[{"a": 1}, 7]', 1, "a JSON object was expected, not `7`"),
        ("[" + "[" * 100_000, 0, "broken JSON"),
    ],
)
def test_what_stands_before_broken_json_is_kept(text: str, kept: int, message: str) -> None:
    reading: Reading[Record] = Reading()
    records = list(Document(text, file="f").objects(reading))

    assert len(records) == kept
    assert [(p.kind, p.message) for p in reading.problems] == [(Kind.MALFORMED, message)]


@pytest.mark.parametrize(
    ("getter", "value"),
    [
        ("text", True), ("text", []), ("number", "x"), ("number", True), ("number", 1.5), ("real", "1"),
        ("real", 10**400), ("words", [1]), ("words", 5), ("objects", [1]), ("objects", {}), ("inner", []),
        ("address", "192.0.2"),
    ],
)  # fmt: skip
def test_a_member_of_another_type_is_an_error_that_names_it(getter: str, value: object) -> None:
    record = Record({"key": value}, Span("f", 1))

    with pytest.raises(ValueError, match=r"key|192\.0\.2"):
        getattr(record, getter)("key")


def test_a_missing_member_is_none_or_empty() -> None:
    record = Record({"null": None, "hex": "0x10", "n": 5}, Span("f", 1))

    assert (record.text("x"), record.number("x"), record.real("x"), record.words("x")) == (
        None,
        None,
        None,
        (),
    )
    assert (record.text("n"), record.number("hex"), record.has("null"), record.mac("n")) == (
        "5",
        16,
        True,
        None,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("22", 22), ("ssh", 22), ("0", 0), ("65535", 65535), ("vxlan", 4789)],
)
def test_a_port_by_number_or_name(text: str, expected: int) -> None:
    assert port_number(text) == expected


@pytest.mark.parametrize("text", ["65536", "-1", "", "a", "٣", "²", "9" * 5000, "2 2", "0x16"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(ValueError, match="is not a port"):
        port_number(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("22", (22, 22)),
        ("1024:65535", (1024, 65535)),
        ("1024:", (1024, 65535)),
        (":80", (0, 80)),
        (":", (0, 65535)),
    ],
)
def test_a_range_of_ports(text: str, expected: tuple[int, int]) -> None:
    assert port_range(text) == expected


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_a_range_runs_forwards(low: int, high: int) -> None:
    if low <= high:
        assert port_range(f"{low}:{high}") == (low, high)
    else:
        with pytest.raises(ValueError, match="backwards"):
            port_range(f"{low}:{high}")
