/** The filmstrip: every image of the session, with a word on what was found in it. */

import { el, rebuild } from "./dom.js";

/**
 * @param {HTMLUListElement} strip
 * @param {import("./image.js").Image[]} images
 * @param {{current, badge: (image) => string, choose, remove}} told
 */
export function showFilm(strip, images, { current, badge, choose, remove }) {
  rebuild(
    strip,
    ...images.map((image, i) => {
      const word = badge(image);
      const here = image === current;
      const look = el("button", {
        type: "button", class: "thumb", "aria-current": here ? "true" : null, "data-key": i, title: image.name,
        "aria-label": `${image.name}${word && `: ${word}`}`, onclick: () => choose(image),
      }, image.thumb(), word ? el("span", { class: image.run?.problem ? "badge bad" : "badge" }, word) : null);
      const away = { type: "button", class: "away", "aria-label": `Remove ${image.name}` };
      return el("li", {}, look, el("button", { ...away, onclick: () => remove(image) }, "×"));
    }),
  );
}
