/** The two canvases: the picture, and above it what was found. Draws at most once a frame, and only what changed. */

import { $, el } from "./dom.js";
import { paintOverlay, paintPicture } from "./paint.js";
import { rowAt } from "./result.js";
import { Viewport } from "./viewport.js";

const ZOOM_STEP = 1.5;
const STRIP_PX = 1024;
const SCREEN_PX = 700; // a picture of so many pixels a side gets lines and text of the usual size

export class Stage {
  #picture = null;
  #size = null;
  #scene = null;
  #stale = { picture: false, overlay: false };
  #frame = 0;

  /** @param {(row: object | null) => void} pointedAt told which row is under the pointer, or null */
  constructor(root, pointedAt) {
    this.root = root;
    this.below = $("#picture", root).getContext("2d");
    this.above = $("#overlay", root).getContext("2d");
    this.readout = $("#under-pointer", root);
    const surface = this.above.canvas;
    this.viewport = new Viewport(surface, () => this.#ask({ picture: true, overlay: true }));
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

  /** @param {{width, height}} size of the picture; the view stays when it is the same picture */
  showPicture(picture, size) {
    const same = this.#picture === picture && this.#size?.width === size.width && this.#size?.height === size.height;
    this.#picture = picture;
    this.#size = size;
    if (!same) this.viewport.setContent(size.width, size.height);
    this.#ask({ picture: true });
  }

  clear() {
    this.#picture = null;
    this.#scene = null;
    this.#ask({ picture: true, overlay: true });
  }

  /** @param {object | null} scene see paintOverlay; with `result` for what is under the pointer */
  showScene(scene) {
    this.#scene = scene;
    this.#ask({ overlay: true });
  }

  /** Resolves once all that was asked for is on the canvases. */
  drawn() {
    return new Promise((done) => requestAnimationFrame(() => done()));
  }

  /** @param {number | null} lit id of a row */
  light(lit) {
    if (!this.#scene || this.#scene.lit === lit) return;
    this.#scene = { ...this.#scene, lit };
    this.#ask({ overlay: true });
  }

  #resize() {
    const { clientWidth, clientHeight } = this.root;
    for (const { canvas } of [this.below, this.above]) {
      canvas.width = Math.max(1, Math.round(clientWidth * devicePixelRatio));
      canvas.height = Math.max(1, Math.round(clientHeight * devicePixelRatio));
    }
    this.viewport.setScreen(this.below.canvas.width, this.below.canvas.height);
  }

  #ask(stale) {
    Object.assign(this.#stale, stale);
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const { viewport } = this;
    if (this.#stale.picture) {
      if (this.#picture) paintPicture(this.below, this.#picture, this.#size, viewport);
      else this.below.clearRect(0, 0, this.below.canvas.width, this.below.canvas.height);
    }
    if (this.#stale.overlay) {
      const scene = this.#scene ?? { kind: "boxes", rows: [], lit: null, look: {} };
      paintOverlay(this.above, scene, viewport, devicePixelRatio);
    }
    this.#stale = { picture: false, overlay: false };
    // for tests and for whoever measures: which pixel of the picture is where
    this.above.canvas.dataset.view = [viewport.scale, viewport.x, viewport.y].join(" ");
  }

  #point(event, pointedAt) {
    if (!this.#picture || this.viewport.dragging) return;
    const { x, y } = this.viewport.toPicture(event);
    const inside = x >= 0 && y >= 0 && x < this.#size.width && y < this.#size.height;
    this.readout.value = inside ? `${Math.floor(x)}, ${Math.floor(y)}` : "";
    if (this.#scene?.result) pointedAt(rowAt(this.#scene.result, this.#scene.rows, x, y));
  }

  #tool(action) {
    const { viewport } = this;
    if (action === "in") viewport.zoom(ZOOM_STEP);
    else if (action === "out") viewport.zoom(1 / ZOOM_STEP);
    else if (action === "fit") viewport.fit();
    else viewport.actual();
  }
}

/** The picture at its full size with everything drawn in, as a PNG. Masks go in strips: memory stays small. */
export async function overlayPng(picture, size, scene) {
  const unit = Math.max(1, Math.sqrt(size.width * size.height) / SCREEN_PX);
  const sheet = (height) => el("canvas", { width: size.width, height }).getContext("2d");
  const context = sheet(size.height);
  paintPicture(context, picture, size, { scale: 1, x: 0, y: 0 });
  if (scene.kind === "map" || scene.kind === "instances") {
    const masks = { ...scene, look: { ...scene.look, boxes: false, labels: false } };
    const strip = sheet(Math.min(size.height, STRIP_PX));
    for (let top = 0; top < size.height; top += STRIP_PX) {
      paintOverlay(strip, masks, { scale: 1, x: 0, y: -top }, unit);
      context.drawImage(strip.canvas, 0, top);
    }
  }
  if (scene.kind !== "map") { // labels keep clear of each other over the whole picture: no strips
    const lines = sheet(size.height);
    paintOverlay(lines, { ...scene, look: { ...scene.look, masks: false } }, { scale: 1, x: 0, y: 0 }, unit);
    context.drawImage(lines.canvas, 0, 0);
  }
  return new Promise((done) => context.canvas.toBlob(done, "image/png"));
}
