// The arrow keys go to the page before and after, as the links in the header do.
"use strict";
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (event.target.closest("input, select, textarea, [tabindex], dialog, canvas")) return;
  const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  const link = rel && document.querySelector(`.step [rel=${rel}]`);
  if (link) location.assign(link.href);
});
