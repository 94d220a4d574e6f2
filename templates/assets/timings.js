// Shows how long a section took to compute. The seconds are in ../timings.js, so that the pages are the same in every run.
"use strict";
document.querySelectorAll("[data-timing-model]").forEach((row) => {
  const model = (window.cnnvizTimings || {})[row.dataset.timingModel] || {};
  const { seconds, peak_memory_mb: memory } = model[row.dataset.timingSection] || {};
  if (seconds === undefined) return;
  const time = seconds < 100 ? `${seconds.toFixed(1)} s` : `${(seconds / 60).toFixed(1)} min`;
  row.querySelector("dd").textContent = time + (memory === undefined ? "" : `, peak memory ${Math.round(memory)} MB`);
  row.hidden = false;
});
