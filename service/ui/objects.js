/**
 * Rasterizer of masks and boxes, into the pixels of the screen.
 *
 * Each screen column looks up the runs of the image's column under it, and contours come from comparing runs, not
 * pixels. Time and memory follow the screen, not the image, so 300 masks of 24 megapixels are no burden.
 */

export const DIMMED = 0.3; // of everything but the highlighted object

/**
 * @param {ImageData} imageData
 * @param {{kind, rows, highlighted, display: {boxes, labels, masks, opacity, byObject}}} scene rows best first;
 *   `highlighted` is the id of a row, or null
 * @param {{scale, x, y}} view screen = scale * image + (x, y), all in device pixels
 * @param {number} unit one CSS pixel in device pixels
 * @param {{left, top, width, height}} area the part of the pixels that is painted anew
 */
export function paintObjects(imageData, scene, view, unit, area = { left: 0, top: 0, ...sizeOf(imageData) }) {
  clear(imageData, area);
  const { kind, highlighted, display } = scene;
  const order = paintingOrder(scene, view, area);
  const strength = (row) => (highlighted === null || highlighted === row.id ? 1 : DIMMED);
  const masked = kind === "map" || display.masks;
  for (const row of masked ? order : []) {
    if (!row.runs) continue;
    const thin = kind === "map" ? 0 : Math.max(1, Math.round(unit));
    const linePx = row.id === highlighted ? Math.ceil(2 * unit) : thin;
    const strong = strength(row);
    paintRuns(imageData, row.runs, view, { rgb: row.colour, fill: display.opacity * strong, line: strong, linePx }, area);
  }
  for (const row of display.boxes ? order : []) {
    if (!row.box) continue;
    const linePx = Math.round((row.id === highlighted ? 3 : 2) * unit);
    paintBox(imageData, row.box, view, { rgb: row.colour, line: strength(row), linePx }, area);
  }
}

/** The rows that reach into an area in the order of painting: the best last, the highlighted one after it. */
export function paintingOrder({ rows, highlighted }, view, area) {
  const order = rows.filter((row) => reaches(row, view, area)).reverse();
  return highlighted === null ? order : order.sort((a, b) => (a.id === highlighted) - (b.id === highlighted));
}

/** Rows of a class map have no box; they may reach anywhere. */
function reaches({ box }, { scale, x, y }, { left, top, width, height }) {
  if (!box) return true;
  const [x1, y1, x2, y2] = box; // a pixel more on each side: lines are rounded to whole pixels
  const [a, b] = [left - 1, top - 1];
  return x1 * scale + x < a + width + 2 && x2 * scale + x > a && y1 * scale + y < b + height + 2 && y2 * scale + y > b;
}

const sizeOf = ({ width, height }) => ({ width, height });
const pixelsOf = ({ data }) => new Uint32Array(data.buffer); // little-endian ABGR, as on all that runs a browser

function clear(imageData, { left, top, width, height }) {
  const pixels = pixelsOf(imageData);
  if (width === imageData.width) return pixels.fill(0, top * width, (top + height) * width);
  for (let y = top; y < top + height; y++) pixels.fill(0, y * imageData.width + left, y * imageData.width + left + width);
}

/**
 * Blends a mask into an area.
 * @param {import("./rle.js").Runs} runs
 * @param {{rgb: number[], fill: number, line: number, linePx: number}} style opacities 0..1; linePx 0: no contour
 */
function paintRuns(imageData, runs, view, { rgb, fill, line, linePx }, area) {
  const from = Math.max(area.left, Math.floor(runs.left * view.scale + view.x));
  const to = Math.min(area.left + area.width, Math.ceil(runs.right * view.scale + view.x));
  const column = columns(runs, view);
  const filled = brush(imageData, rgb, fill, area);
  const lined = brush(imageData, rgb, line, area);
  for (let x = from; x < to; x++) {
    const own = column(x);
    if (!own.length) continue;
    const inner = linePx ? common(shrunk(own, linePx), common(column(x - linePx), column(x + linePx))) : own;
    paintColumn(x, own, inner, filled, lined);
  }
}

/** A box as four lines inside of it. */
function paintBox(imageData, box, { scale, x, y }, { rgb, line, linePx }, area) {
  const [left, top, right, bottom] = box.map((value, i) => Math.round(value * scale + (i % 2 ? y : x)));
  const lined = brush(imageData, rgb, line, area);
  const to = Math.min(right, area.left + area.width);
  for (let at = Math.max(left, area.left); at < to; at++) {
    if (at < left + linePx || at >= right - linePx || bottom - top <= 2 * linePx) lined(at, top, bottom);
    else {
      lined(at, top, top + linePx);
      lined(at, bottom - linePx, bottom);
    }
  }
}

/** The runs of a screen column as [top, bottom, top, bottom, …], half-open: rows whose centres lie in the mask. */
function columns(runs, { scale, x: dx, y: dy }) {
  const known = new Map(); // by the image's column: close up, several of the screen's share one
  return (x) => {
    const source = Math.floor((x + 0.5 - dx) / scale);
    let rows = known.get(source);
    if (rows) return rows;
    known.set(source, (rows = []));
    runs.column(source, (top, bottom) => {
      const a = Math.ceil(top * scale + dy - 0.5);
      const b = Math.ceil(bottom * scale + dy - 0.5);
      if (a >= b) return;
      if (rows.at(-1) === a) rows[rows.length - 1] = b; // far away, gaps close
      else rows.push(a, b);
    });
    return rows;
  };
}

/** Runs without their first and last `px` pixels. */
function shrunk(rows, px) {
  const kept = [];
  for (let i = 0; i < rows.length; i += 2) {
    if (rows[i] + px < rows[i + 1] - px) kept.push(rows[i] + px, rows[i + 1] - px);
  }
  return kept;
}

/** What two lists of runs have in common. */
function common(a, b) {
  const both = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const top = Math.max(a[i], b[j]);
    const bottom = Math.min(a[i + 1], b[j + 1]);
    if (top < bottom) both.push(top, bottom);
    if (a[i + 1] < b[j + 1]) i += 2;
    else j += 2;
  }
  return both;
}

/** The inner part of each run filled, the rest of it in the contour's colour. */
function paintColumn(x, own, inner, filled, lined) {
  let next = 0;
  for (let i = 0; i < own.length; i += 2) {
    let y = own[i];
    for (; next < inner.length && inner[next] < own[i + 1]; next += 2) {
      lined(x, y, inner[next]);
      filled(x, inner[next], inner[next + 1]);
      y = inner[next + 1];
    }
    lined(x, y, own[i + 1]);
  }
}

/** A function that lays one colour over the rows y0 to y1 of a column, inside of an area. */
function brush(imageData, [red, green, blue], opacity, { top, height }) {
  const pixels = pixelsOf(imageData);
  const { width } = imageData;
  const source = ((Math.round(255 * opacity) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  let below = 0; // neighbours mostly look alike: what lay below last, and what came of it
  let blended = source;
  return (x, y0, y1) => {
    const end = Math.min(y1, top + height) * width;
    for (let i = Math.max(y0, top) * width + x; i < end; i += width) {
      if (pixels[i] !== below) {
        below = pixels[i];
        blended = over(source, below);
      }
      pixels[i] = blended;
    }
  };
}

/** Source over destination, neither premultiplied (Porter & Duff 1984). */
function over(source, destination) {
  const a = (source >>> 24) / 255;
  const below = ((destination >>> 24) / 255) * (1 - a);
  const alpha = a + below;
  if (!alpha) return 0;
  const part = (pixel, shift) => (pixel >>> shift) & 255;
  const mix = (shift) => Math.round((part(source, shift) * a + part(destination, shift) * below) / alpha) << shift;
  return ((Math.round(255 * alpha) << 24) | mix(16) | mix(8) | mix(0)) >>> 0;
}
