/** Draws a picture and what was found in it, for any view: the same code for the screen and for the saved overlay. */

import { css, textOn } from "./colour.js";
import { paintRuns } from "./rle.js";

const DIMMED = 0.3; // of everything but the object that is pointed at
const PLATES = 3; // classes written onto the picture

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./picture.js").Picture} picture
 * @param {{width, height}} size of the picture upright, as the service says, or as the browser sees it
 */
export function paintPicture(context, picture, size, view) {
  const { width, height } = context.canvas;
  context.clearRect(0, 0, width, height);
  const to = [view.x, view.y, size.width * view.scale, size.height * view.scale];
  context.fillStyle = picture.levels.length ? "#fff" : "#8a8f98"; // alpha lies over white, as the model sees it
  context.fillRect(...to);
  const level = picture.levels.length && picture.levelFor(view.scale);
  if (!level) return;
  context.imageSmoothingEnabled = view.scale < 3; // close up, pixels are what one wants to see
  context.imageSmoothingQuality = "medium";
  context.drawImage(level, ...to);
}

/**
 * @param {{kind, rows, lit, look: {boxes, labels, masks, opacity, byObject}}} scene rows best first; `lit` is the id of
 *   the row that is pointed at, or null
 * @param {number} unit one CSS pixel in pixels of the canvas
 */
export function paintOverlay(context, scene, view, unit) {
  const { width, height } = context.canvas;
  context.clearRect(0, 0, width, height);
  if (scene.kind === "classes") return paintPlates(context, scene, view, unit);
  const onScreen = scene.rows.filter((row) => isOnScreen(row, view, width, height));
  const order = [...onScreen].reverse(); // the best ends on top, and what is pointed at above all
  if (scene.lit !== null) order.sort((a, b) => (a.id === scene.lit) - (b.id === scene.lit));
  if (scene.kind === "map" || scene.look.masks) paintMasks(context, order, scene, view, unit);
  if (scene.look.boxes) for (const row of order) if (row.box) paintBox(context, row, scene, view, unit);
  if (scene.look.labels && scene.kind !== "map") paintLabels(context, order.reverse(), scene, view, unit);
}

/** On the overlay of a map, classes have no box. */
function isOnScreen({ box }, { scale, x, y }, width, height) {
  if (!box) return true;
  return box[0] * scale + x < width && box[2] * scale + x > 0 && box[1] * scale + y < height && box[3] * scale + y > 0;
}

const strength = (row, lit) => (lit === null || lit === row.id ? 1 : DIMMED);

function paintMasks(context, order, { kind, lit, look }, view, unit) {
  const image = context.createImageData(context.canvas.width, context.canvas.height);
  const linePx = kind === "map" ? 0 : Math.max(1, Math.round(unit));
  for (const row of order) {
    if (!row.runs) continue;
    const strong = strength(row, lit);
    const wider = row.id === lit ? Math.ceil(2 * unit) : linePx;
    paintRuns(image, row.runs, view, { rgb: row.colour, fill: look.opacity * strong, line: strong, linePx: wider });
  }
  context.putImageData(image, 0, 0);
}

function paintBox(context, row, { lit }, { scale, x, y }, unit) {
  const [x1, y1, x2, y2] = row.box;
  const line = (row.id === lit ? 3 : 2) * unit;
  context.globalAlpha = strength(row, lit);
  context.lineWidth = line;
  context.strokeStyle = css(row.colour);
  const inset = Math.min(line / 2, ((x2 - x1) * scale) / 4, ((y2 - y1) * scale) / 4); // drawn on the pixels inside
  const [left, top] = [x1 * scale + x + inset, y1 * scale + y + inset];
  context.strokeRect(left, top, (x2 - x1) * scale - 2 * inset, (y2 - y1) * scale - 2 * inset);
  context.globalAlpha = 1;
}

/** On top of the box, else inside, else below, where no other label lies. Unreadable text tells nothing: left out. */
function paintLabels(context, rows, { lit }, { scale, x, y }, unit) {
  const taken = [];
  const height = 18 * unit;
  context.font = `600 ${12 * unit}px system-ui, sans-serif`;
  for (const row of rows) {
    const text = `${row.label} ${row.score.toFixed(2)}`;
    const width = context.measureText(text).width + 8 * unit;
    const left = Math.max(0, Math.min(row.box[0] * scale + x, context.canvas.width - width));
    const [top, bottom] = [row.box[1] * scale + y, row.box[3] * scale + y];
    const places = [top - height, top, bottom - height, bottom].map((place) => ({ left, top: place, width, height }));
    const fits = (place) => place.top >= 0 && place.top + height <= context.canvas.height;
    const free = places.find((place) => fits(place) && !taken.some((other) => overlaps(place, other)));
    if (!free) continue;
    taken.push(free);
    context.globalAlpha = strength(row, lit);
    paintPlate(context, text, free, row.colour, unit);
  }
  context.globalAlpha = 1;
}

const overlaps = (a, b) =>
  a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;

function paintPlate(context, text, { left, top, width, height }, colour, unit) {
  context.fillStyle = css(colour);
  context.fillRect(left, top, width, height);
  context.fillStyle = textOn(colour);
  context.textBaseline = "middle";
  context.fillText(text, left + 4 * unit, top + height / 2 + 0.5 * unit);
}

/** The likeliest classes, in the picture's upper left corner. */
function paintPlates(context, { rows, lit }, view, unit) {
  const height = 22 * unit;
  context.font = `600 ${13 * unit}px system-ui, sans-serif`;
  const texts = rows.slice(0, PLATES).map((row) => `${row.label} ${row.score.toFixed(3)}`);
  const width = Math.max(0, ...texts.map((text) => context.measureText(text).width)) + 8 * unit;
  texts.forEach((text, i) => {
    const place = { left: Math.max(view.x, 0), top: Math.max(view.y, 0) + i * height, width, height };
    context.globalAlpha = strength(rows[i], lit);
    paintPlate(context, text, place, rows[i].colour, unit);
  });
  context.globalAlpha = 1;
}
