// The text of one rollout, token by token, in turns and paragraphs; what is out of sight is not drawn.
const PARAGRAPH = { least: 40, most: 500 };
const LONG = 1500; // tokens from which on what is out of sight is not laid out
const OLD_MARK = /^(<\|[^|<>]+\|>|<\/?s>|<eos>|<(start|end)_of_turn>)$/;

const CONTROLS = /[\0-\x08\v\f\x0e-\x1f\ufffe\uffff]/g; // no file of XML may hold them

class TokenView {
  constructor(root, texts) {
    this.root = root;
    this.texts = texts;
    this.spans = [];
    this.at = -1;
  }

  show(rollout) {
    this.rollout = rollout;
    this.at = -1;
    const turns = this.turns();
    this.root.innerHTML = rollout.tokens
      ? turns.map((turn, n) => this.turnMarkup(turn, turns.length > 1 ? this.turnName(turns, n) : "")).join("")
      : `<p>${DATA.version ? "Its text is on its way." : "Only the outline of this rollout is on this page; <code>scgrpo watch</code> shows the text of any."}</p>`;
    this.root.classList.toggle("long", rollout.size >= LONG);
    this.spans = [...this.root.querySelectorAll("i[data-i]")];
    this.root.scrollTop = 0;
  }

  text(i) {
    return this.texts[this.rollout.tokens[i]];
  }

  isWritten(i) {
    return this.rollout.written[i] === "1";
  }

  isMark(i) {
    return this.rollout.special ? this.rollout.special[i] === "1" : OLD_MARK.test(this.text(i));
  }

  // [first, end) of what the model wrote and of what came back, in turn.
  turns() {
    const { written, tokens } = this.rollout;
    const turns = [];
    for (let i = 0; tokens && i < tokens.length; i++)
      if (i && written[i] === written[i - 1]) turns.at(-1)[1] = i + 1;
      else turns.push([i, i + 1]);
    return turns;
  }

  turnName(turns, n) {
    const [first, end] = turns[n];
    if (!this.isWritten(first)) return "tool";
    const number = turns.slice(0, n + 1).filter(([i]) => this.isWritten(i)).length;
    if (!this.rollout.tokenAdvantage) return `turn ${number}`;
    const own = this.rollout.tokenAdvantage.slice(first, end);
    return `turn ${number}, mean A ${signedNumber(own.reduce((a, b) => a + (b ?? 0), 0) / own.length)}`;
  }

  turnMarkup([first, end], name) {
    const own = this.isWritten(first);
    const paragraphs = [];
    let start = first;
    for (let i = first; i < end; i++) {
      const size = i + 1 - start;
      const isEnd = (size >= PARAGRAPH.least && this.text(i).includes("\n")) || size >= PARAGRAPH.most;
      if (isEnd || i + 1 === end) {
        paragraphs.push(this.paragraph(start, i + 1, own));
        start = i + 1;
      }
    }
    if (!name) return paragraphs.join("");
    const kind = own ? "assistant" : "tool";
    return `<div class="turn ${kind}"><span class="chip ${kind}">${name}</span>${paragraphs.join("")}</div>`;
  }

  paragraph(start, end, own) {
    const hidden = own ? new Set() : this.frame(start, end);
    let markup = "";
    for (let i = start; i < end; i++) {
      const kind = !own ? (hidden.has(i) ? "idle gone" : "idle") : this.isMark(i) ? "mark" : "";
      markup += tokenMarkup(this.text(i), i, kind);
    }
    return `<div class="paragraph" data-first="${start}" data-end="${end}">${markup}</div>`;
  }

  // Marks of the template around a tool's answer, and the role that they name.
  frame(start, end) {
    const gone = new Set();
    let inRole = false;
    for (let i = start; i < end; i++) {
      const text = this.text(i);
      if (this.isMark(i)) {
        gone.add(i);
        inRole = /start/.test(text) && !/turn_end/.test(text);
      } else if (inRole) {
        gone.add(i);
        if (text.includes("\n")) inRole = false;
      }
    }
    return gone;
  }

  shade(shading) {
    const shown = this.rollout.tokens && shading.quantity.has(this.rollout);
    for (const span of this.spans) {
      const i = Number(span.dataset.i);
      const [channel, opacity] = shown && this.isWritten(i) ? shading.at(this.rollout, i) : [];
      span.style.background = channel ? `rgba(var(${channel}), ${(0.7 * opacity).toFixed(3)})` : "";
    }
  }

  select(i, { scroll = false } = {}) {
    this.spans[this.at]?.classList.remove("at");
    this.at = i;
    const span = this.spans[i];
    if (!span) return;
    span.classList.add("at");
    if (scroll) this.reveal(span);
  }

  // Scrolls the text until a token is in sight, and the page only where the text itself is not; again
  // while paragraphs that were out of sight get their true height.
  reveal(span, frames = 4) {
    const { top, bottom } = this.root.getBoundingClientRect();
    if (bottom > innerHeight || top < 0) this.root.scrollIntoView({ block: "nearest" });
    const [box, frame] = [span.getBoundingClientRect(), this.root.getBoundingClientRect()];
    if (box.top < frame.top || box.bottom > frame.bottom) this.root.scrollTop += box.top - frame.top - frame.height / 3;
    if (frames) requestAnimationFrame(() => span === this.spans[this.at] && this.reveal(span, frames - 1));
  }

  // [first, end) of the tokens in sight, about.
  inSight() {
    const frame = this.root.getBoundingClientRect();
    let [first, end] = [this.spans.length, 0];
    for (const paragraph of this.root.querySelectorAll(".paragraph")) {
      const box = paragraph.getBoundingClientRect();
      if (box.bottom < frame.top || box.top > frame.bottom || !box.height) continue;
      const [from, to] = [Number(paragraph.dataset.first), Number(paragraph.dataset.end)];
      const place = (y) => from + (to - from) * Math.max(0, Math.min(1, (y - box.top) / box.height));
      first = Math.min(first, place(frame.top));
      end = Math.max(end, place(frame.bottom));
    }
    return [first, end];
  }
}

// Spaces around a word stay outside of its shade.
function tokenMarkup(text, i, kind) {
  const attributes = `data-i="${i}"${kind ? ` class="${kind}"` : ""}`;
  if (kind === "mark") return `<i ${attributes} title="${escaped(text)}">\u25aa</i>`;
  const [, before, word, after] = text.match(/^([ \t]*)([^]*?)([ \t]*)$/);
  if (!word) return `<i ${attributes}>${text || "\u00b7"}</i>`;
  return `${before}<i ${attributes}>${escaped(word).replace(/\n/g, "\u23ce\n")}</i>${after}`;
}

function escaped(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;").replace(CONTROLS, "\ufffd");
}
