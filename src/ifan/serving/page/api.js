// The calls of the HTTP API that the page makes. Addresses are relative: a proxy may put the page anywhere.

const KEY = "ifan-key";

// What browsers show. WebP ends at 16,383 pixels a side; JPEG at 65,535, and it has no transparency.
const SHOWN = ["webp", "jpeg", "png"];

/** What the server has to say against a request: what is wrong, and what to do about it. */
export class Problem extends Error {
  constructor({ type = "", status = 0, title = "", detail = "", remedy = "" }, wait = 0) {
    const sentence = (detail || title).replace(/^image: /, "");
    super([sentence, remedy].filter(Boolean).join("; "));
    Object.assign(this, { type, status, wait });
  }
}

/** Keeps a key, without what no header can hold and nobody sees, as pasted keys may have it. */
export function useKey(key) {
  sessionStorage.setItem(KEY, key.replace(/[^\x20-\x7e\xa1-\xff]/g, "").trim());
}

export const keyInUse = () => sessionStorage.getItem(KEY);

function headers() {
  const key = keyInUse();
  return key ? { "X-API-Key": key } : {};
}

async function problemOf(response) {
  const said = await response.json().catch(() => ({ title: response.statusText }));
  return new Problem({ ...said, status: response.status }, Number(response.headers.get("Retry-After")) || 2);
}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: headers() });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: "The server cannot be reached", remedy: "look whether it runs" });
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

function form(file, fields) {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  data.append("page", 1); // of a TIFF that has several
  data.append("image", file, file.name || "photo");
  return data;
}

export async function offer() {
  return (await call("v1/models")).json();
}

export async function defocusMap(file, tell, signal) {
  return (await post("v1/defocus-map", form(file, {}), tell, signal)).blob();
}

/** The photograph itself, in the first format that can hold it and that browsers show. */
export async function shown(file, tell, signal) {
  for (const format of SHOWN) {
    try {
      const response = await post("v1/deblur", form(file, { strength: 0, format }), tell, signal);
      return { blob: await response.blob(), format };
    } catch (problem) {
      if (problem.type !== "urn:ifan:bad-result" || format === SHOWN.at(-1)) throw problem;
    }
  }
}

const post = (path, body, tell, signal) => whenFree(() => call(path, { method: "POST", body, signal }), tell, signal);

/** Asks again as long as the server is busy. */
async function whenFree(ask, tell, signal) {
  for (;;) {
    try {
      return await ask();
    } catch (problem) {
      if (problem.status !== 429) throw problem;
      tell("busy", 0, 0);
      await pause(problem.wait, signal);
      tell("queued", 0, 0);
    }
  }
}

/** Deblurs a file; tell(state, part, before) hears how it is going. Resolves to a blob and a name. */
export async function deblur(file, fields, tell, signal) {
  const job = await whenFree(() => start(file, fields, tell, signal), tell, signal);
  const end = () => fetch(`v1/jobs/${job}`, { method: "DELETE", headers: headers(), keepalive: true }).catch(() => {});
  try {
    await watch(job, tell, signal);
    const response = await call(`v1/jobs/${job}/result`, { signal });
    return { blob: await response.blob(), name: nameIn(response) };
  } finally {
    end();
  }
}

// The one call by XMLHttpRequest: only that tells how far an upload is.
function start(file, fields, tell, signal) {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "v1/jobs");
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.responseType = "json";
    request.upload.onprogress = (event) => tell("sending", event.loaded / (event.total || 1), 0);
    request.onload = () => {
      if (request.status === 202) return resolve(request.response.id);
      const wait = Number(request.getResponseHeader("Retry-After")) || 2;
      reject(new Problem({ ...request.response, status: request.status }, wait));
    };
    request.onerror = () => reject(new Problem({ title: "The server cannot be reached", remedy: "look whether it runs" }));
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(form(file, { working_size: "blur", ...fields }));
  });
}

// Server-sent events by fetch: EventSource cannot send a key.
async function watch(job, tell, signal) {
  const response = await call(`v1/jobs/${job}/events`, { signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Problem({ title: "The server ended", remedy: "try again" });
    const events = (text + value).split("\n\n");
    text = events.pop();
    for (const event of events) {
      const data = event.split("\n").find((line) => line.startsWith("data: "));
      if (!data) continue;
      const state = JSON.parse(data.slice(6));
      tell(state.state, state.progress, state.before);
      if (state.state === "done") return;
      if (state.state === "failed") throw new Problem(state.problem);
      if (state.state === "cancelled") throw new DOMException("cancelled", "AbortError");
    }
  }
}

function nameIn(response) {
  const coded = /filename\*=UTF-8''([^;]+)/.exec(response.headers.get("Content-Disposition") || "");
  return coded ? decodeURIComponent(coded[1]) : "photo.deblurred";
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("aborted", "AbortError"));
    });
  });
}
