/* Draws the map's canvas: tiles, dots, thumbnails, frames, and the picture under the pointer. */
"use strict";

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

/* The level whose pictures, enlarged by at most 1.4, are as large as ``pixels`` device pixels. */
function levelFor(pixels) {
  return Math.min(page.levels - 1, Math.max(0, page.levels - 1 + Math.ceil(Math.log2(pixels / page.cell) - 0.5)));
}

/* Draws picture i at (x, y), size wide, from a tile that is fine enough or, until that is loaded, a coarser one. */
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
  if (data) drawNames();
  if (data && cursor >= 0) drawCursor();
  while (tiles.size > MOST_TILES) tiles.delete(tiles.keys().next().value);
}

function drawGrid(zoomed) {
  const world = sizes.grid, finest = page.levels - 1, level = levelFor(page.cell * zoomed);
  context.setTransform(zoomed, 0, 0, zoomed, -eye.x * zoomed, -eye.y * zoomed);
  let drawn = 0;
  // the coarsest first: it is shown until finer tiles are loaded
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

/* A frame inside the square of that side around (x, y). */
function outline(x, y, side, thick) {
  const left = x - side / 2, upper = y - side / 2;
  for (const edge of [0, side - thick]) {
    context.fillRect(left, upper + edge, side, thick);
    context.fillRect(left + edge, upper, thick, side);
  }
}

/* A frame for each picture in view, in its colour. */
function drawFrames(zoomed) {
  const thick = Math.max(page.cell * 0.07, 2.5 / zoomed), by = palette.map(() => []);
  inView(i => by[colours[i]].push(i));
  by.forEach((pictures, which) => {
    if (!framed(which)) return;
    context.fillStyle = palette[which];
    for (const i of pictures) outline(index.x[i], index.y[i], page.cell, thick);
  });
}

/* Each border of two visible cells as a line, bright if the two differ; the pictures are dimmed. */
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
  context.imageSmoothingQuality = "low"; // there are a thousand, each from a tile of about its size
  passes[1].sort((a, b) => (colours[a] === front) - (colours[b] === front));
  passes.forEach((pictures, bright) => {
    context.globalAlpha = bright ? 1 : 0.12;
    for (const i of pictures) {
      const x = Math.round((index.x[i] - eye.x) * eye.scale - size / 2), y = Math.round((index.y[i] - eye.y) * eye.scale - size / 2);
      thumbnail(i, x, y, size, size * scale);
      if (!bright || !framed(colours[i])) continue;
      context.fillStyle = palette[colours[i]];
      outline(x + size / 2, y + size / 2, size, thick);
    }
  });
  context.globalAlpha = 1;
}

/* Dots are written directly into an image's pixels: fifty thousand circles on a canvas take ten times as long. */
function drawDots(zoomed) {
  dots ??= new ImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(dots.data.buffer), across = canvas.width, down = canvas.height;
  pixels.fill(0);
  const base = Math.min(5, Math.max(1.1, 6 * (100 / count) ** 0.26) * Math.min(1, Math.min(width, height) / 560)) * devicePixelRatio * (eye.scale / fit) ** 0.35;
  const stamp = radius => {
    const found = [], r = Math.ceil(radius);
    for (let y = -r; y <= r; y++) for (let x = -r; x <= r; x++) if (Math.hypot(x, y) <= radius) found.push(y * across + x);
    return { r, steps: Int32Array.from(found) };
  };
  const large = stamp(Math.min(base, 9 * devicePixelRatio)), small = stamp(Math.max(0.6, base * 0.5));
  const inks = palette.map(colour => packed(colour)), faint = packed(HIDDEN);
  const dot = i => put(i, large, inks[colours[i]]);
  const put = (i, { r, steps }, ink) => {
    const x = Math.round((index.x[i] - eye.x) * zoomed), y = Math.round((index.y[i] - eye.y) * zoomed);
    if (x < r || y < r || x >= across - r || y >= down - r) return;
    const at = y * across + x;
    for (let k = 0; k < steps.length; k++) pixels[at + steps[k]] = ink;
  };
  const some = shown.includes(0);
  if (some) inView(i => { if (!shown[i]) put(i, small, faint); });
  inView(i => { if (shown[i] && colours[i] !== front) dot(i); });
  if (front >= 0) inView(i => { if (shown[i] && colours[i] === front) dot(i); });
  context.putImageData(dots, 0, 0);
}

/* The names of the islands that have room, the largest first; of a chosen class only its own. They go as pictures come. */
function drawNames() {
  const size = (mode === "grid" ? page.cell : SPRITE) * eye.scale, chosen = Number(text("class")), taken = [];
  context.globalAlpha = Math.min(1, Math.max(0, (72 - size) / 24));
  if (!context.globalAlpha) return;
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.font = "600 14px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 4;
  context.lineJoin = "round";
  for (const [which, u, v] of data.islands[mode] ?? []) {
    if (chosen && which !== chosen) continue;
    const name = className(which).length > 24 ? `${className(which).slice(0, 23)}…` : className(which);
    const { unit = page.cell, edge = 0 } = sizes[mode], half = context.measureText(name).width / 2 + 5;
    const at = ((u + 0.5) * unit + edge - eye.x) * eye.scale, level = ((v + 0.5) * unit + edge - eye.y) * eye.scale;
    if (at < 0 || at > width || level < 0 || level > height || 2 * half > width) continue;
    const x = Math.min(Math.max(at, half), width - half);
    const y = [level, level - 19, level + 19].find(y => taken.every(([a, b, far]) => Math.abs(a - x) >= far + half || Math.abs(b - y) >= 19));
    if (y === undefined) continue;
    taken.push([x, y, half]);
    context.strokeStyle = "#1b1d21";
    context.strokeText(name, x, y);
    context.fillStyle = "#f2f2f0";
    context.fillText(name, x, y);
  }
  context.globalAlpha = 1;
  context.textAlign = "start";
}

/* The picture under the pointer: a frame, its name and, if it is small, the picture itself. */
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
