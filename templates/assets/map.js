/* The map of a model's pictures: a grid, drawn from a pyramid of tiles, and a scatter of dots or, zoomed in, thumbnails.
   A tile z/x_y.webp is view.tile pixels wide; at the finest level a picture is view.cell pixels, at each coarser level half of that.
   Positions are in pixels of the finest level ("full pixels"); eye.scale is the number of CSS pixels per full pixel.
   The grid needs only the page's data (#map-view), so it is drawn before map-data.js, with everything else, is loaded.
   The map is several plain scripts that share their top-level names (cnnviz/site/map_page.py has their order): browsers
   load no modules from file://. This first one holds what all share: the page's words, the state, and the data. */
"use strict";

const root = document.querySelector(".map");
const page = JSON.parse(document.getElementById("map-view").textContent);
const canvas = root.querySelector("canvas");
const context = canvas.getContext("2d");
const tools = root.querySelector(".tools").elements;
const said = root.querySelector(".said");
const legend = root.querySelector(".legend");
const hint = said.textContent;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const MOST_TILES = 96; // largest number in memory, 1 MB each
const MOST_SPRITES = 1000; // largest number of thumbnails in a scatter; more, or more than cover it, are drawn as dots
const LARGEST = { grid: 3, scatter: 24 }; // largest number of screen pixels per full pixel
const REACH = 14; // distance in screen pixels at which the pointer hits a dot
const SPRITE = 40; // side of a thumbnail in the scatter in full pixels, at most 96 on the screen
const MARGIN = 0.03; // margin of a scatter, as a share of its longer side
// Classes have their colours in the data, the same as on all pages; more than eight have none, and only the one that is
// chosen or pointed at is coloured. REST is drawn as dots only: pictures of no colour have no frame.
const PLAIN = "#7db2e8", REST = "#868b92", HIDDEN = "#363a40", WRONG = "#ff8a1f";
const MOST_BUTTONS = 40; // classes in the legend; all are in the list above the map

const count = page.count;
const sizes = worlds();
const eye = { x: 0, y: 0, scale: 0 };
const tiles = new Map(); // "z/x_y" → Image, least recently drawn first
let mode = page.modes[0];
let data = null; // the content of map-data.js, decoded
let index = null; // spatial index of the positions in this mode
let colours = new Uint8Array(count), palette = [PLAIN], shown = new Uint8Array(count).fill(1), front = -1;
let veil = null, tint = null; // of the grid, a pixel per cell: filtered cells, and the colours
let lit = 0; // the class that is pointed at, where only that one is coloured
let cursor = -1, kept = false; // the picture under the pointer, and whether the address holds it
let width = 0, height = 0, fit = 1, dots = null, frame = 0, flight = 0, rest = 0, first = true, loadAt = 0, wanted = location.hash;

/* The size of each mode's plane: the scatter is as large as the grid, so that the density is similar. */
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

/* Decodes base-64 digits, the same number for each of n values; an empty text gives null. */
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
  const found = { classes: raw.classes, hues: raw.hues, islands: raw.islands, own, names: new Array(count) };
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

/* The pictures in view, and an upper bound of their number without checking each. */
const inView = found => within(eye.x, eye.y, eye.x + width / eye.scale, eye.y + height / eye.scale, found);
