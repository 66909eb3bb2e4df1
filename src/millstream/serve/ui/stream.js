// Talks to the server: starts a run and hands out its records as they come.

/** A refusal before the first record, or a connection that broke. */
export class RunError extends Error {
  constructor(message, { code = "unknown", retryable = true } = {}) {
    super(message);
    this.code = code;
    this.retryable = retryable;
  }
}

/** Cuts text that arrives in any pieces into lines. */
export class Lines {
  #rest = [];

  /** The lines that are complete now. */
  feed(text) {
    const lines = text.split("\n");
    if (lines.length === 1) {
      this.#rest.push(text);
      return [];
    }
    // A long line in many pieces is joined once, when its end comes.
    lines[0] = this.#rest.join("") + lines[0];
    this.#rest = [lines.pop()];
    return lines;
  }
}

/**
 * Starts a run; an async iterator over lists of records, each list what one read brought. Ends after the terminal
 * record and throws RunError when there is none.
 */
export async function* run(body, signal) {
  const response = await fetched("runs", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/x-ndjson" },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok) throw await refusal(response);
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const lines = new Lines();
  try {
    for (;;) {
      const { done, value } = await read(reader);
      if (done) break;
      // An empty line is a heartbeat.
      const records = lines.feed(decoder.decode(value, { stream: true })).filter(Boolean).map(parse).filter(Boolean);
      if (records.length) yield records;
      if (records.some(isTerminal)) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
  throw new RunError("The connection was lost before the answer was complete.", { code: "cut" });
}

/** Asks the server to stop a run; its stream then ends with `done`. */
export async function stop(runId) {
  await fetched(`runs/${encodeURIComponent(runId)}/stop`, { method: "POST" });
}

/** A stored conversation, or null if there is none. */
export async function thread(threadId) {
  const response = await fetched(`threads/${encodeURIComponent(threadId)}`, {});
  return response.ok ? response.json() : null;
}

function isTerminal(record) {
  return record.type === "done" || record.type === "error";
}

function parse(line) {
  try {
    const record = JSON.parse(line);
    return record !== null && typeof record === "object" ? record : null;
  } catch {
    return null;
  }
}

async function fetched(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RunError("The server cannot be reached.", { code: "unreachable" });
  }
}

async function read(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RunError("The connection was lost before the answer was complete.", { code: "cut" });
  }
}

async function refusal(response) {
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch {
    // Not ours: a proxy's page.
  }
  const message = typeof error.message === "string" ? error.message : `The server answered ${response.status}.`;
  const retryable = response.status === 409 || response.status === 429 || response.status >= 500;
  return new RunError(message, { code: String(error.code ?? response.status), retryable });
}
