/* The zoomable grid of all pictures: draws the visible tiles of a pyramid on a canvas.
   A tile z/x_y.webp is grid.tile pixels wide; at the finest level a picture is grid.cell pixels, at each coarser one half.
   Places are in pixels of the finest level ("full pixels"); view.scale is screen pixels (CSS) to a full pixel. */
(() => {
"use strict";

const STYLE = `
[data-widget="tsne_grid"] .grid-bar { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin-bottom: .5rem; }
[data-widget="tsne_grid"] :is(button, select) { font: inherit; color: inherit; background: var(--raised, transparent); border: 1px solid var(--quiet, #767b82); border-radius: 6px; min-width: 2.5rem; min-height: 2.5rem; padding: .2rem .7rem; }
[data-widget="tsne_grid"] label { display: flex; gap: .4rem; align-items: center; min-width: 0; }
[data-widget="tsne_grid"] select { min-width: 0; max-width: 14rem; }
[data-widget="tsne_grid"] canvas { display: block; width: 100%; height: min(75vh, 52rem, 100vw); border-radius: 6px; background: #1b1d21; touch-action: none; cursor: grab; }
[data-widget="tsne_grid"] canvas:active { cursor: grabbing; }
[data-widget="tsne_grid"] canvas:focus-visible { outline: 3px solid var(--link, #2f7fc4); outline-offset: 2px; }
[data-widget="tsne_grid"] .grid-status { min-height: 3em; margin-top: .4rem; overflow-wrap: anywhere; }`;

const MOST_TILES = 160; // kept in memory, 1 MB each
const LARGEST = 3; // screen pixels to a full pixel, at most

function start(root) {
  const { grid, pages } = JSON.parse(root.querySelector("script").textContent);
  const base = root.dataset.base.replace(/\/?$/, "/");
  const canvas = root.querySelector("canvas");
  const status = root.querySelector(".grid-status");
  const select = root.querySelector("select");
  const context = canvas.getContext("2d");
  const full = { width: grid.columns * grid.cell, height: grid.rows * grid.cell };
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const tiles = new Map(); // "z/x_y" → Image, least recently drawn first
  const view = { x: 0, y: 0, scale: 0 };
  let width = 0, height = 0, fit = 1, cursor = -1, veil = null, frame = 0, flight = 0;

  root.hidden = false;
  new ResizeObserver(resize).observe(canvas);

  // ------------------------------------------------------------------------------------------------ the view

  function resize() {
    const whole = view.scale <= fit * 1.001;
    const middle = { x: view.x + width / 2 / view.scale, y: view.y + height / 2 / view.scale };
    width = canvas.clientWidth;
    height = canvas.clientHeight;
    canvas.width = Math.round(width * devicePixelRatio);
    canvas.height = Math.round(height * devicePixelRatio);
    fit = Math.min(width / full.width, height / full.height);
    if (whole) reset();
    else place(middle.x - width / 2 / view.scale, middle.y - height / 2 / view.scale, view.scale);
  }

  function reset() { place(0, 0, fit); }

  /* Go there, but never past the grid's edges; where all of it fits, it stands in the middle. */
  function place(x, y, scale) {
    view.scale = Math.min(Math.max(scale, fit), Math.max(LARGEST, fit));
    const bound = (at, screen, size) => {
      const spare = size - screen / view.scale;
      return spare <= 0 ? spare / 2 : Math.min(Math.max(at, 0), spare);
    };
    view.x = bound(x, width, full.width);
    view.y = bound(y, height, full.height);
    redraw();
  }

  /* Zoom by a factor; what is at (px, py) of the canvas stays there. */
  function zoom(factor, px = width / 2, py = height / 2) {
    const scale = Math.min(Math.max(view.scale * factor, fit), Math.max(LARGEST, fit));
    place(view.x + px / view.scale - px / scale, view.y + py / view.scale - py / scale, scale);
  }

  function glide(factor) {
    cancelAnimationFrame(flight);
    if (calm.matches) return zoom(factor);
    const from = view.scale, began = performance.now();
    const step = now => {
      const part = Math.min(1, (now - began) / 160);
      zoom(from * factor ** part / view.scale);
      if (part < 1) flight = requestAnimationFrame(step);
    };
    flight = requestAnimationFrame(step);
  }

  // ------------------------------------------------------------------------------------------------ drawing

  function tile(z, x, y) {
    const key = `${z}/${x}_${y}`;
    let image = tiles.get(key);
    if (image) tiles.delete(key);
    else {
      image = new Image();
      image.onload = redraw;
      image.src = `${base}tiles/${key}.webp`;
    }
    tiles.set(key, image);
    return image;
  }

  function redraw() { frame ||= requestAnimationFrame(draw); }

  function draw() {
    frame = 0;
    if (!width) return;
    const zoomed = view.scale * devicePixelRatio;
    const finest = grid.levels - 1;
    const level = Math.min(finest, Math.max(0, finest + Math.ceil(Math.log2(zoomed) - 0.2)));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(zoomed, 0, 0, zoomed, -view.x * zoomed, -view.y * zoomed);
    context.imageSmoothingQuality = "medium";
    // coarse levels first: they stand in until the finer tiles have come
    for (let z = 0; z <= level; z++) {
      if (z > 0 && z < level - 1) continue;
      const size = grid.tile * 2 ** (finest - z);
      const most = { x: Math.ceil(full.width / size) - 1, y: Math.ceil(full.height / size) - 1 };
      for (let y = Math.max(0, Math.floor(view.y / size)); y <= Math.min(most.y, (view.y + height / view.scale) / size); y++)
        for (let x = Math.max(0, Math.floor(view.x / size)); x <= Math.min(most.x, (view.x + width / view.scale) / size); x++) {
          const image = z < level && z > 0 ? tiles.get(`${z}/${x}_${y}`) : tile(z, x, y);
          if (image?.complete && image.naturalWidth)
            context.drawImage(image, x * size, y * size, image.naturalWidth * size / grid.tile, image.naturalHeight * size / grid.tile);
        }
    }
    while (tiles.size > MOST_TILES) tiles.delete(tiles.keys().next().value);
    if (veil) {
      context.imageSmoothingEnabled = false;
      context.drawImage(veil, 0, 0, full.width, full.height);
      context.imageSmoothingEnabled = true;
    }
    if (cursor >= 0) {
      const x = cursor % grid.columns * grid.cell, y = Math.floor(cursor / grid.columns) * grid.cell;
      for (const [colour, line] of [["#000", 5], ["#ffd84a", 2.5]]) {
        context.strokeStyle = colour;
        context.lineWidth = line / view.scale;
        context.strokeRect(x, y, grid.cell, grid.cell);
      }
    }
  }

  /* One pixel a cell, dark where the picture is of another class: a cheap way to dim fifty thousand cells. */
  function dim(chosen) {
    veil = null;
    if (chosen >= 0) {
      veil = document.createElement("canvas");
      veil.width = grid.columns;
      veil.height = grid.rows;
      const pixels = new ImageData(grid.columns, grid.rows);
      grid.labels.forEach((label, i) => { pixels.data[4 * i + 3] = label === chosen || grid.names[i] === null ? 0 : 185; });
      veil.getContext("2d").putImageData(pixels, 0, 0);
      const count = grid.labels.filter(label => label === chosen).length;
      status.textContent = `${grid.classes[chosen]}: ${count} ${count === 1 ? "picture" : "pictures"}; the others are dimmed.`;
    } else status.textContent = "All classes.";
    redraw();
  }

  // ------------------------------------------------------------------------------------------------ pictures

  function cellAt(event) {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor((view.x + (event.clientX - box.left) / view.scale) / grid.cell);
    const row = Math.floor((view.y + (event.clientY - box.top) / view.scale) / grid.cell);
    return column < 0 || row < 0 || column >= grid.columns || row >= grid.rows ? -1 : row * grid.columns + column;
  }

  function point(cell) {
    if (cell === cursor) return;
    cursor = cell;
    const name = cell >= 0 ? grid.names[cell] : null;
    if (name !== null) {
      const label = grid.labels[cell];
      const said = label >= 0 ? `${name}, class ${grid.classes[label]}` : name;
      status.textContent = said;
      if (pages[name]) {
        const link = document.createElement("a");
        link.href = pages[name];
        link.textContent = "open its page";
        status.append(" – ", link);
      }
    } else if (cell >= 0) status.textContent = "An empty cell.";
    redraw();
  }

  function walk(dx, dy) {
    const visible = { column: Math.floor((view.x + width / 2 / view.scale) / grid.cell), row: Math.floor((view.y + height / 2 / view.scale) / grid.cell) };
    const now = cursor >= 0 ? { column: cursor % grid.columns + dx, row: Math.floor(cursor / grid.columns) + dy } : visible;
    const column = Math.min(Math.max(now.column, 0), grid.columns - 1), row = Math.min(Math.max(now.row, 0), grid.rows - 1);
    point(row * grid.columns + column);
    // the view follows where the picture would leave it
    const follow = (at, start, screen) => {
      const shown = screen / view.scale;
      return at * grid.cell < start ? at * grid.cell : (at + 1) * grid.cell > start + shown ? (at + 1) * grid.cell - shown : start;
    };
    place(follow(column, view.x, width), follow(row, view.y, height), view.scale);
  }

  // ------------------------------------------------------------------------------------------------ hands

  const down = new Map(); // pointer id → its last place
  let travelled = 0;

  canvas.addEventListener("pointerdown", event => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    cancelAnimationFrame(flight);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (down.size === 1) travelled = 0;
  });
  canvas.addEventListener("pointermove", event => {
    const last = down.get(event.pointerId);
    if (!last) return point(cellAt(event));
    const others = [...down].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    const dx = event.clientX - last.x, dy = event.clientY - last.y;
    travelled += Math.abs(dx) + Math.abs(dy);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (others.length) {
      const far = at => Math.hypot(at.x - others[0].x, at.y - others[0].y);
      const box = canvas.getBoundingClientRect();
      place(view.x - dx / 2 / view.scale, view.y - dy / 2 / view.scale, view.scale);
      zoom(far({ x: event.clientX, y: event.clientY }) / Math.max(far(last), 1),
        (event.clientX + others[0].x) / 2 - box.left, (event.clientY + others[0].y) / 2 - box.top);
    } else place(view.x - dx / view.scale, view.y - dy / view.scale, view.scale);
  });
  const lift = event => {
    if (down.delete(event.pointerId) && event.type === "pointerup" && travelled < 8) point(cellAt(event));
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("wheel", event => {
    // where nothing is left to zoom, the wheel scrolls the page
    if (event.deltaY > 0 && view.scale <= fit * 1.001 && !event.ctrlKey) return;
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    const lines = event.deltaMode === 1 ? 33 : 1;
    zoom(2 ** (-event.deltaY * lines / (event.ctrlKey ? 100 : 300)), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  canvas.addEventListener("dblclick", event => {
    const box = canvas.getBoundingClientRect();
    zoom(2, event.clientX - box.left, event.clientY - box.top);
  });
  canvas.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const half = Math.max(1, Math.floor(Math.min(width, height) / 2 / view.scale / grid.cell));
    if (arrow) walk(...arrow.map(step => step * (event.shiftKey ? half : 1)));
    else if (event.key === "+" || event.key === "=") glide(1.6);
    else if (event.key === "-") glide(1 / 1.6);
    else if (event.key === "0" || event.key === "Home") reset();
    else if (event.key === "Enter" && pages[grid.names[cursor]]) location.href = pages[grid.names[cursor]];
    else return;
    event.preventDefault();
  });
  root.addEventListener("click", event => {
    const what = event.target.closest("[data-do]")?.dataset.do;
    if (what === "in") glide(1.6);
    else if (what === "out") glide(1 / 1.6);
    else if (what === "reset") reset();
  });
  select?.addEventListener("change", () => dim(Number(select.value)));
}

const roots = document.querySelectorAll('[data-widget="tsne_grid"]');
if (roots.length) document.head.append(Object.assign(document.createElement("style"), { textContent: STYLE }));
roots.forEach(start);
})();
