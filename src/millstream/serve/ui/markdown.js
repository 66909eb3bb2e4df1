// Markdown as it streams in, made of DOM nodes by hand: no text ever becomes markup.
//
// Blocks that are complete are made once; only the open block is made again when text arrives. A block is closed by
// force when it grows beyond BLOCK_LIMIT, at a place that does not depend on how the text was cut: so the time is linear
// and the result the same, however the text comes.

const BLOCK_LIMIT = 8_192;
const LINK_TEXT = 1_000;
const LINK_TARGET = 2_000;
const DEPTH = 4;

/** Renders markdown into `root`, piece by piece. */
export class Markdown {
  #root;
  #line = ""; // the last line, as far as it is known
  #block = []; // lines of the open block
  #size = 0;
  #fence = null; // {mark, code}: inside a code block
  #open = null; // the node of the open block
  #partial = null; // text node of the unfinished line of a code block

  constructor(root) {
    this.#root = root;
  }

  /** Takes more text. */
  append(text) {
    const lines = (this.#line + text).split("\n");
    this.#line = lines.pop();
    for (const line of lines) this.#take(line);
    this.#line = this.#cut(this.#line);
    this.#show();
  }

  /** Says that there is no more: what looked unfinished is what it is. */
  end() {
    if (this.#line) this.#take(this.#line);
    this.#line = "";
    this.#close();
    this.#fence = null;
  }

  // Lines

  #take(line) {
    this.#takeLine(this.#cut(line.endsWith("\r") ? line.slice(0, -1) : line));
  }

  /** Takes as much of `line` as is too large for one block, closing blocks after exactly what they may have. */
  #cut(line) {
    while (!this.#fence && this.#size + line.length > BLOCK_LIMIT) {
      const room = BLOCK_LIMIT - this.#size;
      if (room > 0) this.#takeLine(line.slice(0, room));
      this.#close();
      line = line.slice(Math.max(room, 0));
    }
    return line;
  }

  #takeLine(line) {
    if (this.#fence) return this.#takeCode(line);
    const fence = /^ {0,3}(```+|~~~+)\s*([\w+#.-]*)[^`]*$/.exec(line);
    if (fence) return this.#openFence(fence[1], fence[2]);
    if (!line.trim()) return this.#close();
    const kind = kindOf(line);
    if (this.#block.length && !continues(kindOf(this.#block[0]), kind)) this.#close();
    this.#block.push(line);
    this.#size += line.length + 1;
    if (kind === "heading" || kind === "rule") this.#close();
  }

  #openFence(mark, language) {
    this.#close();
    const code = element("code", language && { "data-language": language });
    this.#fence = { mark, code };
    const pre = element("pre", { class: "code", tabindex: "0" }, code);
    this.#root.append(pre);
    this.#partial = null;
  }

  #takeCode(line) {
    const { mark, code } = this.#fence;
    this.#partial?.remove();
    this.#partial = null;
    const trimmed = line.trim();
    if (trimmed.length >= mark.length && trimmed === mark[0].repeat(trimmed.length)) this.#fence = null;
    else code.append(`${line}\n`);
  }

  #close() {
    if (this.#block.length) {
      const made = block(this.#block);
      if (this.#open) this.#open.replaceWith(made);
      else this.#root.append(made);
    } else {
      this.#open?.remove();
    }
    this.#open = null;
    this.#block = [];
    this.#size = 0;
  }

  #show() {
    if (this.#fence) {
      if (!this.#line) return;
      if (!this.#partial) this.#fence.code.append((this.#partial = document.createTextNode("")));
      this.#partial.data = this.#line;
      return;
    }
    // What may become a code block is not shown as anything else first.
    const hidden = !this.#line.trim() || /^ {0,3}(`|~|``|~~|(```+|~~~+)[\w+#.-]*)$/.test(this.#line);
    const lines = hidden ? this.#block : [...this.#block, this.#line];
    if (!lines.length) return;
    const made = block(lines);
    if (this.#open) this.#open.replaceWith(made);
    else this.#root.append(made);
    this.#open = made;
  }
}

// Blocks

function kindOf(line) {
  if (/^ {0,3}#{1,6}\s/.test(line)) return "heading";
  if (/^ {0,3}([-*_])[ \t]*(\1[ \t]*){2,}$/.test(line)) return "rule";
  if (/^\s*([-*+•]|\d{1,9}[.)])\s+\S/.test(line)) return "list";
  if (/^ {0,3}>/.test(line)) return "quote";
  if (/^ {0,3}\|/.test(line)) return "table";
  return "text";
}

function continues(open, next) {
  if (open === next) return open !== "heading" && open !== "rule";
  return next === "text" && (open === "list" || open === "quote");
}

function block(lines) {
  switch (kindOf(lines[0])) {
    case "heading": {
      const [, marks, text] = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/.exec(lines[0]) ?? [null, "#", lines[0]];
      // The page's own headings are h1 and h2.
      return inline(element(`h${Math.min(marks.length + 2, 6)}`), text, DEPTH);
    }
    case "rule":
      return element("hr");
    case "list":
      return list(lines);
    case "quote":
      return inline(element("blockquote"), lines.map((line) => line.replace(/^ {0,3}> ?/, "")).join("\n"), DEPTH);
    case "table":
      return table(lines);
    default:
      return inline(element("p"), lines.join("\n"), DEPTH);
  }
}

function list(lines) {
  const root = listOf(lines[0]);
  const levels = [{ indent: indentOf(lines[0]), list: root }];
  let item = null;
  let text = [];
  const finish = () => item && inline(item, text.join("\n"), DEPTH);
  for (const line of lines) {
    const mark = /^(\s*)([-*+•]|\d{1,9}[.)])\s+(.*)$/.exec(line);
    if (!mark) {
      text.push(line.trim());
      continue;
    }
    finish();
    const indent = indentOf(line);
    while (levels.length > 1 && indent < levels.at(-1).indent) levels.pop();
    if (item && indent > levels.at(-1).indent + 1 && levels.length < DEPTH) {
      const nested = listOf(line);
      item.append(nested);
      levels.push({ indent, list: nested });
    }
    item = element("li");
    text = [mark[3]];
    levels.at(-1).list.append(item);
  }
  finish();
  return root;
}

function listOf(line) {
  const number = /^\s*(\d{1,9})[.)]/.exec(line);
  return number ? element("ol", { start: number[1] }) : element("ul");
}

function indentOf(line) {
  return /^\s*/.exec(line)[0].replaceAll("\t", "    ").length;
}

function table(lines) {
  const rows = lines.map((line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim()));
  const ruled = rows.length > 1 && rows[1].every((cell) => /^:?-+:?$/.test(cell));
  const made = element("table");
  rows.forEach((cells, index) => {
    if (ruled && index === 1) return;
    const row = element("tr");
    const name = ruled && index === 0 ? "th" : "td";
    for (const cell of cells) row.append(inline(element(name), cell, DEPTH));
    made.append(row);
  });
  return element("div", { class: "table" }, made);
}

// Inside a block

/** Puts `text` into `parent` with code, emphasis and links; anything else stays text. */
function inline(parent, text, depth) {
  const special = /[`*_\[!h\\]/g;
  const missing = new Set(); // closing marks that do not come any more
  let plain = 0;
  let match;
  while ((match = special.exec(text))) {
    const at = match.index;
    const found = depth > 0 && spanAt(text, at, depth, missing);
    if (!found) continue;
    if (at > plain) parent.append(text.slice(plain, at));
    parent.append(found.node);
    plain = special.lastIndex = found.end;
  }
  if (plain < text.length) parent.append(text.slice(plain));
  return parent;
}

function spanAt(text, at, depth, missing) {
  switch (text[at]) {
    case "\\":
      return /[\\`*_\[\]#|~>!-]/.test(text[at + 1] ?? "") ? { node: text[at + 1], end: at + 2 } : null;
    case "`":
      return codeAt(text, at, missing);
    case "*":
    case "_":
      return emphasisAt(text, at, depth, missing);
    case "!":
      return text[at + 1] === "[" ? linkAt(text, at + 1, depth) : null;
    case "[":
      return linkAt(text, at, depth);
    default:
      return addressAt(text, at);
  }
}

function codeAt(text, at, missing) {
  const mark = /^`+/.exec(text.slice(at, at + 8))[0];
  const end = closing(text, mark, at + mark.length, missing);
  if (end < 0) return null;
  return { node: element("code", {}, text.slice(at + mark.length, end).replace(/^ (.*) $/, "$1")), end: end + mark.length };
}

function emphasisAt(text, at, depth, missing) {
  const mark = text.startsWith(text[at].repeat(2), at) ? text[at].repeat(2) : text[at];
  const from = at + mark.length;
  // 2 * 3 and snake_case are no emphasis.
  if (!/\S/.test(text[from] ?? "") || (mark[0] === "_" && /\w/.test(text[at - 1] ?? ""))) return null;
  const end = closing(text, mark, from, missing);
  if (end <= from || /\s/.test(text[end - 1])) return null;
  if (mark[0] === "_" && /\w/.test(text[end + mark.length] ?? "")) return null;
  const node = inline(element(mark.length === 2 ? "strong" : "em"), text.slice(from, end), depth - 1);
  return { node, end: end + mark.length };
}

function closing(text, mark, from, missing) {
  if (missing.has(mark)) return -1;
  const end = text.indexOf(mark, from);
  if (end < 0) missing.add(mark);
  return end;
}

function linkAt(text, at, depth) {
  const middle = text.slice(at, at + LINK_TEXT).indexOf("](");
  if (middle < 1) return null;
  const from = at + middle + 2;
  const length = text.slice(from, from + LINK_TARGET).indexOf(")");
  if (length < 0) return null;
  const label = text.slice(at + 1, at + middle);
  const node = link(text.slice(from, from + length).trim().split(/\s/)[0], label, depth - 1);
  return node && { node, end: from + length + 1 };
}

function addressAt(text, at) {
  if (/\w/.test(text[at - 1] ?? "")) return null;
  const found = /^https?:\/\/[^\s<>"'`\]|*]+/.exec(text.slice(at, at + LINK_TARGET));
  if (!found) return null;
  const address = found[0].replace(/[.,;:!?)]+$/, "");
  const node = link(address, address, 0);
  return node && { node, end: at + address.length };
}

/** A link that opens elsewhere and says where it leads; null for anything but http, https and mailto. */
function link(target, label, depth) {
  let url;
  try {
    url = new URL(target);
  } catch {
    return null;
  }
  if (!["http:", "https:", "mailto:"].includes(url.protocol)) return null;
  const node = element("a", { href: url.href, rel: "noopener noreferrer nofollow", target: "_blank", title: url.href });
  inline(node, label || url.href, depth);
  const place = url.host || url.pathname;
  if (label.includes(place)) return node;
  return element("span", {}, node, element("span", { class: "host" }, ` (${place})`));
}

/** An element with attributes and children; strings become text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
