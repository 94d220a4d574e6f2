/* The visible part of the map, and how it moves. */
"use strict";

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

/* Moves the view, but never past the map's edges; a map that fits is centred. */
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

/* Zooms by a factor; the point at (px, py) of the canvas stays there. */
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

/* Centres picture i, large enough to see it. */
function go(i) {
  centre(index.x[i], index.y[i], Math.max(eye.scale, Math.min(most(), (mode === "grid" ? 64 : 56) / (mode === "grid" ? page.cell : SPRITE))));
  point(i, true);
}
