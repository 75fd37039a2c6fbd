"""What a page looks like: every text in both themes is far enough from its background, and the story fits a screen."""

import shutil
from typing import Any

import pytest

from tests.browser.screenshots import settle
from tests.browser.serve import browser_page, running_app

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("chromium"), reason="Debian package chromium is not installed"),
]
PAGES = ("", "similarity", "prune?budget=6&manual=5", "compare", "benchmarks?budget=6", "runs")

FAINT = r"""() => {
  const parse = text => { const n = text.match(/[\d.]+/g).map(Number);
    const scale = text.startsWith('color(') ? 255 : 1;
    return [n[0] * scale, n[1] * scale, n[2] * scale, n[3] === undefined ? 1 : n[3]]; };
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat([1]);
  const luminance = c => { const [r, g, b] = [0, 1, 2].map(i => c[i] / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const contrast = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05); };
  const behind = el => { const layers = [];  // backgrounds from the page up to the element
    for (let e = el; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c[3] > 0) layers.push(c);
      if (c[3] === 1) break; }
    return layers.reverse().reduce((under, c) => over(c, under), [255, 255, 255, 1]); };
  const opacity = el => { let o = 1;
    for (let e = el; e; e = e.parentElement) o *= parseFloat(getComputedStyle(e).opacity);
    return o; };
  const found = [];
  for (const el of document.querySelectorAll('body *')) {
    const text = [...el.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent.trim()).join('');
    const box = el.getBoundingClientRect(), style = getComputedStyle(el);
    if (!text || text === '…' || box.width < 2 || box.height < 2 || style.visibility === 'hidden') continue;
    if (el.closest('[disabled], [aria-disabled=true], script, style, noscript')) continue;  // WCAG leaves these out
    if (el.closest('[data-testid=stSlider]')) continue;  // the number floats above its own thumb
    const drawn = el instanceof SVGElement;
    const color = parse(drawn ? style.fill : style.color);
    color[3] *= opacity(el);
    if (color[3] === 0) continue;
    let under = behind(drawn ? el.closest('div') : el);
    if (drawn) {  // and the marks below the letters
      const marks = document.elementsFromPoint(box.x + box.width / 2, box.y + box.height / 2)
        .filter(e => e !== el && ['path', 'rect'].includes(e.tagName) && getComputedStyle(e).fill !== 'none');
      for (const mark of marks.reverse()) {
        const s = getComputedStyle(mark), fill = parse(s.fill);
        under = over([fill[0], fill[1], fill[2], fill[3] * s.fillOpacity * s.opacity], under); } }
    const enough = style.fontFamily.includes('Material') ? 3 : 4.5;  // icons are graphics
    const ratio = contrast(over(color, under), under);
    if (ratio < enough) found.push(`${ratio.toFixed(2)} ${text.slice(0, 40)}`);
  }
  return {faint: found, seen: document.querySelectorAll('p, text').length};
}"""


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with running_app({"STRATA_HOME": str(tmp_path_factory.mktemp("home"))}) as address:
        yield address


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out(app, theme):
    with browser_page(1280, theme, 3000) as page:
        for path in PAGES:
            page.goto(f"{app}/{path}")
            settle(page)
            found: dict[str, Any] = page.evaluate(FAINT)
            assert found["seen"] > 30
            assert found["faint"] == [], (theme, path)


@pytest.mark.slow
def test_the_overview_tells_its_story_on_one_screen(app):
    with browser_page(1280, "light", 800) as page:
        page.goto(app)
        settle(page)
        for text in ("4 · Weigh the evidence", "Answers, calibration, sweeps", "Row under the curves"):
            box = page.get_by_text(text).first.bounding_box()
            assert box is not None and box["y"] + box["height"] <= 800, text
