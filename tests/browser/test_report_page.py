"""
The page in a browser: opened from a file, clicked through, read by keyboard, measured.

Chromium of the distribution shows the page of every example, wide and narrow, light and dark. Whether it
looks good a person has to judge; that nothing is cut, covered, or too pale is measured here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from bothways.bundle import open_bundle
from bothways.diagnose import diagnose
from bothways.facts.diagnosis import Diagnosis, Next, Status
from bothways.report.html import render_html

pytestmark = pytest.mark.needs("chromium")

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ("dual-l3", "incident", "neutron-l3-only", "odl-l3-only")
WIDTHS = (1280, 400)
#: a sandbox needs rights that root in a container lacks; the rest keeps Chromium from asking other hosts
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
HOSTILE = "</title><script>document.title='owned'</script><img src=x onerror=document.title='owned'>\u202e'\""
#: WCAG 2.2, 1.4.3: text of ordinary size
CONTRAST = 4.5

Opened = Callable[..., Page]

#: ladder labels that cover each other, by more than the room between two letters
COVERED = """() => {
  const found = [];
  for (const svg of document.querySelectorAll('.ladder svg')) {
    const labels = [...svg.querySelectorAll('text')].filter(each => each.textContent.trim());
    const boxes = labels.map(each => each.getBoundingClientRect());
    for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
      const wide = Math.min(boxes[i].right, boxes[j].right) - Math.max(boxes[i].left, boxes[j].left);
      const high = Math.min(boxes[i].bottom, boxes[j].bottom) - Math.max(boxes[i].top, boxes[j].top);
      if (wide > 2 && high > 2) found.push(labels[i].textContent + ' / ' + labels[j].textContent);
    }
  }
  return found;
}"""

#: what is wider than its place, or stands outside the window
CUT = """() => [...document.querySelectorAll('body *')].filter(each => {
  if (each.closest('svg, .said, .skip, .table') || !each.checkVisibility()) return false;
  const box = each.getBoundingClientRect();
  const clipped = getComputedStyle(each).overflowX !== 'visible' && each.scrollWidth > each.clientWidth + 1;
  return clipped || box.right > innerWidth + 1 || box.left < -1;
}).map(each => each.tagName + '.' + each.className + ': ' + each.textContent.slice(0, 60))"""

#: text whose contrast with what is behind it is too low
PALE = """(least) => {
  const parse = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => {
    const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [x, y, z] = [r, g, b].map(v => linear(v / 255));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = each => {
    for (; each; each = each.parentElement) {
      const colour = parse(getComputedStyle(each).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const each = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !each.checkVisibility() || each.closest('.said')) continue;
    const style = getComputedStyle(each);
    const [one, two] = [light(parse(each.closest('svg') ? style.fill : style.color)), light(behind(each))];
    const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    const name = each.tagName + '.' + (each.getAttribute('class') || '');
    if (contrast < least) found.add(name + ' ' + contrast.toFixed(2));
  }
  return [...found];
}"""

FOCUSED = """() => {
  const each = document.activeElement;
  const all = [...document.querySelectorAll('*')];
  const style = getComputedStyle(each);
  const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
  const text = each.textContent.trim().slice(0, 40);
  return {place: all.indexOf(each), tag: each.tagName, text, ring};
}"""


@cache
def verdict(name: str) -> Diagnosis:
    return diagnose(open_bundle(ROOT / "examples" / name))


def hostile() -> Diagnosis:
    known = verdict("incident")
    return replace(
        known,
        title=HOSTILE,
        unknown=(HOSTILE,),
        next=(Next(HOSTILE, HOSTILE, HOSTILE),),
        paths=tuple(
            replace(path, stops=tuple(replace(s, devices=(HOSTILE,), notes=(HOSTILE,)) for s in path.stops))
            for path in known.paths
        ),
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opened]:
    """Open the page of a diagnosis; at the end nobody may have complained or asked for another file."""
    said: list[str] = []
    asked: list[str] = []
    pages: list[Page] = []

    def show(
        diagnosis: Diagnosis, width: int = 1280, scheme: Literal["light", "dark"] = "light", height: int = 900
    ) -> Page:
        file = tmp_path / "report.html"
        file.write_bytes(render_html(diagnosis, version="1").encode())
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        pages.append(page)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        return page

    yield show
    for page in pages:
        page.close()
    assert said == []
    assert {url.partition("#")[0] for url in asked} <= {(tmp_path / "report.html").as_uri()}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_is_cut_and_no_label_covers_another(opened: Opened, name: str, width: int) -> None:
    page = opened(verdict(name), width)

    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(CUT) == []
    assert page.evaluate(COVERED) == []


def test_the_verdict_stands_on_the_first_screen(opened: Opened) -> None:
    page = opened(verdict("dual-l3"))

    for words in ("BW101", "reply-bypasses-tracker", "proved", "RST sent by", "What repairs it"):
        box = page.get_by_text(words).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 900, words


def test_a_quotation_opens_among_its_neighbours_and_closes(opened: Opened) -> None:
    page = opened(verdict("dual-l3"))
    quote = page.locator("#link1 details.quote", has_text="iptables-save.txt").first
    excerpt = quote.locator(".excerpt")

    assert not excerpt.is_visible()
    quote.locator("summary").click()
    assert excerpt.is_visible()
    assert excerpt.locator("li").count() > 3
    assert "DNAT" in (excerpt.locator("li.quoted").text_content() or "")
    quote.locator("summary").click()
    assert not excerpt.is_visible()


def test_a_second_quotation_leads_to_the_first_and_back(opened: Opened) -> None:
    page = opened(verdict("dual-l3"))
    link = page.locator("#link4 p.again a").last
    target = link.get_attribute("href")
    assert target is not None
    quoted = page.locator(target)

    assert not quoted.is_visible()
    link.click()
    quoted.wait_for(state="visible")  # a browser opens what hides the target
    assert page.evaluate("location.hash") == target
    quoted.locator("xpath=ancestor::details[1]").get_by_role("link", name="link 4").click()
    assert page.evaluate("location.hash") == "#link4"
    page.go_back()
    page.go_back()
    assert page.evaluate("location.hash") == ""


def test_the_keyboard_reaches_everything_in_the_order_of_the_page(opened: Opened) -> None:
    page = opened(verdict("dual-l3"))
    stops: list[dict[str, Any]] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(FOCUSED))
        if stops[-1]["tag"] == "BODY":
            stops.pop()
            break
    places = [stop["place"] for stop in stops]

    assert stops[0]["text"] == "Skip to the verdict"
    assert places == sorted(places)
    assert len(places) == len(set(places))
    assert [stop for stop in stops if not stop["ring"]] == []
    assert {"A", "SUMMARY", "DIV"} <= {stop["tag"] for stop in stops}


def test_a_quotation_is_opened_by_the_keyboard(opened: Opened) -> None:
    page = opened(verdict("incident"))
    summary = page.locator("#link1 summary").first
    summary.focus()
    page.keyboard.press("Enter")

    assert page.locator("#link1 .excerpt").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_both_schemes(opened: Opened, scheme: str) -> None:
    for name in ("dual-l3", "neutron-l3-only"):
        page = opened(verdict(name), 1280, scheme)
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")

        assert page.evaluate(PALE, CONTRAST) == []
    undecided = opened(replace(verdict("incident"), status=Status.UNDETERMINED), 1280, scheme)
    assert undecided.evaluate(PALE, CONTRAST) == []


def test_landmarks_and_pictures_have_names(opened: Opened) -> None:
    page = opened(verdict("dual-l3"))

    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("navigation", name="Sections of this page").count() == 1
    assert page.get_by_role("img", name="Ladder of tcp").count() == 1
    assert page.get_by_role("img", name="Ladder of the connection if it worked").count() == 1
    assert page.get_by_role("heading", level=1).count() == 1
    for name in ("The way there and back", "Why, link by link", "Culprits"):
        assert page.get_by_role("region", name=name).count() == 1, name


def test_print_shows_what_is_folded_on_the_screen(opened: Opened) -> None:
    page = opened(verdict("dual-l3"))
    page.emulate_media(media="print")

    assert page.locator("#link1 .excerpt").first.is_visible()
    assert not page.get_by_role("navigation").is_visible()
    assert len(page.pdf(format="A4")) > 10_000


def test_what_evidence_says_runs_nowhere_and_breaks_nothing(opened: Opened) -> None:
    for width in WIDTHS:
        page = opened(hostile(), width)

        assert page.title().startswith("Explained")
        assert page.locator("script, img").count() == 0
        assert page.evaluate(CUT) == []
