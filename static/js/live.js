// What htmx must not do on a live page: poll unseen, replace what did not change, swap a whole page into a part of one.
(() => {
  // Who goes back and at once forward again does so before htmx listens: the address is then another than the page's.
  document.addEventListener("DOMContentLoaded", () => {
    const made = performance.getEntriesByType("navigation")[0]?.name;
    if (made && made.split("#")[0] !== location.href.split("#")[0]) location.reload();
  });

  const toasts = document.getElementById("toasts");

  const toast = (text) => {
    if ([...toasts.querySelectorAll("p")].some((shown) => shown.textContent === text)) return;
    const notice = document.createElement("div");
    notice.className = "notice notice-error";
    notice.setAttribute("role", "alert");
    const words = document.createElement("p");
    words.textContent = text;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "button small";
    close.textContent = toasts.dataset.dismiss;
    close.addEventListener("click", () => notice.remove());
    notice.append(words, close);
    toasts.append(notice);
  };

  const clear = () => toasts.replaceChildren();
  const polls = (element) => element.hasAttribute("data-poll");
  const misses = new WeakMap();

  const missed = (element, text) => {
    // One lost poll is nothing; three in a row are news.
    const count = polls(element) ? (misses.get(element) || 0) + 1 : 3;
    misses.set(element, count);
    if (count >= 3) toast(text);
  };

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && polls(event.detail.elt)) event.preventDefault();
  });

  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const incoming = event.detail.fragment.querySelector("[data-rev]");
    const target = event.detail.target;
    if (incoming && incoming.dataset.rev === target.dataset.rev) {
      event.detail.shouldSwap = false;
      return;
    }
    for (const open of target.querySelectorAll("details[open][id]")) {
      const again = event.detail.fragment.querySelector(`#${CSS.escape(open.id)}`);
      if (again) again.open = true;
    }
    const list = event.detail.fragment.querySelector("[data-keys]");
    waiting.delete(target.id);
    if (list && list.dataset.keys !== target.dataset.keys && inUse(target)) {
      event.detail.shouldSwap = false;
      waiting.set(target.id, list);
    }
  });

  // A list that gains or loses lines does so once nobody points at it: no row moves under the pointer.
  const waiting = new Map();
  const inUse = (list) => list.matches(":focus-within") || (matchMedia("(hover: hover)").matches && list.matches(":hover"));
  const letIn = () => {
    for (const [id, list] of waiting) {
      const shown = document.getElementById(id);
      if (shown && inUse(shown)) continue;
      waiting.delete(id);
      if (!shown) continue;
      shown.replaceWith(list);
      htmx.process(list);
      document.dispatchEvent(new CustomEvent("htmx:afterSettle", { detail: { elt: list } }));
    }
  };
  for (const name of ["pointerover", "focusin"]) document.addEventListener(name, () => { if (waiting.size) letIn(); });

  document.addEventListener("htmx:beforeSwap", (event) => {
    if (/^\s*<!doctype/i.test(event.detail.serverResponse || "")) {
      event.detail.shouldSwap = false;
      event.detail.isError = true;
      toast(toasts.dataset.failed);
    }
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful && misses.get(event.detail.elt)) { misses.delete(event.detail.elt); clear(); }
  });

  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    const text = status === 403 ? toasts.dataset.denied : status === 404 || status === 410 ? toasts.dataset.gone : toasts.dataset.failed;
    missed(event.detail.elt, text);
  });

  for (const name of ["htmx:sendError", "htmx:timeout"])
    document.addEventListener(name, (event) => missed(event.detail.elt, toasts.dataset.away));

  // What a filter found is said to those who do not see it.
  document.addEventListener("htmx:afterSettle", (event) => {
    const said = event.detail.elt?.querySelector?.("[data-announce]");
    if (said) document.getElementById("live-region").textContent = said.textContent.trim();
  });

  // A panel that was opened in place takes the focus to its heading, once; polled updates never do.
  document.addEventListener("htmx:afterSettle", (event) => {
    const opened = event.detail.elt?.matches?.("[data-opened]") ? event.detail.elt : event.detail.elt?.querySelector?.("[data-opened]");
    if (!opened) return;
    opened.removeAttribute("data-opened");
    opened.focus({ preventScroll: true });
    opened.scrollIntoView({ block: "nearest" });
  });

  // Cancel in a panel: <button data-close="panel-id">; focus goes back to what opened it.
  let opener = null;
  document.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.elt.matches("[data-opens]")) opener = event.detail.elt.id; });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-close]");
    const panel = button && document.getElementById(button.dataset.close);
    if (!panel) return;
    event.preventDefault();
    panel.replaceChildren();
    document.getElementById(opener)?.focus();
  });
})();
