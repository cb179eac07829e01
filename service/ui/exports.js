/** Export buttons: commands that repeat the request, files, and the answer as JSON. */

import { $, el, save } from "./dom.js";
import { parameters, visibleEntry } from "./result.js";
import { asCoco, asCurl, asPython } from "./snippets.js";
import { closeButton } from "./sources.js";
import { overlayPng } from "./viewer.js";

/**
 * @param {(text: string) => void} setStatus
 * @param {() => {image, model, run, options, scene} | undefined} shown the result on screen
 * @returns {() => void} brings the JSON view up to date
 */
export function listenForExports(dialog, setStatus, shown) {
  for (const button of document.querySelectorAll("[data-export]")) {
    button.addEventListener("click", () => EXPORTS[button.dataset.export](shown(), { dialog, setStatus }));
  }
  const view = $("#json-view");
  const showJson = () => {
    const now = view.open && shown();
    if (now) $("pre", view).textContent = JSON.stringify(answerOf(now), null, 1);
  };
  view.addEventListener("toggle", showJson);
  return showJson;
}

const EXPORTS = {
  curl: (now, to) => copy(asCurl(now.model.endpoint, queryOf(now), now.image), to),
  python: (now, to) => copy(asPython(now.model.endpoint, queryOf(now), now.image), to),
  json: (now) => save(asJson(answerOf(now)), `${stem(now)}.json`),
  coco: (now) => save(asJson(asCoco(answerOf(now).results[0])), `${stem(now)}.coco.json`),
  async overlay(now) {
    const { result, annotated } = now.run; // annotated: drawn by the service
    const png = annotated ? annotated.file : await overlayPng(now.image.of(result), result, now.scene);
    save(png, `${stem(now)}.overlay.png`);
  },
};

const queryOf = ({ model, options }) => parameters(model, options, { classes: true });
const asJson = (value) => new Blob([JSON.stringify(value)], { type: "application/json" });
const stem = ({ image }) => image.name.replace(/\.[^.]*$/, "") || "image";

function answerOf({ run: { answer, result }, options }) {
  return { model: answer.model, results: [visibleEntry(answer.entry, result, options)] };
}

async function copy(text, { dialog, setStatus }) {
  try {
    await navigator.clipboard.writeText(text);
    setStatus("Copied.");
  } catch {
    // plain http from another machine: the browser gives no clipboard
    const area = el("textarea", { rows: 8, readOnly: true, "aria-label": "Text to copy" }, text);
    dialog.replaceChildren(el("h2", {}, "Copy this"), area, closeButton(dialog));
    dialog.showModal();
    area.select();
  }
}
