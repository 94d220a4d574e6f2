/* Pointer, keys and tools of the map; and its start. */
"use strict";

/* Changes to another arrangement; the picture under the pointer stays in view. */
function turn(to) {
  for (const button of root.querySelectorAll("[name=mode]")) button.checked = button.value === to;
  if (to === mode && index) return;
  const zoomed = eye.scale / fit;
  mode = to;
  measure();
  if (!data) return all();
  index = indexed(data[mode], sizes[mode]);
  if (cursor >= 0 && zoomed > 1.01) centre(index.x[cursor], index.y[cursor], fit * zoomed);
  else all();
}

const down = new Map(); // pointer id → its last position
let travelled = 0, pressed = -1;

canvas.addEventListener("pointerdown", event => {
  if (event.button > 1) return;
  canvas.setPointerCapture(event.pointerId);
  cancelAnimationFrame(flight);
  down.set(event.pointerId, { x: event.clientX, y: event.clientY });
  if (down.size === 1) [travelled, pressed] = [0, cursor];
});
canvas.addEventListener("pointermove", event => {
  const last = down.get(event.pointerId);
  if (!last) {
    const i = under(event);
    return i >= 0 || !kept ? point(i) : undefined; // a chosen picture stays until the pointer is on another
  }
  const others = [...down].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
  const dx = event.clientX - last.x, dy = event.clientY - last.y;
  travelled += Math.abs(dx) + Math.abs(dy);
  down.set(event.pointerId, { x: event.clientX, y: event.clientY });
  if (others.length) {
    const far = at => Math.hypot(at.x - others[0].x, at.y - others[0].y);
    const box = canvas.getBoundingClientRect();
    place(eye.x - dx / 2 / eye.scale, eye.y - dy / 2 / eye.scale, eye.scale);
    zoom(far({ x: event.clientX, y: event.clientY }) / Math.max(far(last), 1),
      (event.clientX + others[0].x) / 2 - box.left, (event.clientY + others[0].y) / 2 - box.top);
  } else place(eye.x - dx / eye.scale, eye.y - dy / eye.scale, eye.scale);
});
// a mouse click opens a picture; a first tap names it, and a second tap opens it
const lift = event => {
  if (!down.delete(event.pointerId) || event.type !== "pointerup" || travelled >= 8 || down.size) return;
  const i = under(event);
  if (event.pointerType !== "mouse" && i !== pressed) point(i, true);
  else if (i >= 0) visit(i, event.button === 1 || event.ctrlKey || event.metaKey);
};
canvas.addEventListener("pointerup", lift);
canvas.addEventListener("pointercancel", lift);
canvas.addEventListener("pointerleave", () => { if (!kept && !down.size) point(-1); });
canvas.addEventListener("wheel", event => {
  // at the end of the zoom range, the wheel scrolls the page
  if (event.deltaY > 0 && eye.scale <= fit * 1.001 && !event.ctrlKey) return;
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  const lines = event.deltaMode === 1 ? 33 : 1;
  zoom(2 ** (-event.deltaY * lines / (event.ctrlKey ? 100 : 300)), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });
canvas.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (arrow) walk(...arrow, event.shiftKey);
  else if (event.key === "+" || event.key === "=") glide(1.6);
  else if (event.key === "-") glide(1 / 1.6);
  else if (event.key === "0" || event.key === "Home") all();
  else if (event.key === "Escape") point(-1);
  else if (event.key === "Enter") visit(cursor);
  else return;
  event.preventDefault();
});

root.addEventListener("click", event => {
  const button = event.target.closest("[data-do], [data-which]");
  if (!button) return;
  if (button.dataset.do === "in") glide(1.6);
  else if (button.dataset.do === "out") glide(1 / 1.6);
  else if (button.dataset.do === "all") all();
  else if (button.dataset.do === "copy") copy();
  else {
    const which = button.dataset.which;
    tools.class.value = tools.class.value === which ? "" : which;
    apply();
    legend.querySelector(`[data-which="${which}"]`)?.focus();
  }
});
root.addEventListener("change", event => {
  if (event.target.name === "mode") {
    if (event.target.value !== "grid" && text("colour") === "seams") tools.colour.value = "";
    turn(event.target.value);
  }
  if (event.target.name !== "find") apply();
});
tools.find.addEventListener("input", () => { point(-1); apply(); });
root.querySelector(".tools").addEventListener("submit", event => {
  event.preventDefault();
  next();
});
addEventListener("hashchange", () => { wanted = location.hash; restore(); });

/* The still pictures for paper are large, so they are loaded only when someone may be about to print: with Ctrl held, or
   the pointer on its way to the browser's menu. A print does not wait for pictures that it asks for itself. */
function still() {
  for (const image of document.querySelectorAll(".still img")) image.loading = "eager";
}
addEventListener("keydown", event => { if (event.ctrlKey || event.metaKey) still(); });
document.documentElement.addEventListener("mouseleave", still);

async function copy() {
  save();
  try {
    await navigator.clipboard.writeText(location.href);
    said.textContent = "The link is copied: it opens this view.";
  } catch {
    said.textContent = `This view: ${location.href}`; // without a clipboard
  }
}

addEventListener("DOMContentLoaded", () => {
  if (!window.cnnvizMap) {
    said.textContent = "map-data.js is missing: the map shows no names.";
    return;
  }
  data = decode(window.cnnvizMap);
  delete window.cnnvizMap;
  data.classes.forEach((name, i) => tools.class?.add(new Option(name, i + 1)));
  index = indexed(data[mode], sizes[mode]);
  restore();
  mark("map-ready");
});
resize();
new ResizeObserver(resize).observe(canvas);
