/** Sliders and switches: what is asked for (the wish) and how it is drawn (the look). */

import { el } from "./dom.js";

const trimmed = (value) => String(Math.round(value * 10_000) / 10_000);
const SLIDERS = [
  // name in the wish, the service's parameter that a model must have, label, range, what it says
  { name: "score", needs: "score_threshold", label: "Score above", min: 0, max: 0.99, step: 0.01, show: trimmed },
  { name: "iou", needs: "iou_threshold", label: "Overlap (IoU)", min: 0, max: 1, step: 0.01, show: trimmed },
];
const SWITCHES = [
  { name: "boxes", label: "Boxes", tasks: ["object-detection", "instance-segmentation"] },
  { name: "labels", label: "Labels", tasks: ["object-detection", "instance-segmentation"] },
  { name: "masks", label: "Masks", tasks: ["instance-segmentation"] },
  { name: "byObject", label: "A colour for each object", tasks: ["instance-segmentation"] },
];
const OPACITY = {
  name: "opacity", label: "Opacity", min: 0, max: 1, step: 0.05,
  show: (value) => `${Math.round(100 * value)} %`,
};
const WITH_OPACITY = ["instance-segmentation", "semantic-segmentation"];

/** The look that suits a model at first: objects of one single class are told apart by colour. */
export function defaultLook(model) {
  const opacity = model.task === "semantic-segmentation" ? 0.55 : 0.45; // as in src/foveal/draw.py
  return { boxes: true, labels: true, masks: true, opacity, byObject: model.labels.length === 1 };
}

/**
 * Fills the form. The wish and the look are changed in place; the caller is told which of the two.
 * @param {{wished: () => void, looked: () => void}} told
 */
export function showControls(form, model, wish, look, told) {
  const sliders = SLIDERS.filter(({ needs }) => needs in model.defaults);
  if ("top_k" in model.defaults) {
    const max = Math.min(model.labels.length, 20);
    sliders.push({ name: "top", label: "Classes shown", min: 1, max, step: 1, show: String });
  }
  const switches = SWITCHES.filter(({ tasks }) => tasks.includes(model.task));
  form.replaceChildren(
    ...sliders.map((each) => slider(each, wish, told.wished)),
    ...(WITH_OPACITY.includes(model.task) ? [slider(OPACITY, look, told.looked)] : []),
    el("div", { class: "row switches" }, switches.map((each) => toggle(each, look, told.looked))),
  );
}

function slider({ name, label, min, max, step, show }, values, changed) {
  const output = el("output", { for: `slider-${name}` }, show(values[name]));
  const input = el("input", { type: "range", id: `slider-${name}`, min, max, step, value: values[name] });
  input.addEventListener("input", () => {
    values[name] = Number(input.value);
    output.value = show(values[name]);
    changed();
  });
  return el("label", { class: "slider" }, el("span", {}, label), input, output);
}

function toggle({ name, label }, values, changed) {
  const input = el("input", { type: "checkbox", id: `switch-${name}`, checked: values[name] });
  input.addEventListener("change", () => {
    values[name] = input.checked;
    changed();
  });
  return el("label", { class: "switch" }, input, label);
}

