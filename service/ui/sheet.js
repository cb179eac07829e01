/** Canvases that keep what they show when the view only moves: then no more is painted than what came into sight. */

export class Sheet {
  #shown = {};

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.resize(canvas.width, canvas.height);
  }

  /** A canvas that is resized is empty. */
  resize(width, height) {
    Object.assign(this.canvas, { width, height });
    this.#shown = {};
  }

  /**
   * @param {object | null} what painted anew whenever it is another object than the last time
   * @param {{scale, x, y}} view x and y whole device pixels
   * @param {(area: {left, top, width, height}) => void} paint clears and paints that part of the canvas and no other
   */
  draw(what, { scale, x, y }, paint) {
    const { width, height } = this.canvas;
    const last = this.#shown;
    this.#shown = { what, scale, x, y };
    const [right, down] = [x - last.x, y - last.y]; // by which the image moved
    const moved = last.what === what && last.scale === scale && Math.abs(right) < width && Math.abs(down) < height;
    if (!moved) return paint({ left: 0, top: 0, width, height });
    if (right || down) this.move(right, down);
    if (right) paint({ left: right > 0 ? 0 : width + right, top: 0, width: Math.abs(right), height });
    if (down) paint({ left: 0, top: down > 0 ? 0 : height + down, width, height: Math.abs(down) });
  }

  move(right, down) {
    this.context.globalCompositeOperation = "copy";
    this.context.drawImage(this.canvas, right, down);
    this.context.globalCompositeOperation = "source-over";
  }
}

/** The same for what is painted pixel by pixel, into `image`. */
export class PixelSheet extends Sheet {
  resize(width, height) {
    super.resize(width, height);
    this.image = this.context.createImageData(width, height);
  }

  draw(...given) {
    super.draw(...given);
    this.context.putImageData(this.image, 0, 0);
  }

  move(right, down) {
    const pixels = new Uint32Array(this.image.data.buffer);
    const by = down * this.image.width + right; // what runs over the edge lies where is painted anew
    pixels.copyWithin(Math.max(by, 0), Math.max(-by, 0));
  }
}
