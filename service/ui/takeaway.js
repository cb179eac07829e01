/** Buttons that take the shown result along: commands, files, and the answer as JSON. */

import { $, el, save } from "./dom.js";
import { closeButton } from "./intake.js";
import { parameters, visibleEntry } from "./result.js";
import { asCoco, asCurl, asPython } from "./snippets.js";
import { overlayPng } from "./stage.js";

/**
 * @param {(text: string) => void} say
 * @param {() => {image, model, run, wish, scene} | undefined} shown what is on screen now
 * @returns {() => void} brings the JSON view up to date
 */
export function listenForExports(dialog, say, shown) {
  for (const button of document.querySelectorAll("[data-export]")) {
    button.addEventListener("click", () => EXPORTS[button.dataset.export](shown(), { dialog, say }));
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
  curl: (now, to) => copy(asCurl(now.model.endpoint, question(now), now.image), to),
  python: (now, to) => copy(asPython(now.model.endpoint, question(now), now.image), to),
  json: (now) => save(asJson(answerOf(now)), `${stem(now)}.json`),
  coco: (now) => save(asJson(asCoco(answerOf(now).results[0])), `${stem(now)}.coco.json`),
  async overlay(now) {
    const { result } = now.run;
    save(await overlayPng(now.image.of(result), result, now.scene), `${stem(now)}.overlay.png`);
  },
};

const question = ({ model, wish }) => parameters(model, wish, { classes: true });
const asJson = (value) => new Blob([JSON.stringify(value)], { type: "application/json" });
const stem = ({ image }) => image.name.replace(/\.[^.]*$/, "") || "image";

function answerOf({ run: { answer, result }, wish }) {
  return { model: answer.model, results: [visibleEntry(answer.entry, result, wish)] };
}

async function copy(text, { dialog, say }) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    // plain http from another machine: the browser gives no clipboard
    const area = el("textarea", { rows: 8, readOnly: true, "aria-label": "Text to copy" }, text);
    dialog.replaceChildren(el("h2", {}, "Copy this"), area, closeButton(dialog));
    dialog.showModal();
    area.select();
  }
}
