// What htmx does not do: charts from the numbers in the page, live pages that do not move under one's hand, selects that
// show at once what they choose, and buttons that copy.
"use strict";
(() => {
  const names = { accepted: "Accepted", delivered: "Delivered", failed: "Not delivered" };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const steps = [1, 2, 5].flatMap((n) => [0, 1, 2, 3, 4, 5, 6].map((power) => n * 10 ** power)).sort((a, b) => a - b);

  // --- charts ---

  function draw(box) {
    const at = JSON.parse(box.dataset.at);
    const series = JSON.parse(box.dataset.series);
    const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: box.dataset.zone });
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: `12px ${getComputedStyle(document.body).fontFamily}` };
    const count = (n) => n.toLocaleString("en").replaceAll(",", "\u202f");
    const options = {
      width: box.clientWidth,
      height: 230,
      padding: [8, 22, 0, 0],
      legend: { live: true, markers: { width: 0, fill: (u, i) => colour("--line-" + Object.keys(series)[i - 1]) } },
      cursor: { y: false, points: { size: 6 } },
      scales: { y: { range: (u, low, high) => [0, Math.max(4, high * 1.1)] } },
      axes: [
        { ...axis, values: (u, ticks) => ticks.map((one) => clock.format(one * 1000)), space: 64, size: 30 },
        { ...axis, values: (u, ticks) => ticks.map(count), size: 52, incrs: steps },
      ],
      series: [{ label: box.dataset.zone, value: (u, one) => one == null ? "" : clock.format(one * 1000) }].concat(Object.keys(series).map((name) => ({
        label: names[name] || name,
        stroke: colour("--line-" + name),
        fill: name === "accepted" ? colour("--area-accepted") : undefined,
        width: 2,
        value: (u, one) => one == null ? "" : count(one),
        points: { show: true, size: 4, filter: (u, index, show) => show ? u.data[index].flatMap((value, i) => value && !u.data[index][i - 1] && !u.data[index][i + 1] ? [i] : []) : [] },
      }))),
    };
    box.replaceChildren();
    return new uPlot(options, [at, ...Object.values(series)], box);
  }

  const boxes = () => document.querySelectorAll("[data-chart]");
  const drawNew = () => boxes().forEach((box) => { if (!box.firstChild) draw(box); });
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(() => boxes().forEach(draw), 150); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => boxes().forEach(draw));

  // --- live pages: what somebody has opened stays open, what is scrolled stays where it is, and nothing is exchanged
  //     while a button is pressed, text is selected in it, or one reads further down a list ---

  const held = new Map();
  let pressed = false;
  let kept = [];
  const keyOf = (one, index) => one.id || `${one.tagName} ${index}`;

  function busy(box) {
    const selected = getSelection();
    return pressed || (!selected.isCollapsed && box.contains(selected.anchorNode)) ||
      (box.hasAttribute("data-list") && box.getBoundingClientRect().top < -80);
  }
  function remember(box) {
    kept = [...box.querySelectorAll("details, .scroll")].map((one, index) => [keyOf(one, index), one.open, one.scrollLeft, one.scrollTop]);
  }
  function recall(box) {
    const known = new Map(kept.map(([key, ...rest]) => [key, rest]));
    [...box.querySelectorAll("details, .scroll")].forEach((one, index) => {
      const [open, left, top] = known.get(keyOf(one, index)) || [];
      if (open !== undefined) one.open = open;
      if (left || top) one.scrollTo(left, top);
    });
    drawNew();
    addCopies();
  }
  function release() {
    for (const [box, html] of held) {
      if (!box.isConnected) { held.delete(box); continue; }
      if (busy(box)) continue;
      held.delete(box);
      remember(box);
      htmx.swap(box, html, { swapStyle: "innerHTML" });
      recall(box);
    }
  }
  document.addEventListener("htmx:sseBeforeMessage", (event) => {
    const box = event.target;
    if (busy(box)) { held.set(box, event.detail.data); event.preventDefault(); return; }
    held.delete(box);
    remember(box);
  });
  document.addEventListener("htmx:sseMessage", (event) => recall(event.target));
  addEventListener("pointerdown", () => { pressed = true; });
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { pressed = false; setTimeout(release, 50); });
  document.addEventListener("selectionchange", () => setTimeout(release, 50));
  addEventListener("scroll", () => setTimeout(release, 50), { passive: true });

  function say(words, state) {
    for (const one of document.querySelectorAll("[data-live]")) {
      one.hidden = !words;
      one.textContent = words;
      one.dataset.live = state;
    }
  }
  document.addEventListener("htmx:sseOpen", (event) => {
    say("Live", "on");
    event.detail.source.addEventListener("gone", () => { event.detail.source.close(); location.reload(); });
  });
  document.addEventListener("htmx:sseError", () => say("Reconnecting", "off"));
  document.addEventListener("htmx:sseClose", () => say("", ""));

  // --- small things ---

  document.addEventListener("change", (event) => {
    if (event.target.matches("select[data-submit]")) event.target.form.requestSubmit();
  });
  function addCopies() {
    if (!navigator.clipboard) return;
    for (const text of document.querySelectorAll("[data-copy]:not([data-copied])")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "small copy";
      button.textContent = "Copy";
      button.addEventListener("click", () => navigator.clipboard.writeText(text.textContent).then(() => {
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      }));
      text.dataset.copied = "";
      text.after(button);
    }
  }
  drawNew();
  addCopies();
  const here = document.querySelector(".top nav [aria-current]");
  if (here && here.offsetLeft + here.offsetWidth > here.parentElement.clientWidth) here.parentElement.scrollLeft = here.offsetLeft - 24;
})();
