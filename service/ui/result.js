/**
 * An answer, and what of it is shown.
 *
 * Which wishes the answer at hand serves exactly, without asking again:
 * - a HIGHER score threshold, always: rows are sorted by score, NMS is greedy and never lets a weaker box drive a
 *   stronger one out, and the cut keeps the best; so the rows above a higher threshold are the answer to it.
 * - fewer classes in a ranking: its beginning.
 * - hidden classes, unless the answer was cut at max_detections: classes never suppress each other, but without them
 *   others would move up.
 * Another IoU threshold is always asked for. Greedy NMS over what is left would be wrong even for a lower one: let A
 * drive out B, and B had driven out C. With the lower threshold B goes, so C should stay; but C is not here any more.
 */

import { colourOf } from "./colour.js";
import { Runs } from "./rle.js";

const MAX_DETECTIONS = 300; // the service's own limit

/** What to ask for, from the model's defaults. One object for all tasks; `parameters` picks what applies. */
export function defaultWish(model) {
  const { score_threshold: score, iou_threshold: iou, top_k: top } = model.defaults;
  return { score, iou, top, hidden: new Set() };
}

/** Query parameters of a wish. Masks come as run lengths: exact, small, and drawable as they are. */
export function parameters(model, wish, { classes = false } = {}) {
  const asked = { model: `${model.name}@${model.version}` };
  if ("top_k" in model.defaults) asked.top_k = wish.top;
  if ("score_threshold" in model.defaults) asked.score_threshold = wish.score;
  if ("iou_threshold" in model.defaults) asked.iou_threshold = wish.iou;
  if ("mask_format" in model.defaults) asked.mask_format = "rle";
  const kept = model.labels.filter((label) => !wish.hidden.has(label));
  const some = kept.length > 0 && kept.length < model.labels.length;
  if (classes && some && "classes" in model.defaults) asked.classes = kept.join(",");
  return asked;
}

/** Whether the answer to `asked` holds everything that `wish` wants. */
export function serves(asked, result, wish) {
  if (result.kind === "classes") return wish.top <= asked.top || result.rows.length < asked.top;
  if (result.kind === "map") return true;
  if (wish.score < asked.score || wish.iou !== asked.iou) return false;
  return !result.capped || sameSet(wish.hidden, asked.hidden);
}

const sameSet = (a, b) => a.size === b.size && [...a].every((each) => b.has(each));

/** The entry of an answer -> rows that can be drawn and listed. */
export function readEntry(entry, model) {
  const size = { width: entry.image.width, height: entry.image.height };
  if (entry.classes) return { kind: "classes", ...size, rows: entry.classes.map(row) };
  if (entry.segmentation) return { kind: "map", ...size, rows: mapRows(entry.segmentation, size) };
  const rows = entry.detections.map(row);
  const masks = model.task === "instance-segmentation";
  const most = model.defaults.max_detections ?? MAX_DETECTIONS;
  return { kind: masks ? "instances" : "boxes", ...size, rows, capped: rows.length >= most };
}

function row(json, id) {
  const { label, class_id: classId, score, box, mask, area_px: areaPx } = json;
  const runs = mask && new Runs(mask);
  return { id, label, classId, score, box, runs, areaPx, colour: colourOf(classId) };
}

function mapRows({ labels, mask, coverage }, { width, height }) {
  const runs = new Map(mask.classes.map((each) => [each.label, new Runs(each)]));
  return labels
    .map((label, classId) => ({
      id: classId, label, classId, share: coverage[label], areaPx: coverage[label] * width * height,
      runs: runs.get(label), colour: colourOf(classId),
    }))
    .filter((each) => each.runs)
    .sort((a, b) => b.share - a.share);
}

/** The rows that a wish leaves. A score must be GREATER than the threshold, as the service has it. */
export function visibleRows(result, wish) {
  if (result.kind === "classes") return result.rows.slice(0, wish.top);
  const shown = result.rows.filter((each) => !wish.hidden.has(each.label));
  return result.kind === "map" ? shown : shown.filter((each) => each.score > wish.score);
}

/** The entry as the service would give it for this wish: what JSON view, downloads and copied commands agree on. */
export function visibleEntry(entry, result, wish) {
  if (result.kind === "map") return entry;
  const kept = visibleRows(result, wish).map(({ id }) => id);
  const list = result.kind === "classes" ? "classes" : "detections";
  return { ...entry, [list]: kept.map((id) => entry[list][id]) };
}

/** The object under a pixel of the image: of several the smallest, which could not be reached otherwise. */
export function rowAt(result, rows, x, y) {
  if (x < 0 || y < 0 || x >= result.width || y >= result.height) return null;
  let best = null;
  for (const each of rows) {
    if (each.box && !(each.box[0] <= x && x < each.box[2] && each.box[1] <= y && y < each.box[3])) continue;
    if (each.runs ? !each.runs.has(x, y) : !each.box) continue;
    if (!best || extent(each) < extent(best)) best = each;
  }
  return best;
}

const extent = ({ areaPx, box }) => areaPx ?? (box[2] - box[0]) * (box[3] - box[1]);
