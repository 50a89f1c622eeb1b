// What htmx does not do: charts from the numbers in the page, and a select that shows at once what it chooses.
"use strict";
(() => {
  const names = { accepted: "Accepted", delivered: "Delivered", failed: "Not delivered" };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function draw(box) {
    const at = JSON.parse(box.dataset.at);
    const series = JSON.parse(box.dataset.series);
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const options = {
      width: box.clientWidth,
      height: 205,
      legend: { live: false, markers: { width: 2 } },
      cursor: { y: false },
      scales: { y: { range: (u, low, high) => [0, Math.max(4, high * 1.1)] } },
      axes: [{ ...axis, values: (u, at) => at.map((one) => new Date(one * 1000).toTimeString().slice(0, 5)), space: 60 }, { ...axis, size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6] }],
      series: [{}].concat(Object.keys(series).map((name) => ({
        label: names[name] || name, stroke: colour("--line-" + name), width: 2, points: { show: true, size: 4, filter: (u, index, show) => show ? u.data[index].flatMap((value, at) => value ? [at] : []) : [] },
      }))),
    };
    box.replaceChildren();
    return new uPlot(options, [at, ...Object.values(series)], box);
  }

  function drawAll() {
    for (const box of document.querySelectorAll("[data-chart]")) {
      if (!box.firstChild) draw(box);
    }
  }

  function again() {
    for (const box of document.querySelectorAll("[data-chart]")) draw(box);
  }

  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(again, 150); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  // Details that somebody has opened stay open when the page around them is drawn anew.
  let open = [];
  document.addEventListener("htmx:sseBeforeMessage", () => {
    open = [...document.querySelectorAll("details")].map((one) => one.open);
  });
  document.addEventListener("htmx:sseMessage", () => {
    document.querySelectorAll("details").forEach((one, index) => { if (open[index]) one.open = true; });
    drawAll();
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("select[data-submit]")) event.target.form.requestSubmit();
  });
  drawAll();
})();
