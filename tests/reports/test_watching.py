"""The page that grows with its runs: over HTTP, and in a real browser while files grow."""

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

import numpy as np
import pytest

from scgrpo.run_folder import RunFolder
from tests.reports.fake_run import metrics, rollouts, write_run
from tests.reports.test_browser import CHROMIUM, FLAGS

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")


@contextmanager
def watch(*arguments):
    """`scgrpo watch`, and where it can be reached."""
    command = [sys.executable, "-m", "scgrpo.cli", "watch", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        try:
            said = it.stdout.readline()
            assert said.startswith("Watching: http://127.0.0.1:"), said
            yield it, said.split()[1]
        finally:
            it.kill()


def asked(url, path, **headers):
    try:
        request = urllib.request.Request(f"{url}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def grow(run, step, *, rewards=0.5):
    """What a trainer writes of a step; every rollout has `rewards` as its advantage."""
    rng = np.random.default_rng(step)
    folder = RunFolder(run)
    folder.append_metrics({**metrics(rng, "sc-grpo", step, 100), "reward": rewards})
    folder.write_rollouts(step, rollouts(rng, "sc-grpo", step, long=False))


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", steps=2, eval_steps=0, rollout_steps=2)


def test_what_it_serves_and_what_it_refuses(run, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("top secret")
    with watch(run, "--port", 0) as (it, url):
        status, page = asked(url, "/")
        assert status == 200 and "Where the credit goes" in page
        version = page.partition('"version":"')[2][:16]
        assert asked(url, f"/data?version={version}") == (204, "")
        grow(run, 3)
        status, found = asked(url, f"/data?version={version}")
        found = json.loads(found)
        assert status == 200 and found["version"] != version
        steps = {rollout["step"] for rollout in found["data"]["rollouts"]}
        assert steps == {0, 2, 3}
        for path in (
            "/secret.txt", "/../secret.txt", "/%2e%2e/secret.txt", f"/{secret}",
            f"/run/..%2f{secret.name}", "/config.yaml", "/run/config.yaml",
        ):  # fmt: skip
            status, said = asked(url, path)
            assert status == 404 and "secret" not in said
        assert asked(url, "/data?at=1,2")[0] == 400
        assert asked(url, "/data?at=-1,2,0,0")[0] == 400
        assert asked(url, "/data?at=7,2,0,0")[0] == 200
        assert asked(url, "/", Host="evil.example")[0] == 400
        # A link out of the folder is not followed.
        (run / "eval").mkdir()
        (run / "eval" / "step_000001.jsonl").symlink_to(secret)
        for path in ("/", "/data"):
            status, said = asked(url, path)
            assert status == 503 and "outside of its run's folder" in said
            assert "top secret" not in said
        (run / "eval" / "step_000001.jsonl").unlink()
        assert asked(url, "/")[0] == 200
        # A folder that is taken away is named until it is back; what is no number is left out.
        run.rename(tmp_path / "away")
        assert all(asked(url, p)[0] == 503 for p in ("/", "/data"))
        assert "is no run folder" in json.loads(asked(url, "/data")[1])["error"]
        (tmp_path / "away").rename(run)
        with (run / "metrics.jsonl").open("a") as file:
            file.write(
                '{"step": "five"}\n{"step": 6, "reward": "high", "loss": NaN}\n{"step": 7, "rew'
            )
        status, found = asked(url, "/data")
        notes = json.loads(found)["parts"]["summary"]
        assert status == 200 and "1 rows without a step" in notes and "line 6 is no JSON" in notes
        # Nobody else's addresses: the port is bound on the loopback one alone.
        port = int(url.rpartition(":")[2])
        with socket.socket() as other:
            other.bind(("127.0.0.2", port))
        it.send_signal(signal.SIGINT)
        assert it.wait(20) == 0
        assert it.stdout.read() == "Ended; the runs go on.\n" and it.stderr.read() == ""


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_the_page_grows_and_keeps_place_and_selection(run):
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with watch(run, "--port", 0) as (it, url), api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page()
        problems, loads = [], []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("load", lambda: loads.append(1))
        page.goto(url)
        page.evaluate("heatmap.show(heatmap.rollouts.find((r) => r.step === 0 && r.size > 30), 17)")
        page.select_option("#scale", "log")
        before = state(page)
        assert before["at"] == 17 and before["keys"][1] == 0
        page.evaluate("scrollTo(0, 420); document.querySelectorAll('#strips button')[2].focus()")
        for step in range(3, 9):  # step 0 stays; that its group does is asked below
            grow(run, step, rewards=0.123 + step)
        page.wait_for_function("heatmap.rollouts.some((r) => r.step === 8)", timeout=20_000)
        assert state(page) == before
        assert page.evaluate("scrollY") == 420
        focus = "[...document.querySelectorAll('#strips button')].indexOf(document.activeElement)"
        assert page.evaluate(focus) == 2
        steps = page.eval_on_selector_all("#step option", "all => all.map((o) => o.value)")
        assert steps[0] == "0" and steps[-1] == "8"
        reward = page.evaluate("drawn.charts.map(JSON.parse)[0].series[0].points.at(-1)")
        assert reward == [8, 8.123]
        assert ">8<" in page.locator("#summary").inner_html()
        # The middle step of before is looked at: it stays, though it is no longer in the middle.
        page.evaluate("heatmap.show(heatmap.rollouts.find((r) => r.step === 4 && r.index === 3))")
        middle = state(page)
        for step in range(9, 20):
            grow(run, step)
        page.wait_for_function("heatmap.rollouts.some((r) => r.step === 19)", timeout=20_000)
        assert state(page) == middle and loads == [1]
        # A rollout that is on the page in outline gets its text, though the run writes nothing.
        page.evaluate("""() => {
          Object.assign(heatmap.rollout, { tokens: null, outline: { kl: null, weight: null } });
          heatmap.show(heatmap.rollout);
        }""")
        assert "on its way" in page.locator("#tokens").inner_text()
        page.wait_for_function("heatmap.rollout.tokens", timeout=20_000)
        assert state(page)["tokens"] == middle["tokens"]
        page.evaluate("(at) => heatmap.select(at, { tooltip: false })", middle["at"])
        middle = state(page)
        # A failure of the server is said, and the page goes on asking.
        page.route("**/data*", lambda route: route.fulfill(status=500, body="Internal"))
        page.wait_for_function("live.textContent.includes('answered 500')", timeout=20_000)
        page.unroute("**/data*")
        page.wait_for_function("live.textContent.startsWith('as of')", timeout=20_000)
        it.send_signal(signal.SIGINT)
        assert it.wait(20) == 0
        page.wait_for_function("live.textContent.includes('has ended')", timeout=20_000)
        assert state(page) == middle and problems == []
        browser.close()


def state(page):
    return page.evaluate("""() => ({
      keys: Heatmap.keys(heatmap.rollout), at: heatmap.at, chosen: heatmap.isChosen,
      scale: scale.value, panel: panel.innerText, tokens: heatmap.tokens.innerText,
      badges: badges.innerText, prompt: heatmap.prompt.root.innerText,
      colour: getComputedStyle(heatmap.view.spans[9]).backgroundColor,
    })""")


def test_a_run_without_rollouts_gets_its_heatmap(tmp_path):
    from scgrpo.reports.watching import Watched

    run = write_run(tmp_path / "run", steps=1, eval_steps=0, rollout_steps=0)
    watched = Watched([run])
    assert "No rollouts were logged" in watched.page()
    version = watched.version()
    assert watched.news(version, None) is None
    grow(run, 2)
    found = watched.news(version, None)
    assert len(found["data"]["rollouts"]) == 16 and "16 of 24" in found["parts"]["shown"]


def test_mistakes_are_one_sentence(tmp_path, run):
    from typer.testing import CliRunner

    from scgrpo.cli.main import app

    none = CliRunner().invoke(app, ["watch", str(tmp_path / "none")])
    assert none.exit_code == 2 and "none is no run folder" in none.output
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        busy = CliRunner().invoke(app, ["watch", str(run), "--port", port])
    assert busy.exit_code == 1 and f"port {port} cannot be listened on" in busy.output


def test_a_server_that_is_missing_is_one_sentence(run, monkeypatch):
    from typer.testing import CliRunner

    from scgrpo.cli.main import app

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    found = CliRunner().invoke(app, ["watch", str(run)])
    assert found.exit_code == 1
    assert "for scgrpo watch, pip install 'scgrpo[watch]'." in " ".join(found.output.split())
