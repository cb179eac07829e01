/** The list beside the image: what was found. Pointing at a row lights the object, and the other way round. */

import { bar, el, percent, rebuild, swatch, thousands } from "./dom.js";

/**
 * @param {{result, rows: object[], wish, model}} shown
 * @param {{light: (id: number | null) => void, hide: (label: string) => void}} told
 */
export function showResult(section, shown, told) {
  const view = { classes: classesView, map: mapView, boxes: objectsView, instances: objectsView }[shown.result.kind];
  const scrolled = section.querySelector(".rows")?.scrollTop ?? 0;
  rebuild(section, ...view(shown, told));
  const list = section.querySelector(".rows");
  if (list && scrolled) list.scrollTop = scrolled; // a slider that filters must not lose one's place
}

/** Marks the row of an object (null: of none), and brings it into the list's sight when asked. */
export function markRow(section, id, { scroll }) {
  section.querySelector(".lit")?.classList.remove("lit");
  const element = id !== null && section.querySelector(`[data-row="${id}"]`);
  if (!element) return;
  element.classList.add("lit");
  const list = element.closest(".rows");
  if (scroll) list.scrollTop = element.offsetTop - list.offsetTop - list.clientHeight / 2;
}

/** "17 objects", for the status line. */
export function inWords({ result, rows }) {
  if (result.kind === "classes") return `${rows[0].label}, score ${rows[0].score.toFixed(3)}`;
  if (result.kind === "map") return `${rows.length} of ${result.rows.length} classes shown`;
  const limit = result.capped ? "; the answer was cut there (max_detections)" : "";
  return `${rows.length} ${rows.length === 1 ? "object" : "objects"}${limit}`;
}

function classesView({ rows }, told) {
  const items = rows.map((row) =>
    line(row, told, [...named(row), bar(row.score, row.colour), el("b", {}, row.score.toFixed(4))]),
  );
  return [el("h2", {}, "Likeliest classes"), list(items)];
}

function mapView({ result, wish }, told) {
  const items = result.rows.map((row) =>
    line(row, told, [
      chip(row, wish, told),
      bar(row.share, row.colour),
      el("b", {}, percent(row.share)),
      el("span", { class: "small" }, `${thousands(row.areaPx)} px`),
    ], "div"),
  );
  return [el("h2", {}, "Legend, and share of the image"), list(items)];
}

function objectsView({ result, rows, wish, model }, told) {
  const masks = result.kind === "instances";
  const pixels = result.width * result.height;
  const counts = model.labels.map((label, classId) => {
    const mine = rows.filter((row) => row.classId === classId);
    const area = mine.reduce((sum, row) => sum + (row.areaPx ?? 0), 0);
    const any = result.rows.find((row) => row.classId === classId);
    return { label, count: mine.length, area, any };
  });
  const total = counts.reduce((sum, { area }) => sum + area, 0);
  const chips = counts.filter(({ any }) => any).map(({ label, count, area, any }) => {
    const text = masks && count ? `${count} · ${percent(area / pixels)}` : String(count);
    return el("li", {}, chip({ ...any, label }, wish, told), el("span", { class: "small" }, text));
  });
  const items = rows.map((row) =>
    line(row, told, [
      ...named(row),
      el("span", { class: "small" }, `${thousands(row.areaPx ?? boxArea(row.box))} px`),
      el("b", {}, row.score.toFixed(3)),
    ]),
  );
  const sum = masks && rows.length ? `, ${percent(total / pixels)} of the image (${thousands(total)}\u00a0px)` : "";
  const title = el("h2", {}, `${rows.length} ${rows.length === 1 ? "object" : "objects"}${sum}`);
  return [title, el("ul", { class: "chips" }, chips), list(items)];
}

const named = ({ colour, label }) => [swatch(colour), el("span", { class: "name" }, label)];
const boxArea = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);

/** A class that can be switched off and on. */
function chip({ label, colour }, wish, told) {
  const shown = !wish.hidden.has(label);
  const state = { class: "chip", "data-key": label, "aria-pressed": String(shown) };
  return el("button", { type: "button", ...state, onclick: () => told.hide(label) }, swatch(colour), label);
}

function line(row, told, parts, tag = "button") {
  return el("li", {}, el(tag, {
    ...(tag === "button" && { type: "button", tabindex: "-1" }),
    class: "line",
    "data-row": row.id,
    "data-key": `row ${row.id}`,
    onmouseenter: () => told.light(row.id),
    onmouseleave: () => told.light(null),
    onfocusin: () => told.light(row.id),
    onfocusout: () => told.light(null),
    onclick: () => told.light(row.id),
  }, parts));
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
