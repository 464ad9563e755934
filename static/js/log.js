// A log that is still written is followed: its end stays in view until somebody scrolls up, and again from its end on.
// <div data-log> holds the lines; <button data-log-end hidden> goes to the end, <a data-log-error> to the error.
(() => {
  const NEAR = 40;
  const atEnd = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
  const following = new WeakSet();

  const toEnd = (log) => { log.scrollTop = log.scrollHeight; following.add(log); };

  const draw = (log) => {
    const button = log.closest("section")?.querySelector("[data-log-end]");
    if (button) button.hidden = atEnd(log);
  };

  document.addEventListener("scroll", (event) => {
    const log = event.target;
    if (!log.matches?.("[data-log]")) return;
    if (atEnd(log)) following.add(log);
    else following.delete(log);
    draw(log);
  }, { capture: true, passive: true });

  document.addEventListener("click", (event) => {
    const section = event.target.closest("section");
    const log = section?.querySelector("[data-log]");
    if (!log) return;
    if (event.target.closest("[data-log-end]")) toEnd(log);
    const jump = event.target.closest("[data-log-error]");
    const place = jump && log.querySelector(".log-error:has(.log-detail), .log-error");
    if (!place) return;
    event.preventDefault();
    for (const group of log.querySelectorAll("details")) if (group.contains(place)) group.open = true;
    place.scrollIntoView({ block: "center" });
  });

  document.addEventListener("htmx:afterSettle", () => {
    for (const log of document.querySelectorAll("[data-log]")) {
      const isNew = !log.dataset.seen;
      log.dataset.seen = "1";
      if (following.has(log) || (isNew && log.dataset.log === "running")) toEnd(log);
      draw(log);
    }
  });
})();
