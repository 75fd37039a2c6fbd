"""The report's page: what a name or a note holds stays text."""

from markupsafe import Markup

from core.report import LAYERS, Section, render_page

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&"


def test_hostile_text_stays_text_in_page_and_script() -> None:
    key = ((Markup("<svg></svg>"), HOSTILE),)
    sections = [Section(HOSTILE, LAYERS, key, {"title": HOSTILE}, (HOSTILE,), Markup("<table></table>"))]
    page = render_page(HOSTILE, HOSTILE, Markup("let a = 1 < 2;"), sections)
    assert "<img" not in page and page.count("</script>") == 2, "the library's and the chart's own"
    assert page.count("&lt;img src=x") == 7  # title twice, provenance, heading twice, key, note
    assert "<svg></svg>" in page and "<table></table>" in page and "let a = 1 < 2;" in page
    assert "No similarities" not in page
    assert "No similarities" in render_page("t", "p", Markup(), [Section("h", "score-0", (), {}, (), Markup())])
