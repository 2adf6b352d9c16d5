// Parallel coordinates: an axis for each key, a line for each run.

const PLOT = { top: 34, bottom: 14, height: 280, least: 92, letter: 6.5 };

// The axis of a key: numbers on a linear scale, or a logarithmic one over more than 1.5 decades; words evenly spaced.
function parallelAxis(runs, key) {
  const values = [...new Set(runs.map((run) => run.of.get(key) ?? null).filter((v) => v !== null))].sort(compare);
  const low = PLOT.height - PLOT.bottom, high = PLOT.top;
  if (values.length > 1 && values.every((v) => typeof v === "number")) {
    const log = values[0] > 0 && values.at(-1) / values[0] > 30;
    const axis = scale(values[0], values.at(-1), log, low, high);
    const few = values.length <= 6 ? values : axis.ticks;
    return { place: axis.place, ticks: few.map((v) => [axis.place(v), number(v)]) };
  }
  const at = new Map(values.map((v, i) => [v, values.length < 2 ? (low + high) / 2 : low + (i / (values.length - 1)) * (high - low)]));
  return { place: (v) => at.get(v), ticks: [...at].map(([v, y]) => [y, number(v)]) };
}

function parallelPlot(groups, keys, room) {
  const runs = groups.flatMap((group) => group.runs);
  const at = keys.map((key) => parallelAxis(runs, key));
  const [left, right] = [at[0], at.at(-1)].map((axis) => 10 + PLOT.letter * Math.max(3, ...axis.ticks.map(([, label]) => label.length)));
  const gap = Math.max(PLOT.least, (room - left - right) / Math.max(keys.length - 1, 1));
  const width = left + right + gap * (keys.length - 1);
  const x = (i) => left + i * gap;
  const svg = h("svg", { width, height: PLOT.height, viewBox: `0 0 ${width} ${PLOT.height}`, role: "img",
    "aria-label": `parallel coordinates of ${runs.length} runs over ${keys.join(", ")}; the table below has the same numbers` });
  const opacity = Math.min(0.9, Math.max(0.12, 12 / runs.length));
  for (const group of groups) {
    for (const run of group.runs) {
      const pieces = [[]];
      keys.forEach((key, i) => {
        const value = run.of.get(key) ?? null;
        if (value === null) pieces.push([]); else pieces.at(-1).push(`${x(i).toFixed(1)} ${at[i].place(value).toFixed(1)}`);
      });
      const d = pieces.filter((p) => p.length > 1).map((p) => `M${p.join("L")}`).join("");
      if (d) svg.append(h("path", { class: `curve g${group.colour}`, d, "stroke-dasharray": group.dash, opacity },
        h("title", {}, `${run.name}: ${keys.map((key) => `${key} ${number(run.of.get(key))}`).join(", ")}`)));
    }
  }
  keys.forEach((key, i) => {
    const anchor = i === 0 ? "start" : i === keys.length - 1 ? "end" : "middle";
    const shift = i === 0 ? -left : i === keys.length - 1 ? right : 0;
    svg.append(h("line", { class: "axis", x1: x(i), x2: x(i), y1: PLOT.top, y2: PLOT.height - PLOT.bottom }),
      h("text", { class: "label", x: x(i) + shift, y: 14, "text-anchor": anchor }, key),
      ...at[i].ticks.map(([y, label]) => h("text", { class: "halo", x: x(i) + (i === keys.length - 1 ? 5 : -5), y: y + 4,
        "text-anchor": i === keys.length - 1 ? "start" : "end" }, label)));
  });
  return h("div", { class: "scroll", tabindex: 0, "aria-label": "parallel coordinates" }, svg);
}
