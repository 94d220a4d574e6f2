// A layer's wall of units: sorted by a number, filtered by words; of a large layer the first ones until asked for all.
"use strict";
for (const wall of document.querySelectorAll(".wall")) {
  const tools = wall.querySelector(".tools");
  const list = wall.querySelector("ol");
  const tiles = [...list.children].map((tile, i) => ({ tile, i, numbers: JSON.parse(tile.dataset.numbers), words: tile.dataset.words.toLowerCase() }));
  const [order, filter] = tools.querySelectorAll("select, input");
  const status = tools.querySelector("[role=status]");
  const all = wall.querySelector("button");
  let most = 200; // tiles: a wall of a thousand would be 60 screens of a phone
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = tiles.filter((entry) => words.every((word) => entry.words.includes(word)));
    const shown = new Set(found.slice(0, most));
    for (const entry of tiles) entry.tile.hidden = !shown.has(entry);
    all.hidden = shown.size === found.length;
    all.textContent = `Show all ${found.length}`;
    status.textContent = words.length ? `${found.length} of ${tiles.length}` : "";
  };
  all.addEventListener("click", () => {
    most = Infinity;
    show();
  });
  show();
  tools.hidden = false;
  order.addEventListener("change", () => {
    const column = Number(order.value);
    const value = (entry) => entry.numbers[column] ?? -Infinity;
    tiles.sort((a, b) => (column < 0 ? 0 : value(b) - value(a)) || a.i - b.i);
    list.append(...tiles.map((entry) => entry.tile));
    show();
  });
  filter.addEventListener("input", show);
}
