// Runs before the first paint, so that a chosen theme does not flash. "system" keeps nothing.
(() => {
  const root = document.documentElement;
  const kept = () => { try { return localStorage.getItem("mapboard-theme") || "system"; } catch { return "system"; } };

  const apply = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };

  const keep = (theme) => {
    try {
      if (theme === "system") localStorage.removeItem("mapboard-theme");
      else localStorage.setItem("mapboard-theme", theme);
    } catch { /* a browser that keeps nothing still switches this page */ }
  };

  apply(kept());

  document.addEventListener("DOMContentLoaded", () => {
    const choice = document.getElementById("theme-choice");
    if (!choice) return;
    choice.hidden = false;
    for (const radio of choice.querySelectorAll("input")) radio.checked = radio.value === kept();
    choice.addEventListener("change", (event) => { keep(event.target.value); apply(event.target.value); });
  });
  window.addEventListener("storage", (event) => { if (event.key === "mapboard-theme") apply(event.newValue); });
})();
