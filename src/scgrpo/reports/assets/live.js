// Asks the server for what the runs have written since; what is looked at stays where it is.
const POLL = 2000;
let drawn = { version: DATA.version, at: new Date().toLocaleTimeString(), charts: DATA.charts.map((chart) => JSON.stringify(chart)), parts: {} };

let asked = null;

async function refresh() {
  const query = new URLSearchParams();
  const at = window.heatmap && Heatmap.keys(heatmap.rollout).join();
  if (window.heatmap) query.set("at", at);
  const lacking = window.heatmap && !heatmap.rollout.tokens ? at : null;
  // Asked for once more without a version, a rollout in outline comes with its text.
  if (!lacking || lacking === asked) query.set("version", drawn.version);
  asked = lacking;
  let pause = POLL;
  try {
    const answer = await fetch(`data?${query}`, { cache: "no-store" });
    const found = answer.status === 204 ? null : await answer.json().catch(() => ({ error: `scgrpo watch answered ${answer.status}; its terminal says why.` }));
    if (found?.error) say(found.error);
    else if (found) draw(found);
    else say(`as of ${drawn.at}`);
    pause = Math.max(POLL, found?.pause ?? 0);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // what fetch throws without a server
    say(`scgrpo watch has ended; this is its last state, of ${drawn.at}.`);
  }
  setTimeout(refresh, pause);
}

function say(words) {
  const line = document.getElementById("live");
  if (line.textContent !== words) line.textContent = words;
}

function draw({ version, parts, data }) {
  for (const [id, html] of Object.entries(parts)) {
    if (drawn.parts[id] !== html) document.getElementById(id).innerHTML = html;
    drawn.parts[id] = html;
  }
  drawCharts(data.charts);
  drawRollouts(data);
  drawn = { ...drawn, version, at: new Date().toLocaleTimeString() };
  say(`as of ${drawn.at}`);
}

function drawCharts(charts) {
  const root = document.getElementById("charts");
  const texts = charts.map((chart) => JSON.stringify(chart));
  const figures = charts.map((chart, i) => (texts[i] === drawn.charts[i] && root.children[i]) || drawChart(chart));
  if (texts.join() !== drawn.charts.join()) root.replaceChildren(...figures);
  drawn.charts = texts;
}

function drawRollouts(data) {
  document.getElementById("heatmap").hidden = !data.rollouts.length;
  if (!data.rollouts.length) return;
  if (window.heatmap) heatmap.load(data);
  else window.heatmap = new Heatmap(data);
}

setTimeout(refresh, POLL);
