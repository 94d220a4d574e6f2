// A click on a figure's picture shows it large. Arrow keys go through the page's figures, z zooms, Esc closes.
// Without this script the same click opens the picture's file.
"use strict";
(() => {
  const links = [...document.querySelectorAll(".figure a.picture")];
  if (!links.length || !window.HTMLDialogElement) return;

  const [dialog, open] = window.cnnvizDialog("lightbox", "Picture",
    `<div class="tools"><output></output><a class="copy">Copy link</a>
    <button type="button" name="before" aria-label="Previous picture">←</button>
    <button type="button" name="after" aria-label="Next picture">→</button>
    <button type="button" name="zoom" aria-pressed="false">Zoom</button><button type="button" name="close">Close</button></div>
    <div class="stage" tabindex="0" role="group" aria-label="Picture, scrolls when zoomed"></div>
    <div class="words"><p class="caption"></p><p class="mapping"></p></div>`);
  const find = (selector) => dialog.querySelector(selector);
  const stage = find(".stage");
  const zoom = find("[name=zoom]");
  let at = 0;
  let image = null; // an img, or an svg that shows a part of one
  let zoomed = false;

  // Fit: as large as the stage allows, whole multiples for pixel pictures. Zoomed: the file's own pixels, or twice the fit.
  function size() {
    const thumb = links[at].firstElementChild;
    const width = Number(thumb.getAttribute("width"));
    const height = Number(thumb.getAttribute("height"));
    const pixels = image.naturalWidth ?? image.viewBox.baseVal.width;
    let scale = Math.min((stage.clientWidth - 24) / width, (stage.clientHeight - 24) / height, Math.max(4, 400 / width));
    const own = pixels / width || 1; // the scale at which one pixel of the file is one of the screen
    if (scale > own && thumb.classList.contains("pixelated")) scale = own * Math.floor(scale / own);
    if (zoomed) scale = Math.max(2 * scale, own);
    image.setAttribute("width", Math.max(1, Math.round(width * scale)));
    image.setAttribute("height", Math.max(1, Math.round(height * scale)));
  }

  function show(index) {
    at = (index + links.length) % links.length;
    const figure = links[at].closest("figure");
    zoomed = false;
    zoom.setAttribute("aria-pressed", "false");
    image = links[at].firstElementChild.cloneNode(true);
    if (image.src) {
      image.loading = "eager";
      image.src = links[at].href;
      image.addEventListener("load", size);
    }
    stage.replaceChildren(image);
    find(".copy").href = `#${figure.id}`;
    const model = figure.closest("[data-model]")?.dataset.model; // beside those of other models
    find(".caption").textContent = `${model ? `${model}: ` : ""}${figure.querySelector(".caption").textContent}`;
    const mapping = figure.querySelector(".mapping") ?? figure.closest(".group")?.querySelector(".colours"); // its own, or of all
    find(".mapping").textContent = mapping?.textContent ?? "";
    find("output").textContent = `${at + 1} of ${links.length}`;
    size();
  }

  function toggle() {
    zoomed = !zoomed;
    zoom.setAttribute("aria-pressed", String(zoomed));
    size();
    stage.scrollTo((stage.scrollWidth - stage.clientWidth) / 2, (stage.scrollHeight - stage.clientHeight) / 2);
  }

  links.forEach((link, index) =>
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return; // the user requests a new tab
      event.preventDefault();
      open();
      show(index);
      find("[name=close]").focus();
    }),
  );
  dialog.addEventListener("keydown", (event) => {
    const panning = zoomed && document.activeElement === stage;
    if (event.ctrlKey || event.metaKey || event.altKey || panning) return;
    if (event.key === "ArrowRight") show(at + 1);
    else if (event.key === "ArrowLeft") show(at - 1);
    else if (event.key === "z") toggle();
    else return;
    event.preventDefault();
  });
  dialog.addEventListener("click", (event) => {
    if (image.contains(event.target)) toggle();
    else if (event.target === stage) dialog.close();
    else if (event.target.name === "before") show(at - 1);
    else if (event.target.name === "after") show(at + 1);
    else if (event.target.name === "zoom") toggle();
  });
  window.addEventListener("resize", () => dialog.open && size());
})();
