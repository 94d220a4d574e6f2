/* The map's colours, filters and legend. */
"use strict";

const known = () => (tools.colour.value === "prediction" || !data.label ? data.prediction : data.label);
const text = name => tools[name]?.value ?? "";

/* Updates colours and filters after a change of a control or the address. */
function apply() {
  if (!data) return;
  const of = known(), colour = text("colour");
  if (colour === "seams" && mode !== "grid") turn("grid");
  const chosen = Number(text("class")) || 0, part = text("find").trim().toLowerCase(), wrong = tools.wrong?.checked;
  let left = 0, mistakes = 0;
  for (let i = 0; i < count; i++) {
    shown[i] = (!chosen || of[i] === chosen) && (!wrong || data.verdict[i] === 2) && (!part || data.names[i].toLowerCase().includes(part)) ? 1 : 0;
    left += shown[i];
    mistakes += shown[i] && data.verdict ? data.verdict[i] === 2 : 0;
  }
  colours.fill(0);
  palette = [[PLAIN]];
  front = -1;
  const entries = [];
  if (colour === "error") {
    palette = [[REST], [RIGHT], [WRONG]];
    colours.set(data.verdict);
    front = 2;
    entries.push(["right", RIGHT], ["wrong, drawn on top", WRONG]);
    if (data.verdict.includes(0)) entries.push(["no label to compare with", REST]);
  } else if (colour === "class" || colour === "prediction") {
    const ranks = ranked();
    palette = [[REST], ...COLOURS.map(ink => [ink, false]), ...COLOURS.map(ink => [ink, true]), [CHOSEN, false]];
    for (let i = 0; i < count; i++) colours[i] = ranks[of[i]] <= MOST_CLASSES ? ranks[of[i]] : chosen && of[i] === chosen ? MOST_CLASSES + 1 : 0;
    ranks.forEach((rank, which) => { if (rank <= MOST_CLASSES) entries[rank - 1] = [data.classes[which - 1], ...palette[rank], which]; });
    if (data.classes.length > MOST_CLASSES) entries.push([`the other ${data.classes.length - MOST_CLASSES} classes`, REST]);
    else if (of.includes(0)) entries.push(["no class", REST]);
  }
  if (tools.class) root.querySelector(".which").textContent = of === data.prediction ? "Predicted as" : "Class";
  tint = mode === "grid" && colour ? (colour === "seams" ? seamTint() : cells(i => palette[colours[i]])) : null;
  veil = mode === "grid" && left < count ? cells(i => (shown[i] ? null : ["#1b1d21"]), 226) : null;
  explain(entries, colour);
  if (cursor >= 0 && !shown[cursor]) point(-1);
  if (left < count) {
    const of = mistakes && !wrong ? `, ${mistakes} of them mistakes` : "";
    said.textContent = `${left} of ${count} pictures${of}; the others are dimmed.${part && left ? " Enter goes from one to the next." : ""}`;
  } else if (cursor < 0) said.textContent = hint;
  redraw();
  note();
}

/* class → its rank by pictures, 1 the largest: the same for right and predicted classes, so that colours stay. */
function ranked() {
  const of = data.label ?? data.prediction, totals = new Int32Array(data.classes.length + 1);
  for (let i = 0; i < count; i++) totals[of[i]]++;
  const ranks = new Array(totals.length).fill(Infinity);
  [...totals.keys()].slice(1).sort((a, b) => totals[b] - totals[a] || a - b).forEach((which, rank) => (ranks[which] = rank + 1));
  ranks[0] = Infinity;
  return ranks;
}

/* A canvas with 3 × 3 pixels for each cell of the grid, from paint(picture): [colour, hollow], or null. */
function cells(paint, alpha = 255) {
  const made = Object.assign(document.createElement("canvas"), { width: 3 * page.columns, height: 3 * page.rows });
  const image = new ImageData(made.width, made.height), pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < count; i++) {
    const [colour, hollow] = paint(i) ?? [];
    if (!colour) continue;
    const ink = packed(colour, alpha), at = 3 * (data.place[i] % page.columns) + 3 * Math.floor(data.place[i] / page.columns) * made.width;
    for (let k = 0; k < 9; k++) if (!hollow || k !== 4) pixels[at + k % 3 + Math.floor(k / 3) * made.width] = ink;
  }
  made.getContext("2d").putImageData(image, 0, 0);
  return made;
}

/* #rrggbb as a pixel of an image. */
function packed(colour, alpha = 255) {
  const number = parseInt(colour.slice(1), 16);
  return (alpha << 24 | (number & 255) << 16 | number & 0xff00 | number >> 16) >>> 0;
}

/* Each cell in the colour of the mean of its seams. */
function seamTint() {
  const { columns, rows, seam_colours } = page;
  return cells(i => {
    const c = data.place[i] % columns, r = Math.floor(data.place[i] / columns);
    const around = [c > 0 && data.right[r * (columns - 1) + c - 1], c < columns - 1 && data.right[r * (columns - 1) + c],
      r > 0 && data.down[(r - 1) * columns + c], r < rows - 1 && data.down[r * columns + c]].filter(Boolean);
    return around.length ? [seam_colours[Math.round(around.reduce((a, b) => a + b) / around.length) - 1]] : null;
  });
}

function explain(entries, colour) {
  legend.hidden = !colour;
  legend.replaceChildren();
  const line = words => legend.append(Object.assign(document.createElement("p"), { textContent: words }));
  if (colour === "seams") {
    const ramp = Object.assign(document.createElement("i"), { className: "ramp" });
    ramp.style.setProperty("--dot", `linear-gradient(to right, ${page.seam_colours.join()})`);
    legend.append(ramp);
    line(`Feature distance across each border of two cells, ${page.seams}: dark is alike, bright is a seam where the grid put strangers side by side. Far out, each cell has the mean of its borders.`);
    return;
  }
  if (!entries.length) return;
  const list = document.createElement("ul");
  for (const [name, ink, hollow, which] of entries) {
    const item = document.createElement(which ? "button" : "span"), dot = document.createElement("i");
    dot.style.setProperty("--dot", ink);
    dot.classList.toggle("hollow", Boolean(hollow));
    if (which) {
      item.type = "button";
      item.dataset.which = which;
      item.setAttribute("aria-pressed", String(text("class") === String(which)));
    }
    item.append(dot, name);
    list.append(document.createElement("li"));
    list.lastChild.append(item);
  }
  legend.append(list);
  const classes = data.classes.length, rings = Math.min(classes, MOST_CLASSES) - COLOURS.length;
  if (rings > 0 && colour !== "error")
    line(`${classes} classes and ${COLOURS.length} colours: the ${COLOURS.length} largest classes have one each, the next ${rings} the same as rings and as corners of a frame` +
      `${classes > MOST_CLASSES ? ", all others are grey" : ""}. Choose a class to see it alone.`);
}
