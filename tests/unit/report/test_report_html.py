"""The page: self-contained, well-formed, verdict first, and deaf to what evidence says."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from report_samples import DNAT, HEALTHY, INCIDENT, REWRITE, UNDETERMINED, hostile

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
        "explained</p>", "BW101</span>", "RST sent by", "there and back</h2>", "tap by tap</h2>",
        "if it worked</h3>",
        "link by link</h2>", "Culprits</h2>", "what does not</h2>", "network chooses</h2>",
        "Ruled out</h2>", "Not known</h2>", "Clocks</h2>",
    ]  # fmt: skip
    places = [body.index(each) for each in order]

    assert places == sorted(places)


def test_every_quotation_stands_there_whole() -> None:
    words = "".join(Page(render_html(INCIDENT)).words)

    for link in INCIDENT.chain:
        for evidence in link.evidence:
            assert str(evidence.span) in words
    assert REWRITE.text.strip() in words


def test_what_is_quoted_again_is_a_link_to_the_first_quotation_and_that_leads_back() -> None:
    text = render_html(INCIDENT)
    first = re.search(
        r'<li value="86" class="quoted" id="(e\d+)">.*?<p class="uses">(.*?)</p>', text, re.DOTALL
    )

    assert first
    again = re.findall(r'<p class="again"><a href="#(e\d+)">', text)
    assert first[1] in again
    assert re.findall(r'href="#(\w+)"', first[2]) == ["link1", "link4", "culprit2"]


def test_a_quoted_line_stands_among_its_neighbours() -> None:
    text = render_html(INCIDENT)
    excerpt = text.partition('<li value="85">')[2].partition("</ol>")[0]

    assert "-j ACCEPT" in excerpt
    assert excerpt.index('<li value="86" class="quoted"') < excerpt.index('<li value="88">')


def test_a_line_that_would_fill_the_page_is_one_click_away() -> None:
    text = render_html(INCIDENT)
    quote = re.search(
        r'<summary>[^\n]*addr\.json:1[^\n]*<code class="short">(.*?)</code></summary>(.*?)</details>',
        text,
        re.DOTALL,
    )

    assert quote
    assert len(unescape(quote[1])) < 150 < len(quote[2])
    assert "<mark>" in quote[2]


def test_the_missing_arrow_is_dashed_and_says_why() -> None:
    text = render_html(INCIDENT)

    assert text.count('<g class="gap">') == 4
    assert "SYN/ACK was not seen at host1/qrouter" in text
    assert re.search(r"svg \.gap \.arrow.*stroke-dasharray", text)


def test_the_ladder_says_the_same_in_a_table() -> None:
    text = render_html(INCIDENT)
    rows = sum(len(rung.sightings) + len(rung.missing) + bool(rung.note) for rung in INCIDENT.ladder.rungs)
    observed, healthy = (part.partition("</table>")[0] for part in text.split("The same as a table")[1:])

    assert observed.count("<tr") == rows + 1
    assert healthy.count("<tr") == sum(len(rung.sightings) for rung in INCIDENT.healthy.rungs) + 1
    assert "Evidence" not in healthy


def test_what_evidence_says_is_never_markup() -> None:
    text = render_html(hostile())

    assert "<script" not in text
    assert "<img" not in text
    assert "{{ 7*7 }}" in text
    assert not [letter for letter in text if not (letter.isprintable() or letter == "\n")]


def test_the_healthy_ladder_has_the_columns_of_the_other() -> None:
    text = render_html(INCIDENT)
    observed, healthy = text.split("<svg")[1:]

    columns = [re.findall(r'<line class="life" x1="(\d+)"', each) for each in (observed, healthy)]
    assert columns[0] == columns[1]
    assert 'class="time"' in observed
    assert 'class="time"' not in healthy
    assert INCIDENT.healthy.supposed in text


def test_where_the_ways_divide_is_said_and_marked() -> None:
    text = render_html(INCIDENT)
    table = text.partition('<table class="ways"')[2].partition("</table>")[0]

    assert "The ways divide:</strong> only the SYN passes" in text
    assert "only the SYN/ACK passes br-ex of host5." in text
    assert table.count('<tr class="parted">') == 3
    assert "RST made here" in table
    assert "culprit: openflow" in table


def test_remedies_stand_by_what_they_do() -> None:
    fails = INCIDENT.remedies[0]
    works = replace(fails, verdict="works", why="it takes the flow away")
    depends = replace(fails, verdict="depends", why="it is a matter of luck", breaks=("the other address",))
    text = render_html(replace(INCIDENT, remedies=(fails, depends, works)))
    order = [
        text.index(each)
        for each in ("<h3>Works</h3>", "as the network chooses</h3>", "<h3>Does not help</h3>")
    ]

    assert order == sorted(order)
    assert "What repairs it</dt><dd>it takes the flow away" in text
    assert "<strong>Breaks</strong> the other address" in text


def test_headings_go_down_one_by_one() -> None:
    for diagnosis in (INCIDENT, HEALTHY, UNDETERMINED):
        levels = [int(level) for level in re.findall(r"<h([1-6])", render_html(diagnosis))]

        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_contents_name_every_section() -> None:
    for diagnosis in (INCIDENT, UNDETERMINED, hostile()):
        text = render_html(diagnosis)
        contents = text.partition('<nav class="contents"')[2].partition("</nav>")[0]

        assert re.findall(r'href="#([\w-]+)"', contents) == re.findall(r'<h2 id="([\w-]+)"', text)


def test_a_uuid_is_shortened_in_sentences_and_whole_in_quotations() -> None:
    text = render_html(INCIDENT)

    assert '<abbr title="5a367e1d-9162-4b90-af5a-ff4655c7571f">5a367e1d…</abbr>' in text
    assert f"{DNAT}" in text


def test_the_legend_explains_the_flags() -> None:
    text = render_html(INCIDENT)
    legend = text.partition('<dl class="legend"')[2].partition("</dl>")[0]

    assert re.findall(r"<code>(\[.*?\])</code>", legend) == ["[S]", "[S.]", "[.]", "[P.]", "[F.]", "[R]"]


def test_without_captures_there_is_no_ladder() -> None:
    assert "<svg" not in render_html(HEALTHY)


def test_the_foot_names_the_version() -> None:
    assert "Written by bothways 1.2.3." in render_html(HEALTHY, version="1.2.3")
