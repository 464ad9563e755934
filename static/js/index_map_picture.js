// The picture of the index map: which cell is where at which zoom, and how it is drawn. index_map.js moves about in it.
window.indexMapPicture = (view, scroller) => {
  const tall = scroller.firstElementChild;
  const canvas = tall.firstElementChild;
  const ink = canvas.getContext("2d");

  // A code an outcome, and one where there is no instance; which is worse, when a cell stands for several indices.
  const WORST_FIRST = ["hard_failure", "upstream_failed", "soft_failure", "retrying", "unknown_result", "running", "waiting", "skipped", "success", "removed"];
  const outcomes = [...view.querySelectorAll(".map-palette i")].map((swatch) => ({ swatch, name: swatch.dataset.outcome, word: swatch.dataset.word }));
  const ABSENT = outcomes.length;
  const rank = [...outcomes.map((outcome) => WORST_FIRST.indexOf(outcome.name)), WORST_FIRST.length];
  const drawn = [...outcomes.keys()].sort((a, b) => rank[b] - rank[a]);
  const fails = (code) => rank[code] < 3;

  // What is shown: marks are indices, ``chosen`` is a range of them; -1 and null for none.
  const marks = { pointed: -1, cursor: -1, chosen: null };
  let cells = new Uint8Array(0);

  // ── Where cells are: levels from the whole map to large cells; a line holds a round number of cells ─────────────
  const SIZES = [[28, 56], [22, 66], [16, 112], [12, 120], [8, 128], [6, 132], [4, 168], [3, 216], [2, 320]];
  const SHARES = [2, 5, 10, 20, 50, 100, 200, 500, 1000];
  let levels = [];
  let level = 0;
  let width = 0;
  let height = 0;
  let top = 0;
  let held = 0;

  const grid = (px, per) => {
    const most = Math.max(1, Math.floor(width / px));
    const across = most >= 20 ? most - (most % 10) : most;
    const count = Math.ceil(cells.length / per);
    return { px, per, across, count, lines: Math.ceil(count / across) };
  };

  // Fits the levels to the cells and the width; at the same level nothing moves.
  const arrange = () => {
    width = scroller.clientWidth;
    if (!width || !cells.length) return;
    const before = levels[level];
    const middle = before ? indexAt(top + height / 2) : 0;
    const whole = SIZES.map(([px, most]) => [grid(px, 1), most]).find(([fit, most]) => fit.lines * fit.px <= most)?.[0]
      || SHARES.map((per) => grid(6, per)).find((fit) => fit.lines * fit.px <= 264) || grid(6, 2000);
    const shared = SHARES.filter((per) => per < whole.per).reverse().filter((_, at) => at % 2).map((per) => grid(whole.px, per));
    const single = SIZES.map(([px]) => px).filter((px) => px > whole.px).reverse().map((px) => grid(px, 1));
    levels = [whole, ...shared, ...single];
    height = Math.max(28, whole.lines * whole.px);
    const alike = level > 0 ? levels.findIndex((one) => one.px === before.px && one.per === before.per) : 0;
    const stays = before && levels[alike]?.across === before.across;
    show(Math.max(0, alike), middle, stays ? null : height / 2);
  };

  // Goes to a level; the line of ``index`` is then at ``y``, or nothing moves.
  const show = (to, index, y) => {
    level = Math.max(0, Math.min(levels.length - 1, to));
    const { px, lines } = now();
    scroller.style.height = `${height}px`;
    tall.style.height = `${Math.max(height, lines * px)}px`;
    if (y !== null) scroller.scrollTop = lineOf(index) * px + px / 2 - y;
    top = scroller.scrollTop;
    draw();
  };

  const now = () => levels[level];
  const cellOf = (index) => Math.floor(index / now().per);
  const lineOf = (index) => Math.floor(cellOf(index) / now().across);
  const indexAt = (y) => Math.min(cells.length - 1, Math.floor(y / now().px) * now().across * now().per);
  const spanOf = (cell) => [cell * now().per, Math.min(cells.length, (cell + 1) * now().per) - 1];
  const worstIn = (cell) => {
    const [first, last] = spanOf(cell);
    let worst = first;
    for (let index = first + 1; index <= last; index += 1) if (rank[cells[index]] < rank[cells[worst]]) worst = index;
    return worst;
  };

  // ── Drawing: the shape of a cell says its outcome as well as its colour; failures are drawn last and larger ─────
  const SHAPES = {
    hard_failure: [0, 0, 1, 1], success: [0, 0, 1, 1], running: [0, 0, 1, 1], soft_failure: [0, 0, 0.5, 1], upstream_failed: [0, 0, 1, 0.5],
    retrying: [0, 0.5, 1, 0.5], waiting: [0.38, 0.38, 0.24, 0.24], unknown_result: [0.25, 0.25, 0.5, 0.5], skipped: [0.4, 0, 0.2, 1], removed: [0, 0.4, 1, 0.2],
  };
  let colours = null;
  const readColours = () => {
    colours = outcomes.map(({ swatch }) => { const style = getComputedStyle(swatch); return [style.color, style.borderTopColor]; });
    const style = getComputedStyle(scroller);
    colours.ground = style.backgroundColor;
    colours.ink = style.color;
    colours.focus = style.outlineColor;
  };

  const draw = () => {
    if (!levels.length) return;
    if (!colours) readColours();
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    ink.scale(scale, scale);
    ink.translate(0, -top);
    const { px, per, across, count } = now();
    const from = Math.max(0, Math.floor(top / px) * across);
    const to = Math.min(count, Math.ceil((top + height) / px) * across);
    const codes = new Uint8Array(to - from);
    for (let cell = from; cell < to; cell += 1) codes[cell - from] = cells[per === 1 ? cell : worstIn(cell)];
    for (const code of drawn) drawCode(code, codes, from);
    if (per > 1) drawShares(codes, from);
    if (marks.chosen) drawAround(from, to);
    if (marks.pointed >= 0) drawRing(cellOf(marks.pointed), 1.5, colours.ink);
    if (marks.cursor >= 0) drawRing(cellOf(marks.cursor), 2, colours.focus);
  };

  const drawCode = (code, codes, from) => {
    const { px, across } = now();
    const gap = px >= 4 ? 1 : 0;
    const grow = px < 4 && fails(code) ? 0.5 : 0;
    const shape = SHAPES[outcomes[code].name];
    const [strong, weak] = colours[code];
    const partly = px >= 4 && shape[2] * shape[3] < 1;
    ink.fillStyle = partly ? weak : strong;
    eachRun(code, codes, gap > 0, (at, length) => {
      const x = ((from + at) % across) * px;
      const y = Math.floor((from + at) / across) * px;
      ink.fillRect(x - grow, y - grow, length * px - gap + 2 * grow, px - gap + 2 * grow);
    });
    const side = px - gap;
    if (partly) {
      ink.fillStyle = strong;
      eachRun(code, codes, true, (at) => {
        const x = ((from + at) % across) * px;
        const y = Math.floor((from + at) / across) * px;
        ink.fillRect(x + shape[0] * side, y + shape[1] * side, Math.max(1, shape[2] * side), Math.max(1, shape[3] * side));
      });
    } else if (outcomes[code].name === "hard_failure" && px >= 8) {
      ink.strokeStyle = colours.ground;
      ink.lineWidth = Math.max(1.25, px / 9);
      ink.beginPath();
      eachRun(code, codes, true, (at) => {
        const x = ((from + at) % across) * px;
        const y = Math.floor((from + at) / across) * px;
        const [a, b] = [side * 0.28, side * 0.72];
        ink.moveTo(x + a, y + a); ink.lineTo(x + b, y + b); ink.moveTo(x + a, y + b); ink.lineTo(x + b, y + a);
      });
      ink.stroke();
    }
  };

  // A cell of several: as high as the share of failures in it is, and never so low that one is not seen.
  const drawShares = (codes, from) => {
    const { px, across } = now();
    const side = px - 1;
    const well = outcomes.findIndex((outcome) => outcome.name === "success");
    codes.forEach((code, at) => {
      if (!fails(code)) return;
      const [first, last] = spanOf(from + at);
      const failed = cells.subarray(first, last + 1).reduce((sum, one) => sum + fails(one), 0);
      const x = ((from + at) % across) * px;
      const y = Math.floor((from + at) / across) * px;
      const high = Math.max(side / 4, (failed / (last + 1 - first)) * side);
      ink.fillStyle = colours[well][0];
      ink.fillRect(x, y, side, side);
      ink.fillStyle = colours[code][0];
      ink.fillRect(x, y + side - high, side, high);
    });
  };

  const eachRun = (code, codes, singly, act) => {
    const { across } = now();
    for (let at = 0; at < codes.length; at += 1) {
      if (codes[at] !== code) continue;
      let length = 1;
      while (!singly && codes[at + length] === code && (at + length) % across) length += 1;
      act(at, length);
      at += length - 1;
    }
  };

  // What is not selected is veiled.
  const drawAround = (from, to) => {
    const { px, across } = now();
    const [first, last] = [cellOf(marks.chosen[0]), cellOf(marks.chosen[1])];
    ink.fillStyle = colours.ground;
    ink.globalAlpha = 0.72;
    for (let start = from; start < to; start += across) {
      const y = Math.floor(start / across) * px;
      const left = Math.max(0, Math.min(across, first - start));
      const right = Math.max(0, Math.min(across, last + 1 - start));
      ink.fillRect(-1, y, (left < across ? left * px : width) + 1, px);
      if (left < across) ink.fillRect(right * px, y, width, px);
    }
    ink.globalAlpha = 1;
  };

  const drawRing = (cell, thick, colour) => {
    const { px, across } = now();
    const size = Math.max(px, 8);
    const x = (cell % across) * px + px / 2 - size / 2;
    const y = Math.floor(cell / across) * px + px / 2 - size / 2;
    ink.lineWidth = thick + 2;
    ink.strokeStyle = colours.ground;
    ink.strokeRect(x - 1, y - 1, size + 2, size + 2);
    ink.lineWidth = thick;
    ink.strokeStyle = colour;
    ink.strokeRect(x - 1, y - 1, size + 2, size + 2);
  };

  let asked = 0;
  const redraw = () => { if (!asked) asked = requestAnimationFrame(() => { asked = 0; draw(); }); };

  // ── What is under a pointer ─────────────────────────────────────────────────────────────────────────────────────
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const { px, across, count } = now();
    const column = Math.floor((event.clientX - box.left) / px);
    const cell = Math.floor((event.clientY - box.top + top) / px) * across + Math.max(0, Math.min(across - 1, column));
    return { outside: column >= across || cell >= count, cell: Math.max(0, Math.min(count - 1, cell)) };
  };

  // Tiny cells: a failure close by is what one means.
  const meant = (event) => {
    const { px, across, count } = now();
    const { outside, cell } = place(event);
    if (outside) return -1;
    const near = px < 6 ? [0, 1, -1, across, -across, across + 1, across - 1, 1 - across, -1 - across, 2, -2].map((step) => cell + step) : [cell];
    const found = near.find((one) => one >= 0 && one < count && fails(cells[worstIn(one)])) ?? cell;
    return worstIn(found);
  };


  scroller.addEventListener("scroll", () => { top = scroller.scrollTop; redraw(); });
  const recolour = () => { colours = null; redraw(); };
  new MutationObserver(recolour).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);

  return {
    canvas, outcomes, marks, rank, fails, ABSENT, arrange, show, now, cellOf, spanOf, worstIn, redraw, place, meant,
    get cells() { return cells; },
    set cells(known) { cells = known; arrange(); },
    get level() { return level; },
    get height() { return height; },
    get isDeepest() { return level >= levels.length - 1; },
    get isReady() { return levels.length > 0 && cells.length > 0; },
    get narrower() { return scroller.clientWidth && scroller.clientWidth !== width; },
    // Whole lines of cells that fit, and the line of an index brought into sight.
    get linesShown() { return Math.max(1, Math.floor(height / now().px)); },
    reveal: (index) => {
      const { px } = now();
      const y = lineOf(index) * px;
      if (y < top || y + px > top + height) scroller.scrollTop = y - height / 2;
      redraw();
    },
    // A page that takes the element over forgets how far it was scrolled.
    hold: () => { held = top; },
    stay: () => { if (scroller.scrollTop !== held) scroller.scrollTop = held; },
  };
};
