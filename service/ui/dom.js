/** DOM helpers. Text becomes text nodes only: no string from anywhere is ever parsed as markup. */

export const $ = (selector, root = document) => root.querySelector(selector);

/**
 * el("button", {class: "primary", onclick: run, "aria-pressed": "true"}, "Run") -> HTMLButtonElement.
 * Functions become listeners, booleans switch properties, everything else is an attribute.
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") element[name] = value;
    else if (value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null));
  return element;
}

/** Replaces what is in a place; the focus stays on the element with the same data-key. */
export function rebuild(place, ...children) {
  const { key } = place.contains(document.activeElement) ? document.activeElement.dataset : {};
  place.replaceChildren(...children.filter((child) => child != null));
  if (key) place.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

/** A small square in a class's colour. */
export function swatch([r, g, b]) {
  const square = el("span", { class: "swatch", "aria-hidden": "true" });
  square.style.backgroundColor = `rgb(${r} ${g} ${b})`;
  return square;
}

/** A bar whose length is a fraction 0..1; hidden from screen readers, which read the number beside it. */
export function bar(fraction, colour) {
  const inner = el("span");
  inner.style.width = `${100 * Math.min(1, Math.max(0, fraction))}%`;
  if (colour) inner.style.backgroundColor = `rgb(${colour.join(" ")})`;
  return el("span", { class: "meter", "aria-hidden": "true" }, inner);
}

/** 1234567 -> "1 234 567" (narrow spaces that never break), the same in every locale. */
export function thousands(number) {
  return Math.round(number).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

export function percent(fraction) {
  return `${(100 * fraction).toFixed(fraction < 0.1 ? 2 : 1)}\u202f%`;
}

/** Calls `action` once, `ms` after the last call. */
export function debounced(action, ms) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...given), ms);
  };
}

/** Lets the browser save a blob as a file. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
