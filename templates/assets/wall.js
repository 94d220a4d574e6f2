// A layer's wall of units: sorted by a number, filtered by words.
"use strict";
for (const wall of document.querySelectorAll(".wall")) {
  const tools = wall.querySelector(".tools");
  const list = wall.querySelector("ol");
  const tiles = [...list.children].map((tile, i) => ({ tile, i, numbers: JSON.parse(tile.dataset.numbers), words: tile.dataset.words.toLowerCase() }));
  const [order, filter] = tools.querySelectorAll("select, input");
  const status = tools.querySelector("[role=status]");
  tools.hidden = false;
  order.addEventListener("change", () => {
    const column = Number(order.value);
    const value = (entry) => entry.numbers[column] ?? -Infinity;
    tiles.sort((a, b) => (column < 0 ? 0 : value(b) - value(a)) || a.i - b.i);
    list.append(...tiles.map((entry) => entry.tile));
  });
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { tile, words: said } of tiles) tile.hidden = !words.every((word) => said.includes(word));
    status.textContent = `${tiles.filter(({ tile }) => !tile.hidden).length} of ${tiles.length}`;
  });
}
