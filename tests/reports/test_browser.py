"""The page in a real browser."""

import csv
import json
import math
import shutil
from contextlib import contextmanager
from xml.etree import ElementTree

import numpy as np
import pytest
from pyarrow.parquet import read_table

from scgrpo.reports import write_report
from scgrpo.reports.comparison import write_comparison
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
    pytest.mark.slow,
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
    run = write_run(folder / "run", steps=20, eval_steps=10, rollout_steps=10)
    return write_report([run], folder / "report.html")


@pytest.fixture(scope="module")
def long_report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    run = write_run(folder / "run", steps=2, eval_steps=2, rollout_steps=3, long=True)
    return write_report([run], folder / "report.html")


@contextmanager
def opened(browser, report, **options):
    """A page that must log nothing and ask the network for nothing."""
    page = browser.new_page(**options)
    problems, requests = [], []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    yield page
    assert problems == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    page.close()


@pytest.fixture
def page(browser, report):
    with opened(browser, report, color_scheme="light") as page:
        yield page


def shown(page):
    return page.evaluate("({...heatmap.rollout, tokens: heatmap.rollout.tokens.length})")


def show(page, condition):
    page.evaluate(f"heatmap.show(heatmap.rollouts.find((r) => {condition}))")


def colour(page, token):
    return page.evaluate(f"getComputedStyle(heatmap.view.spans[{token}]).backgroundColor")


def test_twelve_thousand_tokens_stand_on_the_page(browser, long_report):
    assert max(r["size"] for r in page_data(long_report)["rollouts"]) == 12_000
    with opened(browser, long_report) as page:
        show(page, "r.size === 12000")
        assert page.locator("#tokens i").count() == 12_000
        page.evaluate("heatmap.point(11_999)")
        assert "(12000 of 12000)" in page.locator("#detail").inner_text()
        # What is out of sight is not laid out, and the keys go there all the same.
        paragraph = "getComputedStyle(document.querySelector('.paragraph')).contentVisibility"
        assert page.evaluate(paragraph) == "auto"
        page.keyboard.press("p")  # the last hot token
        assert page.evaluate("heatmap.at") > 11_000
        wait_until_in_sight(page)
        left, width = (page.evaluate(f"parseFloat(sight.style.{p})") for p in ("left", "width"))
        assert left > 80 and 0 < width < 20
        box = page.locator("#minimap").bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 9)
        assert page.evaluate("heatmap.at") == pytest.approx(6000, abs=30)
        wait_until_in_sight(page)
        picture = saved(page, page.locator("#save-png")).path().read_bytes()
        assert 0 < int.from_bytes(picture[20:24]) <= 16_384  # what every browser draws


def wait_until_in_sight(page):
    page.wait_for_function("""() => {
      const found = [heatmap.view.spans[heatmap.at], heatmap.tokens];
      const [token, frame] = found.map((element) => element.getBoundingClientRect());
      return token.height > 0 && token.top >= frame.top && token.bottom <= frame.bottom;
    }""")


def row_of(page, report):
    """What the file says of the rollout that is shown."""
    rollout = shown(page)
    table = read_table(report.parent / "run" / "rollouts" / f"step_{rollout['step']:06d}.parquet")
    place = rollout["group"], rollout["index"]
    (row,) = (r for r in table.to_pylist() if (r["group"], r["index"]) == place)
    return row


def facts_in(page, box):
    cells = [line.split("\t") for line in page.locator(box).inner_text().split("\n")]
    return {cell[0]: cell[1] for cell in cells if len(cell) == 2}, cells


def test_hover_says_what_the_file_says(page, report):
    row = row_of(page, report)
    spot = next(i for i, own in enumerate(row["written"]) if own and i > 2)
    page.locator("#tokens i").nth(spot).hover()
    said, cells = facts_in(page, "#detail")
    assert float(said["D"].removesuffix(" nats")) == pytest.approx(row["kl"][spot], rel=1e-3)
    assert float(said["f"]) == pytest.approx(row["weight"][spot], rel=1e-3)
    assert float(said["A"]) == pytest.approx(row["advantage"], rel=1e-3)
    credit = row["weight"][spot] * row["advantage"]
    assert float(said["f\u00b7A"]) == pytest.approx(credit, rel=2e-3)
    likeliest = next(cell for cell in cells if len(cell) == 4 and cell[1] != "p")
    tops = [row[name][spot][0]["prob"] for name in ("student_top", "teacher_top")]
    assert [float(likeliest[1]), float(likeliest[3])] == pytest.approx(tops, abs=1e-3)
    page.mouse.move(2, 2)
    assert page.locator("#detail").is_hidden()


def test_the_panel_keeps_a_token_with_its_probabilities(page, report):
    row = row_of(page, report)
    hottest = max(range(len(row["tokens"])), key=lambda i: row["weight"][i] * row["written"][i])
    assert f"({hottest + 1} of " in page.locator("#panel").inner_text()
    spot = next(i for i, own in enumerate(row["written"]) if own and i > 4)
    page.locator("#tokens i").nth(spot).click()
    page.mouse.move(2, 2)
    said, _ = facts_in(page, "#panel")
    student, teacher = row["logp"][spot], row["teacher_logp"][spot]
    assert float(said["p student"].split()[0]) == pytest.approx(math.exp(student), abs=6e-4)
    assert float(said["p teacher"].split()[0]) == pytest.approx(math.exp(teacher), abs=6e-4)
    ratio = float(said["log ratio"].replace("\u2212", "-").removesuffix(" nats"))
    assert ratio == pytest.approx(teacher - student, abs=2e-3)
    sampled = page.locator("#panel td.sampled").first.inner_text()
    assert json.loads(sampled) == row["tokens"][spot]


def test_hot_tokens_by_key_and_in_the_list(page, report):
    row = row_of(page, report)
    own = [i for i, written in enumerate(row["written"]) if written]
    by_weight = sorted(own, key=lambda i: (-float(f"{row['weight'][i]:.4g}"), i))
    places = page.locator("#hottest small").all_inner_texts()
    assert [int(place.removeprefix("at ")) - 1 for place in places] == by_weight[:10]
    visited = []
    for _ in range(10):
        page.keyboard.press("n")
        visited.append(page.evaluate("heatmap.at"))
    assert visited == sorted(by_weight[:10])
    page.keyboard.press("n")
    page.keyboard.press("p")
    assert page.evaluate("heatmap.at") == visited[-1]
    page.locator("#hottest button").first.click()
    assert page.evaluate("heatmap.at") == by_weight[0]


def test_the_group_as_strips(page):
    show(page, "r.kl && r.reference >= 0 && r.reference !== r.index")
    before = shown(page)
    strips = page.locator("#strips .strip")
    assert strips.count() == 4
    assert page.locator("#strips .current .strip-name").inner_text() == str(before["index"])
    page.locator("#strips .reference").click()
    after = shown(page)
    assert (after["step"], after["group"]) == (before["step"], before["group"])
    assert after["index"] == before["reference"]
    box = strips.nth(3).locator("canvas").bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 7)
    assert shown(page)["index"] == 3
    assert page.evaluate("heatmap.at") == pytest.approx(0.75 * shown(page)["tokens"], abs=1.5)


def test_filters(page):
    page.locator("#route").select_option("partial")
    page.locator("#outcome").select_option("solved")
    seen = set()
    for _ in range(12):
        page.locator("#next").click()
        rollout = shown(page)
        assert (rollout["route"], rollout["reward"]) == ("partial", 1)
        seen.add((rollout["step"], rollout["group"], rollout["index"]))
    assert len(seen) > 4
    page.locator("#route").select_option("none")
    assert page.locator("#none-fits").is_visible()
    assert page.locator("#route").input_value() == "partial"
    assert shown(page)["route"] == "partial"


def test_the_same_problem_at_other_steps(page):
    show(page, "heatmap.rollouts.some((o) => o.problem === r.problem && o.step !== r.step)")
    before = shown(page)
    page.locator("#visits button:not([aria-current=true])").first.click()
    after = shown(page)
    assert after["problem"] == before["problem"] and after["step"] != before["step"]


def test_the_whole_prompt_can_be_read(page):
    chips = page.locator("#prompt .chip").all_inner_texts()
    assert chips == ["system", "user"]
    assert "What is 17 + 25?" in page.locator("#prompt .question").inner_text()
    system = page.locator("#prompt .message").first.locator(".message-text")
    line = system.bounding_box()["height"]
    assert line < 40
    page.locator("#prompt-all").click()
    assert system.bounding_box()["height"] > 5 * line
    rendered = page.locator("#prompt .chip").last
    assert rendered.inner_text() == "as the model reads it, without the marks of the template"
    assert rendered.evaluate("(chip) => chip.scrollWidth <= chip.clientWidth")
    page.locator("#prompt-all").click()
    assert system.bounding_box()["height"] == line


def test_turns_are_blocks_without_raw_marks(page):
    show(page, "r.written.includes('0') && r.kl")
    names = page.locator("#tokens .chip").all_inner_texts()
    assert names == ["turn 1", "tool", "turn 2"]
    show(page, "r.special.includes('1')")
    assert "<|endoftext|>" not in page.locator("#tokens").inner_text()
    assert page.locator("#tokens i.mark").first.get_attribute("title") == "<|endoftext|>"


def test_spaces_around_a_word_are_not_shaded(page):
    texts = page.evaluate("heatmap.rollout.tokens.map((t) => heatmap.texts[t])")
    shaded = page.evaluate("heatmap.view.spans.map((s) => s.textContent)")
    for text, inside in zip(texts, shaded, strict=True):
        if text.strip(" \t") and inside != "\u25aa":
            expected = text.strip(" \t").replace("\x00", "\ufffd")
            assert inside.replace("\u23ce", "") == expected
    whole = page.evaluate("heatmap.tokens.textContent")
    assert whole.count("So the sum") == "".join(texts).count("So the sum")


@pytest.mark.parametrize("scale", ["quantile", "log", "linear"])
def test_scales(page, report, scale):
    """Opacity by the definition of each scale, over all tokens of the group."""
    page.locator('input[value="credit"]').check(force=True)
    page.locator("#scale").select_option(scale)
    row = row_of(page, report)
    table = read_table(report.parent / "run" / "rollouts" / f"step_{row['step']:06d}.parquet")
    sizes = np.array([
        abs(f * r["advantage"])
        for r in table.to_pylist() if r["group"] == row["group"]
        for f, own in zip(r["weight"], r["written"], strict=True) if own
    ])  # fmt: skip
    assert page.evaluate("heatmap.shading.top") == pytest.approx(sizes.max(), rel=1e-3)
    low = max(sizes[sizes > 0].min(), sizes.max() / 1e4)
    for q in (0.1, 0.5, 0.9, 1.0):
        size = np.quantile(sizes, q, method="nearest")
        expected = {
            "quantile": np.mean(sizes <= size * (1 + 1e-3)) ** 3,
            "log": max(0, math.log(max(size, 1e-30) / low) / math.log(sizes.max() / low)),
            "linear": size / sizes.max(),
        }[scale]
        found = page.evaluate(f"heatmap.shading.opacity({size * (1 + 2e-4)})")
        assert found == pytest.approx(expected, abs=0.02), q
    words = {"quantile": "quantile", "log": "logarithmic", "linear": "linear"}[scale]
    assert f"{words} of this group" in page.locator("#legend").inner_text()


def saved(page, button):
    with page.expect_download() as download:
        button.click()
    return download.value


def test_figures_and_numbers_are_saved(page, report):
    row = row_of(page, report)
    file = saved(page, page.locator("#save-csv"))
    assert file.suggested_filename == f"run-step-{row['step']}-group-0-rollout-{row['index']}.csv"
    with open(file.path(), newline="", encoding="utf-8") as text:
        lines = list(csv.DictReader(text))
    assert [line["token"] for line in lines] == row["tokens"]
    for name, column in (("kl", "kl"), ("weight", "weight"), ("logp_teacher", "teacher_logp")):
        said = [float(line[name]) if line[name] else None for line in lines]
        own = [v if w else None for v, w in zip(row[column], row["written"], strict=True)]
        assert [v is None for v in said] == [v is None for v in own]
        pairs = [(a, b) for a, b in zip(said, own, strict=True) if a is not None]
        assert [a for a, _ in pairs] == pytest.approx([b for _, b in pairs], rel=1e-3)
    page.evaluate("heatmap.texts[heatmap.rollout.tokens[3]] = '\\x1b[1mbold\\x08'")
    for button in (page.locator("#save-svg"), page.locator("figure .save").nth(0)):
        svg = ElementTree.parse(saved(page, button).path()).getroot()
        assert svg.tag.endswith("svg") and "var(" not in ElementTree.tostring(svg, "unicode")
    chart = page_data(report)["charts"][0]
    table = saved(page, page.locator("figure .save").nth(2)).path().read_text().splitlines()
    points = chart["series"][0]["points"]
    assert table[0] == "step,line,value,low,high,moving_mean" and len(table) == 1 + len(points)
    assert [float(table[1].split(",")[i]) for i in (0, 2, 3, 4)] == points[0]
    for button in (page.locator("#save-png"), page.locator("figure .save").nth(1)):
        assert saved(page, button).path().read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_run_of_the_first_version(browser, tmp_path):
    run = write_run(tmp_path / "run", steps=4, eval_steps=2, rollout_steps=2, old=True)
    with opened(browser, write_report([run], tmp_path / "report.html")) as page:
        for mode in ("kl", "ratio", "credit", "weight"):
            page.locator(f'input[value="{mode}"]').check(force=True)
        assert page.locator("#prompt .chip").all_inner_texts() == ["prompt"]
        assert page.locator("#tokens i").count() == shown(page)["tokens"]
        assert "<|endoftext|>" not in page.locator("#tokens").inner_text()
        said, _ = facts_in(page, "#panel")
        assert "p teacher" not in said and "f" in said


def test_arrow_keys_move_from_token_to_token_and_elsewhere_between_rollouts(page):
    page.locator("#tokens").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.evaluate("heatmap.at") == 1
    assert "(2 of " in page.locator("#detail").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("#detail").is_hidden()
    page.locator("#theme").focus()
    before = shown(page)["index"]
    page.keyboard.press("ArrowRight")
    assert shown(page)["index"] == before + 1


def test_switch_changes_what_is_shaded(page):
    show(page, "r.kl && r.advantage < 0 && r.student")
    rollout = shown(page)
    heaviest = max(range(rollout["tokens"]), key=lambda i: rollout["weight"][i])
    lightest = min(range(rollout["tokens"]), key=lambda i: rollout["weight"][i] or 9)
    colours = {}
    for mode in ("weight", "kl", "credit"):
        page.locator(f'input[value="{mode}"]').check(force=True)
        colours[mode] = colour(page, heaviest)
        assert colours[mode] != colour(page, lightest)
    assert len(set(colours.values())) == 3
    page.locator('input[value="credit"]').check(force=True)
    assert "213, 94, 0" in colours["credit"]
    show(page, "r.kl && r.advantage > 0")
    positive = shown(page)
    heaviest = max(range(positive["tokens"]), key=lambda i: positive["weight"][i])
    assert "0, 114, 178" in colour(page, heaviest)


def test_tool_tokens_are_idle_and_plain_rollouts_say_so(page):
    show(page, "r.written.includes('0') && r.kl")
    rollout = shown(page)
    assert page.locator("#tokens i.idle").count() == rollout["written"].count("0") > 0
    page.locator("#tokens i.idle").first.hover()
    assert "the model did not write it" in page.locator("#detail").inner_text()
    show(page, "r.route === 'plain'")
    assert "plain: no reference, weight 1" in page.locator("#badges").inner_text()
    assert colour(page, shown(page)["written"].index("1")) == "rgba(0, 114, 178, 0.7)"
    show(page, "r.route === 'none' && !r.kl")
    assert "is itself the group's reference" in page.locator("#badges").inner_text()


def test_charts_say_their_numbers(page, report):
    chart = page.locator("#charts svg").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 12, box["y"] + box["height"] / 2)
    last = page_data(report)["charts"][0]["series"][0]["points"][-1]
    assert page.locator("#tooltip").inner_text().split("\n") == [
        f"step {last[0]}",
        f"sc-grpo: run: {last[1]:g}  [{last[2]:g}, {last[3]:g}]",
    ]


def test_tokens_are_text_and_never_markup(page):
    assert page.evaluate("heatmap.rollout.tokens.map((t) => heatmap.texts[t])").count("</script>")
    assert page.locator("#tokens b, #tokens script").count() == 0
    assert "</script>" in page.locator("#tokens").inner_text()


def test_selectors_walk_through_the_rollouts(page):
    page.locator("#step").select_option("10")
    assert shown(page)["step"] == 10
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
  const names = [".lead", "#tokens", ".badge", "figcaption small", "dt", "#reference", ".hint"];
  return names.map((selector) => {
    const element = document.querySelector(selector);
    let behind = element;
    while (/rgba\\(0, 0, 0, 0\\)/.test(back(behind))) behind = behind.parentElement;
    const [a, b] = [getComputedStyle(element).color, back(behind)].map(light);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
}"""

# Text on the strongest shade of each channel, mixed with the card behind it.
SHADED = """() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 
    0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const tokens = getComputedStyle(document.getElementById("tokens"));
  const card = numbers(getComputedStyle(document.getElementById("heatmap")).backgroundColor);
  return ["--heat", "--plus", "--minus"].map((name) => {
    const channel = numbers(getComputedStyle(document.documentElement).getPropertyValue(name));
    const mixed = channel.map((c, i) => 0.7 * c + 0.3 * card[i]);
    const [a, b] = [light(numbers(tokens.color)), light(mixed)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser, report, scheme):
    with opened(browser, report, color_scheme=scheme) as page:
        for _ in ("as preferred", "the other"):
            assert min(page.evaluate(CONTRAST)) >= 4.5
            assert min(page.evaluate(SHADED)) >= 4.5
            page.locator("#theme").click()


def test_narrow_screens_stack_and_do_not_scroll_sideways(browser, report):
    with opened(browser, report, viewport={"width": 390, "height": 800}) as page:
        title = "sc-grpo (task my_task.py:Words) and sc-grpo (task chat.jsonl)"
        page.evaluate("(title) => document.querySelector('h1').textContent = title", title)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        rollout, reference = (
            page.locator(name).bounding_box() for name in ("#tokens", "#reference")
        )
        assert reference["y"] >= rollout["y"] + rollout["height"]
        page.locator("#tokens i").first.click()
        box = page.locator("#detail").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390


@pytest.mark.parametrize("width", [1400, 390])
def test_a_comparison_fits_its_screen(browser, tmp_path, width):
    rng = np.random.default_rng(0)
    methods = {"grpo": "methods", "sc-grpo": "methods", "sc-grpo-memory": "ablations"}
    splits = ("heldout", "ood")
    runs = [
        {
            "task": "synthetic", "method": method, "seed": seed, "seconds": 300, "tokens": 3e6,
            "learning_rate": 1e-4, "curves": {"reward": rng.random(25).tolist()},
            "rewards": {s: rng.integers(0, 2, (6, 2)).tolist() for s in splits},
        }
        for method in methods for seed in range(2)
    ]  # fmt: skip
    results = {
        "name": "three", "baseline": "grpo", "k": 2, "groups": methods, "runs": runs, "sweeps": [],
        "planned": dict.fromkeys(methods, 2),
        "tasks": {"synthetic": {"axis": {}, "splits": dict.fromkeys(splits, 6)}},
    }  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps(results))
    file = write_comparison(tmp_path / "results.json", tmp_path / "page.html", "a machine")
    with opened(browser, file, viewport={"width": width, "height": 900}) as page:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ends = page.locator("table.results :is(td, th)").evaluate_all(
            "(cells) => cells.map((cell) => cell.getBoundingClientRect().right)"
        )
        assert len(ends) > 30 and max(ends) <= width
        assert page.locator("figure svg").count() == 2
