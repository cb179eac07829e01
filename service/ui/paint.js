/** Painting of the image and of labels, for any view: the same for the screen and for the saved overlay. */

import { css, textOn } from "./colour.js";
import { DIMMED, paintingOrder } from "./objects.js";

const LABELLED_CLASSES = 3; // of a classification, written onto the image
const LONG_LABEL = 1.6; // a label so many times as wide as its box covers too much of its neighbours

const whole = ({ canvas: { width, height } }) => ({ left: 0, top: 0, width, height });

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./image.js").InputImage} image
 * @param {{width, height}} size of the upright image, from the service or from the browser
 * @param {{left, top, width, height}} area of the canvas that is painted anew
 */
export function paintImage(context, image, size, view, area = whole(context)) {
  const { left, top, width, height } = area;
  const to = [view.x, view.y, size.width * view.scale, size.height * view.scale];
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.clearRect(left, top, width, height);
  context.fillStyle = image.levels.length ? "#fff" : "#8a8f98"; // transparency over white, as in the model input
  context.fillRect(...to);
  context.imageSmoothingEnabled = view.scale < 3; // close up, single pixels should be seen
  context.imageSmoothingQuality = "medium"; // "low" rounds places: seams where a moved canvas is painted on
  if (image.levels.length) context.drawImage(image.levelFor(view.scale), ...to);
  context.restore();
}

/**
 * Labels and scores. They do not overlap and stay inside of the canvas, so all are painted at every change.
 * @param {object} scene see paintObjects
 * @param {number} unit one CSS pixel in pixels of the canvas
 */
export function paintLabels(context, scene, view, unit) {
  const { width, height } = context.canvas;
  context.clearRect(0, 0, width, height);
  if (scene.kind === "classes") paintClassLabels(context, scene, view, unit);
  else if (scene.kind === "objects" && scene.display.labels) {
    paintObjectLabels(context, paintingOrder(scene, view, whole(context)).reverse(), scene, view, unit);
  }
}

const strength = (row, highlighted) => (highlighted === null || highlighted === row.id ? 1 : DIMMED);

/**
 * On top of the box, else inside, else below, where no other label lies. A small object shows its score only, unless it
 * is highlighted. A label without a free place is left out: overlapping text would be unreadable.
 */
function paintObjectLabels(context, rows, { highlighted }, { scale, x, y }, unit) {
  const taken = [];
  const height = 18 * unit;
  const widthOf = labelFont(context, 12, unit);
  for (const row of rows) {
    const [left, top, right, bottom] = row.box.map((value, i) => value * scale + (i % 2 ? y : x));
    const score = row.score.toFixed(2);
    const long = `${row.label} ${score}`;
    const fitting = row.id === highlighted || widthOf(long) <= LONG_LABEL * (right - left);
    const text = fitting ? long : score;
    const width = widthOf(text);
    const at = Math.max(0, Math.min(left, context.canvas.width - width));
    const free = [top - height, top, bottom - height, bottom]
      .filter((place) => place >= 0 && place + height <= context.canvas.height)
      .map((place) => ({ left: at, top: place, width, height }))
      .find((place) => !taken.some((other) => overlaps(place, other)));
    if (!free) continue;
    taken.push(free);
    context.globalAlpha = strength(row, highlighted);
    paintLabel(context, text, free, row.colour, unit);
  }
  context.globalAlpha = 1;
}

const widths = new Map(); // font -> text -> px: asking the browser takes longer than all the rest

/** Sets the font; the returned function gives the width of a label with a text. */
function labelFont(context, px, unit) {
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

function paintLabel(context, text, { left, top, width, height }, colour, unit) {
  context.fillStyle = css(colour);
  context.fillRect(left, top, width, height);
  context.fillStyle = textOn(colour);
  context.textBaseline = "middle";
  context.fillText(text, left + 4 * unit, top + height / 2 + 0.5 * unit);
}

/** The most likely classes, in the image's upper left corner. */
function paintClassLabels(context, { rows, highlighted }, view, unit) {
  const height = 22 * unit;
  const widthOf = labelFont(context, 13, unit);
  const texts = rows.slice(0, LABELLED_CLASSES).map((row) => `${row.label} ${row.score.toFixed(3)}`);
  const width = Math.max(...texts.map(widthOf));
  texts.forEach((text, i) => {
    const place = { left: Math.max(view.x, 0), top: Math.max(view.y, 0) + i * height, width, height };
    context.globalAlpha = strength(rows[i], highlighted);
    paintLabel(context, text, place, rows[i].colour, unit);
  });
  context.globalAlpha = 1;
}
