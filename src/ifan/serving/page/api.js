// The calls of the HTTP API that the page makes. Addresses are relative: a proxy may put the page anywhere.

const KEY = "ifan-key";

// What browsers show. WebP ends at 16,383 pixels a side; JPEG at 65,535, and it has no transparency.
const SHOWN = ["webp", "jpeg", "png"];

const UNREACHED = { title: "The server cannot be reached", remedy: "look whether it runs", isBroken: true };
const BROKEN = { title: "The connection to the server broke", remedy: "try again", isBroken: true };

// Before it is asked again where a connection broke, in seconds.
const PAUSES = [1, 2, 4, 8];

// Of what may be otherwise the next time: a server that forgot a job as it was started anew, that was slow, or that failed.
const PASSING = [404, 408, 500, 502, 503, 504];

/** What the server has to say against a request: what is wrong, and what to do about it. */
export class Problem extends Error {
  constructor({ type = "", status = 0, title = "", detail = "", remedy = "", isBroken = false }, wait = 0) {
    const sentence = (detail || title).replace(/^image: /, "");
    super([sentence, remedy].filter(Boolean).join("; "));
    Object.assign(this, { type, status, wait, isBroken, mayPass: isBroken || PASSING.includes(status) });
  }
}

/** What an error is told as; an engine has words of its own for a connection that broke. */
function told(error, said = BROKEN) {
  return error.name === "AbortError" || error instanceof Problem ? error : new Problem(said);
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
    throw told(error, UNREACHED);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function contentOf(response) {
  try {
    return await response.blob();
  } catch (error) {
    throw told(error);
  }
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
  return contentOf(await post("v1/defocus-map", form(file, {}), tell, signal));
}

/** The photograph itself, in the first format that can hold it and that browsers show. */
export async function shown(file, tell, signal) {
  for (const format of SHOWN) {
    try {
      const response = await post("v1/deblur", form(file, { strength: 0, format }), tell, signal);
      return { blob: await contentOf(response), format };
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
    await persistently((heard) => watch(job, tell, signal, heard), signal);
    return await persistently(() => fetched(job, signal), signal);
  } finally {
    end();
  }
}

/** Asks again where the connection breaks: the server works on meanwhile. As often as it likes where something was heard(). */
async function persistently(ask, signal) {
  let count = 0;
  for (;;) {
    try {
      return await ask(() => (count = 0));
    } catch (problem) {
      if (!problem.isBroken || count === PAUSES.length) throw problem;
    }
    await pause(PAUSES[count++], signal);
  }
}

async function fetched(job, signal) {
  const response = await call(`v1/jobs/${job}/result`, { signal });
  return { blob: await contentOf(response), name: nameIn(response) };
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
    request.onerror = () => reject(new Problem(UNREACHED));
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(form(file, { working_size: "blur", ...fields }));
  });
}

// Server-sent events by fetch: EventSource cannot send a key. They begin with how it is going now.
async function watch(job, tell, signal, heard) {
  const response = await call(`v1/jobs/${job}/events`, { signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      throw told(error);
    });
    if (done) throw new Problem(BROKEN);
    const events = (text + value).split("\n\n");
    text = events.pop();
    for (const event of events) {
      const data = event.split("\n").find((line) => line.startsWith("data: "));
      if (!data) continue;
      heard();
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
