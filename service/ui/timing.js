/** Timing of a request: the stages of the service, and the transfer there and back. */

import { el } from "./dom.js";

const NAMES = {
  decode: "Decode",
  preprocess: "Preprocess",
  queue: "Wait",
  inference: "Inference",
  postprocess: "Postprocess",
  encode: "Encode",
  transfer: "Transfer",
};

export function timingView({ stages, roundTripMs, provider, batch, requestId }) {
  const served = stages.reduce((sum, { ms }) => sum + ms, 0);
  const all = [...stages, { name: "transfer", ms: Math.max(0, roundTripMs - served) }];
  const longest = all.reduce((sum, { ms }) => sum + ms, 0) || 1;
  const strip = el("div", { class: "timing", role: "img", "aria-label": all.map(inWords).join(", ") });
  const legend = el("ul", { class: "legend" });
  for (const stage of all) {
    const part = el("span", { class: `stage-${stage.name}`, title: inWords(stage) });
    part.style.flexGrow = stage.ms / longest;
    strip.append(part);
    const mark = el("span", { class: `swatch stage-${stage.name}`, "aria-hidden": "true" });
    legend.append(el("li", {}, mark, `${NAMES[stage.name] ?? stage.name} `, el("b", {}, milliseconds(stage.ms))));
  }
  const facts = [`on ${provider}`, batch && `batch of ${batch}`, `request ${requestId}`].filter(Boolean).join(" · ");
  return [
    el("h2", {}, `${milliseconds(roundTripMs)} in all, ${milliseconds(served)} in the service`),
    strip,
    legend,
    el("p", { class: "small" }, facts),
  ];
}

const inWords = ({ name, ms }) => `${NAMES[name] ?? name} ${milliseconds(ms)}`;
const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
