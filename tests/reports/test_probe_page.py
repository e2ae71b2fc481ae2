"""The page of a probe in a real browser."""

import json

import pytest

from scgrpo.probe.request import ProbeRequest
from scgrpo.probe.results import NAME
from scgrpo.probe.run import probe
from scgrpo.probe.weightings import WEIGHTINGS
from scgrpo.reports.probe import write_probe
from tests.reports.test_browser import CHROMIUM, browser, opened  # noqa: F401 -- a fixture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]
SEEN = """(cells) => cells.filter((cell) => cell.offsetParent).map((cell) => {
  const box = cell.getBoundingClientRect();
  return [box.left, box.right, cell.scrollWidth - cell.clientWidth];
})"""

LABELS = """(cells) => cells.filter((cell) => cell.offsetParent)
  .map((cell) => getComputedStyle(cell, "::before").content)"""


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    """All weightings of a policy, as it stands at two steps of a run."""
    folder = tmp_path_factory.mktemp("page")
    options = {"batches": 3, "groups": 1, "layers": "last:1", "task_options": {"steps": 2}}
    written = probe(ProbeRequest(**options, output=folder / "p")) / NAME
    results = json.loads(written.read_text())
    (policy,) = results["policies"]
    steps = [policy | {"policy": f"step {step}", "step": step} for step in (0, 50)]
    along = folder / "along.json"
    along.write_text(json.dumps(results | {"policies": steps}))
    return results, [
        write_probe(written, folder / "page.html"),
        write_probe(along, folder / "along.html"),
    ]


@pytest.mark.parametrize("width", [1400, 390])
def test_tables_fit_the_screen(browser, probed, width):  # noqa: F811
    results, pages = probed
    (policy,) = results["policies"]
    for file in pages:
        with opened(browser, file, viewport={"width": width, "height": 900}) as page:
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            cells = page.locator("table.results :is(td, th)").evaluate_all(SEEN)
            assert len(cells) > 400
            assert min(left for left, _, _ in cells) >= 0
            assert max(right for _, right, _ in cells) <= width
            assert max(over for _, _, over in cells) <= 0
            first = page.locator("table.results").first
            assert first.locator("tbody tr").count() == len(WEIGHTINGS)
            row = first.locator("tbody tr", has=page.get_by_text("signed", exact=True))
            r = policy["forms"]["adam"]["weightings"]["signed"]["r"]["value"]
            assert f"{r:.2f}" in row.inner_text()
            # Where the heads of the columns are gone each cell says what it is.
            labels = page.locator("table.results td").evaluate_all(LABELS)
            known = {label.strip('"') for label in labels}
            if width < 760:
                assert not known & {"", "none", "normal"} and "cosine without noise" in known
            else:
                assert known <= {"none", "normal"}


def test_charts_stand_where_there_is_a_run_and_only_there(browser, probed):  # noqa: F811
    _, (alone, along) = probed
    with opened(browser, alone) as page:
        assert page.locator("#charts svg").count() == 0
    with opened(browser, along) as page:
        charts = page.locator("#charts figure")
        assert charts.count() == page.locator("#charts svg").count() > 1
        charts.first.get_by_text("CSV").wait_for()


def test_rollouts_are_shaded_by_the_weighting_that_is_chosen(browser, probed):  # noqa: F811
    results, (alone, _) = probed
    shown = results["policies"][0]["shown"][0]
    with opened(browser, alone) as page:
        for name, unit in (("credit", 0.0), ("signed", 1.0)):
            page.locator('[data-part="weighting"]').select_option(name)
            tokens = page.locator('[data-part="flow"] i')
            assert tokens.all_text_contents() == shown["tokens"]
            weights = shown["weights"][name]
            colours = tokens.evaluate_all(
                "(all) => all.map((one) => getComputedStyle(one).backgroundColor.match(/[\\d.]+/g))"
            )
            # Of a colour with an alpha of 1 no fourth number is said.
            strength = [float(colour[3]) if len(colour) > 3 else 1.0 for colour in colours]
            far = [abs(weight - unit) for weight in weights]
            assert strength == pytest.approx([0.7 * f / max(far) for f in far], abs=5e-3)
