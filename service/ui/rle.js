/**
 * COCO run lengths, drawn straight onto the screen.
 *
 * A mask is never unfolded to a bitmap of the picture's size: each screen column looks up the runs of the picture's
 * column under it. Time and memory follow the screen, not the picture, so 300 masks of 24 megapixels are no burden.
 */

/** Where one mask is: half-open runs over the picture's pixels, column after column. */
export class Runs {
  /** @param {{size: [number, number], counts: string}} rle COCO's compressed form (pycocotools' rleFrString) */
  constructor({ size: [height, width], counts }) {
    this.height = height;
    this.width = width;
    const lengths = decodeCounts(counts);
    const n = lengths.length >> 1;
    this.starts = new Uint32Array(n);
    this.ends = new Uint32Array(n);
    for (let i = 0, at = 0; i < n; i++) {
      this.starts[i] = at += lengths[2 * i];
      this.ends[i] = at += lengths[2 * i + 1];
    }
    this.#findBounds();
    this.#indexColumns();
  }

  #findBounds() {
    const { starts, ends, height } = this;
    let top = height;
    let bottom = 0;
    for (let i = 0; i < starts.length; i++) {
      const y = starts[i] % height;
      const end = y + ends[i] - starts[i];
      top = Math.min(top, end > height ? 0 : y); // a run that goes on in the next column touches both edges
      bottom = Math.max(bottom, Math.min(end, height));
    }
    const left = starts.length ? Math.floor(starts[0] / height) : 0;
    const right = starts.length ? Math.floor((ends.at(-1) - 1) / height) + 1 : 0;
    Object.assign(this, { left, right, top, bottom });
  }

  /** first[i]: the first run that reaches into column left + i. */
  #indexColumns() {
    const { ends, height, left, right } = this;
    this.first = new Uint32Array(right - left);
    for (let x = left, run = 0; x < right; x++) {
      while (run < ends.length && ends[run] <= x * height) run++;
      this.first[x - left] = run;
    }
  }

  /** Calls visit(y0, y1) for each half-open run of column x. */
  column(x, visit) {
    if (x < this.left || x >= this.right) return;
    const { starts, ends, height } = this;
    const base = x * height;
    for (let i = this.first[x - this.left]; i < starts.length && starts[i] < base + height; i++) {
      visit(Math.max(starts[i] - base, 0), Math.min(ends[i] - base, height));
    }
  }

  /** Whether the mask covers the picture's pixel (x, y). */
  has(x, y) {
    let found = false;
    this.column(Math.floor(x), (y0, y1) => (found ||= y0 <= y && y < y1));
    return found;
  }
}

function decodeCounts(text) {
  const lengths = [];
  for (let at = 0; at < text.length; ) {
    let value = 0;
    let shift = 0;
    let bits;
    do {
      bits = text.charCodeAt(at++) - 48;
      value |= (bits & 31) << shift;
      shift += 5;
    } while (bits & 32);
    if (bits & 16) value |= -1 << shift; // negative: the sign bit goes on to the left
    if (lengths.length > 2) value += lengths.at(-2); // from the third on, differences to the one before the last
    lengths.push(value);
  }
  return lengths;
}

let scratch = new Uint8Array(0); // one for all masks: it is overwritten before each use

/**
 * Blends a mask into pixels of the screen.
 * @param {ImageData} image transparent before the first mask
 * @param {Runs} runs
 * @param {{scale, x, y}} view screen = scale * picture + (x, y), all in device pixels
 * @param {{rgb: number[], fill: number, line: number, linePx: number}} look opacities 0..1; linePx 0: no contour
 */
export function paintRuns(image, runs, view, { rgb, fill, line = 1, linePx = 0 }) {
  const { scale, x: dx, y: dy } = view;
  // a margin of linePx beyond the screen, so that its edge is not taken for the mask's
  const x0 = Math.max(-linePx, Math.floor(runs.left * scale + dx) - linePx);
  const x1 = Math.min(image.width + linePx, Math.ceil(runs.right * scale + dx) + linePx);
  const y0 = Math.max(-linePx, Math.floor(runs.top * scale + dy) - linePx);
  const y1 = Math.min(image.height + linePx, Math.ceil(runs.bottom * scale + dy) + linePx);
  const [width, height] = [x1 - x0, y1 - y0];
  if (width <= 0 || height <= 0) return;
  if (scratch.length < width * height) scratch = new Uint8Array(width * height);
  const inside = scratch; // column after column, as the runs are
  inside.fill(0, 0, width * height);
  for (let x = 0; x < width; x++) {
    const from = x * height;
    runs.column(Math.floor((x + x0 + 0.5 - dx) / scale), (top, bottom) => {
      const a = Math.max(Math.ceil(top * scale + dy - 0.5) - y0, 0); // rows whose centres lie in the run
      const b = Math.min(Math.ceil(bottom * scale + dy - 0.5) - y0, height);
      if (a < b) inside.fill(1, from + a, from + b);
    });
  }
  blend(image, inside, { x0, y0, width, height }, { rgb, fill, line, linePx });
}

function blend(image, inside, { x0, y0, width, height }, { rgb, fill, line, linePx }) {
  const pixels = new Uint32Array(image.data.buffer); // little-endian ABGR, as on every machine that runs a browser
  const colour = (rgb[2] << 16) | (rgb[1] << 8) | rgb[0];
  const filled = (Math.round(255 * fill) << 24) | colour;
  const lined = (Math.round(255 * line) << 24) | colour;
  const step = linePx * height; // one line's width to the left or right; the margin makes it safe
  const right = Math.min(image.width - x0, width);
  const bottom = Math.min(image.height - y0, height);
  for (let x = Math.max(-x0, 0); x < right; x++) {
    for (let y = Math.max(-y0, 0); y < bottom; y++) {
      const i = x * height + y;
      if (!inside[i]) continue;
      const core = inside[i - step] & inside[i + step] & inside[i - linePx] & inside[i + linePx];
      const source = linePx && !core ? lined : filled;
      const to = (y + y0) * image.width + x + x0;
      pixels[to] = pixels[to] === 0 ? source : over(source, pixels[to]);
    }
  }
}

/** Source over destination, neither premultiplied (Porter & Duff 1984). */
function over(source, destination) {
  const a = (source >>> 24) / 255;
  const below = ((destination >>> 24) / 255) * (1 - a);
  const alpha = a + below;
  const part = (pixel, shift) => (pixel >>> shift) & 255;
  const mix = (shift) => Math.round((part(source, shift) * a + part(destination, shift) * below) / alpha) << shift;
  return ((Math.round(255 * alpha) << 24) | mix(16) | mix(8) | mix(0)) >>> 0;
}
