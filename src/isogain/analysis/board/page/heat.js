// Heat maps: one option against another as a table, and histograms over training.

function heatTable(runs, xKey, yKey, valueKey) {
  const cells = new Map();
  for (const run of runs) {
    const value = run.of.get(valueKey);
    const place = JSON.stringify([run.of.get(xKey) ?? null, run.of.get(yKey) ?? null]);
    if (!cells.has(place)) cells.set(place, []);
    if (typeof value === "number") cells.get(place).push(value);
  }
  const all = (key) => [...new Set(runs.map((run) => run.of.get(key) ?? null))].sort(compare);
  const means = [...cells.values()].filter((v) => v.length).map(average);
  const range = extent([means], false);
  if (!range) return h("p", { class: "soft" }, `No run shown here has a value of ${valueKey} yet.`);
  const log = range[0] > 0 && range[1] / range[0] > 100;
  const share = scale(range[0], range[1], log, 0, 1);
  const head = h("tr", {}, h("th", { class: "text", scope: "col" }, `${yKey} \\ ${xKey}`), all(xKey).map((v) => h("th", { scope: "col" }, number(v))));
  const rows = all(yKey).reverse().map((y) => h("tr", {}, h("th", { scope: "row" }, number(y)), all(xKey).map((x) => {
    const values = cells.get(JSON.stringify([x, y])) ?? [];
    if (!values.length) return h("td", { class: "empty", title: "no finished run" }, "–");
    const at = range[0] === range[1] ? 0.5 : share.place(average(values));
    return h("td", { css: shade(at), title: `${values.length} runs, ${number(Math.min(...values))} to ${number(Math.max(...values))}` }, number(average(values)));
  })));
  return h("div", { class: "scroll", tabindex: 0, "aria-label": "heat map" }, h("table", { class: "heat" },
    h("caption", { class: "soft" }, `${valueKey}, mean over the runs of a cell${log ? "; shades are logarithmic" : ""}`), h("thead", {}, head), h("tbody", {}, rows)));
}

const average = (values) => values.reduce((a, b) => a + b, 0) / values.length;

function shade(share) {
  return {
    "background-color": `color-mix(in oklab, var(--heat-high) ${Math.round(100 * share)}%, var(--heat-low))`,
    color: share > 0.5 ? "var(--page)" : "var(--text)",
  };
}

// Shares of a spectrum's values: a column for each event, a cell for each bin, on a logarithmic axis.
function heatChart(title, { steps, edges, shares }, height = 210) {
  const svg = h("svg", { class: "chart", role: "img", "aria-label": `${title}, histogram over training` });
  const most = Math.max(...shares.flat());
  function draw() {
    const width = Math.max(svg.clientWidth || 400, 220);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", height);
    const wide = (width - MARGIN.left - MARGIN.right) / steps.length;
    const y = scale(edges[0], edges.at(-1), true, height - MARGIN.bottom, MARGIN.top);
    const every = Math.ceil((steps.length * 46) / (width - MARGIN.left));
    const x = { ticks: steps.filter((_, i) => i % every === 0), place: (v) => MARGIN.left + (steps.indexOf(v) + 0.5) * wide };
    svg.replaceChildren(...axes(x, y, width, height, "optimiser steps, a column a measurement", null).filter(Boolean));
    shares.forEach((row, i) => row.forEach((share, k) => {
      if (!share) return;
      const [top, bottom] = [y.place(edges[k + 1]), y.place(edges[k])];
      svg.append(h("rect", { class: "cell", x: MARGIN.left + i * wide, y: top, width: wide + 0.3, height: bottom - top + 0.3, "fill-opacity": Math.sqrt(share / most).toFixed(2) }));
    }));
  }
  new ResizeObserver(draw).observe(svg);
  return h("figure", { class: "card", css: { margin: 0 } }, h("h3", {}, title), svg);
}
