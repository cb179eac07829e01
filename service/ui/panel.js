/** Result panel: the list of what was found, in both directions linked with the image by highlighting. */

import { bar, el, percent, rebuild, swatch, thousands } from "./dom.js";

const VIEWS = { classes: classesView, map: mapView, objects: objectsView, other: jsonView };
const MAX_JSON = 100_000; // characters; a longer text would make the page slow

/**
 * Reports the row that the pointer or the focus is on, and null when it leaves. The listeners are on the section, which
 * stays, and not on rows, which are replaced at every change: no event reports that the pointer left a row which was
 * replaced under it.
 * @param {(id: number | null) => void} highlight
 */
export function listenForRows(section, highlight) {
  const report = ({ target }) => {
    const line = target.closest("[data-row]");
    highlight(line ? Number(line.dataset.row) : null);
  };
  for (const kind of ["mouseover", "focusin", "click"]) section.addEventListener(kind, report);
  for (const kind of ["mouseleave", "focusout"]) section.addEventListener(kind, () => highlight(null));
}

/**
 * @param {{result, rows: object[], options, model, entry}} shown
 * @param {(label: string) => void} hide switches a class off or on
 */
export function showResult(section, shown, hide) {
  const scrolled = section.querySelector(".rows")?.scrollTop ?? 0;
  rebuild(section, ...VIEWS[shown.result.kind](shown, hide));
  const list = section.querySelector(".rows");
  if (list && scrolled) list.scrollTop = scrolled; // a slider that filters must not lose one's place
}

/** Marks the row of an object (null: of none), and scrolls the list to it when asked. */
export function markRow(section, id, { scroll }) {
  section.querySelector(".highlighted")?.classList.remove("highlighted");
  const element = id !== null && section.querySelector(`[data-row="${id}"]`);
  if (!element) return;
  element.classList.add("highlighted");
  const list = element.closest(".rows");
  if (scroll) list.scrollTop = element.offsetTop - list.offsetTop - list.clientHeight / 2;
}

/** "17 objects", for the status line. */
export function describe({ result, rows }) {
  if (result.kind === "classes") return `${rows[0].label}, score ${rows[0].score.toFixed(3)}`;
  if (result.kind === "map") return `${found(result)}${hiddenIn(result, rows)}`;
  if (result.kind === "other") return "Answered";
  const limit = result.capped ? "; the answer was cut there (max_detections)" : "";
  return `${rows.length} ${rows.length === 1 ? "object" : "objects"}${limit}`;
}

const found = ({ rows, known }) => `${rows.length} of ${known} ${known === 1 ? "class" : "classes"} found`;
const hiddenIn = (result, rows) => (rows.length < result.rows.length ? `, ${result.rows.length - rows.length} hidden` : "");
const SCORES = "Scores go from 0 to 1";
const AREAS = "px: pixels of the original image";
const units = (...texts) => el("p", { class: "small units" }, `${texts.join(". ")}.`);

function classesView({ rows }) {
  const items = rows.map((row) =>
    line(row, [...named(row), bar(row.score, row.colour), el("b", {}, row.score.toFixed(4))]),
  );
  return [el("h2", {}, "Most likely classes"), list(items), units(`${SCORES} and add up to 1 over all classes`)];
}

function mapView({ result, options }, hide) {
  const items = result.rows.map((row) =>
    line(row, [
      chip(row, options, hide),
      bar(row.share, row.colour),
      el("b", {}, percent(row.share)),
      el("span", { class: "small" }, `${thousands(row.areaPx)} px`),
    ], "div"),
  );
  const title = el("h2", {}, `${found(result)}, and their share of the image`);
  return [title, list(items), units(AREAS)];
}

function objectsView({ result, rows, options, model }, hide) {
  const pixels = result.width * result.height;
  const counts = model.labels.map((label, classId) => {
    const mine = rows.filter((row) => row.classId === classId);
    const area = mine.reduce((sum, row) => sum + (row.areaPx ?? 0), 0);
    const any = result.rows.find((row) => row.classId === classId);
    return { label, count: mine.length, area, any };
  });
  const total = counts.reduce((sum, { area }) => sum + area, 0);
  const chips = counts.filter(({ any }) => any).map(({ label, count, area, any }) => {
    const text = result.masks && count ? `${count} · ${percent(area / pixels)}` : String(count);
    return el("li", {}, chip({ ...any, label }, options, hide), el("span", { class: "small" }, text));
  });
  const items = rows.map((row) =>
    line(row, [
      ...named(row),
      el("span", { class: "small" }, `${thousands(row.areaPx ?? boxArea(row.box))} px`),
      el("b", {}, row.score.toFixed(3)),
    ]),
  );
  const sum = result.masks && rows.length ? `, ${percent(total / pixels)} of the image (${thousands(total)}\u00a0px)` : "";
  const title = el("h2", {}, `${rows.length} ${rows.length === 1 ? "object" : "objects"}${sum}`);
  const area = result.masks ? "the area of the object" : "the area of its box";
  return [title, el("ul", { class: "chips" }, chips), list(items), units(SCORES, `${AREAS}, ${area}`)];
}

/** An answer of a kind that this page has no view for. */
function jsonView({ entry }) {
  const text = JSON.stringify(entry, null, 2);
  const more = text.length - MAX_JSON;
  return [
    el("h2", {}, "Answer"),
    el("pre", { class: "answer", tabindex: "0" }, text.slice(0, MAX_JSON)),
    more > 0 ? el("p", { class: "small" }, `${thousands(more)} more characters: save the JSON to see them.`) : null,
  ];
}

const named = ({ colour, label }) => [swatch(colour), el("span", { class: "name" }, label)];
const boxArea = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);

/** A class that can be switched off and on. */
function chip({ label, colour }, options, hide) {
  const shown = !options.hidden.has(label);
  const state = { class: "chip", "data-key": label, "aria-pressed": String(shown) };
  return el("button", { type: "button", ...state, onclick: () => hide(label) }, swatch(colour), label);
}

function line(row, parts, tag = "button") {
  const button = tag === "button" && { type: "button", tabindex: "-1" };
  return el("li", {}, el(tag, { ...button, class: "line", "data-row": row.id, "data-key": `row ${row.id}` }, parts));
}

/** One stop for the Tab key; arrow keys go from row to row. */
function list(items) {
  const rows = el("ol", { class: "rows" }, items);
  const buttons = [...rows.querySelectorAll("button.line")];
  if (buttons[0]) buttons[0].tabIndex = 0;
  rows.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const next = step && buttons[buttons.indexOf(document.activeElement) + step];
    if (!next) return;
    event.preventDefault();
    document.activeElement.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  return rows;
}
