/** Client of the service's HTTP API (/v1). Addresses are relative, so the service may stand behind a path prefix. */

const ROOT = new URL("./", document.baseURI);
const KEY = "foveal-key";

/** A refusal of the service (RFC 9457), or the reason why it could not be reached. */
export class Problem extends Error {
  constructor({ title, detail, status = 0, requestId = "", retryAfterS = 0 }) {
    super(detail);
    Object.assign(this, { title, detail, status, requestId, retryAfterS });
  }
}

/** The key lives as long as the tab. */
export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

/** An absolute address of one of the service's paths. */
export function address(path, parameters = {}) {
  const url = new URL(path.replace(/^\//, ""), ROOT);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url;
}

export const models = async () => (await request("/v1/models")).json();
export const card = async (ref) => (await request(`/v1/models/${encodeURIComponent(ref)}/card`)).text();
export const blob = async (path) => (await request(path)).blob();

/**
 * The answer to one image.
 * @returns {{model, entry, stages: {name, ms}[], batch, at, roundTripMs, provider, requestId}}
 */
export async function predict(endpoint, parameters, image, signal) {
  const started = performance.now();
  const response = await post(endpoint, parameters, image, signal, "application/json");
  const at = performance.now(); // the response's head has arrived; reading its body counts as drawing
  const { model, results } = await response.json();
  const timing = response.headers.get("server-timing") ?? "";
  return {
    model,
    entry: results[0],
    stages: [...timing.matchAll(/(\w+);dur=([\d.]+)/g)].map(([, name, ms]) => ({ name, ms: Number(ms) })),
    batch: timing.match(/batch;desc="(\d+)"/)?.[1],
    at,
    roundTripMs: performance.now() - started,
    provider: response.headers.get("x-foveal-provider"),
    requestId: response.headers.get("x-request-id"),
  };
}

/** The image with the result drawn on it by the service: a PNG. */
export async function annotated(endpoint, parameters, image, signal) {
  return (await post(endpoint, parameters, image, signal, "image/png")).blob();
}

function post(endpoint, parameters, image, signal, accept) {
  const headers = { "content-type": image.type || "application/octet-stream", accept };
  return request(address(endpoint, parameters), { method: "POST", body: image, headers, signal });
}

async function request(path, options = {}) {
  const headers = { ...options.headers };
  if (key.get()) headers.authorization = `Bearer ${key.get()}`;
  const url = path instanceof URL ? path : address(path);
  let response;
  try {
    response = await fetch(url, { ...options, headers, credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: "The service does not answer", detail: `${url.host}: ${error.message}` });
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  const problem = await response.json().catch(() => ({})); // a proxy in between may answer with anything
  return new Problem({
    title: problem.title ?? response.statusText,
    detail: problem.detail ?? `HTTP ${response.status} from ${new URL(response.url).host}`,
    status: response.status,
    requestId: response.headers.get("x-request-id") ?? "",
    retryAfterS: Number(response.headers.get("retry-after") ?? 0),
  });
}
