/**
 * Answers: their kind, their rows, and the part of them that the options leave.
 *
 * The kind is read off the entry itself, so a task that this page has never heard of works, too:
 *   classes   `classes`: a ranking
 *   map       `segmentation`: a class for each pixel
 *   objects   `detections`: boxes, some with masks
 *   other     anything else: shown as JSON, beside the service's own annotated image
 *
 * Which options the answer at hand serves exactly, without another request:
 * - a HIGHER score threshold, always: rows are sorted by score, NMS is greedy and never lets a weaker box suppress a
 *   stronger one, and the limit keeps the best; so the rows above a higher threshold are the answer to it.
 * - fewer classes in a ranking: its beginning.
 * - hidden classes, unless the answer was cut at max_detections: classes never suppress each other, but without them
 *   others would move up.
 * Another IoU threshold always needs a request. Greedy NMS over what is left would be wrong even for a lower one: let A
 * suppress B, which had suppressed C. With the lower threshold B goes, so C should stay; but C is not in the answer.
 */

import { colourOf } from "./colour.js";
import { Runs } from "./rle.js";

const MAX_DETECTIONS = 300; // the service's own limit
const NOT_SENT = new Set(["classes", "mask_format", "max_detections", "tile"]); // not from the form, see `parameters`

/** The options that the form starts with: the model's defaults by the service's names, and the hidden classes. */
export function defaultOptions({ defaults, labels }) {
  const hidden = labels.filter((label) => defaults.classes && !defaults.classes.includes(label));
  const values = Object.entries(defaults).filter(([name, value]) => !NOT_SENT.has(name) && value !== null);
  return { ...Object.fromEntries(values), hidden: new Set(hidden) };
}

/** Query parameters of a request. Masks come as run lengths: exact, small, and drawable as they are. */
export function parameters(model, options, { classes = false } = {}) {
  const { hidden, ...values } = options;
  const query = { model: `${model.name}@${model.version}`, ...values };
  if ("mask_format" in model.defaults) query.mask_format = "rle";
  const kept = model.labels.filter((label) => !hidden.has(label));
  const some = kept.length > 0 && kept.length < model.labels.length;
  if (classes && some && "classes" in model.defaults) query.classes = kept.join(",");
  return query;
}

/** Whether the answer to the options `asked` holds everything that `options` want. */
export function serves(asked, result, options) {
  const differ = Object.keys(options).filter((name) => name !== "hidden" && options[name] !== asked[name]);
  if (result.kind === "classes") {
    const enough = options.top_k <= asked.top_k || result.rows.length < asked.top_k;
    return differ.every((name) => name === "top_k" && enough);
  }
  if (result.kind !== "objects") return !differ.length;
  if (!differ.every((name) => name === "score_threshold" && options[name] > asked[name])) return false;
  return !result.capped || sameSet(options.hidden, asked.hidden);
}

const sameSet = (a, b) => a.size === b.size && [...a].every((each) => b.has(each));

const all = (list, holds) => Array.isArray(list) && list.every(holds);
const isScored = ({ label, score, class_id: id }) =>
  typeof label === "string" && typeof score === "number" && Number.isInteger(id);
const isBox = (box) => all(box, Number.isFinite) && box.length === 4;

/** How an entry of an answer can be shown: see above. */
export function kindOf({ classes, segmentation, detections }) {
  if (all(classes, isScored) && classes.length) return "classes";
  if (segmentation?.coverage && all(segmentation.labels, String) && all(segmentation.mask?.classes, isRunLengths)) return "map";
  if (all(detections, (each) => isScored(each) && isBox(each.box))) return "objects";
  return "other";
}

const isRunLengths = ({ label, counts, size }) => Boolean(label && size) && typeof counts === "string";

/** The entry of an answer -> rows that can be drawn and listed. */
export function readEntry(entry, { defaults }) {
  const kind = kindOf(entry);
  const about = { kind, width: entry.image.width, height: entry.image.height };
  if (kind === "classes") return { ...about, rows: entry.classes.map(row) };
  if (kind === "map") {
    return { ...about, rows: mapRows(entry.segmentation, about), known: entry.segmentation.labels.length };
  }
  if (kind === "other") return { ...about, rows: [] };
  const rows = entry.detections.map(row);
  const masks = "mask_format" in defaults || rows.some(({ runs }) => runs);
  return { ...about, rows, masks, capped: rows.length >= (defaults.max_detections ?? MAX_DETECTIONS) };
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

/** The rows that the options leave. A score must be GREATER than the threshold, as the service has it. */
export function visibleRows(result, { hidden, top_k: top, score_threshold: least }) {
  if (result.kind === "classes") return result.rows.slice(0, top);
  const shown = result.rows.filter((each) => !hidden.has(each.label));
  return result.kind === "objects" && least !== undefined ? shown.filter(({ score }) => score > least) : shown;
}

/** The entry as the service would give it for these options: JSON view, downloads and copied commands agree on it. */
export function visibleEntry(entry, result, options) {
  const list = { classes: "classes", objects: "detections" }[result.kind];
  if (!list) return entry;
  return { ...entry, [list]: visibleRows(result, options).map(({ id }) => entry[list][id]) };
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
