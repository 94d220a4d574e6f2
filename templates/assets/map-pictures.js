/* The picture under the pointer, its neighbours, and the view in the address. */
"use strict";

const className = which => data.classes[which - 1].split(",")[0];

/* The facts of picture i, one per line. */
function words(i) {
  const lines = [];
  if (data.label?.[i]) lines.push(className(data.label[i]));
  if (data.prediction?.[i]) {
    const sure = data.probability ? ` (${(data.probability[i] / 10).toFixed(data.probability[i] > 994 ? 1 : 0)} %)` : "";
    const verdict = ["", "right: ", "wrong: "][data.verdict?.[i] ?? 0];
    lines.push(`${verdict}predicted ${className(data.prediction[i])}${sure}`);
  }
  return lines;
}

/* The picture at a pointer's position on the canvas, or −1. */
function under(event) {
  if (!data) return -1;
  const box = canvas.getBoundingClientRect();
  const x = eye.x + (event.clientX - box.left) / eye.scale, y = eye.y + (event.clientY - box.top) / eye.scale;
  let found = -1, least = Infinity;
  const half = mode === "grid" ? 0 : Math.max(REACH / eye.scale, Math.min(SPRITE, 96 / eye.scale) / 2);
  within(x - half, y - half, x + half, y + half, i => {
    const far = mode === "grid" ? Math.max(Math.abs(index.x[i] - x), Math.abs(index.y[i] - y)) : Math.hypot(index.x[i] - x, index.y[i] - y);
    if (shown[i] && far < least && far <= (mode === "grid" ? page.cell / 2 : half)) [found, least] = [i, far];
  });
  return found;
}

/* Highlights picture i, −1 for none. keep: whether the user chose it, so that the address holds it. */
function point(i, keep = false) {
  if (i === cursor && keep === kept) return;
  cursor = i;
  light(i);
  kept = keep && i >= 0;
  canvas.classList.toggle("on", i >= 0);
  clearTimeout(loadAt);
  if (i >= 0) {
    const link = Object.assign(document.createElement("a"), { href: address(i), textContent: "open its page" });
    said.replaceChildren([data.names[i], ...words(i)].join(", "), " – ", link);
    loadAt = setTimeout(() => { rest = cursor; redraw(); }, 120); // its full thumbnail only if the pointer rests
  }
  redraw();
  note();
}

function visit(i, elsewhere = false) {
  if (i < 0) return;
  if (elsewhere) open(address(i));
  else {
    point(i, true); // so that the Back button returns to it
    save();
    location.href = address(i);
  }
}

/* The shown picture that is nearest to a position; with a direction, among those within 45° of it. */
function nearest(x, y, dx = 0, dy = 0) {
  let found = -1, least = Infinity;
  for (let i = 0; i < count; i++) {
    if (!shown[i] || (i === cursor && (dx || dy))) continue;
    const ex = index.x[i] - x, ey = index.y[i] - y, along = ex * dx + ey * dy, beside = Math.abs(ex * dy - ey * dx);
    if ((dx || dy) && (along <= 0 || beside > along)) continue;
    const far = dx || dy ? along + 2 * beside : Math.hypot(ex, ey);
    if (far < least) [found, least] = [i, far];
  }
  return found;
}

function walk(dx, dy, far) {
  if (!data) return;
  let i;
  if (cursor < 0) i = nearest(eye.x + width / 2 / eye.scale, eye.y + height / 2 / eye.scale);
  else if (far) {
    const step = Math.min(width, height) / 2 / eye.scale;
    i = nearest(index.x[cursor] + dx * step, index.y[cursor] + dy * step);
  } else i = nearest(index.x[cursor], index.y[cursor], dx, dy);
  if (i < 0) return;
  point(i, true);
  // the view follows a picture that would leave it
  const half = (mode === "grid" ? page.cell : SPRITE) / 2;
  const follow = (at, start, screen) => Math.min(Math.max(start, at + half - screen / eye.scale), at - half);
  place(follow(index.x[i], eye.x, width), follow(index.y[i], eye.y, height), eye.scale);
}

/* The next picture whose name contains the search text; first the one with exactly that name. */
function next() {
  if (!data || !shown.includes(1)) return;
  let i = cursor < 0 ? data.names.indexOf(text("find").trim()) : -1;
  if (i >= 0 && shown[i]) return go(i);
  i = cursor;
  do i = (i + 1) % count; while (!shown[i]);
  go(i);
}

let saving = 0;
function note() {
  clearTimeout(saving);
  saving = setTimeout(save, 250); // browsers refuse an address that changes in every frame
}

/* This view as the address's fragment; "" is the initial view. */
function written() {
  const words = new URLSearchParams();
  const whole = eye.scale <= fit * 1.001, world = sizes[mode];
  if (mode !== page.modes[0]) words.set("mode", mode);
  if (!whole) {
    words.set("x", ((eye.x + width / 2 / eye.scale) / world.width).toFixed(4));
    words.set("y", ((eye.y + height / 2 / eye.scale) / world.height).toFixed(4));
    words.set("z", (eye.scale / fit).toPrecision(4));
  }
  if (text("colour")) words.set("colour", text("colour"));
  if (text("class")) words.set("class", data.classes[text("class") - 1]);
  if (tools.wrong?.checked) words.set("only", "wrong");
  if (text("find").trim()) words.set("find", text("find").trim());
  if (kept) words.set("picture", data.names[cursor]);
  return words.size ? `#${words}` : "";
}

function save() {
  clearTimeout(saving);
  if (!data || first) return;
  const hash = written();
  if (hash !== location.hash) history.replaceState(null, "", hash || location.pathname + location.search);
}

/* Sets the view from the address, with the initial values for everything else. */
function restore() {
  const words = new URLSearchParams(wanted.slice(1));
  turn(page.modes.includes(words.get("mode")) ? words.get("mode") : page.modes[0]);
  const colour = words.get("colour") ?? "";
  tools.colour.value = [...tools.colour.options].some(option => option.value === colour) ? colour : "";
  if (data) {
    if (tools.class) tools.class.value = data.classes.indexOf(words.get("class")) + 1 || "";
    if (tools.wrong) tools.wrong.checked = words.get("only") === "wrong";
    tools.find.value = words.get("find") ?? "";
    apply();
  }
  const zoomed = Number(words.get("z")) || 1, at = name => Number(words.get(name) ?? 0.5) || 0;
  centre(at("x") * sizes[mode].width, at("y") * sizes[mode].height, fit * zoomed);
  if (!data) return;
  const i = words.has("picture") ? data.names.indexOf(words.get("picture")) : -1;
  if (i >= 0 && !words.has("z")) go(i);
  else point(i, i >= 0);
}
