/* The map of a model's pictures: a grid, drawn from a pyramid of tiles, and a scatter of dots or, close by, thumbnails.
   A tile z/x_y.webp is view.tile pixels wide; at the finest level a picture is view.cell pixels, at each coarser one half.
   Places are in pixels of the finest level ("full pixels"); eye.scale is screen pixels (CSS) to a full pixel.
   The grid needs only what the page says (#map-view), so it shows before map-data.js, where all else is, has come. */
"use strict";
(() => {
const root = document.querySelector(".map");
const page = JSON.parse(document.getElementById("map-view").textContent);
const canvas = root.querySelector("canvas");
const context = canvas.getContext("2d");
const tools = root.querySelector(".tools").elements;
const said = root.querySelector(".said");
const legend = root.querySelector(".legend");
const hint = said.textContent;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const MOST_TILES = 96; // kept in memory, 1 MB each
const MOST_SPRITES = 1000; // thumbnails of a scatter at a time; more, or more than cover it all, are drawn as dots
const LARGEST = { grid: 3, scatter: 24 }; // screen pixels to a full pixel, at most
const REACH = 14; // screen pixels from which a dot is pointed at
const SPRITE = 40; // full pixels of a thumbnail in the scatter, at most 96 on the screen
const MARGIN = 0.03; // around a scatter, of its longer side
// After Okabe and Ito's colours that any colour vision tells apart, lighter where the dark plate asks for it.
const COLOURS = ["#e69f00", "#56b4e9", "#19b386", "#f0e442", "#d55e00", "#cc79a7", "#4a86e8", "#f2f2f2"];
// The largest classes have one each, the next ones the same as rings and as corners of a frame; a palette is [colour, hollow] pairs.
const MOST_CLASSES = 2 * COLOURS.length;
const PLAIN = "#7db2e8", REST = "#868b92", HIDDEN = "#363a40", CHOSEN = "#ffffff", RIGHT = "#56b4e9", WRONG = "#ff8a1f";

const count = page.count;
const sizes = worlds();
const eye = { x: 0, y: 0, scale: 0 };
const tiles = new Map(); // "z/x_y" → Image, least recently drawn first
let mode = page.modes[0];
let data = null; // what map-data.js says, decoded
let index = null; // of the places in this mode
let colours = new Uint8Array(count), palette = [[PLAIN]], shown = new Uint8Array(count).fill(1), top = -1;
let veil = null, tint = null; // of the grid, a pixel a cell: what is filtered out, and the colours
let cursor = -1, kept = false; // the picture pointed at, and whether the address says so
let width = 0, height = 0, fit = 1, dots = null, frame = 0, flight = 0, rest = 0, first = true, loadAt = 0, wanted = location.hash;

// ------------------------------------------------------------------------------------------------------- the data

/* The size of each mode's plane: the scatter is as large as the grid, so that pictures are about as dense. */
function worlds() {
  const side = (page.columns ?? Math.ceil(Math.sqrt(count))) * page.cell;
  const found = { grid: { width: (page.columns ?? 1) * page.cell, height: (page.rows ?? 1) * page.cell } };
  if (page.scatter) {
    const unit = side * (1 - 2 * MARGIN) / Math.max(...page.scatter), edge = side * MARGIN;
    found.scatter = { unit, edge, width: page.scatter[0] * unit + 2 * edge, height: page.scatter[1] * unit + 2 * edge };
  }
  return found;
}

const DIGITS = new Uint8Array(128);
[..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"].forEach((c, i) => (DIGITS[c.charCodeAt(0)] = i));

/* Digits of base 64, the same number for each of n values; none at all are null. */
function numbers(text, n) {
  if (!text) return null;
  const each = text.length / n, found = new Int32Array(n);
  for (let i = 0, at = 0; i < n; i++) {
    let value = 0;
    for (let k = 0; k < each; k++) value = value * 64 + DIGITS[text.charCodeAt(at++)];
    found[i] = value;
  }
  return found;
}

function decode(raw) {
  const own = new Set(page.pages.own);
  const found = { classes: raw.classes, own, names: new Array(count) };
  let before = "";
  raw.names.forEach((text, i) => {
    const start = DIGITS[text.charCodeAt(0)], end = DIGITS[text.charCodeAt(1)];
    before = found.names[i] = before.slice(0, start) + text.slice(2) + (end ? before.slice(-end) : "");
  });
  for (const name of ["label", "prediction", "probability", "verdict", "place"]) found[name] = numbers(raw[name], count);
  if (raw.x) {
    const { unit, edge } = sizes.scatter;
    found.scatter = [numbers(raw.x, count), numbers(raw.y, count)].map(steps => Float32Array.from(steps, step => (step + 0.5) * unit + edge));
  }
  if (found.place) {
    const { columns, rows, cell } = page;
    found.grid = [Float32Array.from(found.place, at => (at % columns + 0.5) * cell), Float32Array.from(found.place, at => (Math.floor(at / columns) + 0.5) * cell)];
    found.right = numbers(raw.right, (columns - 1) * rows);
    found.down = numbers(raw.down, columns * (rows - 1));
  }
  return found;
}

/* Pictures sorted into squares of a cell's width, row by row: those of square s are order[start[s]] … order[start[s + 1] - 1]. */
function indexed([x, y], world) {
  const side = page.cell, across = Math.ceil(world.width / side), down = Math.ceil(world.height / side);
  const start = new Int32Array(across * down + 1), order = new Int32Array(count), at = new Int32Array(count);
  for (let i = 0; i < count; i++) start[(at[i] = Math.floor(y[i] / side) * across + Math.floor(x[i] / side)) + 1]++;
  for (let s = 0; s < across * down; s++) start[s + 1] += start[s];
  const next = start.slice();
  for (let i = 0; i < count; i++) order[next[at[i]]++] = i;
  return { x, y, side, across, down, start, order };
}

/* Calls found(i) for every picture in squares that the rectangle touches. */
function within(left, upper, right, lower, found) {
  const { side, across, down, start, order } = index;
  const first = Math.max(0, Math.floor(left / side)), last = Math.min(across - 1, Math.floor(right / side));
  for (let row = Math.max(0, Math.floor(upper / side)); row <= Math.min(down - 1, Math.floor(lower / side)); row++)
    for (let k = start[row * across + first]; k < start[row * across + last + 1]; k++) found(order[k]);
}

/* The pictures in view, and how many at most without looking at each. */
const inView = found => within(eye.x, eye.y, eye.x + width / eye.scale, eye.y + height / eye.scale, found);

// --------------------------------------------------------------------------------------------------- pages of pictures

/* The address of picture i, as cnnviz/site/picture_pages.py gives it. */
function address(i) {
  const name = data.names[i], { folder, shared } = page.pages;
  if (data.own.has(i)) return `${folder}${slug(name)}.html`;
  const bytes = sha256(name); // its first eight bytes modulo a power of two
  const bucket = ((bytes[4] << 24 | bytes[5] << 16 | bytes[6] << 8 | bytes[7]) >>> 0) % shared;
  return `${folder}all-${String(bucket).padStart(4, "0")}.html#${slug(name)}`;
}

/* As cnnviz/slug.py. */
function slug(name) {
  if (/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)) return name;
  const plain = name.normalize("NFKD").replace(/[^\0-\x7f]/g, "").toLowerCase().replace(/[^a-z0-9._]+/g, "-").replace(/^[-._]+|[-._]+$/g, "").slice(0, 64);
  return `${plain || "x"}-${[...sha256(name).slice(0, 4)].map(byte => byte.toString(16).padStart(2, "0")).join("")}`;
}

/* SHA-256 of a text's UTF-8, 32 bytes (FIPS 180-4): the browser's own is not there for pages served without TLS. */
function sha256(text) {
  const message = new TextEncoder().encode(text);
  const padded = new Uint8Array((message.length + 72) & ~63);
  padded.set(message);
  padded[message.length] = 128;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 4, message.length * 8);
  // the first 32 bits of the fractional parts of square and cube roots of the first primes
  const primes = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every(p => n % p)) primes.push(n);
  const bits = root => (root - Math.floor(root)) * 2 ** 32 | 0;
  const keys = primes.map(p => bits(Math.cbrt(p)));
  const hash = primes.slice(0, 8).map(p => bits(Math.sqrt(p)));
  const turn = (x, n) => x >>> n | x << 32 - n;
  const w = new Int32Array(64);
  for (let block = 0; block < padded.length; block += 64) {
    for (let t = 0; t < 64; t++) {
      if (t < 16) w[t] = view.getInt32(block + 4 * t);
      else w[t] = (turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ w[t - 2] >>> 10) + w[t - 7] + (turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ w[t - 15] >>> 3) + w[t - 16];
    }
    let [a, b, c, d, e, f, g, h] = hash;
    for (let t = 0; t < 64; t++) {
      const one = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (e & f ^ ~e & g) + keys[t] + w[t] | 0;
      const two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + (a & b ^ a & c ^ b & c) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, d + one | 0, c, b, a, one + two | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((value, k) => (hash[k] = hash[k] + value | 0));
  }
  const bytes = new DataView(new ArrayBuffer(32));
  hash.forEach((value, k) => bytes.setInt32(4 * k, value));
  return new Uint8Array(bytes.buffer);
}

// ------------------------------------------------------------------------------------------------------- the eye

function resize() {
  const whole = eye.scale <= fit * 1.001;
  const middle = { x: eye.x + width / 2 / eye.scale, y: eye.y + height / 2 / eye.scale };
  const zoomed = eye.scale / fit;
  width = canvas.clientWidth;
  height = canvas.clientHeight;
  canvas.width = Math.round(width * devicePixelRatio);
  canvas.height = Math.round(height * devicePixelRatio);
  dots = null;
  measure();
  if (whole || !zoomed) all();
  else place(middle.x - width / 2 / (fit * zoomed), middle.y - height / 2 / (fit * zoomed), fit * zoomed);
  if (first) restore();
  first = false;
}

function measure() { fit = Math.min(width / sizes[mode].width, height / sizes[mode].height); }

function all() { place(0, 0, fit); }

const most = () => Math.max(LARGEST[mode], fit);

/* Go there, but never past the map's edges; where all of it fits, it stands in the middle. */
function place(x, y, scale) {
  eye.scale = Math.min(Math.max(scale, fit), most());
  const bound = (at, screen, size) => {
    const spare = size - screen / eye.scale;
    return spare <= 0 ? spare / 2 : Math.min(Math.max(at, 0), spare);
  };
  eye.x = bound(x, width, sizes[mode].width);
  eye.y = bound(y, height, sizes[mode].height);
  redraw();
  note();
}

/* Zoom by a factor; what is at (px, py) of the canvas stays there. */
function zoom(factor, px = width / 2, py = height / 2) {
  const scale = Math.min(Math.max(eye.scale * factor, fit), most());
  place(eye.x + px / eye.scale - px / scale, eye.y + py / eye.scale - py / scale, scale);
}

function glide(factor) {
  cancelAnimationFrame(flight);
  if (calm.matches) return zoom(factor);
  const from = eye.scale, began = performance.now();
  const step = now => {
    const part = Math.min(1, Math.max(0, now - began) / 160);
    zoom(from * factor ** part / eye.scale);
    if (part < 1) flight = requestAnimationFrame(step);
  };
  flight = requestAnimationFrame(step);
}

function centre(x, y, scale) { place(x - width / 2 / scale, y - height / 2 / scale, scale); }

/* Bring picture i to the middle, near enough to see it. */
function go(i) {
  centre(index.x[i], index.y[i], Math.max(eye.scale, Math.min(most(), (mode === "grid" ? 64 : 56) / (mode === "grid" ? page.cell : SPRITE))));
  point(i, true);
}

// ------------------------------------------------------------------------------------------------------- drawing

function tile(z, x, y) {
  const key = `${z}/${x}_${y}`;
  let image = tiles.get(key);
  if (image) tiles.delete(key);
  else {
    image = new Image();
    image.onload = redraw;
    image.src = `${page.tiles}${key}.webp`;
  }
  tiles.set(key, image);
  return image;
}

const ready = image => image?.complete && image.naturalWidth > 0;

/* The level whose pictures are about as large as ``pixels`` device pixels. */
function levelFor(pixels) {
  return Math.min(page.levels - 1, Math.max(0, page.levels - 1 + Math.ceil(Math.log2(pixels / page.cell) - 0.2)));
}

/* Draw picture i at (x, y), size wide: from a tile that is fine enough or, until that has come, a coarser one. */
function thumbnail(i, x, y, size, pixels) {
  const column = data.place[i] % page.columns, row = Math.floor(data.place[i] / page.columns);
  for (let z = levelFor(pixels), best = z; z >= 0; z--) {
    const cell = page.cell / 2 ** (page.levels - 1 - z), across = page.tile / cell;
    const tx = Math.floor(column / across), ty = Math.floor(row / across);
    const image = z === best || z === 0 ? tile(z, tx, ty) : tiles.get(`${z}/${tx}_${ty}`);
    if (!ready(image)) continue;
    context.drawImage(image, (column - tx * across) * cell, (row - ty * across) * cell, cell, cell, x, y, size, size);
    return;
  }
}

function redraw() { frame ||= requestAnimationFrame(draw); }

function draw() {
  frame = 0;
  if (!width) return;
  const zoomed = eye.scale * devicePixelRatio;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "medium";
  if (mode === "grid") drawGrid(zoomed);
  else if (data) drawScatter(zoomed);
  if (data && cursor >= 0) drawCursor();
  while (tiles.size > MOST_TILES) tiles.delete(tiles.keys().next().value);
}

function drawGrid(zoomed) {
  const world = sizes.grid, finest = page.levels - 1, level = levelFor(page.cell * zoomed);
  context.setTransform(zoomed, 0, 0, zoomed, -eye.x * zoomed, -eye.y * zoomed);
  let drawn = 0;
  // the coarsest first: it stands in until the finer tiles have come
  for (let z = 0; z <= level; z++) {
    if (z > 0 && z < level - 1) continue;
    const size = page.tile * 2 ** (finest - z);
    const most = { x: Math.ceil(world.width / size) - 1, y: Math.ceil(world.height / size) - 1 };
    for (let y = Math.max(0, Math.floor(eye.y / size)); y <= Math.min(most.y, (eye.y + height / eye.scale) / size); y++)
      for (let x = Math.max(0, Math.floor(eye.x / size)); x <= Math.min(most.x, (eye.x + width / eye.scale) / size); x++) {
        const image = z < level && z > 0 ? tiles.get(`${z}/${x}_${y}`) : tile(z, x, y);
        if (!ready(image)) continue;
        context.drawImage(image, x * size, y * size, image.naturalWidth * size / page.tile, image.naturalHeight * size / page.tile);
        drawn++;
      }
  }
  if (drawn) mark("map-first-picture");
  if (!data) return;
  const cell = page.cell * eye.scale, over = (picture, alpha) => {
    context.imageSmoothingEnabled = false;
    context.globalAlpha = alpha;
    context.drawImage(picture, 0, 0, world.width, world.height);
    context.globalAlpha = 1;
    context.imageSmoothingEnabled = true;
  };
  if (tools.colour.value === "seams") {
    if (cell < 14) over(tint, 1);
    else drawSeams();
  } else if (tint) {
    if (cell < 22) over(tint, cell < 9 ? 0.72 : 0.55);
    else drawFrames(zoomed);
  }
  if (veil) over(veil, 1);
}

/* A frame inside the square of that side around (x, y) or, hollow, its corners: eight rectangles are far faster than a dashed line. */
function outline(x, y, side, thick, hollow) {
  const left = x - side / 2, upper = y - side / 2, far = side - thick, arm = hollow ? side * 0.28 : side;
  for (const start of hollow ? [0, side - arm] : [0])
    for (const edge of [0, far]) {
      context.fillRect(left + start, upper + edge, arm, thick);
      context.fillRect(left + edge, upper + start, thick, arm);
    }
}

/* A frame for each picture in view, in its colour. */
function drawFrames(zoomed) {
  const thick = Math.max(page.cell * 0.07, 2.5 / zoomed), by = palette.map(() => []);
  inView(i => by[colours[i]].push(i));
  by.forEach((pictures, which) => {
    context.fillStyle = palette[which][0];
    for (const i of pictures) outline(index.x[i], index.y[i], page.cell, thick, palette[which][1]);
  });
}

/* Each border of two cells in view as a line, bright where the two are unlike; the pictures are dimmed. */
function drawSeams() {
  const { cell, columns, rows } = page, thick = cell / 7;
  context.fillStyle = "rgb(0 0 0 / .55)";
  context.fillRect(0, 0, sizes.grid.width, sizes.grid.height);
  const levels = Array.from({ length: page.seam_colours.length }, () => []);
  const first = { x: Math.max(0, Math.floor(eye.x / cell)), y: Math.max(0, Math.floor(eye.y / cell)) };
  for (let r = first.y; r < Math.min(rows, (eye.y + height / eye.scale) / cell); r++)
    for (let c = first.x; c < Math.min(columns, (eye.x + width / eye.scale) / cell); c++) {
      const right = c < columns - 1 && data.right[r * (columns - 1) + c], down = r < rows - 1 && data.down[r * columns + c];
      if (right) levels[right - 1].push([(c + 1) * cell - thick / 2, r * cell, thick, cell]);
      if (down) levels[down - 1].push([c * cell, (r + 1) * cell - thick / 2, cell, thick]);
    }
  levels.forEach((lines, level) => {
    context.fillStyle = page.seam_colours[level];
    for (const line of lines) context.fillRect(...line);
  });
}

function drawScatter(zoomed) {
  let near = 0;
  inView(() => near++);
  const size = Math.round(Math.min(SPRITE * eye.scale, 96));
  if (data.place && near <= Math.min(MOST_SPRITES, width * height / size ** 2) && size >= 20) drawSprites(size);
  else drawDots(zoomed);
  mark("map-first-picture");
}

function drawSprites(size) {
  const scale = devicePixelRatio, thick = Math.max(2, size * 0.07), passes = [[], []];
  inView(i => passes[shown[i]].push(i));
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.imageSmoothingQuality = "low"; // a thousand of them, each from a tile of about its size
  passes[1].sort((a, b) => (colours[a] === top) - (colours[b] === top));
  passes.forEach((pictures, bright) => {
    context.globalAlpha = bright ? 1 : 0.12;
    for (const i of pictures) {
      const x = Math.round((index.x[i] - eye.x) * eye.scale - size / 2), y = Math.round((index.y[i] - eye.y) * eye.scale - size / 2);
      thumbnail(i, x, y, size, size * scale);
      if (!bright || !tools.colour.value || tools.colour.value === "seams") continue;
      const [colour, hollow] = palette[colours[i]];
      context.fillStyle = colour;
      outline(x + size / 2, y + size / 2, size, thick, hollow);
    }
  });
  context.globalAlpha = 1;
}

/* Dots are written straight into an image's pixels: fifty thousand circles of a canvas take ten times as long. */
function drawDots(zoomed) {
  dots ??= new ImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(dots.data.buffer), across = canvas.width, down = canvas.height;
  pixels.fill(0);
  const base = Math.min(5, Math.max(1.1, 6 * (100 / count) ** 0.26) * Math.min(1, Math.min(width, height) / 560)) * devicePixelRatio * (eye.scale / fit) ** 0.35;
  const stamp = (radius, hole = 0) => {
    const found = [], r = Math.ceil(radius);
    for (let y = -r; y <= r; y++) for (let x = -r; x <= r; x++) if (Math.hypot(x, y) <= radius && Math.hypot(x, y) >= hole) found.push(y * across + x);
    return { r, steps: Int32Array.from(found) };
  };
  const radius = Math.min(base, 9 * devicePixelRatio), small = stamp(Math.max(0.6, base * 0.5));
  const stamps = [stamp(radius), stamp(radius * 1.15, Math.max(1, radius * 0.65))];
  const inks = palette.map(([colour]) => packed(colour)), faint = packed(HIDDEN);
  const dot = i => put(i, stamps[palette[colours[i]][1] ? 1 : 0], inks[colours[i]]);
  const put = (i, { r, steps }, ink) => {
    const x = Math.round((index.x[i] - eye.x) * zoomed), y = Math.round((index.y[i] - eye.y) * zoomed);
    if (x < r || y < r || x >= across - r || y >= down - r) return;
    const at = y * across + x;
    for (let k = 0; k < steps.length; k++) pixels[at + steps[k]] = ink;
  };
  const some = shown.includes(0);
  if (some) inView(i => { if (!shown[i]) put(i, small, faint); });
  inView(i => { if (shown[i] && colours[i] !== top) dot(i); });
  if (top >= 0) inView(i => { if (shown[i] && colours[i] === top) dot(i); });
  context.putImageData(dots, 0, 0);
}

/* The picture pointed at: a frame, its name and, where it is small, the picture itself. */
function drawCursor() {
  const scale = devicePixelRatio, x = (index.x[cursor] - eye.x) * eye.scale, y = (index.y[cursor] - eye.y) * eye.scale;
  const size = mode === "grid" ? page.cell * eye.scale : Math.min(SPRITE * eye.scale, 96);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  for (const [colour, line] of [["#000", 5], ["#ffd84a", 2.5]]) {
    context.strokeStyle = colour;
    context.lineWidth = line;
    if (mode === "grid" || size >= 12) context.strokeRect(x - size / 2, y - size / 2, size, size);
    else { context.beginPath(); context.arc(x, y, 7, 0, 7); context.stroke(); }
  }
  const name = data.names[cursor], lines = [name.length > 44 ? `…${name.slice(-43)}` : name, ...words(cursor)];
  const large = data.place && size < 48 ? 84 : 0;
  context.font = "13px system-ui, sans-serif";
  const wide = Math.min(width - 12, Math.max(...lines.map(line => context.measureText(line).width)) + 16 + (large ? large + 8 : 0));
  const tall = Math.max(lines.length * 18 + 10, large ? large + 12 : 0);
  const left = Math.min(Math.max(6, x - wide / 2), width - wide - 6);
  const over = y - size / 2 - tall - 10;
  const upper = over >= 4 ? over : Math.min(height - tall - 4, y + size / 2 + 12);
  context.fillStyle = "rgb(10 11 13 / .9)";
  context.beginPath();
  context.roundRect(left, upper, wide, tall, 5);
  context.fill();
  if (large) thumbnail(cursor, left + 6, upper + 6, large, rest === cursor ? large * scale : 8);
  context.fillStyle = "#f2f2f0";
  context.textBaseline = "top";
  const indent = left + 8 + (large ? large + 6 : 0);
  lines.forEach((line, k) => {
    context.globalAlpha = k ? 0.82 : 1;
    context.fillText(line, indent, upper + 7 + k * 18, left + wide - indent - 6);
  });
  context.globalAlpha = 1;
}

function mark(name) {
  if (!performance.getEntriesByName(name).length) performance.mark(name);
}

// --------------------------------------------------------------------------------------- colours, filters, what is found

const known = () => (tools.colour.value === "prediction" || !data.label ? data.prediction : data.label);
const text = name => tools[name]?.value ?? "";

/* Colours and filters, after a control or the address has changed. */
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
  top = -1;
  const entries = [];
  if (colour === "error") {
    palette = [[REST], [RIGHT], [WRONG]];
    colours.set(data.verdict);
    top = 2;
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

/* A canvas with three pixels square for each cell of the grid, of what paint(picture) says: [colour, hollow], or null. */
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

// ------------------------------------------------------------------------------------------------------- pictures

const className = which => data.classes[which - 1].split(",")[0];

/* What is known of picture i: a line each. */
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

/* The picture at a place of the canvas that a pointer means, or −1. */
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

/* Point at picture i, −1 for none. keep: chosen on purpose, so the address says so. */
function point(i, keep = false) {
  if (i === cursor && keep === kept) return;
  cursor = i;
  kept = keep && i >= 0;
  canvas.classList.toggle("on", i >= 0);
  clearTimeout(loadAt);
  if (i >= 0) {
    const link = Object.assign(document.createElement("a"), { href: address(i), textContent: "open its page" });
    said.replaceChildren([data.names[i], ...words(i)].join(", "), " – ", link);
    loadAt = setTimeout(() => { rest = cursor; redraw(); }, 120); // its thumbnail in full only where the pointer rests
  }
  redraw();
  note();
}

function open(i, elsewhere = false) {
  if (i < 0) return;
  if (elsewhere) window.open(address(i));
  else {
    point(i, true); // so that Back returns to it
    save();
    location.href = address(i);
  }
}

/* The nearest shown picture to a place; with a direction, of those that lie more in it than beside it. */
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
  // the view follows where the picture would leave it
  const half = (mode === "grid" ? page.cell : SPRITE) / 2;
  const follow = (at, start, screen) => Math.min(Math.max(start, at + half - screen / eye.scale), at - half);
  place(follow(index.x[i], eye.x, width), follow(index.y[i], eye.y, height), eye.scale);
}

/* The next picture whose name holds what is searched for; at first the one that is called just so. */
function next() {
  if (!data || !shown.includes(1)) return;
  let i = cursor < 0 ? data.names.indexOf(text("find").trim()) : -1;
  if (i >= 0 && shown[i]) return go(i);
  i = cursor;
  do i = (i + 1) % count; while (!shown[i]);
  go(i);
}

// ------------------------------------------------------------------------------------------------------- the address

let saving = 0;
function note() {
  clearTimeout(saving);
  saving = setTimeout(save, 250); // browsers refuse an address that changes with every frame
}

/* This view as what follows the # of the address; "" is the page as it opens. */
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

/* Set everything as the address says; what it does not say is as the page opens. */
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

// ------------------------------------------------------------------------------------------------------- hands

/* Change to another arrangement; the picture pointed at stays in view. */
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

const down = new Map(); // pointer id → its last place
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
    return i >= 0 || !kept ? point(i) : undefined; // what was chosen stays until another is pointed at
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
// a mouse opens what it clicks; a finger first names a picture, and a second tap on it opens it
const lift = event => {
  if (!down.delete(event.pointerId) || event.type !== "pointerup" || travelled >= 8 || down.size) return;
  const i = under(event);
  if (event.pointerType !== "mouse" && i !== pressed) point(i, true);
  else if (i >= 0) open(i, event.button === 1 || event.ctrlKey || event.metaKey);
};
canvas.addEventListener("pointerup", lift);
canvas.addEventListener("pointercancel", lift);
canvas.addEventListener("pointerleave", () => { if (!kept && !down.size) point(-1); });
canvas.addEventListener("wheel", event => {
  // where nothing is left to zoom, the wheel scrolls the page
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
  else if (event.key === "Enter") open(cursor);
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

async function copy() {
  save();
  try {
    await navigator.clipboard.writeText(location.href);
    said.textContent = "The link is copied: it opens this view.";
  } catch {
    said.textContent = `This view: ${location.href}`; // no clipboard here
  }
}

// ------------------------------------------------------------------------------------------------------- start

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
})();
