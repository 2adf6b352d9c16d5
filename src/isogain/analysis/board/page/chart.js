// A line chart in SVG: a series for each group, a cursor moved by pointer or arrow keys, and the values at it below.

const cursors = new Map(); // title -> the step of its cursor, kept when a chart is redrawn
const MARGIN = { left: 52, right: 10, top: 8, bottom: 36 };

function path(steps, values, x, y, log) {
  let text = "", pen = "M";
  steps.forEach((step, i) => {
    const value = values[i];
    if (value === null || (log && value <= 0)) { pen = "M"; return; }
    text += `${pen}${x.place(step).toFixed(1)} ${y.place(value).toFixed(1)}`;
    pen = "L";
  });
  return text;
}

function band(series, x, y) {
  const there = series.steps.map((step, i) => `${x.place(step).toFixed(1)} ${y.place(series.high[i]).toFixed(1)}`);
  const back = series.steps.map((step, i) => `${x.place(step).toFixed(1)} ${y.place(series.low[i]).toFixed(1)}`).reverse();
  return `M${[...there, ...back].join("L")}Z`;
}

function axes(x, y, width, height, xLabel, yLabel) {
  const bottom = height - MARGIN.bottom;
  return [
    y.ticks.map((v) => [
      h("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y.place(v), y2: y.place(v) }),
      h("text", { x: MARGIN.left - 6, y: y.place(v) + 4, "text-anchor": "end" }, tick(v)),
    ]),
    h("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom }),
    x.ticks.map((v) => h("text", { x: x.place(v), y: bottom + 15, "text-anchor": "middle" }, tick(v))),
    h("text", { class: "label", x: (MARGIN.left + width - MARGIN.right) / 2, y: height - 4, "text-anchor": "middle" }, xLabel),
    yLabel,
  ].flat(3);
}

// series: {label, colour, dash, steps, values, low?, high?, each?: [[steps, values]], fill?: the band alone}
// options: title, x (label), log (y), height, unit (a y to draw a line at), range (of y, else that of the series),
// legend (whether this chart has one of its own)
function lineChart(series, { title, x: xLabel = "optimiser steps", log = false, height = 220, unit = null, range = null, legend = false }) {
  const card = h("figure", { class: "card", css: { margin: 0 } }, h("h3", {}, title));
  const shown = series.filter((s) => s.steps.some((_, i) => s.values[i] !== null && (!log || s.values[i] > 0)));
  if (!shown.length) {
    card.append(h("p", { class: "soft" }, "No run shown here has logged this."));
    return card;
  }
  const svg = h("svg", { class: "chart", tabindex: 0, role: "img", "aria-label": `${title}; arrow keys read values` });
  const readout = h("figcaption", { class: "readout", "aria-live": "polite" });
  const own = legend && h("ul", { class: "legend" }, shown.map((s) => h("li", {}, swatch(s), s.label)));
  card.append(...[svg, own, readout].filter(Boolean));
  const steps = [...new Set(shown.flatMap((s) => s.steps))].sort((a, b) => a - b);
  let cursor = cursors.has(title) ? Math.max(steps.findIndex((step) => step >= cursors.get(title)), 0) : null;
  let x = null;

  function draw() {
    const width = Math.max(svg.clientWidth || 400, 220);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", height);
    const ys = range ?? extent(shown.flatMap((s) => [s.values, s.low ?? [], s.high ?? [], ...(s.each ?? []).map((c) => c[1])]), log);
    x = scale(steps[0], steps.at(-1), false, MARGIN.left, width - MARGIN.right);
    const y = scale(...ys, log, height - MARGIN.bottom, MARGIN.top);
    svg.replaceChildren(...axes(x, y, width, height, xLabel, null).filter(Boolean));
    if (unit !== null && ys[0] <= unit && unit <= ys[1]) svg.append(h("line",
      { class: "unit", x1: MARGIN.left, x2: width - MARGIN.right, y1: y.place(unit), y2: y.place(unit) }));
    for (const s of shown) {
      const group = h("g", { class: `g${s.colour}` });
      if (s.low) group.append(h("path", { class: "band", d: band(s, x, y) }));
      for (const [at, values] of s.each ?? []) group.append(h("path", { class: "curve thin", d: path(at, values, x, y, log), "stroke-dasharray": s.dash }));
      if (!s.each && !s.fill) group.append(h("path", { class: "curve", d: path(s.steps, s.values, x, y, log), "stroke-dasharray": s.dash }));
      if (s.steps.length === 1) group.append(h("circle", { class: "dot", cx: x.place(s.steps[0]), cy: y.place(s.values[0]), r: 3 }));
      svg.append(group);
    }
    if (cursor !== null) svg.append(h("line", { class: "rule", x1: x.place(steps[cursor]), x2: x.place(steps[cursor]), y1: MARGIN.top, y2: height - MARGIN.bottom }));
  }

  function moveCursor(i) {
    cursor = i;
    if (i === null) cursors.delete(title); else cursors.set(title, steps[i]);
    updateReadout();
    draw();
  }

  function updateReadout() {
    if (cursor !== null) showValues(steps[cursor]);
    else if (legend) readout.replaceChildren();
    else showValues(steps.at(-1));
  }

  function showValues(at) {
    const readings = shown.map((s) => [s, interpolated([s.steps, s.values], at)]).filter(([, v]) => v !== null);
    const text = (s, v) => (s.fill ? `${number(v)} … ${number(interpolated([s.steps, s.high], at))}` : number(v));
    readout.replaceChildren(`${xLabel === "optimiser steps" ? "step" : xLabel.split(",")[0]} ${number(at)}: `,
      ...readings.flatMap(([s, v], k) => [k ? ", " : "", `${s.label} `, h("b", {}, text(s, v))]));
  }

  svg.addEventListener("pointermove", (event) => {
    const at = event.clientX - svg.getBoundingClientRect().left;
    let best = 0;
    steps.forEach((step, i) => { if (Math.abs(x.place(step) - at) < Math.abs(x.place(steps[best]) - at)) best = i; });
    if (best !== cursor) moveCursor(best);
  });
  svg.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -steps.length, End: steps.length }[event.key];
    if (!move) return;
    event.preventDefault();
    moveCursor(Math.min(Math.max((cursor ?? 0) + move, 0), steps.length - 1));
  });
  svg.addEventListener("pointerleave", () => moveCursor(null));
  updateReadout();
  new ResizeObserver(draw).observe(svg);
  return card;
}
