/** The filmstrip: every picture of the session, with a word on what was found in it. */

import { el, rebuild } from "./dom.js";

/**
 * @param {HTMLUListElement} strip
 * @param {import("./picture.js").Picture[]} pictures
 * @param {{current, badge: (picture) => string, choose, remove}} told
 */
export function showFilm(strip, pictures, { current, badge, choose, remove }) {
  rebuild(
    strip,
    ...pictures.map((picture, i) => {
      const word = badge(picture);
      const here = picture === current;
      const look = el("button", {
        type: "button", class: "thumb", "aria-current": here ? "true" : null, "data-key": i, title: picture.name,
        "aria-label": `${picture.name}${word && `: ${word}`}`, onclick: () => choose(picture),
      }, picture.thumb(), word ? el("span", { class: picture.run?.problem ? "badge bad" : "badge" }, word) : null);
      const away = { type: "button", class: "away", "aria-label": `Remove ${picture.name}` };
      return el("li", {}, look, el("button", { ...away, onclick: () => remove(picture) }, "×"));
    }),
  );
}
