/** Settings of the page: the API key and the theme. */

import { key } from "./api.js";
import { el } from "./dom.js";
import { closeButton } from "./sources.js";

/** Asks for the key; `changed` is called when one was given (or taken away). */
export function keyDialog(dialog, changed) {
  const use = el("button", { class: "primary" }, "Use it");
  const input = el("input", { type: "password", autocomplete: "off", "aria-label": "API key", value: key.get() });
  const done = (event) => {
    event.preventDefault();
    key.set(input.value.trim());
    dialog.close();
    changed();
  };
  dialog.replaceChildren(
    el("h2", {}, "API key"),
    el("p", {}, "Sent as Authorization: Bearer, kept in this tab only. Empty: no key."),
    el("form", { class: "row", onsubmit: done }, input, use, closeButton(dialog)),
  );
  if (!dialog.open) dialog.showModal();
}

const THEMES = ["auto", "light", "dark"];
const THEME = "foveal-theme";

/** The button switches from the system's theme to light, to dark, and back. */
export function listenForTheme(button) {
  const set = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
    localStorage.setItem(THEME, theme);
  };
  const next = () => THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  button.addEventListener("click", () => set(next()));
  const stored = localStorage.getItem(THEME);
  set(THEMES.includes(stored) ? stored : "auto");
}
