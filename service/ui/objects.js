/**
 * Masks and boxes as pixels of the screen.
 *
 * Each screen column looks up the runs of the image's column under it, and contours come from comparing runs, not
 * pixels. Time and memory follow the screen, not the image, so 300 masks of 24 megapixels are no burden.
 */

export const DIMMED = 0.3; // of everything but the object that is pointed at

/**
 * @param {ImageData} image
 * @param {{kind, rows, lit, look: {boxes, labels, masks, opacity, byObject}}} scene rows best first; `lit` is the id of
 *   the row that is pointed at, or null
 * @param {{scale, x, y}} view screen = scale * image + (x, y), all in device pixels
 * @param {number} unit one CSS pixel in device pixels
 * @param {{left, top, width, height}} area the part of the image that is painted anew
 */
export function paintObjects(image, scene, view, unit, area = { left: 0, top: 0, ...sizeOf(image) }) {
  clear(image, area);
  const { kind, lit, look } = scene;
  const order = paintingOrder(scene, view, area);
  const strength = (row) => (lit === null || lit === row.id ? 1 : DIMMED);
  const masked = kind === "map" || (kind === "instances" && look.masks);
  for (const row of masked ? order : []) {
    if (!row.runs) continue;
    const thin = kind === "map" ? 0 : Math.max(1, Math.round(unit));
    const linePx = row.id === lit ? Math.ceil(2 * unit) : thin;
    const strong = strength(row);
    paintRuns(image, row.runs, view, { rgb: row.colour, fill: look.opacity * strong, line: strong, linePx }, area);
  }
  for (const row of look.boxes ? order : []) {
    if (!row.box) continue;
    const linePx = Math.round((row.id === lit ? 3 : 2) * unit);
    paintFrame(image, row.box, view, { rgb: row.colour, line: strength(row), linePx }, area);
  }
}

/** Of what reaches into an area the best ends on top, and what is pointed at above all. */
export function paintingOrder({ rows, lit }, view, area) {
  const order = rows.filter((row) => reaches(row, view, area)).reverse();
  return lit === null ? order : order.sort((a, b) => (a.id === lit) - (b.id === lit));
}

/** On the overlay of a map, classes have no box. */
function reaches({ box }, { scale, x, y }, { left, top, width, height }) {
  if (!box) return true;
  const [x1, y1, x2, y2] = box; // a pixel more on each side: lines are rounded to whole pixels
  const [a, b] = [left - 1, top - 1];
  return x1 * scale + x < a + width + 2 && x2 * scale + x > a && y1 * scale + y < b + height + 2 && y2 * scale + y > b;
}

const sizeOf = ({ width, height }) => ({ width, height });
const pixelsOf = ({ data }) => new Uint32Array(data.buffer); // little-endian ABGR, as on all that runs a browser

function clear(image, { left, top, width, height }) {
  const pixels = pixelsOf(image);
  if (width === image.width) return pixels.fill(0, top * width, (top + height) * width);
  for (let y = top; y < top + height; y++) pixels.fill(0, y * image.width + left, y * image.width + left + width);
}

/**
 * Blends a mask into an area.
 * @param {import("./rle.js").Runs} runs
 * @param {{rgb: number[], fill: number, line: number, linePx: number}} look opacities 0..1; linePx 0: no contour
 */
function paintRuns(image, runs, view, { rgb, fill, line, linePx }, area) {
  const from = Math.max(area.left, Math.floor(runs.left * view.scale + view.x));
  const to = Math.min(area.left + area.width, Math.ceil(runs.right * view.scale + view.x));
  const column = columns(runs, view);
  const filled = brush(image, rgb, fill, area);
  const lined = brush(image, rgb, line, area);
  for (let x = from; x < to; x++) {
    const own = column(x);
    if (!own.length) continue;
    const core = linePx ? common(shrunk(own, linePx), common(column(x - linePx), column(x + linePx))) : own;
    paintColumn(x, own, core, filled, lined);
  }
}

/** A box as four lines inside of it. */
function paintFrame(image, box, { scale, x, y }, { rgb, line, linePx }, area) {
  const [left, top, right, bottom] = box.map((value, i) => Math.round(value * scale + (i % 2 ? y : x)));
  const lined = brush(image, rgb, line, area);
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

/** The core of each run filled, the rest of it in the contour's colour. */
function paintColumn(x, own, core, filled, lined) {
  let next = 0;
  for (let i = 0; i < own.length; i += 2) {
    let y = own[i];
    for (; next < core.length && core[next] < own[i + 1]; next += 2) {
      lined(x, y, core[next]);
      filled(x, core[next], core[next + 1]);
      y = core[next + 1];
    }
    lined(x, y, own[i + 1]);
  }
}

/** A function that lays one colour over the rows y0 to y1 of a column, inside of an area. */
function brush(image, [red, green, blue], opacity, { top, height }) {
  const pixels = pixelsOf(image);
  const { width } = image;
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
