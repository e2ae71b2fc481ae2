// The token heatmap: one rollout at a time, shaded by weight, divergence or signed credit.
class Heatmap {
  constructor(rollouts, runs) {
    this.rollouts = rollouts;
    this.runs = runs;
    this.mode = "weight";
    this.at = -1;
    this.tokens = document.getElementById("tokens");
    this.selects = ["run", "step", "group", "rollout"].map((id) => document.getElementById(id));
    this.listen();
    const first = rollouts.findIndex((r) => r.kl && r.student && r.route === "partial");
    this.show(rollouts[first >= 0 ? first : Math.max(0, rollouts.findIndex((r) => r.kl))]);
  }

  listen() {
    this.selects.forEach((select, depth) => select.addEventListener("change", () => this.choose(depth)));
    document.getElementById("previous").addEventListener("click", () => this.step(-1));
    document.getElementById("next").addEventListener("click", () => this.step(1));
    document.getElementById("mode").addEventListener("change", (event) => {
      this.mode = event.target.value;
      this.shade();
    });
    this.tokens.addEventListener("pointerover", (event) => this.point(event.target.dataset.i));
    this.tokens.addEventListener("click", (event) => this.point(event.target.dataset.i));
    this.tokens.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
      if (move === undefined) return;
      event.preventDefault();
      const last = this.rollout.tokens.length - 1;
      this.point(Math.max(0, Math.min(last, this.at + move)));
      this.tokens.children[this.at].scrollIntoView({ block: "nearest" });
    });
  }

  // Values of a rollout along the four selectors.
  static keys(rollout) {
    return [rollout.run, rollout.step, rollout.group, rollout.index];
  }

  choose(depth) {
    const wanted = this.selects.map((select) => Number(select.value));
    const matches = (rollout, upTo) => Heatmap.keys(rollout).every((key, i) => i > upTo || key === wanted[i]);
    for (let upTo = 3; upTo >= depth; upTo--) {
      const found = this.rollouts.find((rollout) => matches(rollout, upTo));
      if (found) return this.show(found);
    }
  }

  step(by) {
    const count = this.rollouts.length;
    this.show(this.rollouts[(this.rollouts.indexOf(this.rollout) + by + count) % count]);
  }

  show(rollout) {
    this.rollout = rollout;
    this.at = -1;
    this.fillSelects();
    this.fillTexts();
    this.tokens.innerHTML = rollout.tokens
      .map((token, i) => `<i data-i="${i}">${Heatmap.visible(token)}</i>`)
      .join("");
    this.tokens.scrollTop = 0;
    this.shade();
    document.getElementById("detail").textContent = "Point at a token, or focus the text and use the arrow keys.";
  }

  static visible(token) {
    const safe = token.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
    return safe.replace(/\n/g, "\u23ce\n") || "\u2205";
  }

  fillSelects() {
    const names = [
      (v) => this.runs[v].name,
      (v) => String(v),
      (v) => String(v),
      (v, r) => `${v} (${r.reward === null ? "unscored" : r.reward})`,
    ];
    const chosen = Heatmap.keys(this.rollout);
    this.selects.forEach((select, depth) => {
      const here = this.rollouts.filter((r) => Heatmap.keys(r).every((k, i) => i >= depth || k === chosen[i]));
      const options = new Map(here.map((r) => [Heatmap.keys(r)[depth], r]));
      select.replaceChildren(...[...options].map(([value, r]) => new Option(names[depth](value, r), value)));
      select.value = chosen[depth];
    });
  }

  fillTexts() {
    const r = this.rollout;
    const solved = r.reward !== null && r.reward >= 1;
    const badges = [
      [`reward ${r.reward === null ? "none" : r.reward}`, solved ? "solved" : "failed"],
      [r.kl ? `route: ${r.route}` : `${r.route === "none" ? "none: this is the shared reference" : "plain: no reference, weight 1"}`, ""],
      [`advantage A = ${r.advantage}`, ""],
      [`${r.tokens.length} tokens`, ""],
    ];
    if (r.kl) badges.push([`c = ${r.c} nats`, ""]);
    document.getElementById("badges").replaceChildren(
      ...badges.map(([text, kind]) => Object.assign(document.createElement("span"), { className: `badge ${kind}`, textContent: text })),
    );
    document.getElementById("prompt").textContent = r.prompt;
    document.getElementById("reference").textContent = r.referenceText === null ? "none" : r.referenceText;
    const which = r.reference >= 0 ? `Reference shown to the teacher (rollout ${r.reference})` : "Reference shown to the teacher";
    document.getElementById("reference-label").textContent = which;
  }

  isWritten(i) {
    return this.rollout.written[i] === "1";
  }

  weight(i) {
    return this.rollout.weight ? this.rollout.weight[i] : 1;
  }

  // Colour channel and opacity of a token in the current mode.
  tint(i) {
    const r = this.rollout;
    if (this.mode === "kl") return ["--heat", r.kl ? Math.sqrt(Math.min(1, r.kl[i] / this.scale)) : 0];
    if (this.mode === "weight") return ["--heat", r.kl ? this.weight(i) : 0];
    const credit = this.weight(i) * r.advantage;
    return [credit < 0 ? "--minus" : "--plus", Math.min(1, Math.abs(credit) / this.scale)];
  }

  shade() {
    const r = this.rollout;
    const kls = (r.kl || [0]).filter((_, i) => this.isWritten(i)).sort((a, b) => a - b);
    const top = kls[Math.floor(0.99 * (kls.length - 1))] || 1e-6;
    this.scale = this.mode === "kl" ? top : Math.max(Math.abs(r.advantage), 1e-6);
    [...this.tokens.children].forEach((token, i) => {
      token.classList.toggle("idle", !this.isWritten(i));
      const [channel, opacity] = this.tint(i);
      token.style.background = this.isWritten(i) ? `rgba(var(${channel}), ${(0.7 * opacity).toFixed(3)})` : "";
    });
    this.drawLegend();
  }

  drawLegend() {
    const ends = {
      weight: ["f = 0", "1", "rgba(var(--heat), 0), rgba(var(--heat), .7)"],
      kl: ["D = 0", `${shortNumber(this.scale)} nats (P99)`, "rgba(var(--heat), 0), rgba(var(--heat), .7)"],
      credit: [`f\u00b7A = ${shortNumber(-this.scale)}`, shortNumber(this.scale), "rgba(var(--minus), .7), transparent, rgba(var(--plus), .7)"],
    }[this.mode];
    const bar = document.createElement("b");
    bar.style.background = `linear-gradient(90deg, ${ends[2]})`;
    document.getElementById("legend").replaceChildren(ends[0], bar, ends[1]);
  }

  point(index) {
    if (index === undefined) return;
    this.tokens.children[this.at]?.classList.remove("at");
    this.at = Number(index);
    this.tokens.children[this.at].classList.add("at");
    document.getElementById("detail").replaceChildren(...this.tables(this.at));
  }

  tables(i) {
    const r = this.rollout;
    const f = this.weight(i);
    const own = this.isWritten(i);
    const facts = [
      ["token", `${JSON.stringify(r.tokens[i])}  (${i + 1} of ${r.tokens.length})`],
      ["D", r.kl ? `${r.kl[i]} nats` : "none"],
      ["f", own ? String(f) : "inactive: a tool wrote it"],
      ["A", String(r.advantage)],
      ["f\u00b7A", own ? String(Number((f * r.advantage).toPrecision(4))) : "0"],
    ];
    const tops = [["Student", r.student], ["Teacher", r.teacher]].filter(([, top]) => top);
    return [table(facts), ...tops.map(([name, top]) => table(topRows(name, top[i])))];
  }
}

function topRows(name, flat) {
  const rows = [[name, ""]];
  for (let j = 0; j < flat.length; j += 2) rows.push([JSON.stringify(flat[j]), flat[j + 1].toFixed(3)]);
  return rows;
}

function table(rows) {
  const element = document.createElement("table");
  for (const row of rows) {
    const line = element.insertRow();
    for (const cell of row) line.insertCell().textContent = cell;
  }
  return element;
}
