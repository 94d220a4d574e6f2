// The viewer of attributions: a picture under one of its maps, with the value under the cursor, or two of them side by
// side. A button.explore names the maps of one picture, in data-maps or in the elements inside it. Each names a script
// with the numbers (see cnnviz/views/kit/viewer.py). Without this script the page shows the figures alone.
"use strict";
(() => {
  window.cnnvizMaps = new Map(); // script element → its numbers
  const buttons = [...document.querySelectorAll("button.explore")];
  if (!buttons.length || !window.HTMLDialogElement) return;
  document.querySelectorAll("[data-explore]").forEach((part) => (part.hidden = false));

  const PANE = `<section class="look"><p class="of"></p><p class="choice"><label>Map <select name="map"></select></label>
    <label>Class <select name="class"></select></label></p>
    <div class="stack" tabindex="0" role="application" aria-label="Map over the picture; arrow keys move the cursor">
    <svg class="part" aria-hidden="true"><image/></svg><canvas></canvas><i class="cross" hidden></i></div>
    <p class="ends"><span></span><canvas width="256" height="1"></canvas><span></span></p><output></output></section>`;
  const [dialog, open] = window.cnnvizDialog("viewer", "Maps of a picture",
    `<div class="tools"><b></b><button type="button" name="pin" aria-pressed="false">Two side by side</button>
    <button type="button" name="close">Close</button></div><div class="panes">${PANE}${PANE}</div>
    <p class="choice"><label>Opacity of the map <input type="range" name="opacity" min="0" max="100" value="60"></label>
    <label>Colours <select name="colours"><option value="">as in the figure</option><option value="magma">black to yellow</option>
    <option value="RdBu_r">blue, white, red</option><option value="gray">grey</option></select></label>
    <label>Range <select name="range"><option value="">as in the figure</option><option value="own">of this map</option><option value="both">the same for both</option></select></label></p>
    <p class="quiet" role="status"></p>`);
  const find = (selector, of = dialog) => of.querySelector(selector);
  const panes = [...dialog.querySelectorAll(".look")];
  const pin = find("[name=pin]");
  let sources = [];
  let cursor = null; // [x, y], each 0 … 1

  // The maps of one picture: those of the button and of all others on the page about the same picture.
  function sourcesOf(button) {
    const same = buttons.filter((other) => other.dataset.picture === button.dataset.picture);
    return same.flatMap((one) => (one.dataset.maps ? [one] : [...one.querySelectorAll("[data-maps]")])).map((one) => one.dataset);
  }

  function load(source) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = source.maps;
      script.onload = () => resolve({ ...source, ...window.cnnvizMaps.get(script) });
      script.onerror = () => reject(new Error(source.maps));
      document.head.append(script);
    });
  }

  async function show(button) {
    open();
    panes[1].hidden = !button.querySelector("[data-maps]");
    pin.setAttribute("aria-pressed", String(!panes[1].hidden));
    find(".tools b").textContent = button.dataset.picture;
    find("[role=status]").textContent = "Loading the numbers …";
    const loaded = await Promise.allSettled(sourcesOf(button).map(load));
    sources = loaded.filter((one) => one.status === "fulfilled").map((one) => one.value);
    const absent = loaded.length - sources.length;
    find("[role=status]").textContent = absent ? `${absent} of ${loaded.length} files with maps are missing.` : "";
    if (!sources.length) return;
    const first = Math.max(0, sources.findIndex((one) => one.maps === button.dataset.maps));
    // beside it: the same section of another model, else its next method, else the next section
    const other = sources.findIndex((one) => one.section === sources[first].section && one.model !== sources[first].model);
    const second = other >= 0 ? [other, 0] : sources[first].methods.length > 1 ? [first, 1] : [(first + 1) % sources.length, 0];
    panes.forEach((pane) => (pane.class = sources[first].classes[0])); // the same class in both, where both have it
    [[first, 0], second].forEach(([source, method], i) => {
      const select = find("[name=map]", panes[i]);
      select.replaceChildren(...sources.map((one, s) => {
        const group = document.createElement("optgroup");
        group.label = `${one.model}: ${one.title}`;
        group.append(...one.methods.map((m, k) => new Option(m.title, `${s} ${k}`)));
        return group;
      }));
      select.value = `${source} ${method}`;
      choose(panes[i]);
    });
    // where there is but one map: its next class
    const classes = find("[name=class]", panes[1]);
    if (second[0] === first && second[1] === 0 && classes.length > 1) classes.selectedIndex = 1;
    panes.forEach(draw);
  }

  function choose(pane) {
    const [source, method] = find("[name=map]", pane).value.split(" ").map(Number);
    const classes = find("[name=class]", pane);
    classes.replaceChildren(...sources[source].said.map((text) => new Option(text)));
    classes.selectedIndex = Math.max(0, sources[source].classes.indexOf(pane.class));
    pane.source = sources[source];
    pane.method = method;
    const [x, y, width, height] = pane.source.box;
    find("svg", pane).setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
    find(".of", pane).textContent = `${pane.source.model}: ${pane.source.title}`;
    find("image", pane).setAttribute("href", pane.source.image);
    find(".stack", pane).style.aspectRatio = `${width} / ${height}`;
    panes.forEach(draw);
  }

  const map = (pane) => pane.source.methods[pane.method].maps[find("[name=class]", pane).selectedIndex];
  const words = (value) => String(Number(value.toPrecision(3)));

  function draw(pane) {
    if (!pane.source) return;
    const shown = map(pane);
    shown.bytes ??= Uint8Array.from(atob(shown.levels), (one) => one.charCodeAt(0));
    const [low, high] = range(shown);
    const table = Uint8Array.from(atob(pane.source.tables[find("[name=colours]").value || shown.colours]), (one) => one.charCodeAt(0));
    const paint = (canvas, width, height, value) => {
      [canvas.width, canvas.height] = [width, height];
      const image = new ImageData(width, height);
      for (let i = 0; i < width * height; i++) {
        const share = high > low ? (value(i) - low) / (high - low) : 0.5;
        const at = 3 * Math.round(255 * Math.min(1, Math.max(0, share)));
        image.data.set([table[at], table[at + 1], table[at + 2], 255], 4 * i);
      }
      canvas.getContext("2d").putImageData(image, 0, 0);
    };
    const canvas = find(".stack canvas", pane);
    paint(canvas, shown.size[0], shown.size[1], (i) => value(shown, i));
    paint(find(".ends canvas", pane), 256, 1, (i) => low + (i / 255) * (high - low));
    canvas.style.opacity = find("[name=opacity]").value / 100;
    const ends = pane.querySelectorAll(".ends span");
    ends[0].textContent = words(low);
    ends[1].textContent = words(high);
    read(pane);
  }

  // The values with the first and the last colour, by the choice of the range.
  function range(shown) {
    const choice = find("[name=range]").value;
    const both = panes.filter((pane) => pane.source && !pane.hidden).map((pane) => map(pane).ends);
    if (choice === "both") return [Math.min(...both.map((ends) => ends[0])), Math.max(...both.map((ends) => ends[1]))];
    if (choice !== "own") return shown.ends;
    const largest = Math.max(Math.abs(shown.low), Math.abs(shown.high));
    return shown.ends[0] < 0 ? [-largest, largest] : [shown.low, shown.high];
  }

  const value = (shown, i) => shown.low + (shown.bytes[i] / 255) * (shown.high - shown.low);

  // A value and how far it may be off: half a level, and half a unit of the last digit shown.
  function within(number, shown) {
    const half = (shown.high - shown.low) / 510;
    if (!half) return words(number);
    const power = Math.floor(Math.log10(half));
    const digits = number ? Math.max(1, Math.floor(Math.log10(Math.abs(number))) - power + 1) : 1;
    const off = Math.ceil(half / 10 ** power + 0.5) * 10 ** power;
    return `${Number(number.toPrecision(digits))} ± ${Number(off.toPrecision(2))}`;
  }

  function read(pane) {
    const cross = find(".cross", pane);
    cross.hidden = !cursor;
    if (!cursor || !pane.source) return;
    const shown = map(pane);
    const [x, y] = cursor.map((share, axis) => Math.min(shown.size[axis] - 1, Math.floor(share * shown.size[axis])));
    cross.style.left = `${(100 * (x + 0.5)) / shown.size[0]}%`;
    cross.style.top = `${(100 * (y + 0.5)) / shown.size[1]}%`;
    find("output", pane).textContent = `${within(value(shown, y * shown.size[0] + x), shown)} at ${x}, ${y}${shown.mean}`;
  }

  function move(to, live) {
    cursor = to.map((share) => Math.min(0.999, Math.max(0, share)));
    panes.forEach((pane) => find("output", pane).setAttribute("aria-live", live)); // a moving pointer is not read aloud
    panes.forEach(read);
  }

  panes.forEach((pane) => {
    const stack = find(".stack", pane);
    ["pointerdown", "pointermove"].forEach((kind) => stack.addEventListener(kind, (event) => {
      const box = stack.getBoundingClientRect();
      move([(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height], "off");
    }));
    stack.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step || !pane.source) return;
      event.preventDefault();
      const { size } = map(pane);
      const at = cursor ?? [0.5, 0.5];
      // to the centre of a cell, so that rounding never skips one
      move(at.map((share, axis) => (Math.floor(share * size[axis]) + (cursor ? step[axis] : 0) + 0.5) / size[axis]), "polite");
    });
    find("[name=map]", pane).addEventListener("change", () => choose(pane));
    find("[name=class]", pane).addEventListener("change", (event) => {
      pane.class = pane.source.classes[event.target.selectedIndex];
      panes.forEach(draw);
    });
  });
  ["opacity", "colours", "range"].forEach((name) =>
    find(`[name=${name}]`).addEventListener("input", () => panes.forEach(draw)));
  pin.addEventListener("click", () => {
    panes[1].hidden = !panes[1].hidden;
    pin.setAttribute("aria-pressed", String(!panes[1].hidden));
    panes.forEach(draw);
  });
  buttons.forEach((button) => button.addEventListener("click", () => show(button)));
})();
