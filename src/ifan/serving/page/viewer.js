// The stage: two pictures of one place, a boundary between them, zoom and panning.

const STEP = 1.25;
const LARGEST = 8;

const stage = document.querySelector("#stage");
const divider = document.querySelector("#divider");
const before = document.querySelector("#before");
const after = document.querySelector("#after");
const images = [before.firstElementChild, after.firstElementChild];

// In CSS pixels of the stage: where the picture's corner is, and its size relative to one picture
// pixel on one pixel of the screen.
const view = { width: 1, height: 1, x: 0, y: 0, zoom: 1, isFit: true, split: 50, strength: 1 };
const watchers = [];
const pointers = new Map();
let grip = null;

const pixel = () => 1 / window.devicePixelRatio;
const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

export function onChange(watcher) {
  watchers.push(watcher);
}

/** Shows two pictures (addresses; the second may be missing) of a size in pixels. */
export function show(first, second, size) {
  set(images[0], first);
  set(images[1], second);
  stage.classList.toggle("bare", !second);
  const isOther = size.width !== view.width || size.height !== view.height;
  Object.assign(view, size);
  if (isOther) view.isFit = true;
  draw();
}

function set(image, address) {
  if (!address) image.removeAttribute("src");
  else if (image.getAttribute("src") !== address) image.src = address;
}

export function setStrength(strength) {
  view.strength = strength;
  draw();
}

export function fit() {
  view.isFit = true;
  draw();
}

export function zoomTo(zoom, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const next = clamp(zoom, Math.min(fitting(), 1), LARGEST);
  const factor = next / view.zoom;
  Object.assign(view, { zoom: next, isFit: false, x: x - (x - view.x) * factor, y: y - (y - view.y) * factor });
  draw();
}

export const larger = () => zoomTo(view.zoom * STEP);
export const smaller = () => zoomTo(view.zoom / STEP);

function fitting() {
  const { clientWidth: width, clientHeight: height } = stage;
  return Math.min(width / view.width, height / view.height, LARGEST * pixel()) / pixel();
}

function place() {
  const { clientWidth: width, clientHeight: height } = stage;
  if (view.isFit) view.zoom = fitting();
  const scale = view.zoom * pixel();
  const [wide, high] = [view.width * scale, view.height * scale];
  // What is smaller than the stage is in its middle, what is larger leaves no edge of it bare.
  view.x = wide <= width ? (width - wide) / 2 : clamp(view.x, width - wide, 0);
  view.y = high <= height ? (height - high) / 2 : clamp(view.y, height - high, 0);
  return scale;
}

function draw() {
  const scale = place();
  for (const image of images) {
    image.style.width = `${view.width}px`;
    image.style.height = `${view.height}px`;
    image.style.transform = `translate(${view.x}px, ${view.y}px) scale(${scale})`;
  }
  const hasTwo = !stage.classList.contains("bare");
  after.style.clipPath = `inset(0 0 0 ${view.split}%)`;
  // Where all of the second shows, the first would shine through what is transparent.
  before.style.clipPath = hasTwo && view.strength === 1 ? `inset(0 ${100 - view.split}% 0 0)` : "none";
  after.style.opacity = view.strength;
  divider.style.left = `${view.split}%`;
  divider.setAttribute("aria-valuenow", Math.round(view.split));
  divider.setAttribute("aria-valuetext", `${Math.round(view.split)} % before`);
  stage.classList.toggle("zoomed", !view.isFit);
  stage.classList.toggle("pixels", view.zoom > 1.5);
  for (const watcher of watchers) watcher(view.zoom);
}

function moveSplit(split) {
  view.split = clamp(split, 0, 100);
  draw();
}

function at(event) {
  const box = stage.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

stage.addEventListener("pointerdown", (event) => {
  if (event.target.closest("#notice") || event.button > 0) return;
  stage.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, at(event));
  const isDivider = event.target.closest("#divider") || view.isFit;
  grip = pointers.size === 2 ? "pinch" : isDivider ? "split" : "pan";
  if (grip === "split") moveSplit((at(event).x / stage.clientWidth) * 100);
  stage.classList.toggle("moving", grip === "pan");
});

stage.addEventListener("pointermove", (event) => {
  const old = pointers.get(event.pointerId);
  if (!old) return;
  const now = at(event);
  const other = [...pointers.entries()].find(([id]) => id !== event.pointerId)?.[1];
  pointers.set(event.pointerId, now);
  if (grip === "split") {
    moveSplit((now.x / stage.clientWidth) * 100);
  } else {
    // Between two fingers half as far as one of them.
    const share = grip === "pinch" ? 2 : 1;
    view.x += (now.x - old.x) / share;
    view.y += (now.y - old.y) / share;
    if (grip === "pinch" && other) {
      const apart = (a) => Math.hypot(a.x - other.x, a.y - other.y) || 1;
      zoomTo((view.zoom * apart(now)) / apart(old), (now.x + other.x) / 2, (now.y + other.y) / 2);
    } else {
      draw();
    }
  }
});

for (const end of ["pointerup", "pointercancel"]) {
  stage.addEventListener(end, (event) => {
    pointers.delete(event.pointerId);
    grip = pointers.size ? "pan" : null;
    stage.classList.remove("moving");
  });
}

stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const { x, y } = at(event);
  zoomTo(view.zoom * Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), x, y);
}, { passive: false });

stage.addEventListener("dblclick", (event) => {
  const { x, y } = at(event);
  if (view.isFit) zoomTo(1, x, y);
  else fit();
});

divider.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };
  if (!(event.key in steps)) return;
  event.preventDefault();
  event.stopPropagation();
  moveSplit(view.split + steps[event.key]);
});

stage.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
  const actions = { "+": larger, "=": larger, "-": smaller, 0: fit, 1: () => zoomTo(1) };
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("#notice")) return;
  if (event.key in moves) {
    view.x += moves[event.key][0];
    view.y += moves[event.key][1];
    draw();
  } else if (event.key in actions) {
    actions[event.key]();
  } else {
    return;
  }
  event.preventDefault();
});

new ResizeObserver(draw).observe(stage);
