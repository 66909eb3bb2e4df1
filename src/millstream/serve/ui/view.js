// The conversation on the page: turns, tool cards, usage, errors.

import { Markdown, element } from "./markdown.js";

const NEAR_END = 80; // pixels: a reader this close to the end wants to stay there
const SHOWN_RESULT = 20_000; // characters of a tool's result that are put on the page

const SIGNS = { running: "", success: "✓", error: "!", stopped: "–" };

/** What is shown of the conversation. Text is collected and put on the page once a frame. */
export class View {
  #log;
  #scroller;
  #latest;
  #frame = 0;
  #dirty = new Set(); // answers with text that is not on the page yet

  constructor({ log, scroller, latest }) {
    this.#log = log;
    this.#scroller = scroller;
    this.#latest = latest;
    scroller.addEventListener("scroll", () => this.#mark(), { passive: true });
    new ResizeObserver(() => this.#follow()).observe(scroller);
    latest.addEventListener("click", () => this.toEnd());
  }

  /** Shows what the person said. */
  person(text) {
    this.#add(element("div", { class: "turn person" }, element("div", { class: "bubble" }, text)));
    this.toEnd();
  }

  /** A new turn of the agent. */
  turn() {
    const turn = new Turn(this);
    this.#add(turn.node);
    return turn;
  }

  /** Forgets everything. */
  clear() {
    this.#dirty.clear();
    this.#log.replaceChildren();
    this.#mark();
  }

  set busy(value) {
    // Screen readers speak an answer when it is complete, not word by word.
    this.#log.setAttribute("aria-busy", String(value));
  }

  /** Goes to the end and stays there. */
  toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#mark();
  }

  /** Puts collected text of `answer` on the page in the next frame. */
  later(answer) {
    this.#dirty.add(answer);
    this.#frame ||= requestAnimationFrame(() => this.flush());
  }

  /** Puts all collected text on the page now. */
  flush() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const stay = this.#atEnd;
    for (const answer of this.#dirty) answer.flush();
    this.#dirty.clear();
    if (stay) this.#follow(true);
    this.#mark();
  }

  /** Runs `change`, and stays at the end if the reader was there. */
  keeping(change) {
    const stay = this.#atEnd;
    const result = change();
    if (stay) this.#follow(true);
    this.#mark();
    return result;
  }

  #stuck = true;

  get #atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  #add(node) {
    this.keeping(() => this.#log.append(node));
  }

  #follow(force = this.#stuck) {
    if (force) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #mark() {
    this.#stuck = this.#atEnd;
    this.#latest.hidden = this.#stuck;
  }
}

/** One turn of the agent: its answers and tool calls in the order they came. */
class Turn {
  #view;
  #body = element("div", { class: "body" });
  #answers = new Map();
  #tools = new Map();
  #waiting = element("div", { class: "waiting", "aria-label": "Thinking" }, element("i"), element("i"), element("i"));

  constructor(view) {
    this.#view = view;
    this.node = element("div", { class: "turn agent" }, this.#body);
  }

  /** Shows that something is under way though there is nothing to see yet. */
  wait(on = true) {
    this.#view.keeping(() => (on ? this.#body.append(this.#waiting) : this.#waiting.remove()));
  }

  token(messageId, content) {
    let answer = this.#answers.get(messageId);
    if (!answer) {
      answer = new Answer();
      this.#answers.set(messageId, answer);
      this.#put(answer.node);
    }
    answer.add(content);
    this.#view.later(answer);
  }

  /** Takes back what a message showed whose model is asked again. */
  drop(messageId) {
    this.#view.flush();
    this.#view.keeping(() => {
      this.#answers.get(messageId)?.node.remove();
      this.#answers.delete(messageId);
      for (const [id, card] of this.#tools) {
        if (card.messageId !== messageId) continue;
        card.node.remove();
        this.#tools.delete(id);
      }
    });
    this.wait();
  }

  toolCall(id, name, args, messageId = null) {
    if (this.#tools.has(id)) return;
    this.#view.flush();
    const card = new ToolCard(name, args);
    card.messageId = messageId;
    this.#tools.set(id, card);
    this.#put(card.node);
  }

  toolResult(id, name, result, status) {
    if (!this.#tools.has(id)) this.toolCall(id, name, {});
    this.#view.keeping(() => this.#tools.get(id).finish(status === "error" ? "error" : "success", result));
    // The model reads the results now.
    if (!this.running) this.wait();
  }

  /** How many tools are at work. */
  get running() {
    return [...this.#tools.values()].filter((card) => card.running).length;
  }

  /** What the turn cost; `seconds` is null where it is not known. */
  usage(usage, seconds) {
    const parts = [];
    if (usage.total_tokens) parts.push(`${number(usage.input_tokens)} tokens in`, `${number(usage.output_tokens)} out`);
    if (seconds !== null) parts.push(`${seconds.toFixed(1)} s`);
    if (parts.length) this.#put(element("p", { class: "usage" }, parts.join(" · ")));
  }

  note(text) {
    this.#put(element("p", { class: "note" }, text));
  }

  /** Shows an error; `retry` is called when the person wants to try again. */
  error(message, reference, retry) {
    const box = element("div", { class: "error", role: "alert" }, element("p", {}, message));
    if (reference) box.append(element("p", { class: "reference" }, "Reference: ", element("code", {}, reference)));
    if (retry) {
      const button = element("button", { type: "button" }, "Try again");
      button.addEventListener("click", retry, { once: true });
      box.append(button);
    }
    this.#put(box);
    return box;
  }

  /** No more is coming: what still runs was stopped. */
  end() {
    this.#waiting.remove();
    this.#view.flush();
    this.#view.keeping(() => {
      for (const answer of this.#answers.values()) answer.end();
      for (const card of this.#tools.values()) if (card.running) card.finish("stopped", null);
    });
  }

  #put(node) {
    this.#waiting.remove();
    this.#view.keeping(() => this.#body.append(node));
  }
}

/** One message of the model, as it is written. */
class Answer {
  #pending = "";
  #markdown;

  constructor() {
    this.node = element("div", { class: "answer" });
    this.#markdown = new Markdown(this.node);
  }

  add(text) {
    this.#pending += text;
  }

  flush() {
    this.#markdown.append(this.#pending);
    this.#pending = "";
  }

  end() {
    this.#markdown.end();
  }
}

/** A tool at work and what it gave. */
class ToolCard {
  #sign = element("span", { class: "sign spinner", role: "img", "aria-label": "running" });
  #details = element("div", { class: "details" });
  running = true;

  constructor(name, args) {
    const summary = element(
      "summary",
      {},
      this.#sign,
      element("span", { class: "name" }, name),
      element("span", { class: "args" }, brief(args)),
    );
    this.#details.append(labelled("Arguments", JSON.stringify(args, null, 2) ?? ""));
    this.node = element("details", { class: "tool running" }, summary, this.#details);
  }

  finish(status, result) {
    this.running = false;
    this.node.className = `tool ${status}`;
    this.#sign.className = "sign";
    this.#sign.textContent = SIGNS[status];
    this.#sign.setAttribute("aria-label", status);
    if (result !== null && result !== undefined) this.#details.append(labelled("Result", textOf(result)));
  }
}

function labelled(label, text) {
  const shown = text.length > SHOWN_RESULT ? `${text.slice(0, SHOWN_RESULT)}\n… ${number(text.length - SHOWN_RESULT)} more characters` : text;
  return element("div", {}, element("p", { class: "label" }, label), element("pre", { tabindex: "0" }, shown));
}

/** A result as text: strings as they are (JSON in them made readable), content blocks by their text, all else as JSON. */
export function textOf(value) {
  if (typeof value === "string") {
    try {
      const parsed = JSON.parse(value);
      return typeof parsed === "object" && parsed !== null ? JSON.stringify(parsed, null, 2) : value;
    } catch {
      return value;
    }
  }
  if (Array.isArray(value) && value.every((block) => typeof block?.text === "string" || typeof block === "string")) {
    return value.map((block) => block.text ?? block).join("");
  }
  return JSON.stringify(value, null, 2) ?? "";
}

/** Arguments in one line. */
function brief(args) {
  const values = Object.values(args ?? {});
  return values.map((value) => (typeof value === "string" ? value : JSON.stringify(value))).join(", ").slice(0, 300);
}

function number(value) {
  return Number(value ?? 0).toLocaleString("en");
}
