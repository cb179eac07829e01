/** The page: which model, which image, what is asked and what is shown. Everything else is in the other modules. */

import * as api from "./api.js";
import { defaultLook, showControls } from "./controls.js";
import { colourOf } from "./colour.js";
import { $, debounced, el } from "./dom.js";
import { showCards, showMenu } from "./examples.js";
import { showFilm } from "./film.js";
import { listenForImages } from "./intake.js";
import { openModelPage, summary } from "./modelpage.js";
import { inWords, markRow, showResult } from "./panel.js";
import { Image } from "./image.js";
import { defaultWish, parameters, readEntry, serves, visibleRows } from "./result.js";
import { keyDialog, listenForTheme } from "./settings.js";
import { Stage } from "./stage.js";
import { listenForExports } from "./takeaway.js";
import { timingView } from "./timing.js";

const ASK_AFTER_MS = 200; // a slider that moves asks once it rests
const LOADING_MS = 1500;
const TASKS = ["classification", "object-detection", "instance-segmentation", "semantic-segmentation"];
const STARTING = { title: "Starting", detail: "the models are being loaded and checked", status: 503 };
const UNSHOWN = " This browser cannot show the image; what was found stands on grey.";

const state = {
  models: [],
  model: null,
  choices: new Map(), // model's ref -> {wish, look}: each model keeps its own
  images: [],
  current: null,
  lit: null, // id of the row pointed at
};
const dialog = $("#dialog");
const stage = new Stage($("#canvases"), (row) => light(row?.id ?? null, { fromImage: true }));
const askSoon = debounced(() => refresh(), ASK_AFTER_MS);

const refOf = (model) => `${model.name}@${model.version}`;
const choice = () => state.choices.get(refOf(state.model));
const byTask = (a, b) => TASKS.indexOf(a.task) - TASKS.indexOf(b.task);

// --- models ---

async function loadModels() {
  try {
    const { models, failed } = await api.models();
    if (!models.length && !failed.length) throw new api.Problem(STARTING);
    showModels(models, failed);
  } catch (problem) {
    showProblem(problem);
    say("No models yet.");
    if (problem.status === 401) askForKey();
    if (problem.status === 503) setTimeout(loadModels, LOADING_MS);
  }
}

function showModels(models, failed) {
  showProblem(null);
  state.models = models.toSorted(byTask);
  const tasks = Map.groupBy(state.models, ({ task }) => task);
  const option = (model) => el("option", { value: refOf(model) }, `${model.name} · ${model.version}`);
  const broken = ({ model, reason }) => el("option", { disabled: true }, `${model}: ${reason}`);
  $("#model").replaceChildren(
    ...[...tasks].map(([task, those]) => el("optgroup", { label: task.replaceAll("-", " ") }, those.map(option))),
    ...(failed.length ? [el("optgroup", { label: "not served" }, failed.map(broken))] : []),
  );
  if (models.length) chooseModel(state.models[0]);
}

function chooseModel(model) {
  state.model = model;
  $("#model").value = refOf(model);
  if (!state.choices.has(refOf(model))) {
    state.choices.set(refOf(model), { wish: defaultWish(model), look: defaultLook(model) });
  }
  $("#summary").textContent = summary(model);
  $("#model-page").disabled = $("#run").disabled = false;
  const { wish, look } = choice();
  showControls($("#controls"), model, wish, look, { wished: refreshGently, looked: render });
  say(state.current ? "" : "Ready. Choose an image.");
  $("#or-example").hidden = !showCards($("#examples"), state.models, model, offered);
  refresh();
}

/** What happens to an example that is clicked: its model looks at it. */
const offered = {
  take(model, image) {
    if (model !== state.model) chooseModel(model);
    add([image]);
  },
  failed: (problem) => showProblem(problem),
};

// --- images ---

async function add(added) {
  state.images.push(...added);
  const shown = select(added[0]);
  for (const image of added) {
    await image.open();
    if (image !== state.current) image.close(); // its thumb stays
    film();
  }
  await shown;
  if (added.length > 1) await runAll();
}

async function select(image) {
  for (const other of state.images) if (other !== image) other.close();
  state.current = image;
  state.lit = null;
  $("#welcome").hidden = Boolean(image);
  $("#tools").hidden = $("#film").hidden = !image;
  film();
  if (!image || !isAnswered(image)) render(); // what was found in another image must not stay on screen
  await image?.open();
  if (state.current === image) await refresh();
}

function remove(image) {
  image.asking?.abort();
  image.close();
  const at = state.images.indexOf(image);
  state.images.splice(at, 1);
  if (state.current === image) select(state.images[Math.min(at, state.images.length - 1)] ?? null);
  else film();
}

function film() {
  showFilm($("#thumbs"), state.images, { current: state.current, badge, choose: select, remove });
  $("#run-all").hidden = state.images.length < 2;
}

function badge(image) {
  const run = image.run;
  if (image.asking) return "…";
  if (!run || run.ref !== refOf(state.model)) return "";
  if (run.problem) return String(run.problem.status || "!");
  const rows = visibleRows(run.result, choice().wish);
  return run.result.kind === "classes" ? (rows[0]?.label ?? "") : String(rows.length);
}

// --- asking ---

const isAnswered = ({ run }) =>
  run?.result && run.ref === refOf(state.model) && serves(run.asked, run.result, choice().wish);

/** Shows the current image; asks first when the answer at hand does not serve. */
async function refresh() {
  const { current, model } = state;
  if (current && model && !isAnswered(current)) await ask(current);
  else render();
}

/** After a slider moved: at once when the answer serves, else once it rests. */
function refreshGently() {
  if (state.current && !isAnswered(state.current)) askSoon();
  else render();
}

async function ask(image) {
  const { model } = state;
  const { wish } = choice();
  const asked = { ...wish, hidden: new Set(image.run?.result?.capped ? wish.hidden : []) };
  image.asking?.abort();
  const asking = (image.asking = new AbortController());
  render();
  let run;
  try {
    const question = parameters(model, asked, { classes: asked.hidden.size > 0 });
    const answer = await api.predict(model.endpoint, question, image.file, asking.signal);
    run = { ref: refOf(model), asked, answer, result: readEntry(answer.entry, model) };
  } catch (problem) {
    if (problem.name === "AbortError") return; // a newer question took its place, or the image was removed
    if (!(problem instanceof api.Problem)) throw problem;
    run = { ref: refOf(model), problem };
  }
  image.asking = null;
  image.run = run;
  if (image !== state.current) return film();
  state.lit = null;
  render();
  const answeredAt = run.answer?.at;
  if (answeredAt) stage.drawn().then(() => performance.measure("foveal answer to pixels", { start: answeredAt }));
  if (run.problem?.status === 401) askForKey();
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
  film();
  $("#busy").hidden = !image?.asking;
  showProblem(run?.problem ?? null);
  const size = run?.result ?? (image?.levels.length ? image : null);
  if (size) stage.showImage(image.of(size), size);
  else stage.clear();
  const shown = run?.result && sceneOf(run);
  if (!shown?.rows.some(({ id }) => id === state.lit)) state.lit = null; // filtered away under the pointer
  stage.showScene(shown ? { ...shown, lit: state.lit } : null);
  for (const part of ["#result", "#timing", "#exports"]) $(part).hidden = !shown;
  const alternative = shown ? `${image.name}: ${inWords(shown)}` : (image?.name ?? "No image yet");
  $("#overlay").setAttribute("aria-label", alternative);
  if (!shown) {
    if (image) say(image.asking ? "Asking the model…" : run?.problem ? "The service refused this image." : "");
    return;
  }
  showResult($("#result"), { ...shown, wish: choice().wish, model: state.model }, { light, hide });
  markRow($("#result"), state.lit, { scroll: false });
  $("#timing").replaceChildren(...timingView(run.answer));
  $("[data-export=coco]").hidden = !("detections" in run.answer.entry);
  showJson();
  say(`${inWords(shown)}.${image.of(size).levels.length ? "" : UNSHOWN}`);
}

/** What of an answer is to be drawn and listed under the present wish and look. */
function sceneOf({ result }) {
  const { wish, look } = choice();
  const painted = (row) => (look.byObject && row.box ? { ...row, colour: colourOf(row.id) } : row);
  return { kind: result.kind, result, rows: visibleRows(result, wish).map(painted), look, lit: null };
}

/** @param {number | null} id of the row that is pointed at, in the image or in the list */
function light(id, { fromImage = false } = {}) {
  if (id === state.lit) return;
  state.lit = id;
  stage.light(id);
  markRow($("#result"), id, { scroll: fromImage });
}

function hide(label) {
  const { hidden } = choice().wish;
  if (!hidden.delete(label)) hidden.add(label);
  refreshGently();
}

function showProblem(problem) {
  const place = $("#problem");
  place.hidden = !problem;
  if (!problem) return;
  const facts = [
    problem.status && `HTTP ${problem.status}`,
    problem.retryAfterS && `try again in ${problem.retryAfterS} s`,
    problem.requestId && `request ${problem.requestId}`,
  ];
  const told = el("small", {}, facts.filter(Boolean).join(" · "));
  place.replaceChildren(el("b", {}, problem.title), ` ${problem.detail} `, told);
}

const say = (text) => ($("#status").textContent = text);

// --- key, theme, wiring ---

const askForKey = () => keyDialog(dialog, () => (state.models.length ? refresh() : loadModels()));

$("#model").addEventListener("change", ({ target }) => {
  chooseModel(state.models.find((model) => refOf(model) === target.value));
});
$("#model-page").addEventListener("click", () => openModelPage(dialog, state.model));
$("#key").addEventListener("click", askForKey);
$("#run").addEventListener("click", () => (state.current ? ask(state.current) : $("#files").click()));
$("#run-all").addEventListener("click", runAll);
$("#example-menu").addEventListener("click", () => showMenu(dialog, state.model, offered));
const showJson = listenForExports(dialog, say, () => {
  const { current: image, model } = state;
  const run = image?.run;
  return run?.result && { image, model, run, wish: choice().wish, scene: sceneOf(run) };
});
listenForImages((files) => add(files.map((file) => new Image(file, file.name || "image"))), dialog);
listenForTheme($("#theme"));
loadModels();
