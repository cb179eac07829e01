/** Draws a picture and what was found in it, for any view: the same code for the screen and for the saved overlay. */

import { css, textOn } from "./colour.js";
import { paintRuns } from "./masks.js";

const DIMMED = 0.3; // of everything but the object that is pointed at
const PLATES = 3; // classes written onto the picture
const LONG_LABEL = 1.6; // a label so many times as wide as its box covers too much of its neighbours

/** All of a canvas, for those who do not paint part by part. */
export const whole = ({ canvas: { width, height } }) => ({ left: 0, top: 0, width, height });

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./picture.js").Picture} picture
 * @param {{width, height}} size of the picture upright, as the service says, or as the browser sees it
 * @param {{left, top, width, height}} area of the canvas that is painted anew
 */
export function paintPicture(context, picture, size, view, area = whole(context)) {
  within(context, area, () => {
    context.clearRect(area.left, area.top, area.width, area.height);
    const to = [view.x, view.y, size.width * view.scale, size.height * view.scale];
    context.fillStyle = picture.levels.length ? "#fff" : "#8a8f98"; // alpha lies over white, as the model sees it
    context.fillRect(...to);
    const level = picture.levels.length && picture.levelFor(view.scale);
    if (!level) return;
    context.imageSmoothingEnabled = view.scale < 3; // close up, pixels are what one wants to see
    context.imageSmoothingQuality = "medium";
    context.drawImage(level, ...to);
  });
}

/**
 * Masks and boxes.
 * @param {{kind, rows, lit, look: {boxes, labels, masks, opacity, byObject}}} scene rows best first; `lit` is the id of
 *   the row that is pointed at, or null
 * @param {number} unit one CSS pixel in pixels of the canvas
 */
export function paintObjects(context, scene, view, unit, area = whole(context)) {
  const order = paintingOrder(scene, view, area);
  const masks = scene.kind === "map" || (scene.kind === "instances" && scene.look.masks);
  if (masks) paintMasks(context, order, scene, view, unit, area);
  else context.clearRect(area.left, area.top, area.width, area.height);
  if (!scene.look.boxes) return;
  within(context, area, () => {
    for (const row of order) if (row.box) paintBox(context, row, scene, view, unit);
  });
}

/** Names and scores. They keep clear of each other and inside of the canvas, so they are always painted all. */
export function paintWords(context, scene, view, unit) {
  const { width, height } = context.canvas;
  context.clearRect(0, 0, width, height);
  if (scene.kind === "classes") paintPlates(context, scene, view, unit);
  else if (scene.kind !== "map" && scene.look.labels) {
    paintLabels(context, paintingOrder(scene, view, whole(context)).reverse(), scene, view, unit);
  }
}

/** Of what reaches into an area the best ends on top, and what is pointed at above all. */
function paintingOrder({ rows, lit }, view, area) {
  const order = rows.filter((row) => reaches(row, view, area)).reverse();
  return lit === null ? order : order.sort((a, b) => (a.id === lit) - (b.id === lit));
}

/** On the overlay of a map, classes have no box. */
function reaches({ box }, { scale, x, y }, { left, top, width, height }) {
  if (!box) return true;
  const [x1, y1, x2, y2] = box;
  return x1 * scale + x < left + width && x2 * scale + x > left && y1 * scale + y < top + height && y2 * scale + y > top;
}

function within(context, { left, top, width, height }, paint) {
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  paint();
  context.restore();
}

const strength = (row, lit) => (lit === null || lit === row.id ? 1 : DIMMED);

function paintMasks(context, order, { kind, lit, look }, view, unit, { left, top, width, height }) {
  const image = blankImage(context, width, height);
  const linePx = kind === "map" ? 0 : Math.max(1, Math.round(unit));
  const shifted = { scale: view.scale, x: view.x - left, y: view.y - top };
  for (const row of order) {
    if (!row.runs) continue;
    const strong = strength(row, lit);
    const wider = row.id === lit ? Math.ceil(2 * unit) : linePx;
    paintRuns(image, row.runs, shifted, { rgb: row.colour, fill: look.opacity * strong, line: strong, linePx: wider });
  }
  context.putImageData(image, left, top);
}

const images = new WeakMap(); // canvas -> its last ImageData: megabytes that are not worth making anew for each frame

function blankImage(context, width, height) {
  const image = images.get(context.canvas);
  if (image?.width === width && image.height === height) {
    image.data.fill(0);
    return image;
  }
  const blank = context.createImageData(width, height);
  images.set(context.canvas, blank);
  return blank;
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

/**
 * On top of the box, else inside, else below, where no other label lies. A small object says its score only, unless it
 * is pointed at. Unreadable text tells nothing: what finds no place is left out.
 */
function paintLabels(context, rows, { lit }, { scale, x, y }, unit) {
  const taken = [];
  const height = 18 * unit;
  const widthOf = plateFont(context, 12, unit);
  for (const row of rows) {
    const [left, top, right, bottom] = row.box.map((value, i) => value * scale + (i % 2 ? y : x));
    const score = row.score.toFixed(2);
    const long = `${row.label} ${score}`;
    const fitting = row.id === lit || widthOf(long) <= LONG_LABEL * (right - left);
    const text = fitting ? long : score;
    const width = widthOf(text);
    const at = Math.max(0, Math.min(left, context.canvas.width - width));
    const free = [top - height, top, bottom - height, bottom]
      .filter((place) => place >= 0 && place + height <= context.canvas.height)
      .map((place) => ({ left: at, top: place, width, height }))
      .find((place) => !taken.some((other) => overlaps(place, other)));
    if (!free) continue;
    taken.push(free);
    context.globalAlpha = strength(row, lit);
    paintPlate(context, text, free, row.colour, unit);
  }
  context.globalAlpha = 1;
}

const widths = new Map(); // font -> text -> px: asking the browser takes longer than all the rest

/** Sets the font; what it returns tells how wide a plate with a text is. */
function plateFont(context, px, unit) {
  const font = `600 ${px * unit}px system-ui, sans-serif`;
  context.font = font;
  if (!widths.has(font)) widths.set(font, new Map());
  const known = widths.get(font);
  return (text) => {
    if (!known.has(text)) known.set(text, context.measureText(text).width + 8 * unit);
    return known.get(text);
  };
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
  const widthOf = plateFont(context, 13, unit);
  const texts = rows.slice(0, PLATES).map((row) => `${row.label} ${row.score.toFixed(3)}`);
  const width = Math.max(...texts.map(widthOf));
  texts.forEach((text, i) => {
    const place = { left: Math.max(view.x, 0), top: Math.max(view.y, 0) + i * height, width, height };
    context.globalAlpha = strength(rows[i], lit);
    paintPlate(context, text, place, rows[i].colour, unit);
  });
  context.globalAlpha = 1;
}
