/** State of the page (models, images, options, the highlighted row) and the wiring of all other modules. */

import * as api from "./api.js";
import { colourOf } from "./colour.js";
import { defaultDisplay, showDisplay, showParameters } from "./controls.js";
import { $, debounced, el } from "./dom.js";
import { showCards, showMenu } from "./examples.js";
import { listenForExports } from "./exports.js";
import { InputImage } from "./image.js";
import { openModelPage, summary } from "./modelpage.js";
import { describe, listenForRows, markRow, showResult } from "./panel.js";
import { showProblem } from "./problem.js";
import { defaultOptions, parameters, readEntry, serves, visibleRows } from "./result.js";
import { keyDialog, listenForTheme } from "./settings.js";
import { listenForImages } from "./sources.js";
import { showThumbnails } from "./thumbnails.js";
import { timingView } from "./timing.js";
import { Viewer } from "./viewer.js";

const REQUEST_AFTER_MS = 200; // since a slider last moved
const LOADING_MS = 1500;
const STARTING = { title: "Starting", detail: "the models are being loaded and checked", status: 503 };
const UNSHOWN = " This browser cannot show the image; the result is drawn on grey.";

const state = {
  models: [],
  model: null,
  choices: new Map(), // model's ref -> {options, display}: each model keeps its own
  images: [],
  current: null,
  highlighted: null, // id of a row
  ids: new Set(), // of the rows that are drawn
  formFor: "", // what the display form was last made for
};
const dialog = $("#dialog");
const viewer = new Viewer($("#canvases"), (row) => highlight(row?.id ?? null, { fromImage: true }));
const askSoon = debounced(() => refresh(), REQUEST_AFTER_MS);

const refOf = (model) => `${model.name}@${model.version}`;
const choice = () => state.choices.get(refOf(state.model));
const byTask = (a, b) => a.task.localeCompare(b.task);

// --- models ---

async function loadModels() {
  try {
    const { models, failed } = await api.models();
    if (!models.length && !failed.length) throw new api.Problem(STARTING);
    showModels(models, failed);
  } catch (problem) {
    showProblem($("#problem"), problem);
    setStatus("No models yet.");
    if (problem.status === 401) askForKey();
    if (problem.status === 503) setTimeout(loadModels, LOADING_MS);
  }
}

function showModels(models, failed) {
  showProblem($("#problem"), null);
  state.models = models.toSorted(byTask);
  const tasks = Map.groupBy(state.models, ({ task }) => task);
  const option = (model) => el("option", { value: refOf(model) }, `${model.name} · ${model.version}`);
  const broken = ({ model, reason }) => el("option", { disabled: true }, `${model}: ${reason}`);
  $("#model").replaceChildren(
    ...[...tasks].map(([task, those]) => el("optgroup", { label: task.replaceAll("-", " ") }, those.map(option))),
    ...(failed.length ? [el("optgroup", { label: "not served" }, failed.map(broken))] : []),
  );
  if (models.length) chooseModel(state.models.find((model) => model.default) ?? state.models[0]); // as the API
}

function chooseModel(model) {
  state.model = model;
  $("#model").value = refOf(model);
  if (!state.choices.has(refOf(model))) {
    state.choices.set(refOf(model), { options: defaultOptions(model), display: null });
  }
  $("#summary").textContent = summary(model);
  $("#model-page").disabled = $("#run").disabled = false;
  showParameters($("#parameters"), model, choice().options, refreshGently);
  $("#display").replaceChildren(); // filled with the first answer: its kind decides
  state.formFor = "";
  setStatus(state.current ? "" : "Ready. Choose an image.");
  $("#or-example").hidden = !showCards($("#examples"), state.models, model, exampleHandlers);
  refresh();
}

/** An example that is clicked is given to its model. */
const exampleHandlers = {
  take(model, image) {
    if (model !== state.model) chooseModel(model);
    add([image]);
  },
  failed: (problem) => showProblem($("#problem"), problem),
};

// --- images ---

async function add(added) {
  state.images.push(...added);
  const shown = select(added[0]);
  for (const image of added) {
    await image.open();
    if (image !== state.current) image.close(); // its thumbnail stays
    thumbnails();
  }
  await shown;
  if (added.length > 1) await runAll();
}

async function select(image) {
  for (const other of state.images) if (other !== image) other.close();
  state.current = image;
  state.highlighted = null;
  $("#welcome").hidden = Boolean(image);
  $("#tools").hidden = $("#image-bar").hidden = !image;
  thumbnails();
  if (!image || !isAnswered(image)) render(); // the result of another image must not stay on screen
  await image?.open();
  if (state.current === image) await refresh();
}

function remove(image) {
  image.asking?.abort();
  image.close();
  const at = state.images.indexOf(image);
  state.images.splice(at, 1);
  if (state.current === image) select(state.images[Math.min(at, state.images.length - 1)] ?? null);
  else thumbnails();
}

function thumbnails() {
  showThumbnails($("#thumbs"), state.images, { current: state.current, badge, choose: select, remove });
  $("#run-all").hidden = state.images.length < 2;
}

function badge(image) {
  const run = image.run;
  if (image.asking) return "…";
  if (!run || run.ref !== refOf(state.model)) return "";
  if (run.problem) return String(run.problem.status || "!");
  const rows = visibleRows(run.result, choice().options);
  if (run.result.kind === "other") return "✓";
  return run.result.kind === "classes" ? (rows[0]?.label ?? "") : String(rows.length);
}

// --- requests ---

const isAnswered = ({ run }) =>
  run?.result && run.ref === refOf(state.model) && serves(run.asked, run.result, choice().options);

/** Shows the current image; requests an answer first when the one at hand does not serve the options. */
async function refresh() {
  const { current, model } = state;
  if (current && model && !isAnswered(current)) await ask(current);
  else render();
}

/** After a slider moved: at once when the answer at hand serves, else once the slider rests. */
function refreshGently() {
  if (state.current && !isAnswered(state.current)) askSoon();
  else render();
}

async function ask(image) {
  const { model } = state;
  const { options } = choice();
  const asked = { ...options, hidden: new Set(image.run?.result?.capped ? options.hidden : []) };
  image.asking?.abort();
  const asking = (image.asking = new AbortController());
  render();
  let run;
  try {
    const query = parameters(model, asked, { classes: asked.hidden.size > 0 });
    const answer = await api.predict(model.endpoint, query, image.file, asking.signal);
    const result = readEntry(answer.entry, model);
    const annotated = result.kind === "other" ? await annotatedImage(model, query, image, asking.signal) : null;
    run = { ref: refOf(model), asked, answer, result, annotated };
  } catch (problem) {
    if (problem.name === "AbortError") return; // a newer request took its place, or the image was removed
    if (!(problem instanceof api.Problem)) throw problem;
    run = { ref: refOf(model), problem };
  }
  image.asking = null;
  image.run?.annotated?.close();
  image.run = run;
  if (image !== state.current) {
    run.annotated?.close();
    return thumbnails();
  }
  state.highlighted = null;
  render();
  const answeredAt = run.answer?.at;
  if (answeredAt) viewer.drawn().then(() => performance.measure("foveal answer to pixels", { start: answeredAt }));
  if (run.problem?.status === 401) askForKey();
}

/** The service's own drawing of a result that this page cannot draw. */
async function annotatedImage(model, query, image, signal) {
  const annotated = new InputImage(await api.annotated(model.endpoint, query, image.file, signal), image.name);
  await annotated.open();
  return annotated;
}

async function runAll() {
  for (const image of [...state.images]) {
    if (state.images.includes(image) && !isAnswered(image)) await ask(image);
  }
}

// --- showing ---

function render() {
  const image = state.current;
  const run = image?.run?.ref === (state.model && refOf(state.model)) ? image.run : null;
  thumbnails();
  $("#busy").hidden = !image?.asking;
  showProblem($("#problem"), run?.problem ?? null);
  const size = run?.result ?? (image?.levels.length ? image : null);
  const pixels = size && (run?.annotated ?? image).of(size);
  if (size) viewer.showImage(pixels, size);
  else viewer.clear();
  const shown = run?.result && sceneOf(run);
  state.ids = new Set(shown?.rows.map(({ id }) => id));
  if (!state.ids.has(state.highlighted)) state.highlighted = null; // filtered away under the pointer
  viewer.showScene(shown ? { ...shown, highlighted: state.highlighted } : null);
  for (const part of ["#result", "#timing", "#exports"]) $(part).hidden = !shown;
  const alternative = shown ? `${image.name}: ${describe(shown)}` : (image?.name ?? "No image yet");
  $("#overlay").setAttribute("aria-label", alternative);
  if (!shown) {
    if (image) setStatus(image.asking ? "Waiting for the answer…" : run?.problem ? "The service refused this image." : "");
    return;
  }
  const { entry } = run.answer;
  showResult($("#result"), { ...shown, options: choice().options, model: state.model, entry }, hide);
  markRow($("#result"), state.highlighted, { scroll: false });
  $("#timing").replaceChildren(...timingView(run.answer));
  showDisplayForm(run.result);
  $("[data-export=coco]").hidden = shown.kind !== "objects";
  $("#json-view").hidden = shown.kind === "other"; // there it is the result itself
  showJson();
  setStatus(`${describe(shown)}.${pixels.levels.length ? "" : UNSHOWN}`);
}

/** Made anew only when it offers something else: a switch must stay where it is while it is used. */
function showDisplayForm(result) {
  const formFor = [refOf(state.model), result.kind, result.masks].join(" ");
  if (formFor === state.formFor) return;
  state.formFor = formFor;
  showDisplay($("#display"), result, choice().display, render);
}

/** The part of an answer that is drawn and listed under the present options and display. */
function sceneOf({ result }) {
  choice().display ??= defaultDisplay(result, state.model);
  const { options, display } = choice();
  const painted = (row) => (display.byObject && row.box ? { ...row, colour: colourOf(row.id) } : row);
  return { kind: result.kind, result, rows: visibleRows(result, options).map(painted), display, highlighted: null };
}

/** @param {number | null} id of the row under the pointer or with the focus; one that is not drawn counts as none */
function highlight(id, { fromImage = false } = {}) {
  if (!state.ids.has(id)) id = null;
  if (id === state.highlighted) return;
  state.highlighted = id;
  viewer.highlight(id);
  markRow($("#result"), id, { scroll: fromImage });
}

function hide(label) {
  const { hidden } = choice().options;
  if (!hidden.delete(label)) hidden.add(label);
  refreshGently();
}

const setStatus = (text) => ($("#status").textContent = text);

// --- key, theme, wiring ---

const askForKey = () => keyDialog(dialog, () => (state.models.length ? refresh() : loadModels()));

$("#model").addEventListener("change", ({ target }) => {
  chooseModel(state.models.find((model) => refOf(model) === target.value));
});
$("#model-page").addEventListener("click", () => openModelPage(dialog, state.model));
$("#key").addEventListener("click", askForKey);
$("#run").addEventListener("click", () => (state.current ? ask(state.current) : $("#files").click()));
$("#run-all").addEventListener("click", runAll);
$("#example-menu").addEventListener("click", () => showMenu(dialog, state.model, exampleHandlers));
const showJson = listenForExports(dialog, setStatus, () => {
  const { current: image, model } = state;
  const run = image?.run;
  return run?.result && { image, model, run, options: choice().options, scene: sceneOf(run) };
});
listenForImages((files) => add(files.map((file) => new InputImage(file, file.name || "image"))), dialog);
listenForRows($("#result"), highlight);
listenForTheme($("#theme"));
loadModels();
