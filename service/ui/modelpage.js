/** Dialog with everything that is known about a model: its entry of /v1/models, and its card. */

import { card } from "./api.js";
import { el, swatch } from "./dom.js";
import { closeButton } from "./sources.js";
import { colourOf } from "./colour.js";
import { markdown } from "./markdown.js";

const METRIC_NAMES = { miou: "mIoU", top1: "top-1" };

/** One line: the task, and the first metric with the number of images it was measured on; or how it was imported. */
export function summary({ task, metrics, imported }) {
  if (imported) return `${task.replaceAll("-", " ")} · imported, ${imported.reference ? "proved" : "unproved"}`;
  const { split, images, values } = metrics;
  const [figure] = Object.entries(values);
  const measured = figure ? ` · ${METRIC_NAMES[figure[0]] ?? figure[0]} ${figure[1].toFixed(3)} on ${images} ${split} images` : "";
  return `${task.replaceAll("-", " ")}${measured}`;
}

export async function openModelPage(dialog, model) {
  const labels = model.labels.map((label, id) => el("li", { class: "chip" }, swatch(colourOf(id)), label));
  const title = el("h2", {}, `${model.name} `, el("small", {}, `version ${model.version}`));
  const text = el("article", { class: "card" }, el("p", {}, "Loading the card…"));
  dialog.replaceChildren(
    el("div", { class: "dialog-head" }, title, closeButton(dialog)),
    el("p", {}, `${model.task.replaceAll("-", " ")} · ${model.architecture}`),
    facts([
      ["Runs on", provider(model.provider)],
      ["Answers at", `${model.endpoint}${model.default ? ", also when no model is named" : ""}`],
      ["Model input", `${model.input.input_hw[1]} × ${model.input.input_hw[0]} px (${model.input.mode})`],
      ["Digest", el("code", {}, model.digest)],
      ["Data", model.licences.data],
      ["Weights", model.licences.weights],
    ]),
    el("h3", {}, `${model.labels.length} ${model.labels.length === 1 ? "label" : "labels"}`),
    el("ul", { class: "chips" }, labels),
    ...(model.metrics ? metrics(model.metrics) : []),
    ...(model.imported ? origin(model.imported) : []),
    ...parity(model.parity, Boolean(model.imported)),
    el("h3", {}, "Card"),
    text,
  );
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  try {
    text.replaceChildren(...markdown(await card(`${model.name}@${model.version}`)));
  } catch (problem) {
    text.replaceChildren(el("p", { class: "bad" }, `${problem.title}: ${problem.detail}`));
  }
}

function facts(rows) {
  return el("dl", { class: "facts" }, rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function provider({ requested, actual }) {
  return requested === actual ? actual : `${actual} (${requested} was asked for: fallback)`;
}

function metrics({ split, images, values, intervals_95: intervals = {}, per_class: perClass = {} }) {
  const range = (name) => intervals[name]?.map(number).join(" – ") ?? "";
  const shown = Object.entries(values).map(([name, value]) => [name, number(value), range(name)]);
  const columns = Object.keys(Object.values(perClass)[0] ?? {});
  const cells = (row) => columns.map((column) => number(row[column]));
  const classes = Object.entries(perClass).map(([label, row]) => [label, ...cells(row)]);
  return [
    el("h3", {}, `Measured on ${images} images of the ${split} split`),
    table(["figure", "value", "95 % interval"], shown),
    ...(classes.length ? [table(["class", ...columns], classes)] : []),
  ];
}

/** Where an imported model came from, and whether it was proved against its own framework's answers. */
function origin({ source, family, reference }) {
  const proof = reference
    ? `Proved: on ${reference.images} images it answered as ${reference.framework} had. Had to hold: ${reference.criterion}.`
    : "Unproved: nobody showed that it answers as its own framework does. Colours, scale, padding or classes may be read wrongly.";
  return [
    el("h3", {}, "Imported"),
    el("p", {}, `From ${source}, as ${family}.`),
    el("p", { class: reference ? "" : "bad" }, proof),
    ...(reference ? [table(["measured", "value"], Object.entries(reference.measured).map(([name, value]) => [name, number(value)]))] : []),
  ];
}

function parity({ reference, images, batch_sizes: sizes, criterion, measured }, imported) {
  const rows = Object.entries(measured).map(([name, value]) => [name, number(value)]);
  return [
    el("h3", {}, `Parity: the graph against the ${imported ? "imported file" : "trained model"}`),
    el("p", {}, `${images} images in batches of ${sizes.join(", ")}, against ${reference}.`),
    el("p", {}, `Had to hold: ${criterion}.`),
    table(["measured", "value"], rows),
  ];
}

function table(head, rows) {
  const row = (cells, tag) => el("tr", {}, cells.map((cell) => el(tag, {}, cell)));
  const body = rows.map((each) => row(each, "td"));
  return el("div", { class: "wide" }, el("table", {}, el("thead", {}, row(head, "th")), el("tbody", {}, body)));
}

function number(value) {
  if (typeof value !== "number") return String(value ?? "");
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) < 0.001 ? value.toExponential(1) : value.toFixed(4);
}
