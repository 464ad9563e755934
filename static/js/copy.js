// Copy buttons: <button data-copy="text" hidden>. They show themselves where copying works.
// <button data-copy-of="id" hidden> copies the text of that element.
// <a href="…" data-copy-from> copies the plain text at its address; without this script it shows it.
(() => {
  const works = Boolean(navigator.clipboard);

  const show = () => { if (works) for (const button of document.querySelectorAll("[data-copy][hidden], [data-copy-of][hidden]")) button.hidden = false; };

  const textOf = async (element) => {
    if ("copyOf" in element.dataset) return document.getElementById(element.dataset.copyOf).textContent;
    if (!("copyFrom" in element.dataset)) return element.dataset.copy;
    const answer = await fetch(element.href);
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.text();
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-of], [data-copy-from]");
    if (!button || !works || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    try {
      await navigator.clipboard.writeText(await textOf(button));
    } catch {
      if (button.href) window.location.assign(button.href);
      return;
    }
    const said = document.getElementById("toasts").dataset.copied;
    document.getElementById("live-region").textContent = said;
    if (button.href && !button.dataset.was) {
      button.dataset.was = button.textContent;
      button.textContent = said;
      setTimeout(() => { button.textContent = button.dataset.was; delete button.dataset.was; }, 1500);
    }
    const use = button.querySelector("use");
    if (!use || use.dataset.was) return;
    use.dataset.was = use.getAttribute("href");
    use.setAttribute("href", "#icon-success");
    setTimeout(() => { use.setAttribute("href", use.dataset.was); delete use.dataset.was; }, 1500);
  });

  show();
  document.addEventListener("htmx:afterSettle", show);
})();
