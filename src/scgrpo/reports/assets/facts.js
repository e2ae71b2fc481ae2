// What is known of one token, as tables: for the tooltip and for the panel.
function factsOf(rollout, texts, i) {
  const own = rollout.written[i] === "1";
  const text = texts[rollout.tokens[i]];
  const facts = [["token", `${text === "" ? "no text of its own" : JSON.stringify(text)}  (${i + 1} of ${rollout.size})`]];
  if (!own) return [table([...facts, ["credit", "none: the model did not write it"]])];
  const [student, teacher] = [rollout.logp, rollout.teacherLogp].map((logps) => (logps ? logps[i] : null));
  if (student !== null) facts.push(["p student", probability(student)]);
  if (teacher !== null) facts.push(["p teacher", probability(teacher)]);
  const ratio = logRatio(rollout, i);
  if (ratio !== null) facts.push(["log ratio", `${signedNumber(ratio)} nats`]);
  const [f, advantage] = [weightOf(rollout, i), advantageOf(rollout, i)];
  facts.push(
    ["D", rollout.kl ? `${rollout.kl[i] ?? "unbounded"} nats` : "none"],
    ["f", String(f)],
    ["A", String(advantage)],
    ["f\u00b7A", String(Number((f * advantage).toPrecision(4)))],
  );
  return [table(facts), ...(rollout.student || rollout.teacher ? [likeliest(rollout, texts, i)] : [])];
}

function probability(logp) {
  const p = Math.exp(logp);
  return `${p >= 0.001 ? p.toFixed(3) : p.toExponential(1)}  (log ${shortNumber(Number(logp.toPrecision(3)))})`;
}

function signedNumber(value) {
  return `${value < 0 ? "\u2212" : "+"}${shortNumber(Math.abs(Number(value.toPrecision(4))))}`;
}

// The likeliest tokens of student and teacher side by side, the sampled one marked.
function likeliest(rollout, texts, i) {
  const sides = [["Student", rollout.student], ["Teacher", rollout.teacher]].filter(([, top]) => top);
  const count = Math.max(...sides.map(([, top]) => top[i].length / 2));
  const cells = (top, j) => (j < top.length / 2 ? [JSON.stringify(texts[top[2 * j]]), top[2 * j + 1].toFixed(3)] : ["", ""]);
  const element = table([
    sides.flatMap(([name]) => [name, "p"]),
    ...Array.from({ length: count }, (_, j) => sides.flatMap(([, top]) => cells(top[i], j))),
  ]);
  const sampled = JSON.stringify(texts[rollout.tokens[i]]);
  for (const cell of element.querySelectorAll("td")) cell.classList.toggle("sampled", cell.textContent === sampled);
  return element;
}

function table(rows) {
  const element = document.createElement("table");
  for (const row of rows) {
    const line = element.insertRow();
    for (const cell of row) line.insertCell().textContent = cell;
  }
  return element;
}
