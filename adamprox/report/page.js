"use strict";
// A tile shows its run on hover, on focus and on tap; arrow keys move between the tiles of a table.
(() => {
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.role = "tooltip";
  tip.hidden = true;
  document.body.append(tip);

  const line = (tag, text) => {
    const element = document.createElement(tag);
    element.textContent = text;
    return element;
  };

  // A curve is a text such as "6:819 12:717": epochs, and test errors in tenths of a percent.
  const curve = (text) => {
    const points = text.split(" ").map((pair) => pair.split(":").map(Number));
    const [first, last] = [points[0], points[points.length - 1]];
    const errors = points.map((point) => point[1]);
    const [low, high] = [Math.min(...errors), Math.max(...errors)];
    const x = (epoch) => 3 + (94 * (epoch - first[0])) / (last[0] - first[0] || 1);
    const y = (error) => 4 + (32 * (high - error)) / (high - low || 1);
    const path = points.map(([epoch, error]) => `${x(epoch).toFixed(1)},${y(error).toFixed(1)}`);
    const shape = `<polyline points="${path.join(" ")}" fill="none" stroke="currentColor" stroke-width="1.6" vector-effect="non-scaling-stroke"/>`;
    const holder = document.createElement("div");
    holder.innerHTML = `<svg viewBox="0 0 100 40" preserveAspectRatio="none" aria-hidden="true">${shape}</svg>`;
    const ends = line("small", "");
    const end = ([epoch, error]) => line("span", `epoch ${epoch}: ${(error / 10).toFixed(1)} %`);
    ends.append(...(points.length > 1 ? [end(first), end(last)] : [end(last)]));
    holder.append(ends);
    return holder;
  };

  const show = (tile) => {
    const run = JSON.parse(tile.dataset.t);
    const table = tile.closest("table");
    const decay = table.rows[table.rows.length - 1].cells[tile.cellIndex].textContent;
    const alpha = tile.parentNode.cells[0].textContent;
    const parts = [
      line("b", table.caption.textContent),
      line("div", `α = ${alpha}, λ = ${decay}`),
      line("div", run.e ? `test error ${run.e}` : "diverged"),
    ];
    parts.push(line("div", run.n));
    if (run.s) parts.push(line("div", `spread of updates at the end: ${run.s} powers of two (10–90 %)`));
    if (run.c) parts.push(line("div", "test error by epoch"), curve(run.c));
    tip.replaceChildren(...parts);
    tip.hidden = false;
    tile.setAttribute("aria-describedby", "tip");
    const at = tile.getBoundingClientRect();
    const left = at.left + at.width / 2 - tip.offsetWidth / 2;
    tip.style.left = `${Math.max(8, Math.min(left, document.documentElement.clientWidth - tip.offsetWidth - 8))}px`;
    const below = at.bottom + 8 + tip.offsetHeight < innerHeight;
    tip.style.top = `${Math.max(8, below ? at.bottom + 8 : at.top - tip.offsetHeight - 8)}px`;
  };
  const hide = () => { tip.hidden = true; };
  const tileOf = (event) => event.target.closest?.("td[data-t]");

  for (const [enter, leave] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
    document.addEventListener(enter, (event) => { const tile = tileOf(event); if (tile) show(tile); });
    document.addEventListener(leave, (event) => { if (tileOf(event)) hide(); });
  }
  document.addEventListener("click", (event) => { const tile = tileOf(event); if (tile) { tile.focus(); show(tile); } else hide(); });
  const follow = () => {
    const tile = document.activeElement?.closest("td[data-t]");
    if (tile && !tip.hidden) show(tile);
    else hide();
  };
  document.addEventListener("scroll", follow, { capture: true, passive: true });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    let tile = document.activeElement?.closest?.("td[data-t]");
    if (!step || !tile) return;
    event.preventDefault();
    const rows = tile.closest("table").rows;
    let [row, column] = [tile.parentNode.rowIndex, tile.cellIndex];
    do {
      [row, column] = [row + step[0], column + step[1]];
      tile = rows[row]?.cells[column];
    } while (tile && !tile.dataset.t);
    if (tile) tile.focus();
  });

  const contents = document.querySelector("nav details");
  if (contents && innerWidth < 1080) {
    contents.open = false;
    contents.addEventListener("click", (event) => { if (event.target.closest("a")) contents.open = false; });
  }
})();
