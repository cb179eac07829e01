/** Images that the service offers with its models: a card for each task on the empty page, a menu later on. */

import * as api from "./api.js";
import { el } from "./dom.js";
import { closeButton } from "./intake.js";
import { Image } from "./image.js";

const loading = new Map(); // path -> Promise<Image>: each is fetched once

/**
 * Cards that tell at a glance what there is to see: each task's default model, and the one that is chosen.
 * @param {HTMLElement} place
 * @param {{take: (model, image) => void, failed: (problem) => void}} told
 */
export function showCards(place, models, chosen, told) {
  const offered = models.filter((model) => model.examples.length && (model.default || model === chosen));
  place.replaceChildren(
    ...offered.map((model) => {
      const words = [el("b", {}, model.name), el("span", { class: "small" }, model.task.replaceAll("-", " "))];
      return example(model, model.examples[0], words, told);
    }),
  );
  return offered.length;
}

/** A dialog with every example of one model. */
export function showMenu(dialog, model, told) {
  const close = { ...told, take: (...taken) => (dialog.close(), told.take(...taken)) };
  const offered = model.examples.map((path) => example(model, path, [el("span", { class: "small" }, nameOf(path))], close));
  const title = el("h2", {}, `Examples for ${model.name}`);
  dialog.replaceChildren(title, el("div", { class: "row examples" }, offered), closeButton(dialog));
  dialog.showModal();
}

/** A button that shows itself at once, and its image when that has come. */
function example(model, path, words, { take, failed }) {
  const thumb = el("span", { class: "thumb" });
  const about = { type: "button", class: "example", disabled: true, "data-model": model.name };
  const button = el("button", about, thumb, words);
  load(path).then((image) => {
    thumb.append(image.thumb());
    button.disabled = false;
    button.addEventListener("click", () => take(model, new Image(image.file, image.name, path)));
  }, failed);
  return button;
}

function load(path) {
  if (!loading.has(path)) {
    const fetched = fetchImage(path);
    loading.set(path, fetched);
    fetched.catch(() => loading.delete(path)); // asked for again the next time
  }
  return loading.get(path);
}

async function fetchImage(path) {
  const image = new Image(await api.blob(path), nameOf(path), path);
  await image.open();
  image.close(); // its thumb stays
  return image;
}

const nameOf = (path) => decodeURIComponent(path.split("/").at(-1));
