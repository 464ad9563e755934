// Copy buttons: <button data-copy="text" hidden>. They show themselves where copying works.
(() => {
  const works = Boolean(navigator.clipboard);

  const show = () => { if (works) for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false; };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    event.preventDefault();
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      return;
    }
    document.getElementById("live-region").textContent = document.getElementById("toasts").dataset.copied;
    const use = button.querySelector("use");
    if (!use || use.dataset.was) return;
    use.dataset.was = use.getAttribute("href");
    use.setAttribute("href", "#icon-success");
    setTimeout(() => { use.setAttribute("href", use.dataset.was); delete use.dataset.was; }, 1500);
  });

  show();
  document.addEventListener("htmx:afterSettle", show);
})();
