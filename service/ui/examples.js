/** Pictures that the service offers with its models: a card for each task on the empty page, a menu later on. */

import * as api from "./api.js";
import { el } from "./dom.js";
import { closeButton } from "./intake.js";
import { Picture } from "./picture.js";

const loading = new Map(); // path -> Promise<Picture>: each is fetched once

/**
 * Cards that tell at a glance what there is to see: each task's default model, and the one that is chosen.
 * @param {HTMLElement} place
 * @param {{take: (model, picture) => void, failed: (problem) => void}} told
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

/** A button that shows itself at once, and its picture when that has come. */
function example(model, path, words, { take, failed }) {
  const thumb = el("span", { class: "thumb" });
  const about = { type: "button", class: "example", disabled: true, "data-model": model.name };
  const button = el("button", about, thumb, words);
  load(path).then((picture) => {
    thumb.append(picture.thumb());
    button.disabled = false;
    button.addEventListener("click", () => take(model, new Picture(picture.file, picture.name, path)));
  }, failed);
  return button;
}

function load(path) {
  if (!loading.has(path)) {
    const fetched = fetchPicture(path);
    loading.set(path, fetched);
    fetched.catch(() => loading.delete(path)); // asked for again the next time
  }
  return loading.get(path);
}

async function fetchPicture(path) {
  const picture = new Picture(await api.blob(path), nameOf(path), path);
  await picture.open();
  picture.close(); // its thumb stays
  return picture;
}

const nameOf = (path) => decodeURIComponent(path.split("/").at(-1));
