/** Masks as COCO run lengths (`Runs`), which are never expanded to a bitmap of the image's size. */

/** Where one mask is: half-open runs over the image's pixels, column after column. */
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

  /** Whether the mask covers the image's pixel (x, y). */
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
