/** Image viewer of three canvas layers: the image, masks and boxes, labels. Drawn at most once an animation frame. */

import { $, el } from "./dom.js";
import { Layer, PixelLayer } from "./layer.js";
import { paintObjects } from "./objects.js";
import { paintImage, paintLabels } from "./paint.js";
import { rowAt } from "./result.js";
import { Viewport } from "./viewport.js";

const ZOOM_STEP = 1.5;
const STRIP_PX = 1024;
const SCREEN_PX = 700; // in the saved overlay, an image with sides of this length gets lines and text as wide as on screen
const EMPTY_SCENE = { kind: "other", rows: [], highlighted: null, display: {} };

export class Viewer {
  #shown = null; // {image, size, levels}: another object whenever other pixels are to be seen
  #scene = EMPTY_SCENE;
  #request = 0;

  /** @param {(row: object | null) => void} pointedAt called with the row under the pointer, or null */
  constructor(root, pointedAt) {
    this.root = root;
    this.layers = {
      image: new Layer($("#image", root)),
      objects: new PixelLayer($("#objects", root)),
      labels: new Layer($("#overlay", root)),
    };
    this.readout = $("#under-pointer", root);
    const surface = this.layers.labels.canvas;
    this.viewport = new Viewport(surface, () => this.#requestDraw());
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
    this.#requestDraw();
  }

  clear() {
    this.#shown = null;
    this.showScene(null);
  }

  /** @param {object | null} scene see paintObjects; with `result` for what is under the pointer */
  showScene(scene) {
    this.#scene = scene ?? EMPTY_SCENE;
    this.#requestDraw();
  }

  /** Resolves once all requested drawing is on the canvases. */
  drawn() {
    return new Promise((done) => requestAnimationFrame(() => done()));
  }

  /** @param {number | null} highlighted id of a row */
  highlight(highlighted) {
    if (this.#scene.highlighted === highlighted) return;
    this.#scene = { ...this.#scene, highlighted };
    this.#requestDraw();
  }

  #resize() {
    const [width, height] = [this.root.clientWidth, this.root.clientHeight].map((px) =>
      Math.max(1, Math.round(px * devicePixelRatio)),
    );
    for (const layer of Object.values(this.layers)) layer.resize(width, height);
    this.viewport.setScreen(width, height);
  }

  #requestDraw() {
    this.#request ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#request = 0;
    const [shown, scene, { scale, x, y }] = [this.#shown, this.#scene, this.viewport];
    const view = { scale, x, y };
    const { image, objects, labels } = this.layers;
    image.draw(shown, view, (area) => {
      if (shown) paintImage(image.context, shown.image, shown.size, view, area);
      else image.context.clearRect(0, 0, image.canvas.width, image.canvas.height);
    });
    objects.draw(scene, view, (area) => paintObjects(objects.imageData, scene, view, devicePixelRatio, area));
    paintLabels(labels.context, scene, view, devicePixelRatio);
    labels.canvas.dataset.view = [scale, x, y].join(" "); // for tests: which pixel of the image is where
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

/** The image at its full size with everything drawn in, as a PNG. Objects are drawn in strips, which keeps memory small. */
export async function overlayPng(image, size, scene) {
  const unit = Math.max(1, Math.sqrt(size.width * size.height) / SCREEN_PX);
  const view = { scale: 1, x: 0, y: 0 };
  const canvas = (height) => el("canvas", { width: size.width, height }).getContext("2d");
  const context = canvas(size.height);
  paintImage(context, image, size, view);
  const strip = canvas(Math.min(size.height, STRIP_PX));
  const imageData = strip.createImageData(strip.canvas.width, strip.canvas.height);
  for (let top = 0; top < size.height; top += STRIP_PX) {
    paintObjects(imageData, scene, { ...view, y: -top }, unit);
    strip.putImageData(imageData, 0, 0);
    context.drawImage(strip.canvas, 0, top);
  }
  const labels = canvas(size.height);
  paintLabels(labels, scene, view, unit);
  context.drawImage(labels.canvas, 0, 0);
  return new Promise((done) => context.canvas.toBlob(done, "image/png"));
}
