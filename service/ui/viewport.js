/**
 * Viewport: the part of an image that is on screen, and the gestures that change it. All lengths are device pixels; x and y are
 * whole ones, so that a canvas can be moved instead of painted anew.
 */

const FARTHEST = 0.5; // of the scale that fits
const NEAREST = 40; // screen pixels for one of the image
const STEP = 1.25;
const PAN_PX = 60;
const MARGIN = { around: 12, below: 58 }; // CSS pixels that stay free when all is shown; below are the tools

export class Viewport {
  scale = 1;
  #x = 0; // exact: rounded at each step, places would drift
  #y = 0;
  #content = { width: 1, height: 1 };
  #screen = { width: 1, height: 1 };
  #pointers = new Map();
  #fitted = true;

  /**
   * @param {HTMLElement} surface takes the gestures
   * @param {() => void} changed called after every change
   */
  constructor(surface, changed) {
    this.changed = changed;
    this.surface = surface;
    surface.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    surface.addEventListener("pointerdown", (event) => this.#down(event));
    surface.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) {
      surface.addEventListener(end, (event) => this.#pointers.delete(event.pointerId));
    }
    surface.addEventListener("dblclick", (event) => this.zoom(2, this.#place(event)));
    surface.addEventListener("keydown", (event) => this.#key(event));
  }

  get x() {
    return Math.round(this.#x);
  }

  get y() {
    return Math.round(this.#y);
  }

  get dragging() {
    return this.#pointers.size > 0;
  }

  setContent(width, height) {
    this.#content = { width, height };
    this.fit();
  }

  setScreen(width, height) {
    this.#screen = { width, height };
    if (this.#fitted) this.fit();
    else this.#settle();
  }

  fit() {
    const { height } = this.#free();
    this.scale = this.#fitScale();
    this.#x = (this.#screen.width - this.#content.width * this.scale) / 2;
    const inset = MARGIN.around * devicePixelRatio;
    this.#y = inset + (height - this.#content.height * this.scale) / 2;
    this.#fitted = true;
    this.changed();
  }

  /** One pixel of the image on one of the screen. */
  actual() {
    this.zoom(1 / this.scale);
  }

  zoom(factor, at = { x: this.#screen.width / 2, y: this.#screen.height / 2 }) {
    const fit = this.#fitScale();
    const farthest = Math.min(1, fit * FARTHEST); // a small image's own pixels can always be seen
    const scale = Math.min(Math.max(this.scale * factor, farthest), Math.max(NEAREST, fit));
    this.#x = at.x - ((at.x - this.#x) * scale) / this.scale;
    this.#y = at.y - ((at.y - this.#y) * scale) / this.scale;
    this.scale = scale;
    this.#settle();
  }

  pan(dx, dy) {
    this.#x += dx;
    this.#y += dy;
    this.#settle();
  }

  /** A place on the element -> a pixel of the image. */
  toImage(event) {
    const { x, y } = this.#place(event);
    return { x: (x - this.x) / this.scale, y: (y - this.y) / this.scale };
  }

  /** The part of the screen that a whole image may take. */
  #free() {
    const { around, below } = MARGIN;
    const less = (screen, ...margins) => Math.max(1, screen - devicePixelRatio * margins.reduce((a, b) => a + b));
    return { width: less(this.#screen.width, around, around), height: less(this.#screen.height, around, below) };
  }

  #fitScale() {
    const { width, height } = this.#free();
    return Math.min(width / this.#content.width, height / this.#content.height, 8);
  }

  /** Keeps a part of the image in sight. */
  #settle() {
    const hold = (at, content, screen) => {
      const rest = Math.min(content, screen) * 0.25;
      return Math.min(Math.max(at, rest - content), screen - rest);
    };
    this.#x = hold(this.#x, this.#content.width * this.scale, this.#screen.width);
    this.#y = hold(this.#y, this.#content.height * this.scale, this.#screen.height);
    this.#fitted = false;
    this.changed();
  }

  #place(event) {
    const bounds = this.surface.getBoundingClientRect();
    return { x: (event.clientX - bounds.left) * devicePixelRatio, y: (event.clientY - bounds.top) * devicePixelRatio };
  }

  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    this.zoom(Math.exp((-event.deltaY * lines) / 400), this.#place(event));
  }

  #down(event) {
    this.surface.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#place(event));
  }

  /** One pointer pans; two pan and zoom, so that the image stays under both fingers. */
  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = this.#place(event);
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, now);
    if (!other) return this.pan(now.x - before.x, now.y - before.y);
    const distance = (a, b) => Math.max(1, Math.hypot(a.x - b.x, a.y - b.y));
    this.pan((now.x - before.x) / 2, (now.y - before.y) / 2); // by as much as the middle between the fingers moved
    const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
    this.zoom(distance(now, other) / distance(before, other), middle);
  }

  #key(event) {
    const act = {
      "+": () => this.zoom(STEP),
      "=": () => this.zoom(STEP),
      "-": () => this.zoom(1 / STEP),
      0: () => this.fit(),
      1: () => this.actual(),
      ArrowLeft: () => this.pan(PAN_PX, 0),
      ArrowRight: () => this.pan(-PAN_PX, 0),
      ArrowUp: () => this.pan(0, PAN_PX),
      ArrowDown: () => this.pan(0, -PAN_PX),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }
}
