// The index map in use: kept up to date, told in words, filtered by a click, selected by a drag, all by keyboard too.
// index_map_picture.js draws it. docs/ui.md tells the parts; without JavaScript the page has links in its place.
(() => {
  const view = document.getElementById("map-view");
  if (!view) return;
  const part = (id) => document.getElementById(id);
  const scroller = part("map-scroll");
  const picture = window.indexMapPicture(view, scroller);
  const { canvas, outcomes, marks, rank, fails, ABSENT, cellOf, spanOf, worstIn, now } = picture;
  const number = (value) => value.toLocaleString(document.documentElement.lang);
  const fill = (text, values) => text.replace(/%(\w+)/g, (all, name) => values[name] ?? all);

  // ── What is known: read whole once, then what changed whenever the page's poller brings another version ─────────
  let version = "";
  let beyond = false;
  let details = new Map();
  let reading = false;

  const shownVersion = () => Number(part("map-legend")?.dataset.version || 0);

  const read = async () => {
    if (reading) return;
    reading = true;
    const wanted = shownVersion();
    try {
      const answer = await fetch(version ? `${view.dataset.map}?since=${encodeURIComponent(version)}` : view.dataset.map);
      if (!answer.ok) throw new Error(answer.status);
      if (answer.status !== 204) take(await answer.json());
      reading = false;
      if (!version || shownVersion() !== wanted) read();
    } catch { part("map-info").textContent = view.dataset.failed; }
    reading = false;
  };

  const take = (news) => {
    const cells = news.cells === undefined ? changed(news) : Uint8Array.from(news.cells, (sign) => (sign === "." ? ABSENT : Number(sign)));
    if (!cells) { version = ""; return; } // instances are gone, which leaves no change behind: read all of it
    if (news.cells !== undefined) beyond = news.beyond;
    version = news.version;
    details = new Map();
    part("index-map").hidden = !cells.length;
    picture.cells = cells;
    tellAll();
  };

  const changed = (news) => {
    const cells = new Uint8Array(news.size).fill(ABSENT);
    cells.set(picture.cells.subarray(0, news.size));
    for (const [code, indices] of Object.entries(news.changes))
      for (const [first, last] of ranges(indices)) cells.fill(Number(code), first, last + 1);
    const counts = tally(0, cells.length - 1, cells);
    return outcomes.every((_, code) => counts[code] === (news.counts[code] || 0)) ? cells : null;
  };

  const ranges = (expression) => expression.split(",").filter(Boolean).map((range) => {
    const [first, last] = range.split("-").map(Number);
    return [first, last ?? first];
  });

  const tally = (first, last, cells = picture.cells) => {
    const counts = new Array(ABSENT + 1).fill(0);
    for (let index = first; index <= last; index += 1) counts[cells[index]] += 1;
    return counts;
  };

  // ── In words: the cell one points at or is at, or what the picture means ────────────────────────────────────────
  const tallyWords = (first, last) => {
    const counts = tally(first, last);
    const found = [...outcomes.keys()].filter((code) => counts[code]).sort((a, b) => rank[a] - rank[b]);
    return found.map((code) => `${number(counts[code])} ${outcomes[code].word}`).join(", ") || view.dataset.gone;
  };

  const told = (index) => {
    const [first, last] = spanOf(cellOf(index));
    const worst = worstIn(cellOf(index));
    const known = details.get(worst);
    const name = first === last
      ? [number(index), outcomes[picture.cells[index]]?.word || view.dataset.gone]
      : [`${number(first)}–${number(last)}`, tallyWords(first, last), known && fails(picture.cells[worst]) && number(worst)];
    return [...name, known?.label, known?.error].filter(Boolean).join(" · ");
  };

  const tell = () => {
    const index = marks.pointed >= 0 ? marks.pointed : marks.cursor;
    if (index >= 0) { part("map-info").textContent = told(index); ask(worstIn(cellOf(index))); return; }
    const { per, across } = now();
    const meaning = fill(per === 1 ? view.dataset.one : view.dataset.many, { per: number(per), line: number(across * per) });
    part("map-info").textContent = beyond ? `${meaning} ${fill(view.dataset.beyond, { size: number(picture.cells.length) })}` : meaning;
  };

  let asking = 0;
  const ask = (index) => {
    clearTimeout(asking);
    if (details.has(index)) return;
    asking = setTimeout(async () => {
      const into = details;
      const first = index - (index % 20);
      const answer = await fetch(`${view.dataset.map}cells/?indices=${first}-${first + 19}`).catch(() => null);
      if (!answer?.ok) return;
      for (let asked = first; asked < first + 20; asked += 1) into.set(asked, null); // what is not there is not asked again
      for (const cell of (await answer.json()).cells) into.set(cell.index, cell);
      if (into === details) tell();
    }, 150);
  };

  let saying = 0;
  const announce = (element) => {
    clearTimeout(saying);
    saying = setTimeout(() => { part("live-region").textContent = element.textContent; }, 400);
  };

  const tellAll = () => {
    const buttons = { in: picture.isDeepest, out: picture.level === 0, next: !picture.cells.some(fails), previous: !picture.cells.some(fails) };
    for (const [name, off] of Object.entries(buttons)) view.querySelector(`[data-map-do=${name}]`).disabled = off;
    if (!picture.isReady) return;
    tellChosen();
    tell();
    picture.redraw();
  };

  // ── Selecting: a range of indices, to be shown in the list or retried ───────────────────────────────────────────
  const expression = () => [...new Set(marks.chosen)].join("-");

  const choose = (first, last) => {
    marks.chosen = [first, last];
    const field = part("filter-indices");
    if (field) field.value = expression();
    tellChosen();
    picture.redraw();
  };
  const clear = () => { marks.chosen = null; tellChosen(); picture.redraw(); };

  const tellChosen = () => {
    if (marks.chosen?.[1] >= picture.cells.length) marks.chosen = null;
    part("map-chosen").hidden = !marks.chosen;
    if (!marks.chosen) return;
    part("map-chosen-text").textContent = fill(view.dataset.chosen, { indices: expression(), tally: tallyWords(...marks.chosen) });
    part("map-show").href = `${view.dataset.page}?indices=${expression()}`;
    const retry = part("map-retry");
    if (!retry) return;
    const counts = tally(...marks.chosen);
    const failing = [...outcomes.keys()].filter((code) => fails(code) && counts[code]);
    retry.hidden = !failing.length;
    retry.textContent = fill(retry.dataset.words, { count: number(failing.reduce((sum, code) => sum + counts[code], 0)) });
    retry.href = `${retry.getAttribute("hx-get")}?indices=${expression()}${failing.map((code) => `&outcome=${outcomes[code].name}`).join("")}`;
  };

  // The address says what is selected, when it says it in one range.
  let followed = "";
  const follow = () => {
    const asked = new URLSearchParams(location.search).get("indices") || "";
    if (asked === followed) return;
    followed = asked;
    const one = /^\d+(-\d+)?$/.test(asked) ? ranges(asked)[0] : null;
    marks.chosen = one && one[1] < picture.cells.length ? one : null;
    tellChosen();
    picture.redraw();
  };

  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.elt.matches("[data-map-link]")) event.detail.path = event.detail.elt.getAttribute("href");
  });
  document.addEventListener("htmx:beforeSwap", picture.hold);
  for (const name of ["htmx:oobAfterSwap", "htmx:afterSettle"]) document.addEventListener(name, () => {
    part("index-map").hidden = !picture.cells.length;
    if (shownVersion() > (Number.parseInt(version, 10) || 0)) read();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.elt?.id !== "explorer") return;
    picture.stay();
    follow();
  });

  // ── Moving about ────────────────────────────────────────────────────────────────────────────────────────────────
  const zoom = (step, index = Math.max(0, marks.cursor), y = picture.height / 2) => { picture.show(picture.level + step, index, y); tellAll(); };

  const goTo = (index) => {
    marks.pointed = -1;
    marks.cursor = index;
    picture.reveal(index);
    tell();
  };

  const failureFrom = (step) => {
    const { cells } = picture;
    let index = spanOf(cellOf(Math.max(0, marks.cursor)))[step > 0 ? 1 : 0] - (marks.cursor < 0 ? step : 0);
    for (let tried = 0; tried < cells.length; tried += 1) {
      index = (index + step + cells.length) % cells.length;
      if (fails(cells[index])) return index;
    }
    return marks.cursor;
  };
  const goToFailure = (step) => {
    goTo(failureFrom(step));
    anchor = marks.cursor;
    scroller.focus({ preventScroll: true });
    announce(part("map-info"));
  };

  const acts = {
    in: () => zoom(1), out: () => zoom(-1), whole: () => zoom(-picture.level),
    next: () => goToFailure(1), previous: () => goToFailure(-1), clear,
  };
  view.addEventListener("click", (event) => acts[event.target.closest("[data-map-do]")?.dataset.mapDo]?.());

  let anchor = 0;
  const move = (step, selecting) => {
    const cell = Math.max(0, Math.min(now().count - 1, cellOf(marks.cursor) + step));
    goTo(spanOf(cell)[0]);
    if (selecting) choose(spanOf(Math.min(cellOf(anchor), cell))[0], spanOf(Math.max(cellOf(anchor), cell))[1]);
    else anchor = marks.cursor;
    announce(part(selecting ? "map-chosen-text" : "map-info"));
  };
  const openChosen = () => part("map-show").click();
  const chooseCell = () => choose(...spanOf(cellOf(marks.cursor)));

  scroller.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !picture.isReady) return;
    const { across, count } = now();
    const page = across * Math.max(1, picture.linesShown - 1);
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, PageDown: page, PageUp: -page, Home: -count, End: count };
    const { chosen, cursor } = marks;
    const others = {
      Enter: () => { if (!chosen || cursor < chosen[0] || cursor > chosen[1]) chooseCell(); openChosen(); },
      " ": () => { chooseCell(); announce(part("map-chosen-text")); },
      "+": acts.in, "=": acts.in, "-": acts.out, 0: acts.whole, n: acts.next, p: acts.previous,
    };
    if (chosen) others.Escape = clear;
    if (event.key.length === 1 && !"?/".includes(event.key)) event.stopPropagation(); // the page's own keys rest here
    if (event.key in steps) move(steps[event.key], event.shiftKey);
    else if (others[event.key]) others[event.key]();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  scroller.addEventListener("focus", () => { if (!picture.isReady) return; marks.cursor = Math.max(0, marks.cursor, marks.chosen?.[0] ?? 0); anchor = marks.cursor; tell(); picture.redraw(); });
  scroller.addEventListener("blur", () => { if (!picture.isReady) return; tell(); picture.redraw(); });

  // ── Pointing: a click filters, a drag selects, two fingers or the wheel with Ctrl zoom ──────────────────────────
  let drag = null;
  let pinch = 0;
  const fingers = new Map();
  const apart = () => { const [[ax, ay], [bx, by]] = [...fingers.values()]; return Math.hypot(ax - bx, ay - by); };
  const zoomAt = (event, step) => zoom(step, spanOf(picture.place(event).cell)[0], event.clientY - canvas.getBoundingClientRect().top);

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || !picture.isReady) return;
    if (event.pointerType === "touch") fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.size === 2) { pinch = apart(); drag = null; return; }
    const { cell, outside } = picture.place(event);
    if (outside) return;
    drag = { from: cell, x: event.clientX, y: event.clientY, moved: false, before: marks.chosen };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!picture.isReady) return;
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.size === 2) {
      const ratio = apart() / pinch;
      if (ratio < 0.75 || ratio > 1.33) { pinch = apart(); zoomAt(event, ratio > 1 ? 1 : -1); }
    } else if (drag) {
      drag.moved ||= Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 4;
      const { cell } = picture.place(event);
      if (drag.moved) choose(spanOf(Math.min(drag.from, cell))[0], spanOf(Math.max(drag.from, cell))[1]);
    } else { marks.pointed = picture.meant(event); tell(); picture.redraw(); }
  });
  const lifted = (event) => { const was = drag; fingers.delete(event.pointerId); drag = null; return was; };
  canvas.addEventListener("pointerup", (event) => {
    const was = lifted(event);
    if (was?.moved) announce(part("map-chosen-text"));
    if (!was || was.moved) return;
    const index = picture.meant(event);
    if (index < 0) return;
    marks.pointed = marks.cursor = anchor = index;
    chooseCell();
    tell();
    if (event.pointerType !== "touch") openChosen(); // a finger cannot hover: it sees first, then decides
  });
  canvas.addEventListener("pointercancel", (event) => { const was = lifted(event); if (was?.moved) { marks.chosen = was.before; tellAll(); } });
  canvas.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch" && picture.isReady) { marks.pointed = -1; tell(); picture.redraw(); } });
  canvas.addEventListener("wheel", (event) => {
    if (!(event.ctrlKey || event.metaKey) || !picture.isReady) return;
    event.preventDefault();
    zoomAt(event, event.deltaY < 0 ? 1 : -1);
  }, { passive: false });

  new ResizeObserver(() => { if (picture.narrower) { picture.arrange(); tellAll(); } }).observe(scroller);
  read().then(follow);
})();
