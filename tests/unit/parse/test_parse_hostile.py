"""What holds of every parser whatever the text: no exception, places inside the file, time in proportion."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parse_samples import FILE, JSON, SAMPLES, Sample, assert_spans

FORMATS = pytest.mark.parametrize("name", SAMPLES)
LINES = pytest.mark.parametrize("name", [name for name in SAMPLES if name not in JSON])

#: pieces that break decoders which trust their input
PIECES = st.sampled_from([
    "\0", "\x1b[0m", "\u2028", "\x85", "\x0c", "\r", "\r\n", "\ufeff", "\u0663", "\u00b2", "\u00e9",
    '"', "'", "\\", "{", "}", "[", "]", "(", ")", "=", ":", ",", "/", "-", "+", "!", "@", "#", "%", "<", ">",
    "..", "0x",
    "0x" + "f" * 70, "9" * 400, "-1", "1e309", "NaN", "null", "true", "[" * 50, "(" * 50, '{"a":' * 50,
    "255.255.255.256", "::ffff:1.2.3.4", "fe80::1%eth0", "ff:ff:ff:ff:ff:ff:ff", "/33", "/-1",
])  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, sample: Sample) -> str:
    """A real text in which some stretches were cut out, doubled, or replaced by something nasty."""
    text = sample.text
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        middle = draw(st.one_of(PIECES, st.just(""), st.just(text[start:end] * 2), st.text(max_size=4)))
        text = text[:start] + middle + text[end:]
    return text


@FORMATS
def test_the_sample_is_understood(name: str) -> None:
    sample = SAMPLES[name]
    parsed = sample.parser(sample.text, file=FILE, read_at=5.0)

    assert parsed.problems == ()
    assert len(parsed.rows) == sample.rows
    assert_spans(parsed, sample.text, whole=name not in JSON)


@FORMATS
@given(st.data())
@settings(max_examples=60)
def test_a_damaged_text_is_never_fatal_and_every_problem_has_a_place(name: str, data: st.DataObject) -> None:
    sample = SAMPLES[name]
    text = data.draw(mutated(sample))

    assert_spans(sample.parser(text, file=FILE), text, whole=name not in JSON)


@FORMATS
@given(st.text(st.characters(codec="utf-8"), max_size=200))
@settings(max_examples=20)
def test_any_text_is_never_fatal(name: str, text: str) -> None:
    assert_spans(SAMPLES[name].parser(text, file=FILE), text, whole=name not in JSON)


@FORMATS
@pytest.mark.parametrize("text", ["", "\n", "\n\n", " ", "\r\n"])
def test_a_text_without_content_has_no_rows_and_no_problems(name: str, text: str) -> None:
    parsed = SAMPLES[name].parser(text, file=FILE)

    assert (parsed.rows, parsed.problems) == ((), ())


@FORMATS
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.removesuffix("\n"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: "\n" + text + "\n\n",
    ],
    ids=["no newline at the end", "CRLF", "byte order mark", "blank lines around"],
)
def test_how_a_file_was_carried_does_not_matter(name: str, change: object) -> None:
    sample = SAMPLES[name]
    assert callable(change)
    text = change(sample.text)
    parsed = sample.parser(text, file=FILE)

    assert (len(parsed.rows), parsed.problems) == (sample.rows, ())
    assert_spans(parsed, text, whole=name not in JSON)


@FORMATS
@pytest.mark.parametrize(
    "piece", ["\0", "9" * 5000, "[" * 3000, "(" * 3000, '"' * 3001, "{" * 3000, "é" * 3000]
)
def test_hostile_pieces_at_every_line_end(name: str, piece: str) -> None:
    sample = SAMPLES[name]
    text = sample.text.replace("\n", f"{piece}\n") + piece

    assert_spans(sample.parser(text, file=FILE), text, whole=name not in JSON)


#: long lines that make a careless regular expression try every way to split them
SLOW = (
    "x" * 100_000, "a=" * 50_000, "-" * 100_000, "(" * 50_000, '"' * 50_001, "@" * 50_000 + "x",
    "a@b:" * 20_000, "\t" * 50_000 + "x", "a" + " " * 50_000 + "x", "kernel:" * 20_000,
    "nf_ct_x: IN= [" * 10_000, "[start=" * 20_000, "[1.0] " * 20_000, "-A x " + "-m a " * 10_000,
    "table=1 actions=" + "ct(" * 10_000, " on device" * 10_000,
    "1: a: <" * 10_000, "table a {" * 10_000, "port 5 " * 20_000, "  config: " + " " * 50_000 + "x",
)  # fmt: skip


@FORMATS
def test_time_grows_with_the_text_and_not_with_its_square(name: str) -> None:
    sample = SAMPLES[name]
    slowest = 0.0
    for text in (*SLOW, sample.text.strip() * 200, sample.text.rstrip() + " 1,a=b" * 10_000):
        start = time.process_time()
        sample.parser(text, file=FILE)
        slowest = max(slowest, time.process_time() - start)

    assert slowest < 15, "a tenth of a second where nothing is tried twice, minutes where everything is"
