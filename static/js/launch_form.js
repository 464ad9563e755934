// The launch form: date-times on the viewer's own clock, and "no value" boxes that follow what is typed.
// Without this script the form works too: date-times are in UTC and say so, and the server sorts out the boxes.
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const two = (number) => String(number).padStart(2, "0");

  const clock = (moment) => {
    const day = `${String(moment.getFullYear()).padStart(4, "0")}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
    const time = `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
    const rest = moment.getMilliseconds();
    return `${day}T${time}${rest ? `.${String(rest).padStart(3, "0")}` : ""}`;
  };

  // Only what nobody has typed yet moves to the viewer's clock; what was posted says which clock it is on.
  const toViewersClock = () => {
    if (!zone) return;
    for (const group of document.querySelectorAll("[data-zoned]")) {
      const shown = group.querySelector("input[type='datetime-local']");
      const name = group.querySelector("input[type='hidden']");
      const moment = group.dataset.instant ? new Date(group.dataset.instant) : null;
      if (group.dataset.zoned === "done" || (moment === null && shown.value)) continue;
      group.dataset.zoned = "done";
      if (moment !== null && !Number.isNaN(moment.getTime())) shown.value = clock(moment);
      name.value = zone;
      for (const word of group.querySelectorAll("[data-zone-name]")) word.textContent = zone;
    }
  };

  const boxOf = (holder) => holder?.querySelector(":scope > div > label > [data-none]");

  document.addEventListener("input", (event) => {
    const box = boxOf(event.target.closest("[data-nullable]"));
    if (!box || event.target === box) return;
    if (event.target.type === "checkbox" ? event.target.checked : event.target.value) box.checked = false;
  });

  // An object without a value: what stands in its fields is not sent, and looks like that.
  const followNone = () => {
    for (const holder of document.querySelectorAll("[data-nullable][data-object]")) {
      holder.querySelector(":scope > fieldset").disabled = boxOf(holder).checked;
    }
  };

  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-none]")) return;
    if (event.target.closest("[data-nullable]").matches("[data-object]")) return followNone();
    for (const control of event.target.closest("[data-nullable]").querySelectorAll("input:not([data-none]), textarea")) {
      if (event.target.checked) {
        control.dataset.was = control.type === "checkbox" ? String(control.checked) : control.value;
        if (control.type === "checkbox") control.checked = false;
        else control.value = "";
      } else if (control.dataset.was !== undefined) {
        if (control.type === "checkbox") control.checked = control.dataset.was === "true";
        else control.value = control.dataset.was;
      }
    }
  });

  // The button says what it will do with the values that stand in the form.
  const shownOf = (control) => {
    if (control.type === "checkbox") return String(control.checked);
    if (control.tagName !== "SELECT") return control.value.trim();
    try {
      const value = JSON.parse(control.value);
      return typeof value === "string" ? value : control.value;
    } catch {
      return control.value;
    }
  };
  const keepUpTheButton = () => {
    for (const word of document.querySelectorAll("[data-shows]")) {
      const control = document.getElementById(word.dataset.shows);
      if (!control || !("value" in control)) continue;
      const shown = shownOf(control);
      word.textContent = shown.length > 40 ? `${shown.slice(0, 40)}…` : shown || "…";
    }
  };
  document.addEventListener("input", keepUpTheButton);
  document.addEventListener("htmx:afterSettle", keepUpTheButton);

  // With htmx a field follows the one that its options depend on by itself. (Hidden, the button would still be the one
  // that Enter presses.)
  const withoutButtons = () => { for (const place of document.querySelectorAll("[data-without-script]")) place.remove(); };

  withoutButtons();
  document.addEventListener("htmx:afterSettle", withoutButtons);
  // Where a form is made: the value of a param is asked for only where it is used.
  const showValueOf = (select) => {
    const value = select.closest("section").querySelector("[data-way-value]");
    if (value) value.hidden = !["own", "fixed"].includes(select.value);
  };
  document.addEventListener("change", (event) => { if (event.target.matches("[data-way]")) showValueOf(event.target); });
  for (const select of document.querySelectorAll("[data-way]")) showValueOf(select);

  const settle = () => {
    toViewersClock();
    followNone();
  };
  settle();
  document.addEventListener("htmx:afterSettle", settle);
})();
