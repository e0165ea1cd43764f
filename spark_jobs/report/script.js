"use strict";
// Everything is on the page without this; it filters the pictures and leads from a number to them.
document.documentElement.classList.add("scripting");

function setUp() {
  const find = id => document.getElementById(id);
  const cells = [...document.querySelectorAll("a.cell")];

  // A region that does not scroll is no stop on the way of the tabulator.
  const mark = () => document.querySelectorAll(".scroll").forEach(region => {
    if (region.scrollWidth > region.clientWidth) region.tabIndex = 0;
    else region.removeAttribute("tabindex");
  });
  mark();
  addEventListener("resize", mark);

  // What a closed part holds is printed, too.
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details:not([open])").forEach(part => {
      part.open = true;
      part.dataset.printed = "";
    });
  });
  addEventListener("afterprint", () => {
    document.querySelectorAll("[data-printed]").forEach(part => {
      part.open = false;
      delete part.dataset.printed;
    });
  });

  // The console that shows this page has the review page, too; beside a file there is none.
  const review = find("review");
  if (review && /^\/runs\/[^/]+\/report$/.test(location.pathname) && location.protocol !== "file:") {
    review.href = `/datasets/${encodeURIComponent(review.dataset.dataset)}/review`;
    review.hidden = false;
  }

  const told = find("told");
  if (told) {
    const tell = event => {
      const cell = event.target.closest("#matrix td[title]");
      if (cell) told.textContent = cell.title;
    };
    find("matrix").addEventListener("pointerover", tell);
    find("matrix").addEventListener("focusin", tell);
  }

  const form = find("filters");
  if (!form) return;
  // A select's id is what its cards are marked by: one place of a label, or several.
  const selects = [...form.querySelectorAll("select")];
  const cards = [...document.querySelectorAll("figure.case")].map(figure => ({
    figure,
    words: figure.textContent.toLowerCase().replace(/\s+/g, " ")
      + [...figure.querySelectorAll("[title]")].map(one => " " + one.title.toLowerCase()).join(""),
  }));
  const apply = () => {
    const words = find("words").value.toLowerCase().split(/\s+/).filter(word => word);
    let shown = 0;
    for (const card of cards) {
      const marks = card.figure.dataset;
      const fits = selects.every(one => !one.value || marks[one.id].split(" ").includes(one.value))
        && words.every(word => card.words.includes(word));
      card.figure.hidden = !fits;
      shown += fits;
    }
    find("status").textContent = shown === cards.length ? `${shown} shown`
      : shown ? `${shown} of ${cards.length} shown` : "none fits: change or clear the filters";
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));

  for (const cell of cells) cell.addEventListener("click", event => {
    event.preventDefault();
    for (const one of selects) one.value = cell.dataset[one.id] ?? "";
    find("words").value = "";
    apply();
    find("cases").scrollIntoView();
    find("cases-title").focus({ preventScroll: true });
  });

  // One stop for the tabulator in the whole matrix; arrows lead on from there.
  const grid = cells.filter(cell => cell.closest("#matrix"));
  const rove = chosen => grid.forEach(cell => { cell.tabIndex = cell === chosen ? 0 : -1; });
  if (grid.length) rove(grid[0]);
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  for (const cell of grid) cell.addEventListener("keydown", event => {
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const next = findNext(grid, cell, step);
    if (!next) return;
    rove(next);
    next.focus();
  });
  for (const cell of grid) cell.addEventListener("focus", () => rove(cell));
}

// The nearest number in a direction, in the same row or column where there is one.
function findNext(grid, from, [down, right]) {
  const place = cell => [Number(cell.dataset.true), Number(cell.dataset.called)];
  const [row, column] = place(from);
  let best = null, least = Infinity;
  for (const cell of grid) {
    const [otherRow, otherColumn] = place(cell);
    const along = down ? (otherRow - row) * down : (otherColumn - column) * right;
    const aside = down ? Math.abs(otherColumn - column) : Math.abs(otherRow - row);
    const distance = along + 100 * aside;
    if (along > 0 && distance < least) [best, least] = [cell, distance];
  }
  return best;
}

document.addEventListener("DOMContentLoaded", setUp);
