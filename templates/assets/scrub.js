// A slider shows one part of a row of pictures at a time; a divider lays it over another part, which is on the left.
// The parts are of one file, or of several. Without this script the page shows the row.
"use strict";
(() => {
  const EVERY = 800; // milliseconds that a part stays when all are played
  const svg = (name, attributes = {}) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const numbers = (text) => text.split(" ").map(Number);

  function start(scrub) {
    const find = (selector) => scrub.querySelector(selector);
    const [pane, slider, divider, play, said] = [".part", ".moves", ".divider", ".play", "output"].map(find);
    const { width, height } = pane.viewBox.baseVal;
    const parts = [...scrub.querySelectorAll("option")];
    const last = parts.length - 1;
    let timer = 0;

    // Draws part of a file into a frame, from a share of the pane's width on.
    const frame = () => pane.appendChild(svg("svg", { height, preserveAspectRatio: "none" }));
    function draw(into, file, size, box, from) {
      const image = into.firstChild || into.appendChild(svg("image", { preserveAspectRatio: "none" }));
      const [left, top, across, down] = numbers(box);
      const edge = across / 300; // of the neighbours, which smoothing mixes in
      const [x, y, wide, high] = [left + edge, top + edge, across - 2 * edge, down - 2 * edge];
      [image.width.baseVal.value, image.height.baseVal.value] = numbers(size);
      if (image.getAttribute("href") !== file) image.setAttribute("href", file);
      into.setAttribute("x", from * width);
      into.setAttribute("width", (1 - from) * width);
      into.setAttribute("viewBox", `${x + from * wide} ${y} ${(1 - from) * wide} ${high}`);
    }
    const below = divider && frame();
    const over = frame();
    const marks = divider ? [svg("line", { y2: height }), svg("line", { y2: height }), svg("circle", { cy: height / 2, r: 7 })] : [];
    pane.append(...marks);

    function show() {
      const part = parts[slider.value];
      const of = part.dataset;
      const share = divider ? divider.value / 100 : 0;
      draw(over, of.file, of.size, of.box, share);
      if (divider) {
        draw(below, of.belowFile, of.belowSize, of.below, 0);
        for (const mark of marks) for (const at of ["x1", "x2", "cx"]) mark.setAttribute(at, share * width);
        divider.setAttribute("aria-valuetext", `${divider.value} % of the width`);
        find(".over").textContent = of.side || part.label;
      }
      said.textContent = part.label + (of.number ? `: ${of.number}` : "");
      slider.setAttribute("aria-valuetext", said.textContent);
      pane.setAttribute("aria-label", (divider ? `${find(".sides span").textContent}, and right of the divider ` : "") + said.textContent);
    }

    function stop() {
      clearInterval(timer);
      timer = 0;
      if (play) play.firstChild.data = "Play";
    }
    play?.addEventListener("click", () => {
      if (timer) return stop();
      if (Number(slider.value) === last) slider.value = 0;
      show();
      play.firstChild.data = "Pause";
      timer = setInterval(() => {
        slider.value = Number(slider.value) + 1;
        show();
        if (Number(slider.value) === last) stop();
      }, EVERY);
    });
    slider.addEventListener("input", () => {
      stop();
      show();
    });
    divider?.addEventListener("input", show);
    show();
  }

  // Files are loaded when their part of the page comes near, as the rows' own pictures are.
  const near = new IntersectionObserver((seen) => {
    for (const { isIntersecting, target } of seen) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      start(target);
    }
  }, { rootMargin: "600px" });
  document.querySelectorAll(".scrub").forEach((scrub) => near.observe(scrub));
})();
