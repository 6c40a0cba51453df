// The page: photographs come in, one after the other becomes sharp, and what is chosen is shown.

import * as api from "./api.js";
import * as viewer from "./viewer.js";

const $ = (selector) => document.querySelector(selector);

const SAID = {
  waiting: "Waiting",
  sending: "Sending",
  busy: "The server is busy; waiting",
  queued: "Waiting for its turn",
  reading: "Reading",
  deblurring: "Making it sharp",
  writing: "Finishing",
};

const items = [];
let chosen = null;
let isWorking = false;
let limit = Infinity;
let learnt; // the limit, before the first photograph is sent

// One photograph: its file, addresses of what is shown, the result, and how it is going.

function newItem(file) {
  return { file, name: file.name || "pasted picture", state: "waiting", part: 0, before: 0, strength: 1, urls: {}, stop: new AbortController() };
}

function addressOf(item, kind, blob) {
  if (item.urls[kind]) URL.revokeObjectURL(item.urls[kind]);
  item.urls[kind] = URL.createObjectURL(blob);
}

function add(files) {
  for (const file of files) {
    const item = newItem(file);
    items.push(item);
    chosen ??= item;
    const entry = document.createElement("li");
    entry.append(document.createElement("button"));
    item.button = entry.firstChild;
    item.button.type = "button";
    item.button.append(document.createElement("img"), document.createElement("span"));
    item.button.lastChild.className = "mark";
    item.button.firstChild.alt = "";
    item.button.addEventListener("click", () => choose(item));
    $("#strip .add").closest("li").before(entry);
  }
  if (files.length) render();
  work();
}

function choose(item) {
  chosen = item;
  render();
}

function remove(item) {
  item.stop.abort();
  for (const url of Object.values(item.urls)) URL.revokeObjectURL(url);
  const place = items.indexOf(item);
  items.splice(place, 1);
  item.button.closest("li").remove();
  choose(items[Math.min(place, items.length - 1)] ?? null);
  if (chosen) chosen.button.focus();
  else $("#files").focus();
}

/** Ends what is done for a photograph. One that is sharp already stays. */
function cancel(item) {
  if (!item.sharp) {
    remove(item);
    return;
  }
  item.stop.abort();
  Object.assign(item, { stop: new AbortController(), state: "done" });
  render();
  item.button.focus();
}

/** Begins anew with a photograph that failed of what may have passed. */
function tryAgain(item) {
  Object.assign(item, { state: "waiting", problem: null });
  render();
  item.button.focus();
  work();
}

// The work: one photograph at a time.

async function work() {
  if (isWorking) return;
  isWorking = true;
  for (let item; (item = items.find(({ state }) => state === "waiting")); ) await attempt(item, deblur);
  isWorking = false;
}

async function attempt(item, step) {
  item.problem = null;
  const key = api.keyInUse();
  const { signal } = item.stop;
  try {
    await step(item);
  } catch (problem) {
    // What is gone fails in other ways, too: its pictures have no address any more.
    if (signal.aborted || problem.name === "AbortError") return;
    // Another answer may have led to a key while this one was on its way.
    if (problem.status === 401 && (api.keyInUse() !== key || (await askForKey()))) {
      await attempt(item, step);
      return;
    }
    Object.assign(item, { state: item.sharp ? "done" : "failed", problem: problem.message, mayPass: problem.mayPass });
    announce(`${item.name}: ${problem.message}`);
    render();
  }
}

function teller(item) {
  return (state, part, before) => {
    if (state === "done" || state === "failed") return;
    Object.assign(item, { state, part, before });
    if (item === chosen) renderNotice();
  };
}

async function deblur(item) {
  item.state = "sending";
  await readable(item.file);
  await learnt;
  if (item.file.size > limit) throw new Error(`is larger than ${Math.round(limit / 1e6)} MB, which is all this server takes`);
  await showBefore(item);
  render();
  item.sharp = await api.deblur(item.file, item.isNative ? {} : { format: item.format }, teller(item), item.stop.signal);
  addressOf(item, "after", item.sharp.blob);
  await measure(item);
  item.stop.signal.throwIfAborted();
  item.state = "done";
  announce(`${item.name} is sharp`);
  render();
}

/** Refuses folders, and files that were changed or removed since they were chosen. */
async function readable(file) {
  await file.slice(0, 1).arrayBuffer().catch(() => {
    throw new Error("cannot be read; choose it again");
  });
}

/** Shows the file itself if this browser can, and asks the server for a copy if it cannot. */
async function showBefore(item) {
  addressOf(item, "before", item.file);
  item.isNative = await canShow(item.urls.before);
  if (!item.isNative) {
    const { blob, format } = await api.shown(item.file, teller(item), item.stop.signal);
    item.format = format;
    addressOf(item, "before", blob);
  }
  const image = await load(item.urls.before);
  item.size = { width: image.naturalWidth, height: image.naturalHeight };
  item.button.firstChild.src = item.urls.before;
}

async function measure(item) {
  const image = await load(item.urls.after);
  item.size = { width: image.naturalWidth, height: image.naturalHeight };
}

async function load(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

const canShow = (url) => load(url).then(() => true, () => false);

// What one does with a result.

async function toggleMap() {
  const item = chosen;
  item.problem = null;
  item.isMapShown = !item.isMapShown;
  if (item.isMapShown && !item.urls.map) {
    await attempt(item, async () => {
      item.state = "deblurring";
      render();
      const { signal } = item.stop;
      const map = await api.defocusMap(item.file, teller(item), signal);
      signal.throwIfAborted();
      addressOf(item, "map", map);
      await load(item.urls.map);
      item.state = "done";
      announce(`The defocus map of ${item.name} is ready`);
    });
    item.isMapShown = Boolean(item.urls.map);
  }
  render();
}

/** Saves the result in the photograph's own format; makes it first if another one is shown. */
async function download() {
  const item = chosen;
  const { strength } = item;
  let result = item.sharp;
  item.problem = null;
  render();
  if (!item.isNative || strength < 1) {
    if (item.made?.strength !== strength) {
      await attempt(item, async () => {
        item.state = "sending";
        render();
        item.made = { ...(await api.deblur(item.file, { strength }, teller(item), item.stop.signal)), strength };
        item.state = "done";
        render();
      });
    }
    if (item.made?.strength !== strength) return;
    result = item.made;
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(result.blob);
  link.download = result.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

let asking = null;

/** Asks for a key, once at a time; resolves to whether one was given. */
function askForKey() {
  asking ??= askOnce().finally(() => (asking = null));
  return asking;
}

function askOnce() {
  const dialog = $("#ask");
  $("#key").value = dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const isGiven = dialog.returnValue === "use";
      if (isGiven) api.useKey($("#key").value);
      resolve(isGiven);
    }, { once: true });
  });
}

// What is seen.

function announce(text) {
  $("#status").textContent = text;
}

const MARKS = { done: "\u2713", failed: "!", waiting: "" };

function render() {
  $("#start").hidden = items.length > 0;
  $("#desk").hidden = items.length === 0;
  for (const item of items) {
    item.button.setAttribute("aria-current", String(item === chosen));
    item.button.setAttribute("aria-label", `${item.name}: ${item.problem ?? SAID[item.state] ?? "sharp"}`);
    item.button.title = item.name;
    item.button.lastChild.textContent = MARKS[item.state] ?? "\u2026";
    item.button.lastChild.hidden = item.state === "waiting";
  }
  if (!chosen) return;
  const isDone = chosen.state === "done";
  const second = chosen.isMapShown ? chosen.urls.map : chosen.urls.after;
  viewer.show(chosen.size && chosen.urls.before, chosen.sharp && second, chosen.size ?? { width: 1, height: 1 });
  viewer.setStrength(chosen.isMapShown ? 1 : chosen.strength);
  $("#after-tag").textContent = chosen.isMapShown ? "Defocus" : "After";
  $("#after img").alt = `${chosen.isMapShown ? "Defocus map" : "After"}: ${chosen.name}`;
  $("#before img").alt = `Before: ${chosen.name}`;
  for (const name of ["#fit", "#full", "#in", "#out"]) $(name).disabled = !chosen.size;
  $("#zoom").hidden = !chosen.size;
  for (const name of ["#map", "#strength", "#download"]) $(name).disabled = !isDone;
  $("#strength").disabled ||= chosen.isMapShown;
  $("#strength").value = 100 * chosen.strength;
  $("#strength-value").textContent = `${Math.round(100 * chosen.strength)}\u202f%`;
  $("#map").setAttribute("aria-pressed", String(Boolean(chosen.isMapShown)));
  $("#legend").hidden = !chosen.isMapShown;
  renderNotice();
}

function renderNotice() {
  const { state, problem, part, before, mayPass } = chosen;
  $("#notice").hidden = state === "done" && !problem;
  $("#notice").classList.toggle("bad", Boolean(problem));
  const queue = before ? ` (${before} before it)` : "";
  $("#notice-text").textContent = problem ? `${chosen.name}: ${problem}` : `${SAID[state] ?? ""}${queue}`;
  $("#progress").hidden = $("#cancel").hidden = Boolean(problem) || state === "done";
  $("#again").hidden = !(state === "failed" && mayPass);
  if (state === "sending" || state === "deblurring" || state === "writing") $("#progress").value = part;
  else $("#progress").removeAttribute("value");
}

// What one can do.

$("#files").addEventListener("change", (event) => {
  add([...event.target.files]);
  event.target.value = "";
});
for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", async () => {
    const path = button.dataset.example;
    const blob = await (await fetch(path)).blob();
    add([new File([blob], path.split("/").pop(), { type: blob.type })]);
  });
}
document.addEventListener("paste", (event) => add([...event.clipboardData.files]));
for (const kind of ["dragover", "dragenter"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  add([...event.dataTransfer.files]);
});

const more = document.createElement("li");
more.innerHTML = '<button type="button" class="add" aria-label="Add photographs">+</button>';
$("#strip").append(more);
more.firstChild.addEventListener("click", () => $("#files").click());

$("#fit").addEventListener("click", viewer.fit);
$("#full").addEventListener("click", () => viewer.zoomTo(1));
$("#in").addEventListener("click", viewer.larger);
$("#out").addEventListener("click", viewer.smaller);
viewer.onChange((zoom) => ($("#zoom").textContent = `${Math.round(100 * zoom)}\u202f%`));
$("#strength").addEventListener("input", (event) => {
  Object.assign(chosen, { strength: event.target.value / 100, problem: null });
  render();
});
for (const [button, step] of [[$("#map"), toggleMap], [$("#download"), download]]) {
  button.addEventListener("click", async () => {
    await step();
    // Meanwhile it was disabled, and so lost the focus.
    if (document.activeElement === document.body) button.focus();
  });
}
$("#remove").addEventListener("click", () => remove(chosen));
$("#cancel").addEventListener("click", () => cancel(chosen));
$("#again").addEventListener("click", () => tryAgain(chosen));

// Who leaves wants nothing more, unless the browser keeps the page to come back to: what runs is ended, what is kept is forgotten.
window.addEventListener("pagehide", (event) => {
  if (!event.persisted) items.forEach((item) => item.stop.abort());
});

/** Learns how large a file may be. */
async function learnLimit() {
  try {
    limit = (await api.offer()).max_upload_bytes;
  } catch (problem) {
    if (problem.status === 401 && (await askForKey())) await learnLimit();
  }
}
learnt = learnLimit();
