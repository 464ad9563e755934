// The theme one chose, in a cookie: the server writes it into the page, so that nothing flashes and no script is waited
// for. "system" keeps nothing. The pages of errors are written without a request: there this runs before the first paint.
(() => {
  const NAME = "mapboard_theme";
  const root = document.documentElement;
  const kept = () => document.cookie.match(`(?:^|; )${NAME}=(light|dark)(?:;|$)`)?.[1] || "system";
  const apply = () => {
    const theme = kept();
    if (theme === "system") delete root.dataset.theme;
    else if (root.dataset.theme !== theme) root.dataset.theme = theme; // to set it again redraws the index map
    for (const radio of document.querySelectorAll("#theme-choice input")) radio.checked = radio.value === theme;
  };
  const keep = (theme) => {
    const seconds = theme === "system" ? 0 : 31536000;
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `${NAME}=${theme}; path=/; max-age=${seconds}; samesite=lax${secure}`;
  };

  apply();
  const choice = document.getElementById("theme-choice");
  if (choice) {
    choice.hidden = false;
    choice.addEventListener("change", (event) => { keep(event.target.value); apply(); });
  }
  // Another tab or window may have changed it, and a page that comes back is as it was.
  document.addEventListener("visibilitychange", apply);
  for (const name of ["focus", "pageshow"]) window.addEventListener(name, apply);
})();
