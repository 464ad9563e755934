// Single keys: / j k x f r ?. They can be switched off, and never fire while one types or with a modifier held.
(() => {
  const help = document.getElementById("shortcuts");
  const toggle = document.getElementById("shortcuts-on");
  const opener = document.getElementById("shortcuts-open");
  if (!help || !toggle || !opener) return;

  const allowed = () => { try { return localStorage.getItem("mapboard-shortcuts") !== "off"; } catch { return true; } };
  const typing = (element) => element.isContentEditable || /^(TEXTAREA|SELECT)$/.test(element.tagName)
    || (element.tagName === "INPUT" && !/^(checkbox|radio|button|submit)$/.test(element.type));

  let before = null;
  const showHelp = (on) => {
    if (on === !help.hidden) return;
    if (on) before = document.activeElement;
    help.hidden = !on;
    if (on) toggle.checked = allowed(); // not before: a page that opens waits for the browser's storage
    if (on) help.focus();
    else before?.focus?.();
  };

  const rows = () => [...document.querySelectorAll("[data-rows] > tr, [data-rows] > li")];
  const here = () => rows().findIndex((row) => row.contains(document.activeElement));
  const move = (step) => {
    const all = rows();
    const row = all[Math.max(0, Math.min(all.length - 1, here() < 0 ? 0 : here() + step))];
    (row?.querySelector("a[href], input, button"))?.focus();
    row?.scrollIntoView({ block: "nearest" });
  };

  const press = (selector) => {
    const element = [...document.querySelectorAll(selector)].find((one) => one.offsetParent !== null);
    element?.click();
    return Boolean(element);
  };

  const keys = {
    "/": () => { const field = document.querySelector("[data-key='search']"); field?.focus(); field?.select?.(); return Boolean(field); },
    j: () => { move(1); return true; },
    k: () => { move(-1); return true; },
    x: () => { rows()[here()]?.querySelector("[data-index]")?.click(); return here() >= 0; },
    f: () => press("[data-key='failed']"),
    r: () => press("[data-key='retry']"),
    "?": () => { showHelp(help.hidden); return true; },
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (!help.hidden) showHelp(false);
      for (const menu of document.querySelectorAll("details.menu[open]")) { menu.open = false; menu.querySelector("summary").focus(); }
      return;
    }
    if (!allowed() || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(event.target)) return;
    if (keys[event.key]?.()) event.preventDefault();
  });

  toggle.addEventListener("change", () => {
    try { localStorage.setItem("mapboard-shortcuts", toggle.checked ? "on" : "off"); } catch { /* kept nowhere */ }
  });
  opener.hidden = false;
  opener.addEventListener("click", () => { opener.closest("details").open = false; showHelp(true); });
  document.getElementById("shortcuts-close").addEventListener("click", () => showHelp(false));
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target) || event.target.closest(".menu-body [data-opens]")) menu.open = false;
  });
})();
