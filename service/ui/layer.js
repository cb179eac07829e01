/** Canvas layers. When the view only moves, their pixels are moved, and just the part that came into sight is painted. */

export class Layer {
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
   * @param {object | null} content all is painted anew when it is another object than the last time
   * @param {{scale, x, y}} view x and y whole device pixels
   * @param {(area: {left, top, width, height}) => void} paint clears and paints that part of the canvas and no other
   */
  draw(content, { scale, x, y }, paint) {
    const { width, height } = this.canvas;
    const last = this.#shown;
    this.#shown = { content, scale, x, y };
    const [right, down] = [x - last.x, y - last.y]; // by which the image moved
    const moved = last.content === content && last.scale === scale && Math.abs(right) < width && Math.abs(down) < height;
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

/** A layer that is painted pixel by pixel, into `imageData`. */
export class PixelLayer extends Layer {
  resize(width, height) {
    super.resize(width, height);
    this.imageData = this.context.createImageData(width, height);
  }

  draw(...given) {
    super.draw(...given);
    this.context.putImageData(this.imageData, 0, 0);
  }

  move(right, down) {
    const pixels = new Uint32Array(this.imageData.data.buffer);
    const by = down * this.imageData.width + right; // pixels that wrap around an edge lie in the part that is painted anew
    pixels.copyWithin(Math.max(by, 0), Math.max(-by, 0));
  }
}
