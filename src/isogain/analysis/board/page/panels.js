// The overview's figures: curves by group, the Jacobian's quantiles, the gradient's profile.

const MOST_THIN = 60; // curves of single runs that a chart shows for a group: more would be indistinguishable

const NO_BAND = { low: null, high: null };

// For each group a series of a metric: the mean curve of its runs, with their range or with every run's curve.
function seriesOf(groups, curves, log, show) {
  return groups.map((group) => {
    const logged = group.runs.map((run) => curves[run.id]).filter(Boolean);
    const middle = mean(logged, log);
    const single = logged.length < 2;
    const label = `${group.label} (${logged.length})`;
    return { ...group, label, ...middle, ...(single || show !== "mean and range" ? NO_BAND : {}),
      each: show === "every run" && !single ? logged.slice(0, MOST_THIN) : null };
  }).filter((series) => series.steps.length);
}

async function metricChart(panel, groups, show, head = null) {
  const curves = (await answer("curves", panel.name)) ?? {};
  const chart = lineChart(seriesOf(groups, curves, panel.log, show), { title: panel.label, log: panel.log });
  if (head) chart.querySelector("h3").replaceChildren(head);
  return chart;
}

// A chart for each group: the median over training, and the bands that hold 90 % and 50 % of the singular values.
async function quantileCharts(groups) {
  const names = inlined.panels.quantiles.map((panel) => panel.name);
  const logged = await Promise.all(names.map((name) => answer("curves", name)));
  const charts = groups.map((group) => {
    const middle = logged.map((curves) => mean(group.runs.map((run) => curves?.[run.id]).filter(Boolean), true));
    const [low, quarter, median, high, highest] = middle;
    if (!median.steps.length) return null;
    const wide = { ...group, label: "5 to 95 %", fill: true, ...aligned(median, low, highest) };
    const half = { ...group, label: "25 to 75 %", fill: true, ...aligned(median, quarter, high) };
    return [group, [wide, half, { ...group, dash: "", label: "median", ...median, ...NO_BAND }]];
  }).filter(Boolean);
  const all = extent(charts.flatMap(([, s]) => s.flatMap((one) => [one.values, one.low ?? [], one.high ?? []])), true);
  return charts.map(([group, series]) => lineChart(series, {
    title: `${group.label}: singular values of ∂h_L/∂h_0`, log: true, unit: 1, range: all }));
}

// A band whose edges are the curves `low` and `high`, at the steps of `middle` where both are known.
function aligned(middle, low, high) {
  const at = middle.steps.map((step) => [step, interpolated([low.steps, low.values], step), interpolated([high.steps, high.values], step)]);
  const known = at.filter(([, l, u]) => l !== null && u !== null && l > 0);
  const [steps, lows, highs] = [0, 1, 2].map((i) => known.map((row) => row[i]));
  return { steps, values: lows, low: lows, high: highs };
}

const PLACES = 41;

// ln ‖∂loss/∂h_l‖ against l/L (against l if all runs have one length): the mean over each group's runs at an event.
async function profileChart(groups, event) {
  const profiles = (await answer("profiles")) ?? {};
  const lengths = new Set(Object.values(profiles).map((profile) => profile.length));
  const one = lengths.size === 1;
  const series = groups.map((group) => {
    const curves = group.runs.map((run) => profiles[run.id]).filter(Boolean).map((profile) =>
      [profile.places.map((place) => (one ? place : place / profile.length)), profile.values[event]]);
    const grid = curves.length ? gridded(curves, one) : [];
    const middle = mean(grid, false);
    return { ...group, label: `${group.label} (${curves.length})`, ...middle, ...(curves.length < 2 || state.show !== "mean and range" ? NO_BAND : {}) };
  }).filter((s) => s.steps.length);
  const place = one ? "layer or time step l, 0 is the input" : "place l/L, 0 is the input";
  const when = event ? "at the latest measurement" : "at the first measurement";
  return lineChart(series, { title: `ln ‖∂loss/∂h_l‖ along the network, ${when}`, x: place });
}

function gridded(curves, one) {
  if (one) return curves;
  const grid = Array.from({ length: PLACES }, (_, i) => i / (PLACES - 1));
  return curves.map((curve) => [grid, grid.map((at) => interpolated(curve, at))]);
}
