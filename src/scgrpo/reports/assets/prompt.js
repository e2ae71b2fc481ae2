// The prompt: one block a message, the question in sight, the rest a line each until asked for.
const RENDERED = "as the model reads it, without the marks of the template";

class PromptView {
  constructor(root, texts) {
    this.root = root;
    this.texts = texts;
    this.open = false;
  }

  show(rollout) {
    this.rollout = rollout;
    const messages = (rollout.messages || [[null, rollout.prompt]]).map((part) => part.map((n) => (n === null ? "prompt" : this.texts[n])));
    const question = messages.findLastIndex(([role]) => role === "user" || role === "prompt");
    const blocks = messages.map(([role, text], i) => this.block(role, text, i === question));
    if (rollout.messages && this.open) blocks.push(this.block(RENDERED, this.texts[rollout.prompt], false));
    const button = make("button", "quiet", this.open ? "Show less" : "Show all");
    button.type = "button";
    button.id = "prompt-all";
    button.setAttribute("aria-expanded", String(this.open));
    button.addEventListener("click", () => {
      this.open = !this.open;
      this.show(this.rollout);
      document.getElementById("prompt-all").focus();
    });
    this.root.replaceChildren(...blocks, button);
    const cut = [...this.root.querySelectorAll(".message-text")].some((text) => text.scrollHeight > text.clientHeight + 2 || text.scrollWidth > text.clientWidth + 2);
    button.hidden = !this.open && !cut;
  }

  block(role, text, isQuestion) {
    const kind = role === RENDERED ? "rendered" : ["system", "user", "assistant", "tool"].includes(role) ? role : "other";
    const shape = this.open ? "open" : isQuestion ? "question" : "line";
    return make("div", `message ${shape} ${kind}`, make("span", `chip ${kind}`, role), make("span", "message-text", text.trim()));
  }
}

// A reference; an episode is shown turn by turn, by the marks that the teacher reads.
function referenceBlocks(text) {
  const parts = text.split(/^\[(action|observation)\]\n/m);
  if (parts.length < 3 || parts[0] !== "") return [text];
  const blocks = [];
  for (let i = 1; i < parts.length; i += 2) {
    const role = parts[i] === "action" ? "assistant" : "tool";
    blocks.push(make("div", `turn ${role}`, make("span", `chip ${role}`, parts[i]), make("div", "turn-text", parts[i + 1].trim())));
  }
  return blocks;
}
