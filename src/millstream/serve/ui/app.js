// The chat page: what the person does, what the run says, and what is kept for a reload.

import * as server from "./stream.js";
import { element } from "./markdown.js";
import { View, textOf } from "./view.js";

const THREAD = "millstream.thread";
const STOP_PATIENCE = 3_000; // milliseconds until a run that does not end is left

const $ = (id) => document.getElementById(id);
const [form, input, sendButton, stopButton] = ["form", "input", "send", "stop"].map($);
const view = new View({ log: $("log"), scroller: $("scroller"), latest: $("latest") });

let current = null; // the run under way: {runId, abort, stopped, done}

// Running

/** Sends a message and shows the run until it ends. `id` makes a second try replace the message and not repeat it. */
async function send(text, id = crypto.randomUUID?.() ?? `m-${Date.now()}-${Math.random()}`) {
  const turn = view.turn();
  const mine = (current = { runId: null, abort: new AbortController(), stopped: false, done: false });
  const started = performance.now();
  const totals = noTokens();
  setBusy(true);
  turn.wait();
  say("Answering");
  const body = { input: { messages: [{ role: "user", content: text, id }] } };
  const thread = sessionStorage.getItem(THREAD);
  if (thread) body.thread_id = thread;
  try {
    for await (const records of server.run(body, mine.abort.signal)) {
      for (const record of records) take(record, turn, mine, totals, () => again(text, id));
    }
  } catch (error) {
    turn.end();
    if (error.name !== "AbortError") turn.error(error.message, null, () => again(text, id));
    else if (current === mine) turn.note("Stopped.");
  }
  turn.end();
  if (mine.done || totals.total_tokens) turn.usage(totals, (performance.now() - started) / 1000);
  if (current === mine) {
    current = null;
    setBusy(false);
    say("Done");
  }
}

/** What one record shows. Unknown types and keys are for newer pages. */
function take(record, turn, mine, totals, retry) {
  switch (record.type) {
    case "start":
      mine.runId = record.run_id;
      sessionStorage.setItem(THREAD, record.thread_id);
      if (record.model && !$("model").textContent) $("model").textContent = record.model;
      if (mine.stopped) askToStop(mine);
      break;
    case "token":
      turn.token(record.message_id, String(record.content));
      break;
    case "attempt":
      turn.drop(record.supersedes);
      break;
    case "tool_call":
      say(`Using ${record.name}`);
      turn.toolCall(record.id, String(record.name), record.args, record.message_id);
      break;
    case "tool_result":
      turn.toolResult(record.id, String(record.name), record.result, record.status);
      break;
    case "usage":
      count(totals, record);
      break;
    case "error":
      turn.end();
      turn.error(String(record.message), record.error_id, retry);
      break;
    case "done":
      mine.done = true;
      turn.end();
      if (record.status === "interrupted") turn.note("Waiting for an answer.");
      if (record.status === "stopped") turn.note(STOPPED[record.cause] ?? "Stopped.");
      break;
  }
}

function noTokens() {
  return { input_tokens: 0, output_tokens: 0, total_tokens: 0 };
}

function count(totals, usage) {
  for (const key of Object.keys(totals)) totals[key] += Number(usage?.[key]) || 0;
}

const STOPPED = {
  stop: "Stopped.",
  timeout: "Stopped: it took too long.",
  drain: "Stopped: the server is shutting down.",
};

function again(text, id) {
  if (!current) send(text, id);
}

function stop() {
  if (!current || current.stopped) return;
  current.stopped = true;
  stopButton.disabled = true;
  if (current.runId) askToStop(current);
  else setTimeout(() => current?.stopped && !current.runId && current.abort.abort(), STOP_PATIENCE);
}

function askToStop(mine) {
  server.stop(mine.runId).catch(() => mine.abort.abort());
  setTimeout(() => current === mine && mine.abort.abort(), STOP_PATIENCE);
}

// The page around it

function setBusy(busy) {
  view.busy = busy;
  stopButton.hidden = !busy;
  stopButton.disabled = false;
  sendButton.hidden = busy;
  sendButton.disabled = !input.value.trim();
}

function say(text) {
  $("status").textContent = text;
}

function submit() {
  const text = input.value.trim();
  if (!text || current) return;
  input.value = "";
  fit();
  $("empty").hidden = true;
  view.person(text);
  send(text);
}

function fit() {
  input.style.height = "auto";
  input.style.height = `${input.scrollHeight}px`;
  sendButton.disabled = !input.value.trim();
}

function reset() {
  if (current) {
    const old = current;
    current = null;
    if (old.runId) server.stop(old.runId).catch(() => {});
    old.abort.abort();
  }
  sessionStorage.removeItem(THREAD);
  view.clear();
  setBusy(false);
  $("empty").hidden = false;
  input.focus();
}

function suggest() {
  for (const text of JSON.parse(document.body.dataset.suggestions || "[]")) {
    const button = element("button", { type: "button" }, text);
    button.addEventListener("click", () => {
      input.value = text;
      submit();
    });
    $("suggestions").append(button);
  }
}

/** Shows the conversation that this tab had before it was reloaded. */
async function restore() {
  const id = sessionStorage.getItem(THREAD);
  const thread = id && (await server.thread(id).catch(() => null));
  // Nothing is kept of it: the next message starts a new one.
  if (!thread) return sessionStorage.removeItem(THREAD);
  if (current || !thread.messages.length) return;
  $("empty").hidden = true;
  let turn = null;
  let totals = noTokens();
  const finish = () => {
    turn?.end();
    if (totals.total_tokens) turn.usage(totals, null);
    turn = null;
    totals = noTokens();
  };
  for (const message of thread.messages) {
    if (message.role === "user") {
      finish();
      view.person(textOf(message.content));
      continue;
    }
    turn ??= view.turn();
    count(totals, message.usage);
    if (message.role === "tool") {
      turn.toolResult(message.tool_call_id, message.name ?? "tool", message.content, message.status);
      continue;
    }
    const text = typeof message.content === "string" ? message.content : textOf(message.content);
    if (text) turn.token(message.message_id, text);
    for (const call of message.tool_calls ?? []) turn.toolCall(call.id, call.name, call.args);
  }
  finish();
  view.toEnd();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
input.addEventListener("input", fit);
input.addEventListener("keydown", (event) => {
  // While an input method composes, Enter chooses a word.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
});
stopButton.addEventListener("click", stop);
$("new").addEventListener("click", reset);
$("notice").hidden = !$("notice").textContent.trim();
suggest();
fit();
restore();
