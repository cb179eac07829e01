/** Example images of the models: a card for each task on the empty page, and a dialog with those of one model. */

import * as api from "./api.js";
import { el } from "./dom.js";
import { InputImage } from "./image.js";
import { closeButton } from "./sources.js";

const loading = new Map(); // path -> Promise<InputImage>: each is fetched once

/**
 * Cards for the default model of each task, and for the chosen model.
 * @param {HTMLElement} place
 * @param {{take: (model, image) => void, failed: (problem) => void}} handlers
 */
export function showCards(place, models, chosen, handlers) {
  const offered = models.filter((model) => model.examples.length && (model.default || model === chosen));
  place.replaceChildren(
    ...offered.map((model) => {
      const name = el("b", {}, model.name, el("small", {}, ` version ${model.version}`));
      const words = [name, el("span", { class: "small" }, model.task.replaceAll("-", " "))];
      return example(model, model.examples[0], words, handlers);
    }),
  );
  return offered.length;
}

/** A dialog with every example of one model. */
export function showMenu(dialog, model, handlers) {
  const close = { ...handlers, take: (...taken) => (dialog.close(), handlers.take(...taken)) };
  if (!model.examples.length) {
    const none = "This model's package holds no example images. `foveal package set --example` adds some.";
    dialog.replaceChildren(el("h2", {}, `Examples for ${model.name}`), el("p", {}, none), closeButton(dialog));
    return dialog.showModal();
  }
  const offered = model.examples.map((path) => example(model, path, [el("span", { class: "small" }, nameOf(path))], close));
  const title = el("h2", {}, `Examples for ${model.name}`);
  dialog.replaceChildren(title, el("div", { class: "row examples" }, offered), closeButton(dialog));
  dialog.showModal();
}

/** A button; it is enabled once its image has been loaded. */
function example(model, path, words, { take, failed }) {
  const thumb = el("span", { class: "thumb" });
  const about = { type: "button", class: "example", disabled: true, "data-model": model.name };
  const button = el("button", about, thumb, words);
  load(path).then((image) => {
    thumb.append(image.thumb());
    button.disabled = false;
    button.addEventListener("click", () => take(model, new InputImage(image.file, image.name, path)));
  }, failed);
  return button;
}

function load(path) {
  if (!loading.has(path)) {
    const fetched = fetchImage(path);
    loading.set(path, fetched);
    fetched.catch(() => loading.delete(path)); // requested again the next time
  }
  return loading.get(path);
}

async function fetchImage(path) {
  const image = new InputImage(await api.blob(path), nameOf(path), path);
  await image.open();
  image.close(); // its thumbnail stays
  return image;
}

const nameOf = (path) => decodeURIComponent(path.split("/").at(-1)).replace(/^example-/, "");
