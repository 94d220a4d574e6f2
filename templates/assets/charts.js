// A chart, or a figure made of pictures, can be pointed at and read with the arrow keys: its points are in a script beside
// the page's data, which is loaded when it is first needed. The point is ringed, its group is coloured, and a line says its
// name and number.
"use strict";
(() => {
  const REACH = 24; // distance in CSS pixels at which the pointer finds a dot
  const asked = {}; // script → its charts: {figure: [[x, y, width, height, name, value, page, group, colour], …]}
  const points = (from, root) => (asked[from] ??= new Promise((done) => {
    const script = Object.assign(document.createElement("script"), { src: root + from, onerror: () => done({}) });
    script.onload = () => done(window.cnnvizPoints[from]);
    document.head.append(script);
  }));
  const drawn = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    return element;
  };
  const shape = ([x, y, width, height], more) =>
    width ? drawn("rect", { x, y, width, height, rx: 2, ...more }) : drawn("circle", { cx: x, cy: y, r: 6, ...more });
  const centre = ([x, y, width, height]) => [x + width / 2, y + height / 2];

  for (const chart of document.querySelectorAll(".chart")) {
    const { points: from, root, figure } = chart.dataset;
    const picture = chart.querySelector(".picture"), image = picture.firstElementChild; // an img, or an svg with a part of one
    const part = image.getAttribute("viewBox") ?? `0 0 ${image.getAttribute("width")} ${image.getAttribute("height")}`;
    const [x0, y0, width, height] = part.split(" ").map(Number);
    const layer = drawn("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    const said = Object.assign(document.createElement("output"), { className: "tip" });
    const enlarge = Object.assign(document.createElement("button"), { type: "button", className: "enlarge", textContent: "Enlarge", tabIndex: -1, hidden: true });
    let marks = [], at = -1, touched = false, mouse = null;
    async function load() {
      if (marks.length) return;
      const all = ((await points(from, root))[figure] ?? []).map(([x, y, ...more]) => [x - x0, y - y0, ...more]);
      marks = all.filter((mark) => centre(mark).every((place, i) => place >= 0 && place <= [width, height][i])); // those of the part
      // where points cover the picture, a click on it opens their pages
      enlarge.hidden = marks.reduce((sum, [, , wide, tall]) => sum + wide * tall, 0) < (width * height) / 2;
    }
    const here = (address) => new URL(root + address, location).pathname === location.pathname;
    const says = "Arrow keys go from point to point; Enter opens the point’s page or, without a point, the picture.";
    const kind = image.src?.endsWith(".svg") ? "chart" : "pictures";
    const roles = { role: "application", "aria-roledescription": kind, "aria-label": says, tabindex: 0 };
    for (const name in roles) chart.setAttribute(name, roles[name]);
    picture.tabIndex = -1; // the chart is one stop
    chart.append(layer, said, enlarge);
    enlarge.addEventListener("click", () => picture.click());

    // Where the picture's own pixels are in the chart: it may have empty edges, to fit.
    function place() {
      const own = chart.getBoundingClientRect(), box = image.getBoundingClientRect();
      const scale = Math.min(box.width / width, box.height / height);
      return { own, scale, left: box.left - own.left + (box.width - width * scale) / 2, top: box.top - own.top + (box.height - height * scale) / 2 };
    }

    function show(i) {
      if (i === at) return;
      at = i;
      said.textContent = "";
      layer.replaceChildren();
      if (i < 0) return;
      const { own, scale, left, top } = place(), [, , , tall, name, value, page, group, hue] = marks[i], [x, y] = centre(marks[i]);
      Object.assign(layer.style, { left: `${left}px`, top: `${top}px`, width: `${width * scale}px`, height: `${height * scale}px` });
      const kin = marks.filter((mark) => group && mark[7] === group && !mark[2]);
      const leads = page && !here(page);
      const link = drawn(leads ? "a" : "g", leads ? { href: root + page, tabindex: -1 } : {});
      link.append(shape(marks[i], { class: "on" }));
      layer.append(...kin.map((mark) => shape(mark, { r: 5, fill: hue || "currentColor", class: "kin" })), link);
      said.append(Object.assign(document.createElement("b"), { textContent: name }), value && ` ${value}`);
      const over = top + (y - tall / 2) * scale - said.offsetHeight - 10;
      said.style.left = `${Math.min(Math.max(0, left + x * scale - said.offsetWidth / 2), own.width - said.offsetWidth)}px`;
      said.style.top = `${over > -8 ? over : top + (y + tall / 2) * scale + 12}px`;
    }

    function under(event) {
      const { own, scale, left, top } = place(), x = (event.clientX - own.left - left) / scale, y = (event.clientY - own.top - top) / scale;
      const far = ([u, v, wide, tall]) => Math.hypot(Math.max(u - x, 0, x - u - wide), Math.max(v - y, 0, y - v - tall));
      return marks.reduce(([found, least], mark, i) => (far(mark) < least ? [i, far(mark)] : [found, least]), [-1, REACH / scale])[0];
    }

    // The nearest mark in a direction, within 45° of it.
    function next(dx, dy) {
      if (at < 0) return 0;
      const [x, y] = centre(marks[at]);
      let found = at, least = Infinity;
      marks.forEach((mark, i) => {
        const [ex, ey] = [centre(mark)[0] - x, centre(mark)[1] - y], along = ex * dx + ey * dy, beside = Math.abs(ex * dy - ey * dx);
        if (along > 0 && beside <= along && along + 2 * beside < least) [found, least] = [i, along + 2 * beside];
      });
      return found;
    }

    const follow = (event) => show(under((mouse = event)));
    chart.addEventListener("focus", load);
    for (const event of ["pointerleave", "blur"]) chart.addEventListener(event, () => ((mouse = null), touched || show(-1)));
    chart.addEventListener("pointermove", (event) => event.pointerType === "mouse" && follow(event));
    chart.addEventListener("pointerenter", async (event) => {
      if (event.pointerType === "mouse") mouse = event;
      await load();
      if (mouse) follow(mouse); // it may rest there since
    });
    chart.addEventListener("pointerdown", (event) => (touched = event.pointerType !== "mouse"), true);
    chart.addEventListener("click", async (event) => { // a first tap names a point, a second one opens its page
      if (!touched || !event.detail || event.target === enlarge) return;
      const before = at, known = marks.length;
      const stop = () => (event.preventDefault(), event.stopPropagation());
      if (!known) await (stop(), load());
      show(under(event));
      if (!known) at < 0 && picture.click();
      else if (at >= 0 && at !== before) stop();
    }, true);
    chart.addEventListener("keydown", async (event) => {
      const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey || !(arrow || ["Home", "End", "Escape", "Enter"].includes(event.key))) return;
      event.preventDefault();
      event.stopPropagation();
      await load();
      if (event.key === "Enter") (at < 0 ? picture : layer.querySelector("a"))?.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
      else if (event.key === "Escape" || !marks.length) show(-1);
      else show(arrow ? next(...arrow) : event.key === "Home" ? 0 : marks.length - 1);
    });
  }
})();
