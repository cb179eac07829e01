/** Three canvases: the image, above it what was found, above that the words. Drawn at most once a frame. */

import { $, el } from "./dom.js";
import { paintObjects } from "./objects.js";
import { paintImage, paintWords } from "./paint.js";
import { rowAt } from "./result.js";
import { PixelSheet, Sheet } from "./sheet.js";
import { Viewport } from "./viewport.js";

const ZOOM_STEP = 1.5;
const STRIP_PX = 1024;
const SCREEN_PX = 700; // an image of so many pixels a side gets lines and text of the usual size
const NOTHING = { kind: "boxes", rows: [], lit: null, look: {} };

export class Stage {
  #shown = null; // {image, size, levels}: another object whenever other pixels are to be seen
  #scene = NOTHING;
  #frame = 0;

  /** @param {(row: object | null) => void} pointedAt told which row is under the pointer, or null */
  constructor(root, pointedAt) {
    this.root = root;
    this.sheets = {
      image: new Sheet($("#image", root)),
      objects: new PixelSheet($("#objects", root)),
      words: new Sheet($("#overlay", root)),
    };
    this.readout = $("#under-pointer", root);
    const surface = this.sheets.words.canvas;
    this.viewport = new Viewport(surface, () => this.#ask());
    new ResizeObserver(() => this.#resize()).observe(root);
    for (const kind of ["pointermove", "click"]) { // a finger points by tapping
      surface.addEventListener(kind, (event) => this.#point(event, pointedAt));
    }
    surface.addEventListener("pointerleave", () => {
      this.readout.value = "";
      pointedAt(null);
    });
    for (const button of root.querySelectorAll("[data-zoom]")) {
      button.addEventListener("click", () => this.#tool(button.dataset.zoom));
    }
  }

  /** @param {{width, height}} size of the image; the view stays when it is the same image */
  showImage(image, size) {
    const { width, height } = size;
    const last = this.#shown;
    const same = last?.image === image && last.size.width === width && last.size.height === height;
    if (same && last.levels === image.levels) return;
    this.#shown = { image, size: { width, height }, levels: image.levels };
    if (!same) this.viewport.setContent(width, height);
    this.#ask();
  }

  clear() {
    this.#shown = null;
    this.showScene(null);
  }

  /** @param {object | null} scene see paintObjects; with `result` for what is under the pointer */
  showScene(scene) {
    this.#scene = scene ?? NOTHING;
    this.#ask();
  }

  /** Resolves once all that was asked for is on the canvases. */
  drawn() {
    return new Promise((done) => requestAnimationFrame(() => done()));
  }

  /** @param {number | null} lit id of a row */
  light(lit) {
    if (this.#scene.lit === lit) return;
    this.#scene = { ...this.#scene, lit };
    this.#ask();
  }

  #resize() {
    const [width, height] = [this.root.clientWidth, this.root.clientHeight].map((px) =>
      Math.max(1, Math.round(px * devicePixelRatio)),
    );
    for (const sheet of Object.values(this.sheets)) sheet.resize(width, height);
    this.viewport.setScreen(width, height);
  }

  #ask() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const [shown, scene, { scale, x, y }] = [this.#shown, this.#scene, this.viewport];
    const view = { scale, x, y };
    const { image, objects, words } = this.sheets;
    image.draw(shown, view, (area) => {
      if (shown) paintImage(image.context, shown.image, shown.size, view, area);
      else image.context.clearRect(0, 0, image.canvas.width, image.canvas.height);
    });
    objects.draw(scene, view, (area) => paintObjects(objects.image, scene, view, devicePixelRatio, area));
    paintWords(words.context, scene, view, devicePixelRatio);
    words.canvas.dataset.view = [scale, x, y].join(" "); // for tests: which pixel of the image is where
  }

  #point(event, pointedAt) {
    if (!this.#shown || this.viewport.dragging) return;
    const { size } = this.#shown;
    const { x, y } = this.viewport.toImage(event);
    const inside = x >= 0 && y >= 0 && x < size.width && y < size.height;
    this.readout.value = inside ? `${Math.floor(x)}, ${Math.floor(y)}` : "";
    if (this.#scene.result) pointedAt(rowAt(this.#scene.result, this.#scene.rows, x, y));
  }

  #tool(action) {
    const { viewport } = this;
    if (action === "in") viewport.zoom(ZOOM_STEP);
    else if (action === "out") viewport.zoom(1 / ZOOM_STEP);
    else if (action === "fit") viewport.fit();
    else viewport.actual();
  }
}

/** The image at its full size with everything drawn in, as a PNG. Objects go in strips: memory stays small. */
export async function overlayPng(image, size, scene) {
  const unit = Math.max(1, Math.sqrt(size.width * size.height) / SCREEN_PX);
  const view = { scale: 1, x: 0, y: 0 };
  const sheet = (height) => el("canvas", { width: size.width, height }).getContext("2d");
  const context = sheet(size.height);
  paintImage(context, image, size, view);
  const strip = sheet(Math.min(size.height, STRIP_PX));
  const imageData = strip.createImageData(strip.canvas.width, strip.canvas.height);
  for (let top = 0; top < size.height; top += STRIP_PX) {
    paintObjects(imageData, scene, { ...view, y: -top }, unit);
    strip.putImageData(imageData, 0, 0);
    context.drawImage(strip.canvas, 0, top);
  }
  const words = sheet(size.height);
  paintWords(words, scene, view, unit);
  context.drawImage(words.canvas, 0, 0);
  return new Promise((done) => context.canvas.toBlob(done, "image/png"));
}
