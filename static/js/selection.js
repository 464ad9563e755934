// Ticked rows: kept over pages, sorts and live updates of one list; written as an index expression.
// <form data-selection> holds the table; [data-selection-bar] is its bar. docs/ui.md tells the attributes.
(() => {
  const picked = new Set();
  let list = "";
  let last = null;

  const form = () => document.querySelector("[data-selection]");
  const boxes = () => [...(form()?.querySelectorAll("[data-index]") || [])];

  const expression = () => {
    const indices = [...picked].sort((a, b) => a - b);
    const parts = [];
    for (let at = 0; at < indices.length; at += 1) {
      const first = indices[at];
      while (indices[at + 1] === indices[at] + 1) at += 1;
      parts.push(first === indices[at] ? `${first}` : `${first}-${indices[at]}`);
    }
    return parts.join(",");
  };

  const draw = () => {
    const holder = form();
    if (!holder) return;
    if (holder.dataset.selection !== list) { picked.clear(); list = holder.dataset.selection; }
    const shown = boxes();
    for (const box of shown) box.checked = picked.has(Number(box.dataset.index));
    const head = holder.querySelector("[data-pick-page]");
    if (head) {
      const here = shown.filter((box) => box.checked).length;
      head.checked = here > 0 && here === shown.length;
      head.indeterminate = here > 0 && here < shown.length;
    }
    for (const bar of document.querySelectorAll("[data-selection-bar]")) drawBar(bar);
  };

  const drawBar = (bar) => {
    const some = picked.size > 0;
    for (const part of bar.querySelectorAll("[data-when]")) part.hidden = (part.dataset.when === "picked") !== some;
    if (!some) return; // its first number costs a browser some 15 ms, and nobody sees it
    for (const place of bar.querySelectorAll("[data-picked-count]")) place.textContent = picked.size.toLocaleString("en");
    for (const button of bar.querySelectorAll("[data-copy-picked]")) button.dataset.copy = expression();
  };

  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!form()?.contains(box)) return;
    if (box.matches("[data-pick-page]")) for (const row of boxes()) pick(row, box.checked);
    else if (box.matches("[data-index]")) pick(box, box.checked);
    else return;
    draw();
  });

  const pick = (box, on) => {
    if (on) picked.add(Number(box.dataset.index));
    else picked.delete(Number(box.dataset.index));
  };

  // Shift and click ticks everything between.
  document.addEventListener("click", (event) => {
    const box = event.target.closest?.("[data-index]");
    if (box && form()?.contains(box)) {
      const shown = boxes();
      const [from, to] = [shown.indexOf(last), shown.indexOf(box)].sort((a, b) => a - b);
      if (event.shiftKey && from >= 0) { for (const row of shown.slice(from, to + 1)) pick(row, box.checked); draw(); }
      last = box;
    }
    if (event.target.closest?.("[data-clear-picked]")) { picked.clear(); draw(); }
  });

  // The ticked rows of every page are meant, not only the boxes one sees: send the expression in their place.
  document.addEventListener("htmx:configRequest", (event) => {
    if (!event.detail.elt.matches("[data-send-picked]")) return;
    event.detail.parameters.delete?.("indices");
    event.detail.parameters.indices = expression();
  });

  for (const name of ["htmx:afterSwap", "htmx:oobAfterSwap", "htmx:afterSettle"]) document.addEventListener(name, draw);
  draw();
})();
