"""The page in a real browser."""

import shutil

import pytest

from scgrpo.reports import write_report
from tests.reports.fake_run import write_run
from tests.reports.test_report import page_data

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return write_report([write_run(folder / "run", long=True)], folder / "report.html")


@pytest.fixture
def page(browser, report):
    opened = browser.new_page(color_scheme="light")
    opened.problems, opened.requests = [], []
    opened.on("console", lambda message: opened.problems.append(message.text))
    opened.on("pageerror", lambda error: opened.problems.append(str(error)))
    opened.on("request", lambda request: opened.requests.append(request.url))
    opened.goto(report.as_uri())
    yield opened
    assert opened.problems == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:"))] == []
    opened.close()


def shown(page):
    return page.evaluate("({...heatmap.rollout, tokens: heatmap.rollout.tokens.length})")


def colour(page, token):
    return page.evaluate(f"getComputedStyle(heatmap.tokens.children[{token}]).backgroundColor")


def test_twelve_thousand_tokens_stand_on_the_page(page, report):
    longest = max(page_data(report)["rollouts"], key=lambda r: len(r["tokens"]))
    assert len(longest["tokens"]) == 12_000
    page.evaluate("heatmap.show(heatmap.rollouts.find(r => r.tokens.length === 12000))")
    assert page.locator("#tokens i").count() == 12_000


def test_hover_says_what_the_file_says(page):
    rollout = shown(page)
    spot = next(i for i, own in enumerate(rollout["written"]) if own == "1" and i > 2)
    page.evaluate(f"heatmap.tokens.children[{spot}].scrollIntoView()")
    page.locator("#tokens i").nth(spot).dispatch_event("pointerover")
    detail = page.locator("#detail").inner_text()
    assert f"{rollout['kl'][spot]:.10g} nats" in detail.replace("e-0", "e-")
    assert f"{rollout['weight'][spot]:.10g}" in detail
    assert str(rollout["advantage"]) in detail
    assert "Student" in detail and "Teacher" in detail


def test_arrow_keys_move_from_token_to_token(page):
    page.locator("#tokens").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.evaluate("heatmap.at") == 1
    assert "(2 of " in page.locator("#detail").inner_text()


def test_switch_changes_what_is_shaded(page):
    rollout = shown(page)
    heaviest = max(range(rollout["tokens"]), key=lambda i: rollout["weight"][i])
    colours = []
    for mode in ("weight", "kl", "credit"):
        page.locator(f'input[value="{mode}"]').check(force=True)
        colours.append(colour(page, heaviest))
    assert len(set(colours)) >= 2
    page.evaluate("heatmap.show(heatmap.rollouts.find(r => r.kl && r.advantage < 0))")
    negative = shown(page)
    spot = max(range(negative["tokens"]), key=lambda i: negative["weight"][i])
    assert "213, 94, 0" in colour(page, spot)


def test_tool_tokens_are_idle_and_plain_rollouts_say_so(page):
    page.evaluate("heatmap.show(heatmap.rollouts.find(r => r.written.includes('0')))")
    idle = page.locator("#tokens i.idle").count()
    assert idle == shown(page)["written"].count("0") > 0
    page.evaluate("heatmap.show(heatmap.rollouts.find(r => r.route === 'plain'))")
    assert "plain: no reference, weight 1" in page.locator("#badges").inner_text()


def test_tokens_are_text_and_never_markup(page):
    assert page.locator("#tokens b, #tokens script").count() == 0
    assert "</script>" in page.locator("#tokens").inner_text() or page.evaluate(
        "heatmap.rollouts.some(r => r.tokens.includes('</script>'))"
    )


def test_selectors_walk_through_the_rollouts(page):
    page.locator("#step").select_option("50")
    assert shown(page)["step"] == 50
    page.locator("#next").click()
    before = shown(page)
    page.locator("#previous").click()
    assert shown(page) != before


CONTRAST = """() => {
  const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map((text) => linear(Number(text) / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const back = (element) => getComputedStyle(element).backgroundColor;
  return [".lead", "#tokens", ".badge", "figcaption small", "dt", "#reference"].map((selector) => {
    const element = document.querySelector(selector);
    let behind = element;
    while (/rgba\\(0, 0, 0, 0\\)/.test(back(behind))) behind = behind.parentElement;
    const [a, b] = [getComputedStyle(element).color, back(behind)].map(light);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser, report, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto(report.as_uri())
    assert min(page.evaluate(CONTRAST)) >= 4.5
    page.locator("#theme").click()
    assert min(page.evaluate(CONTRAST)) >= 4.5
    page.close()
