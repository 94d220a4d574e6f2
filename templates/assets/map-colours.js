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
  paint();
  if (tools.class) root.querySelector(".which").textContent = of === data.prediction ? "Predicted as" : "Class";
  veil = mode === "grid" && left < count ? cells(i => (shown[i] ? null : "#1b1d21"), 226) : null;
  explain(colour, of);
  if (cursor >= 0 && !shown[cursor]) point(-1);
  if (left < count) {
    const of = mistakes && !wrong ? `, ${mistakes} of them mistakes` : "";
    said.textContent = `${left} of ${count} pictures${of}; the others are dimmed.${part && left ? " Enter goes from one to the next." : ""}`;
  } else if (cursor < 0) said.textContent = hint;
  redraw();
  note();
}

/* The pictures' colours. With more classes than colours only one class has one: the chosen one, or the one pointed at. */
function paint() {
  const of = known(), colour = text("colour"), only = lit || Number(text("class"));
  colours.fill(0);
  front = -1;
  if (colour === "error") {
    palette = [REST, REST, WRONG];
    colours.set(data.verdict);
    front = 2;
  } else if (colour === "class" || colour === "prediction") {
    palette = many() ? [PLAIN, page.chosen] : [REST, ...new Set(data.hues.filter(Boolean))];
    const ink = [0, ...data.hues.map((hue, k) => (many() ? Number(k + 1 === only) : Math.max(0, palette.indexOf(hue))))];
    for (let i = 0; i < count; i++) colours[i] = ink[of[i]];
    front = many() ? 1 : -1;
  } else palette = [PLAIN];
  tint = mode === "grid" && colour ? (colour === "seams" ? seamTint() : cells(i => framed(colours[i]))) : null;
}

/* Whether the classes are more than the colours. */
const many = () => !data.hues.some(Boolean);

/* The colour of a frame around pictures of colour k, null for none. */
const framed = k => (palette[k] === REST || palette[k] === PLAIN ? null : palette[k]);

/* Colours the class of the picture that is pointed at, where classes have no colours of their own. */
function light(i) {
  const which = i >= 0 && ["class", "prediction"].includes(text("colour")) && many() ? known()[i] : 0;
  if (which === lit) return;
  lit = which;
  paint();
}

/* A canvas with a pixel for each cell of the grid, from ink(picture): a colour, or null. */
function cells(ink, alpha = 255) {
  const made = Object.assign(document.createElement("canvas"), { width: page.columns, height: page.rows });
  const image = new ImageData(made.width, made.height), pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < count; i++) {
    const colour = ink(i);
    if (colour) pixels[data.place[i]] = packed(colour, alpha);
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
    return around.length ? seam_colours[Math.round(around.reduce((a, b) => a + b) / around.length) - 1] : null;
  });
}

function explain(colour, of) {
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
  if (!colour) return;
  const entries = [];
  if (colour === "error") {
    entries.push(["wrong, drawn on top", WRONG], ["right", REST]);
    if (data.verdict.includes(0)) entries.push(["no label to compare with", REST]);
  } else {
    const shared = many() ? data.classes.slice(0, MOST_BUTTONS) : data.classes;
    shared.forEach((name, k) => (many() || data.hues[k]) && entries.push([name, data.hues[k], k + 1]));
    if (!many() && (of.includes(0) || data.hues.includes(""))) entries.push(["another class, or none", REST]);
  }
  const list = document.createElement("ul");
  for (const [name, ink, which] of entries) {
    const item = document.createElement(which ? "button" : "span"), dot = document.createElement("i");
    dot.style.setProperty("--dot", ink);
    if (which) {
      item.type = "button";
      item.dataset.which = which;
      item.setAttribute("aria-pressed", String(text("class") === String(which)));
    }
    item.append(...(ink ? [dot] : []), name);
    list.append(document.createElement("li"));
    list.lastChild.append(item);
  }
  legend.append(list);
  if (colour !== "error" && many())
    line(`${data.classes.length} classes are too many to tell apart by colour. Choose one, or point at a picture, to see its class in colour.`);
}
