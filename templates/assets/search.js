// Search over names of the gallery, on every page: "/" or the button opens it, arrow keys and Enter go to a page.
// The names are in search-index.js, which is loaded when the search is first opened. "?" lists the keys.
"use strict";
(() => {
  const button = document.querySelector(".find");
  if (!button || !window.HTMLDialogElement) return;
  button.hidden = false;
  const root = button.dataset.root;
  const MOST = 60;
  let names = null; // [[name, kind, where, address, lower-case name, everyday words], …]
  let units = []; // [[layer, where, folder, number of units, or a list of those with a page], …]

  const [dialog, openDialog] = window.cnnvizDialog("search", "Search",
    '<search><label><span class="unseen">Search</span><input type="search" placeholder="Model, technique, layer, class, picture" ' +
    'autocomplete="off" spellcheck="false" role="combobox" aria-expanded="true" aria-controls="found" aria-autocomplete="list"></label>' +
    '<p class="quiet" role="status"></p><div id="found" role="listbox" aria-label="Found"></div></search>');
  const input = dialog.querySelector("input");
  const list = dialog.querySelector("[role=listbox]");
  const status = dialog.querySelector("[role=status]");
  let at = 0;

  function load() {
    if (names) return;
    const script = document.createElement("script");
    script.src = `${root}search-index.js`;
    script.addEventListener("load", () => {
      const { where, kinds, entries } = window.cnnvizNames;
      names = entries.map(([name, kind, place, address, words = ""]) => [name, kinds[kind], where[place], address, name.toLowerCase(), words]);
      units = window.cnnvizNames.units.map(([layer, place, ...rest]) => [layer, where[place], ...rest]);
      show();
    });
    script.addEventListener("error", () => (status.textContent = "The list of names is missing."));
    document.head.append(script);
  }

  // Names that begin with what is typed come first, then words that do, then what holds it anywhere; all words must match.
  function find(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return names.filter((entry) => entry[1] === "model" || entry[1] === "technique").slice(0, MOST);
    const found = unit(text).map((entry) => [-1, entry]);
    for (const entry of names) {
      const full = `${entry[4]} ${entry[1]} ${entry[2].toLowerCase()} ${entry[5]}`;
      if (!words.every((word) => full.includes(word))) continue;
      const start = entry[4].indexOf(words[0]);
      found.push([start === 0 ? 0 : start > 0 && /\W/.test(entry[4][start - 1]) ? 1 : start > 0 ? 2 : 3, entry]);
    }
    found.sort((a, b) => a[0] - b[0] || a[1][0].length - b[1][0].length);
    return found.map((pair) => pair[1]);
  }

  // "conv5 36", "conv5, unit 36", "unit 36": the units of that number in the layers whose name begins so.
  function unit(text) {
    const [, layer, number] = text.toLowerCase().match(/^(.*?)[\s,/:]*(?:(?:unit|neuron)\s*)?(?<=[\s,/:]|^)(\d+)\s*$/) || [];
    if (number === undefined) return [];
    return units
      .filter(([name, , , count]) => name.toLowerCase().startsWith(layer) && (Array.isArray(count) ? count.includes(Number(number)) : Number(number) < count))
      .map(([name, where, folder]) => [`${name}, unit ${Number(number)}`, "unit", where, `${folder}${Number(number)}.html`]);
  }

  function show() {
    if (!names) return;
    const found = find(input.value);
    list.replaceChildren(
      ...found.slice(0, MOST).map(([name, kind, where, address], i) => {
        const link = document.createElement("a");
        link.href = root + address;
        link.tabIndex = -1;
        link.append(Object.assign(document.createElement("b"), { textContent: name }));
        link.append(Object.assign(document.createElement("span"), { textContent: where ? `${kind} · ${where}` : kind, className: "quiet" }));
        link.id = `found-${i}`;
        link.setAttribute("role", "option");
        return link;
      }),
    );
    status.textContent = found.length > MOST ? `${found.length} found, the first ${MOST} are listed` : `${found.length} found`;
    choose(0);
  }

  function choose(index) {
    const items = [...list.children];
    at = items.length ? (index + items.length) % items.length : 0;
    items.forEach((item, i) => item.setAttribute("aria-selected", String(i === at)));
    if (items.length) {
      input.setAttribute("aria-activedescendant", items[at].id);
      items[at].scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }

  function open() {
    if (dialog.open) return;
    openDialog();
    load();
    show();
    input.select();
  }

  button.addEventListener("click", open);
  input.addEventListener("input", show);
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") choose(at + 1);
    else if (event.key === "ArrowUp") choose(at - 1);
    else if (event.key === "Enter" && list.children.length) list.children[at].click();
    else return;
    event.preventDefault();
  });

  const [, openKeys] = window.cnnvizDialog("search keys", "Keys",
    "<h2>Keys</h2><dl><div><dt>/</dt><dd>search</dd></div><div><dt>← →</dt><dd>the page before and after; in a large picture, the " +
    "picture before and after</dd></div><div><dt>Enter</dt><dd>on a picture: large</dd></div><div><dt>z</dt><dd>zoom a large picture</dd></div>" +
    '<div><dt>Esc</dt><dd>close</dd></div><div><dt>?</dt><dd>these keys</dd></div></dl><button type="button" name="close">Close</button>');

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input, select, textarea")) return;
    if (event.key === "/") open();
    else if (event.key === "?") openKeys();
    else {
      const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
      const link = rel && !event.target.closest("[tabindex], canvas") && document.querySelector(`.step [rel=${rel}]`);
      if (!link) return;
      location.assign(link.href);
    }
    event.preventDefault();
  });
})();
