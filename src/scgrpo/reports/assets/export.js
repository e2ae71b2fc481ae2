// Figures and numbers as files: SVG, PNG and CSV, made in the page.
const LARGEST = 16_384; // pixels of a canvas along a side that every browser draws

function save(name, type, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const fileName = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");

function csv(rows) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",") + "\n").join("");
}

// An SVG element with its colours written into it, so that it needs no style sheet.
function standalone(svg) {
  const copy = svg.cloneNode(true);
  const [from, to] = [svg, copy].map((root) => [root, ...root.querySelectorAll("*")]);
  from.forEach((element, i) => {
    const style = getComputedStyle(element);
    const kept = ["fill", "stroke", "stroke-width", "opacity", "font-size", "visibility"];
    to[i].setAttribute("style", kept.map((name) => `${name}: ${style.getPropertyValue(name)}`).join("; "));
  });
  copy.setAttribute("xmlns", SVG);
  return copy;
}

function chartSvg(chart, svg) {
  const copy = standalone(svg);
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink");
  const keys = chart.series.filter((s) => s.points.length);
  const top = 34 + 15 * keys.length;
  copy.setAttribute("viewBox", `-8 ${-top} ${SIZE.width + 16} ${SIZE.height + top + 8}`);
  copy.setAttribute("width", 1.5 * (SIZE.width + 16));
  copy.setAttribute("height", 1.5 * (SIZE.height + top + 8));
  copy.setAttribute("font-family", "system-ui, sans-serif");
  const paper = { x: -8, y: -top, width: SIZE.width + 16, height: SIZE.height + top + 8, fill: style.getPropertyValue("--card") };
  copy.prepend(svgElement("rect", paper, copy));
  const write = (text, y, size) => svgElement("text", { x: 16, y, style: `fill: ${ink}; font-size: ${size}px` }, copy, text);
  write(`${chart.title}; ${chart.note}`, -top + 18, 12).setAttribute("x", 0);
  keys.forEach((one, i) => {
    const y = -top + 36 + 15 * i;
    svgElement("line", { x1: 0, x2: 12, y1: y - 4, y2: y - 4, "stroke-dasharray": one.dash, style: `stroke: ${style.getPropertyValue(`--${one.colour}`)}; stroke-width: 3` }, copy);
    write(one.label, y, 11);
  });
  return new XMLSerializer().serializeToString(copy);
}

function chartCsv(chart) {
  const rows = [[chart.x || "step", "line", "value", "low", "high", "moving_mean"]];
  for (const one of chart.series) {
    const means = new Map(one.mean || []);
    for (const [x, value, low, high] of one.points) rows.push([x, one.label, value, low, high, means.get(x)]);
  }
  return csv(rows);
}

async function savePng(name, svgText) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svgText)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  const scale = Math.min(2, LARGEST / Math.max(image.naturalWidth, image.naturalHeight));
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight].map((size) => Math.floor(scale * size));
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  save(name, "image/png", await new Promise((done) => canvas.toBlob(done, "image/png")));
}

function saveChart(chart, svg, kind) {
  const name = `${fileName(chart.title)}.${kind}`;
  if (kind === "csv") return save(name, "text/csv", chartCsv(chart));
  const text = chartSvg(chart, svg);
  return kind === "svg" ? save(name, "image/svg+xml", text) : savePng(name, text);
}

function saveButtons(onSave) {
  const buttons = ["svg", "png", "csv"].map((kind) => {
    const button = make("button", "save", kind.toUpperCase());
    button.type = "button";
    button.setAttribute("aria-label", `Save as ${kind.toUpperCase()}`);
    button.addEventListener("click", () => onSave(kind));
    return button;
  });
  return make("span", "saves", ...buttons);
}

function saveRollout(heatmap, kind) {
  const r = heatmap.rollout;
  if (!r.tokens) return;
  const name = `${fileName(heatmap.runs[r.run])}-step-${r.step}-group-${r.group}-rollout-${r.index}.${kind}`;
  if (kind === "csv") return save(name, "text/csv", rolloutCsv(r, heatmap.texts));
  const text = rolloutSvg(heatmap);
  return kind === "svg" ? save(name, "image/svg+xml", text) : savePng(name, text);
}

function rolloutCsv(r, texts) {
  const head = ["position", "token", "written", "logp_student", "logp_teacher", "log_ratio", "kl", "weight", "advantage", "credit"];
  const rows = [...r.tokens.keys()].map((i) => {
    const own = r.written[i] === "1";
    const [f, advantage] = [weightOf(r, i), advantageOf(r, i)];
    const numbers = [r.logp?.[i], r.teacherLogp?.[i], logRatio(r, i), r.kl?.[i], f, advantage, f * advantage];
    return [i, texts[r.tokens[i]], own ? 1 : 0, ...numbers.map((value) => (own ? value : null))];
  });
  return csv([head, ...rows]);
}

// The tokens as they are shaded, in lines of 100 characters.
function rolloutSvg(heatmap) {
  const { rollout: r, view, shading } = heatmap;
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const [wide, high, columns] = [8.43, 20, 100];
  let [x, y] = [0, 1];
  const [shades, words] = [[], []];
  const { before, after } = shading.legend();
  for (const i of r.tokens.keys()) {
    const text = view.isMark(i) ? "\u25aa" : view.text(i);
    const own = view.isWritten(i);
    const [channel, opacity] = own && shading.quantity.has(r) ? shading.at(r, i) : ["--idle", 0];
    const word = text.trim();
    let [leads, left] = [true, text.trimStart().length ? text.replace(/[ \t]+$/, "").length : text.length];
    for (const part of text.split(/(\n)/)) {
      if (part === "\n") [x, y, left] = [0, y + 1, left - 1];
      for (const letter of part === "\n" ? "" : part) {
        if (x >= columns) [x, y] = [0, y + 1];
        leads &&= letter === " " && word !== "";
        const at = `x="${(x * wide).toFixed(1)}" y="${y * high + 44}"`;
        if (opacity > 0.004 && !leads && left > 0) shades.push(`<rect ${at} width="${wide}" height="17" fill="rgb(${colour(channel)})" fill-opacity="${(0.7 * opacity).toFixed(3)}"/>`);
        if (letter.trim()) words.push(`<text x="${(x * wide).toFixed(1)}" y="${y * high + 57}"${own ? "" : ` fill="${colour("--soft")}"`}>${escaped(letter)}</text>`);
        [x, left] = [x + 1, left - letter.length];
      }
    }
  }
  const [width, height] = [Math.ceil(columns * wide), (y + 2) * high + 50];
  const title = `${heatmap.runs[r.run]}, step ${r.step}, group ${r.group}, rollout ${r.index}: ${rewardWords(r)}, A = ${r.advantage}`;
  const scale = before ? `orange: ${before}; blue ${after}` : after;
  return `<svg xmlns="${SVG}" width="${width + 24}" height="${height}" viewBox="-12 0 ${width + 24} ${height}" font-family="ui-monospace, monospace" font-size="14" fill="${colour("--ink")}"><rect x="-12" width="${width + 24}" height="${height}" fill="${colour("--card")}"/><g font-family="system-ui, sans-serif" font-size="13"><text y="18">${escaped(title)}</text><text y="36" fill="${colour("--soft")}">${escaped(scale)}</text></g>${shades.join("")}${words.join("")}</svg>`;
}
