/** `InputImage`: an image as the service gets it (bytes) and as the page shows it (decoded levels, a thumbnail). */

const SMALLEST_LEVEL_PX = 500;
const THUMB_PX = 128;

export class InputImage {
  /**
   * @param {Blob} file the bytes; they are sent as they are
   * @param {string} name
   * @param {string} [source] path on the service, for an example
   */
  constructor(file, name, source) {
    Object.assign(this, { file, name, source });
    this.small = document.createElement("canvas");
    this.run = null; // the last answer: see app.js
    this.levels = [];
    this.unreadable = false; // by this browser; the service may still read it
  }

  /** Decodes, upright (EXIF), once; then levels[0] is the whole image and each next one half of it. */
  async open() {
    if (!this.levels.length && !this.unreadable) await (this.opening ??= this.#decode());
    await this.run?.annotated?.open();
  }

  async #decode() {
    try {
      const levels = [await createImageBitmap(this.file)];
      while (Math.max(levels.at(-1).width, levels.at(-1).height) > SMALLEST_LEVEL_PX) {
        levels.push(await half(levels.at(-1))); // a large image, drawn small from all its pixels, would show aliasing
      }
      this.#shrink(levels.findLast((level) => Math.min(level.width, level.height) >= THUMB_PX) ?? levels[0]);
      this.levels = levels;
    } catch {
      this.unreadable = true;
    }
    this.opening = null;
  }

  get width() {
    return this.levels[0]?.width;
  }

  get height() {
    return this.levels[0]?.height;
  }

  /** Itself if the browser turned it as the service did (EXIF in odd containers); else an image without pixels. */
  of({ width, height }) {
    if (this.width === width && this.height === height) return this;
    this.blank ??= { levels: [] };
    return this.blank;
  }

  /** The smallest level that is not coarser than the screen. */
  levelFor(scale) {
    let best = 0;
    while (best + 1 < this.levels.length && this.levels[best + 1].width >= this.width * scale) best++;
    return this.levels[best];
  }

  /** Frees the pixels; the bytes, the thumbnail and the answer stay. */
  close() {
    for (const level of this.levels) level.close();
    this.levels = [];
    this.run?.annotated?.close();
  }

  #shrink(level) {
    const scale = THUMB_PX / Math.min(level.width, level.height);
    const [width, height] = [level.width * scale, level.height * scale];
    this.small.width = this.small.height = THUMB_PX;
    const context = this.small.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(level, (THUMB_PX - width) / 2, (THUMB_PX - height) / 2, width, height);
  }

  /** A new canvas with the middle of the image, small. */
  thumb() {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = THUMB_PX;
    if (this.small.width === THUMB_PX) canvas.getContext("2d").drawImage(this.small, 0, 0);
    return canvas;
  }
}

function half(bitmap) {
  const size = { resizeWidth: Math.max(1, bitmap.width >> 1), resizeHeight: Math.max(1, bitmap.height >> 1) };
  return createImageBitmap(bitmap, { ...size, resizeQuality: "medium" });
}
