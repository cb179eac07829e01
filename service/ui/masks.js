/**
 * Masks, drawn straight from their runs onto pixels of the screen.
 *
 * Each screen column looks up the runs of the picture's column under it, and contours come from comparing runs, not
 * pixels. Time and memory follow the screen, not the picture, so 300 masks of 24 megapixels are no burden.
 */

/**
 * Blends a mask into pixels of the screen.
 * @param {ImageData} image transparent before the first mask
 * @param {import("./rle.js").Runs} runs
 * @param {{scale, x, y}} view screen = scale * picture + (x, y), all in device pixels
 * @param {{rgb: number[], fill: number, line: number, linePx: number}} look opacities 0..1; linePx 0: no contour
 */
export function paintRuns(image, runs, view, { rgb, fill, line = 1, linePx = 0 }) {
  const from = Math.max(0, Math.floor(runs.left * view.scale + view.x));
  const to = Math.min(image.width, Math.ceil(runs.right * view.scale + view.x));
  const column = columns(runs, view);
  const filled = brush(image, rgb, fill);
  const lined = brush(image, rgb, line);
  for (let x = from; x < to; x++) {
    const own = column(x);
    if (!own.length) continue;
    const core = linePx ? common(shrunk(own, linePx), common(column(x - linePx), column(x + linePx))) : own;
    paintColumn(x, own, core, filled, lined);
  }
}

/** The runs of a screen column as [top, bottom, top, bottom, …], half-open: rows whose centres lie in the mask. */
function columns(runs, { scale, x: dx, y: dy }) {
  const known = new Map(); // by the picture's column: close up, several of the screen's share one
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

/** A function that lays one colour over the rows y0 to y1 of a column. */
function brush({ data, width, height }, [red, green, blue], opacity) {
  const pixels = new Uint32Array(data.buffer); // little-endian ABGR, as on every machine that runs a browser
  const source = ((Math.round(255 * opacity) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  let below = 0; // neighbours mostly look alike: what lay below last, and what came of it
  let blended = source;
  return (x, y0, y1) => {
    const end = Math.min(y1, height) * width;
    for (let i = Math.max(y0, 0) * width + x; i < end; i += width) {
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
