/**
 * The part of Markdown that model cards are written in -> elements: headings, paragraphs, lists, tables, fenced code,
 * and inside of them `code`, **bold**, *emphasis* and links. What is not understood stays readable text.
 */

import { el } from "./dom.js";

const INLINE = new RegExp(
  [
    /`([^`]+)`/,
    /\*\*(.+?)\*\*/,
    /(?<![\w*])\*([^*\s][^*]*)\*(?!\w)/,
    /\[([^\]]+)\]\((https?:[^)\s]+)\)/, // no other scheme becomes a link
    /(https?:\/\/[^\s)>,]+[^\s)>,.;])/,
  ]
    .map(({ source }) => source)
    .join("|"),
  "g",
);

/** @returns {HTMLElement[]} */
export function markdown(text) {
  const lines = text.replaceAll("\r", "").split("\n");
  const blocks = [];
  while (lines.length) {
    const read = [fence, heading, table, list].find((block) => block.starts(lines)) ?? paragraph;
    const block = read.take(lines);
    if (block) blocks.push(block);
  }
  return blocks;
}

const fence = {
  starts: ([line]) => line.startsWith("```"),
  take(lines) {
    lines.shift();
    const end = lines.findIndex((line) => line.startsWith("```"));
    const body = lines.splice(0, end < 0 ? lines.length : end);
    lines.shift();
    return el("pre", { tabindex: "0" }, el("code", {}, body.join("\n")));
  },
};

const heading = {
  starts: ([line]) => /^#{1,6} /.test(line),
  take(lines) {
    const [, marks, text] = lines.shift().match(/^(#+) (.*)$/);
    return el(`h${Math.min(6, marks.length + 1)}`, {}, inline(text)); // the dialog has the h1 of its own
  },
};

const table = {
  starts: ([head, rule]) => head.includes("|") && /^\s*\|?[\s:|-]*-[\s:|-]*$/.test(rule ?? ""),
  take(lines) {
    const [head, , ...rest] = lines;
    const body = rest.slice(0, rest.findIndex((line) => !line.includes("|")) >>> 0);
    lines.splice(0, body.length + 2);
    const row = (line, tag) => el("tr", {}, cells(line).map((cell) => el(tag, {}, inline(cell))));
    const rows = body.map((line) => row(line, "td"));
    return el("div", { class: "wide" }, el("table", {}, el("thead", {}, row(head, "th")), el("tbody", {}, rows)));
  },
};

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());

const list = {
  starts: ([line]) => /^\s*([-*]|\d+\.) /.test(line),
  take(lines) {
    const ordered = /^\s*\d/.test(lines[0]);
    const items = [];
    while (lines.length && (list.starts(lines) || /^\s+\S/.test(lines[0]))) {
      const line = lines.shift();
      if (list.starts([line])) items.push(line.replace(/^\s*([-*]|\d+\.) /, ""));
      else items[items.length - 1] += ` ${line.trim()}`;
    }
    return el(ordered ? "ol" : "ul", {}, items.map((item) => el("li", {}, inline(item))));
  },
};

const paragraph = {
  take(lines) {
    const ends = (line) => !line.trim() || [fence, heading, list].some((block) => block.starts([line]));
    const end = lines.findIndex((line, i) => (i ? ends(line) : !line.trim()));
    const text = lines.splice(0, end < 0 ? lines.length : Math.max(end, 1)).join(" ").trim();
    return text && el("p", {}, inline(text));
  },
};

function inline(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(INLINE)) {
    const [whole, code, bold, emphasis, words, target, plain] = found;
    parts.push(text.slice(at, found.index));
    if (code) parts.push(el("code", {}, code));
    else if (bold) parts.push(el("b", {}, inline(bold)));
    else if (emphasis) parts.push(el("em", {}, inline(emphasis)));
    else parts.push(el("a", { href: target ?? plain, rel: "noreferrer", target: "_blank" }, words ?? plain));
    at = found.index + whole.length;
  }
  return [...parts, text.slice(at)];
}
