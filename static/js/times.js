// Relative times keep ticking; absolute ones are shown in the viewer's zone. The words are the page's own (English).
(() => {
  const units = [[60, 1, "s"], [3600, 60, "m"], [172800, 3600, "h"], [Infinity, 86400, "d"]];

  const ago = (seconds) => {
    const age = Math.abs(seconds);
    const [, size, letter] = units.find(([limit]) => age < limit);
    const text = `${Math.floor(age / size)}\u00a0${letter}`;
    return seconds < -1 ? `in ${text}` : `${text} ago`;
  };

  const two = (number) => String(number).padStart(2, "0");
  const local = (date) =>
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;

  // Clocks differ: ages are counted by the server's clock, whose time each page and partial tells.
  let skew = 0;
  const readClock = (header) => { const told = Date.parse(header); if (told) skew = told - Date.now(); };

  const tick = () => {
    if (document.hidden) return;
    const now = Date.now() + skew;
    for (const element of document.querySelectorAll("time[data-ago]")) {
      const text = ago((now - Date.parse(element.dateTime)) / 1000);
      if (element.textContent !== text) element.textContent = text;
    }
  };

  const localise = () => {
    for (const element of document.querySelectorAll("time:is([data-ago], [data-local], [data-clock]):not([data-done])")) {
      const date = new Date(element.dateTime);
      if (Number.isNaN(date.getTime())) continue;
      element.title = local(date);
      if ("local" in element.dataset) element.textContent = local(date);
      if ("clock" in element.dataset) element.textContent = local(date).slice(11);
      element.dataset.done = "";
    }
  };

  // Times of day that a person types are meant in the zone of this browser; without JavaScript they stay in UTC.
  const tellZone = () => {
    const zoned = document.querySelectorAll("input[data-time-zone], [data-time-zone-name]");
    const zone = zoned.length && Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (!zone) return;
    for (const element of zoned) element[element.matches("input") ? "value" : "textContent"] = zone;
  };

  const refresh = () => { localise(); tellZone(); tick(); };
  const rendered = document.querySelector("meta[name='rendered-at']");
  if (rendered && performance.getEntriesByType("navigation")[0]?.type !== "back_forward") readClock(rendered.content);
  // A browser may take 50 ms to find out its zone, once: the page is painted first.
  tick();
  requestAnimationFrame(() => setTimeout(refresh));
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", tick);
  document.addEventListener("htmx:afterSettle", refresh);
  document.addEventListener("htmx:afterRequest", (event) => readClock(event.detail.xhr?.getResponseHeader("Date")));
})();
