/** Banner that shows why the service refused a request, or why it could not be reached. */

import { el } from "./dom.js";

/** @param {import("./api.js").Problem | null} problem null hides the banner */
export function showProblem(banner, problem) {
  banner.hidden = !problem;
  if (!problem) return;
  const facts = [
    problem.status && `HTTP ${problem.status}`,
    problem.retryAfterS && `try again in ${problem.retryAfterS} s`,
    problem.requestId && `request ${problem.requestId}`,
  ];
  const details = el("small", {}, facts.filter(Boolean).join(" · "));
  banner.replaceChildren(el("b", {}, problem.title), ` ${problem.detail} `, details);
}
