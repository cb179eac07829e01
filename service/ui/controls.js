/** Form controls: the model's parameters (`options`) and how the answer is drawn (`display`). */

import { el, rebuild } from "./dom.js";

const trimmed = (value) => String(Math.round(value * 10_000) / 10_000);
const asPercent = (value) => `${Math.round(100 * value)} %`;

const SCORE = "Objects with a greater score are shown. Scores go from 0 to 1.";
const IOU = "Of two boxes of a class that overlap more than this (intersection / union) only the better one is kept.";

/** Parameters of the service that get a slider; any other number among a model's defaults gets a field. */
const SLIDERS = {
  score_threshold: () => ({ label: "Score above", about: SCORE, min: 0, max: 0.99, step: 0.01, show: trimmed }),
  iou_threshold: () => ({ label: "Overlap (IoU)", about: IOU, min: 0, max: 1, step: 0.01, show: trimmed }),
  top_k: ({ labels }) => ({ label: "Classes shown", min: 1, max: Math.min(labels.length, 20), step: 1, show: String }),
};
const OPACITY = { name: "opacity", label: "Opacity", min: 0, max: 1, step: 0.05, show: asPercent };

/**
 * Fills a form with the parameters that a model has.
 * @param {object} options the values; changed in place
 * @param {() => void} changed
 */
export function showParameters(form, model, options, changed) {
  const names = Object.keys(model.defaults).filter((name) => name in options);
  const known = Object.keys(SLIDERS).filter((name) => names.includes(name));
  const others = names.filter((name) => !(name in SLIDERS) && typeof options[name] === "number");
  form.replaceChildren(
    ...known.map((name) => slider({ name, ...SLIDERS[name](model) }, options, changed)),
    ...others.map((name) => field(name, options, changed)),
  );
}

/** The display that suits an answer at first: objects of one single class are distinguished by colour. */
export function defaultDisplay(result, model) {
  const opacity = result.kind === "map" ? 0.55 : 0.45; // as in src/foveal/imaging/drawing.py
  return { boxes: true, labels: true, masks: true, opacity, byObject: model.labels.length === 1 };
}

/** Fills a form with what can be chosen about the drawing of an answer. Values are changed in place. */
export function showDisplay(form, { kind, masks }, display, changed) {
  const objects = kind === "objects";
  const switches = [
    objects && { name: "boxes", label: "Boxes" },
    objects && { name: "labels", label: "Labels" },
    objects && masks && { name: "masks", label: "Masks" },
    objects && masks && { name: "byObject", label: "A colour for each object" },
  ].filter(Boolean);
  rebuild(
    form,
    kind === "map" || masks ? slider(OPACITY, display, changed) : null,
    switches.length ? el("div", { class: "row switches" }, switches.map((each) => toggle(each, display, changed))) : null,
  );
}

function slider({ name, label, about, min, max, step, show }, values, changed) {
  const output = el("output", { for: `slider-${name}` }, show(values[name]));
  const input = el("input", { type: "range", id: `slider-${name}`, min, max, step, value: values[name] });
  input.addEventListener("input", () => {
    values[name] = Number(input.value);
    output.value = show(values[name]);
    changed();
  });
  return el("label", { class: "slider", ...(about && { title: about }) }, el("span", {}, label), input, output);
}

/** A parameter that this page knows nothing of: its name, and a number. The service checks the range. */
function field(name, values, changed) {
  const input = el("input", { type: "number", id: `field-${name}`, step: "any", value: values[name] });
  input.addEventListener("change", () => {
    if (!input.value) return;
    values[name] = Number(input.value);
    changed();
  });
  return el("label", { class: "field" }, el("span", {}, name.replaceAll("_", " ")), input);
}

function toggle({ name, label }, values, changed) {
  const input = el("input", { type: "checkbox", id: `switch-${name}`, checked: values[name] });
  input.addEventListener("change", () => {
    values[name] = input.checked;
    changed();
  });
  return el("label", { class: "switch" }, input, label);
}
