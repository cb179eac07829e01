/** Thumbnails: every image of the session, each with a badge that sums up its result. */

import { el, rebuild } from "./dom.js";

/**
 * @param {HTMLUListElement} list
 * @param {import("./image.js").InputImage[]} images
 * @param {{current, badge: (image) => string, choose, remove}} handlers
 */
export function showThumbnails(list, images, { current, badge, choose, remove }) {
  rebuild(
    list,
    ...images.map((image, i) => {
      const text = badge(image);
      const here = image === current;
      const choosing = el("button", {
        type: "button", class: "thumb", "aria-current": here ? "true" : null, "data-key": i, title: image.name,
        "aria-label": `${image.name}${text && `: ${text}`}`, onclick: () => choose(image),
      }, image.thumb(), text ? el("span", { class: image.run?.problem ? "badge bad" : "badge" }, text) : null);
      const removing = { type: "button", class: "remove", "aria-label": `Remove ${image.name}` };
      return el("li", {}, choosing, el("button", { ...removing, onclick: () => remove(image) }, "×"));
    }),
  );
}
