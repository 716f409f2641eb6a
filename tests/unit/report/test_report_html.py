"""The page: self-contained, well-formed, verdict first, and deaf to what evidence says."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from report_samples import HEALTHY, INCIDENT, REWRITE, UNDETERMINED, hostile

from bothways.facts.diagnosis import Diagnosis
from bothways.report.html import render_html

VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})
#: attributes that make a browser fetch something
FETCHES = frozenset({"src", "srcset", "data", "action", "poster", "background", "ping", "formaction"})


class Page(HTMLParser):
    """Tags, ids, links and words of a page; whatever is not closed stays on the stack."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.handlers: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            self.handlers += [name] if name.startswith("on") else []
            self.fetched += [f"{name}={value}"] if name in FETCHES else []
            self.ids += [value or ""] if name == "id" else []
            self.links += [value or ""] if name in {"href", "xlink:href"} else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.words.append(data)


ALL = [
    pytest.param(INCIDENT, id="incident"),
    pytest.param(HEALTHY, id="healthy"),
    pytest.param(UNDETERMINED, id="undetermined"),
    pytest.param(hostile(), id="hostile"),
]


@pytest.mark.parametrize("diagnosis", ALL)
def test_a_page_is_well_formed_and_refers_to_nothing_outside(diagnosis: Diagnosis) -> None:
    text = render_html(diagnosis, version="1")
    page = Page(text)

    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.fetched == []
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert not {"script", "link", "iframe", "object", "img", "form"} & set(page.tags)
    assert page.handlers == []
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "@import" not in style
    assert not re.search(r"url\((?!#)", text)
    assert "default-src 'none'" in text


def test_the_verdict_comes_first() -> None:
    body = render_html(INCIDENT).partition("<main>")[2]
    order = [
        "explained</p>", "BW101</span>", "RST sent by", "tap by tap</h2>", "link by link</h2>",
        "Culprits</h2>", "network chooses</h2>", "Clocks</h2>", "Not known</h2>",
    ]  # fmt: skip
    places = [body.index(each) for each in order]

    assert places == sorted(places)


def test_every_quotation_stands_there_whole() -> None:
    words = "".join(Page(render_html(INCIDENT)).words)

    for link in INCIDENT.chain:
        for evidence in link.evidence:
            assert str(evidence.span) in words
    assert REWRITE.text.strip() in words


def test_what_is_quoted_again_is_a_link_to_the_first_quotation() -> None:
    page = Page(render_html(INCIDENT))

    assert page.words.count("quoted above") == len(page.links)
    assert page.links


def test_a_line_that_would_fill_the_page_is_folded() -> None:
    text = render_html(INCIDENT)
    folded = re.search(r"<details><summary><code>(.*?)</code></summary><pre>(.*?)</pre>", text, re.DOTALL)

    assert folded
    assert len(folded[1]) < len(folded[2])
    assert "<mark>" in folded[2]


def test_the_missing_arrow_is_dashed_and_says_why() -> None:
    text = render_html(INCIDENT)

    assert text.count('<g class="gap">') == 4
    assert "SYN/ACK was not seen at host1/qrouter" in text
    assert re.search(r"svg \.gap \.arrow.*stroke-dasharray", text)


def test_the_ladder_says_the_same_in_a_table() -> None:
    text = render_html(INCIDENT)
    rows = sum(len(rung.sightings) + len(rung.missing) + bool(rung.note) for rung in INCIDENT.ladder.rungs)
    table = text.partition("The same as a table")[2].partition("</table>")[0]

    assert table.count("<tr") == rows + 1


def test_what_evidence_says_is_never_markup() -> None:
    text = render_html(hostile())

    assert "<script" not in text
    assert "<img" not in text
    assert "{{ 7*7 }}" in text
    assert not [letter for letter in text if not (letter.isprintable() or letter == "\n")]


def test_without_captures_there_is_no_ladder() -> None:
    assert "<svg" not in render_html(HEALTHY)


def test_the_foot_names_the_version() -> None:
    assert "Written by bothways 1.2.3." in render_html(HEALTHY, version="1.2.3")
