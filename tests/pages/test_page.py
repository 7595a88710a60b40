"""The frame of a page: text stays text, numbers stay numbers, and nothing is loaded from elsewhere."""

import json
import math
import re

import pytest

from odeembed.pages.page import Section, as_json, document, folded, label, paragraph, spelt, table, widget

HOSTILE = "</script><script>alert(1)</script>&<!--"


def test_text_stays_text_wherever_it_stands():
    body = paragraph(HOSTILE) + table((HOSTILE,), [(HOSTILE,)]) + folded(HOSTILE, "")
    page = document(HOSTILE, "", [Section("a", HOSTILE, body + widget("chart", {"text": HOSTILE}))])
    # Without what belongs to plotly and to this package.
    rest = page.split("</style>")[1].split("<script>")[0]
    assert "<script>alert" not in rest and "<!--" not in rest
    assert rest.count("&lt;script&gt;alert(1)") == 8


def test_what_a_widget_holds_is_read_back():
    held = {"text": HOSTILE, "numbers": [1.5, math.nan, math.inf, 2], "none": None}
    found = re.fullmatch(r'<div.*?><script type="application/json">(.*)</script></div>', widget("walk", held))
    assert found is not None
    assert "<" not in found[1] and ">" not in found[1] and "&" not in found[1]
    assert json.loads(found[1]) == held | {"numbers": [1.5, None, None, 2]}
    with pytest.raises(TypeError):
        as_json(object())


def test_a_page_loads_nothing_and_says_so():
    page = document("title", "", [])
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=\"(?!data:)", page)
    assert len(page.encode()) < 6e6


def test_a_labels_markup_is_escaped():
    assert label("<b>&") == "&lt;b&gt;&amp;"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (math.nan, "–"), (1234, "1,234"), (0.123456, "0.1235"), (True, "True"), ("word", "word")],
)
def test_values_are_spelt_as_one_reads_them(value, text):
    assert spelt(value) == text


def test_numbers_of_a_table_stand_to_the_right():
    assert table(("a", "b"), [("x", 2.0)]).count('class="number"') == 1
