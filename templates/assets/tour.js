// A guided tour: on a page opened with ?tour=NUMBER-STOP, a bar leads to the stops before and after.
"use strict";
(() => {
  const [, number, at] = /[?&]tour=(\d+)-(\d+)/.exec(location.search) || [];
  const root = document.querySelector(".find")?.dataset.root;
  if (at === undefined || root === undefined) return;
  const script = document.createElement("script");
  script.src = `${root}tours.js`;
  script.addEventListener("load", () => {
    const { title, stops } = window.cnnvizTours[number] || { stops: [] };
    const i = Number(at);
    if (!stops[i]) return;
    const bar = document.createElement("nav");
    bar.className = "guide";
    bar.setAttribute("aria-label", `Tour: ${title}`);
    const link = (k, words) => {
      if (!stops[k]) return [];
      const made = document.createElement("a");
      made.href = `${root}${stops[k][1].split("/").map(encodeURIComponent).join("/")}?tour=${number}-${k}`;
      made.textContent = `${words}${stops[k][0]}`;
      return [made];
    };
    const said = document.createElement("span");
    said.textContent = `${title}: stop ${i + 1} of ${stops.length}`;
    const leave = document.createElement("a");
    leave.href = `${root}index.html#tours`;
    leave.textContent = "All tours";
    bar.append(...link(i - 1, "← "), said, ...(i + 1 < stops.length ? link(i + 1, "Next: ") : [leave]));
    document.querySelector("main").before(bar);
  });
  document.head.append(script);
})();
