// The parts of the page, the state of its controls, and when parts are redrawn.

const INTERVAL = 2000; // milliseconds between two requests for the runs of a live folder
const state = {
  table: null, runs: [], filter: "", show: "mean", sort: { key: null, down: false }, rows: ROWS, metric: "train/loss",
};
const picked = {}; // the user's choices among group, x, y, value, axes and columns; chooseDefaults() sets the others
const board = document.getElementById("board");
const places = {}; // parts of the overview that are redrawn: name -> node

function overview() {
  for (const name of ["statuses", "legend", "learning", "isometry", "gradients", "heat", "parallel", "table", "skipped"]) places[name] = h("div");
  places.live = h("p", { class: "soft", role: "status" });
  places.controls = h("div", { class: "row bar" });
  places.empty = h("div");
  places.figures = h("div", {},
    h("h2", {}, "Learning curves"), places.learning,
    h("h2", {}, "Isometry"), places.isometry,
    h("h2", {}, "Gradients"), places.gradients,
    h("h2", {}, "Options against outcomes"), h("div", { class: "cards two" }, places.heat, places.parallel),
    h("h2", {}, "Runs"), places.table);
  places.one = h("div", { hidden: true });
  board.replaceChildren(
    h("header", {}, h("p", { class: "soft" }, "isogain board"), places.title = h("h1"), places.live),
    places.all = h("div", {}, places.statuses, places.controls, places.legend, places.empty, places.figures, places.skipped), places.one);
  places.learning.className = places.isometry.className = places.gradients.className = "cards";
}

function chooseDefaults() {
  const { varied, options, results } = state.table;
  const { axes: [depth, gain], outcomes } = inlined.panels;
  const differ = varied.length ? varied : options;
  const free = differ.filter((key) => key !== "seed");
  const measured = outcomes.filter((key) => results.includes(key));
  const group = options.includes("reg") ? "reg" : options[0] ?? "status";
  const x = free.includes(gain) ? gain : free[0] ?? options[0];
  const y = free.includes(depth) ? depth : free.find((key) => key !== x) ?? x;
  const value = measured[0] ?? results.find((key) => key.startsWith("val/")) ?? results[0];
  Object.assign(state, {
    group, x, y, value,
    axes: [...free.slice(0, 4), value].filter(Boolean),
    columns: [...differ.slice(0, 6), ...measured, ...["seconds"].filter((key) => results.includes(key))],
  }, picked);
}

function pick(choice) {
  Object.assign(picked, choice);
  chooseDefaults();
  draw();
}

function controls() {
  const input = h("input", { type: "search", value: state.filter, placeholder: "reg=gain|none init.gain>1 failed", spellcheck: "false",
    oninput: (event) => { state.filter = event.target.value; draw(); } });
  places.controls.replaceChildren(
    h("label", { class: "wide" }, "Filter", input),
    select("Group by", [...state.table.options, "status"], state.group, (group) => pick({ group })),
    select("Show", ["mean", "mean and range", "every run"], state.show, (show) => { state.show = show; draw(); }));
  places.input = input;
}

function statuses() {
  const counts = new Map();
  for (const run of state.runs) counts.set(run.status, (counts.get(run.status) ?? 0) + 1);
  const only = /^status=(\S+)$/.exec(state.filter)?.[1];
  const chips = [...counts].map(([status, n]) => h("button", { type: "button", class: `chip ${/^[a-z]+$/.test(status) ? status : ""}`, "aria-pressed": String(only === status),
    onclick: () => { state.filter = only === status ? "" : `status=${status}`; places.input.value = state.filter; draw(); } }, `${n} ${status}`));
  fill(places.statuses, h("div", { class: "row", role: "group", "aria-label": "runs by status" }, chips));
}

function skipped() {
  const entries = Object.entries(state.table.skipped);
  places.skipped.replaceChildren(...(entries.length ? [h("h2", {}, "Not runs"),
    h("p", { class: "soft" }, `${entries.length} in this folder that cannot be shown:`), list(Object.fromEntries(entries))] : []));
}

const checks = (summary, keys, chosen, onchange) => h("details", {}, h("summary", { class: "soft" }, summary), h("div", { class: "choices" },
  keys.map((key) => h("label", {}, h("input", { type: "checkbox", checked: chosen.includes(key), onchange: (event) => onchange(event.target.checked ? [...chosen, key] : chosen.filter((k) => k !== key)) }), key))));

const FOCUSABLE = "a, button, input, select, summary, [tabindex]";

// Replace the children of `place`; open details stay open, and the focus stays where it is.
function fill(place, ...nodes) {
  if (automatic && document.activeElement.matches("select") && place.contains(document.activeElement)) return; // its list may be open
  const open = place.querySelector("details")?.open;
  const focus = [...place.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
  place.replaceChildren(...nodes.flat(3).filter(Boolean));
  if (open) place.querySelector("details").open = true;
  if (focus >= 0) [...place.querySelectorAll(FOCUSABLE)][focus]?.focus({ preventScroll: true });
}

let drawing = 0;
let automatic = false; // whether a timed update redraws the page, not a choice of the user

async function draw() {
  const turn = ++drawing;
  const id = /^#run=(\d+)$/.exec(location.hash)?.[1];
  places.all.hidden = id !== undefined;
  places.one.hidden = id === undefined;
  if (id !== undefined) {
    const nodes = await detail(id);
    if (turn === drawing) fill(places.one, nodes);
    return;
  }
  const { test, mistake } = filter(state.filter);
  const shown = state.runs.filter(test);
  const groups = groupsOf(state.runs, shown, state.group);
  statuses();
  skipped();
  places.figures.hidden = shown.length === 0;
  places.empty.replaceChildren(mistake ? h("p", { class: "bad" }, mistake) : "", shown.length ? "" : h("p", {},
    state.runs.length ? "No run matches this filter." : "There are no runs in this folder yet. They appear here as they start."));
  places.legend.replaceChildren(h("ul", { class: "legend", "aria-label": `groups by ${state.group}` },
    h("li", { class: "soft" }, `${shown.length} of ${state.runs.length} runs by ${state.group}`), groups.map((group) => h("li", {}, swatch(group), `${group.label} (${group.runs.length})`))));
  if (!shown.length) return;
  drawTables(shown, groups);
  await drawCharts(groups, turn);
}

function drawTables(shown, groups) {
  const { options, results } = state.table;
  const numbers = results.filter((key) => state.runs.some((run) => typeof run.of.get(key) === "number"));
  fill(places.table, [checks("Columns", [...options, ...results], state.columns, (columns) => pick({ columns })), runTable(shown, state.columns)]);
  fill(places.heat, numbers.length && options.length ? h("div", { class: "card" }, h("div", { class: "row" },
    select("Rows", options, state.y, (y) => pick({ y })), select("Columns", options, state.x, (x) => pick({ x })),
    select("Value", numbers, state.value, (value) => pick({ value }))), heatTable(shown, state.x, state.y, state.value)) : h("p", { class: "soft" }, "No outcome to show yet."));
  const room = Math.max(places.parallel.clientWidth - 26, 280);
  fill(places.parallel, h("div", { class: "card" },
    checks("Axes", [...options, ...numbers], state.axes, (axes) => pick({ axes })), state.axes.length > 1 ? parallelPlot(groups, state.axes, room) : null));
}

async function drawCharts(groups, turn) {
  const { learning, isometry, gradients } = inlined.panels;
  const charts = (panels) => Promise.all(panels.map((panel) => metricChart(panel, groups, state.show)));
  const known = [...learning, ...isometry, ...gradients].find((panel) => panel.name === state.metric);
  const any = known ?? { name: state.metric, label: state.metric, log: false };
  const chooser = select("Any metric", state.table.metrics, state.metric, (metric) => { state.metric = metric; draw(); });
  const parts = await Promise.all([charts(learning), metricChart(any, groups, state.show, chooser), charts(isometry), quantileCharts(groups), charts(gradients), profileChart(groups, 0), profileChart(groups, 1)]);
  if (turn !== drawing) return; // the user has chosen something else meanwhile
  const [curves, one, scalars, quantiles, ends, first, last] = parts;
  one.classList.add("whole");
  fill(places.learning, curves, one);
  fill(places.isometry, scalars, quantiles);
  fill(places.gradients, first, last, ends);
}

let updating = false; // one update at a time: with thousands of runs an update may take longer than INTERVAL

async function update() {
  if (updating) return;
  updating = true;
  try {
    const table = await answer("runs");
    if (table === null) throw new Error("no answer");
    if (table !== state.table) {
      const first = state.table === null || state.table.options.join() !== table.options.join();
      state.table = table;
      state.runs = runsOf(table);
      places.title.textContent = table.folder;
      document.title = `${table.folder.split("/").at(-1)} · isogain board`;
      chooseDefaults();
      if (first) controls();
      automatic = true;
      await draw();
    }
    const now = new Date().toLocaleTimeString();
    places.live.textContent = inlined.live ? `Live: looked at ${now}` : `As of ${inlined.made}; this page does not change`;
  } catch (error) {
    places.live.textContent = "No answer from python -m isogain.board: this is its latest answer.";
    if (!(error instanceof TypeError && inlined.live)) console.error(error); // a failed fetch is a TypeError: the server has ended, which the line above reports
  } finally {
    automatic = updating = false;
  }
}

overview();
window.addEventListener("hashchange", async () => { await draw(); window.scrollTo(0, 0); document.getElementById("title")?.focus(); });
update();
if (inlined.live) setInterval(() => { if (!document.hidden) update(); }, INTERVAL);
