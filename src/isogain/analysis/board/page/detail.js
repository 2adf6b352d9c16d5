// One run: its figures, summary, config, and the end of its log.

async function detail(id) {
  const run = state.runs.find((one) => String(one.id) === id);
  const details = await answer("run", id);
  const back = h("p", {}, h("a", { href: "#" }, "← all runs"));
  if (!run || !details) {
    return [back, h("p", {}, inlined.live ? "There is no such run in this folder." : "This page was saved without the details of this run.")];
  }
  const messages = [run.error, ...Object.entries(details.problems).map(([file, why]) => `${file}: ${why}`)].filter(Boolean);
  const heats = Object.entries(details.heat_maps).map(([name, map]) => heatChart(`${name.endsWith("eigenvalues") ? "Eigenvalues" : "Singular values"}: ${name}`, map));
  return [
    back,
    h("h2", { tabindex: -1, id: "title" }, `Run ${run.name} · ${statusWord(run)}`),
    messages.map((message) => h("p", { class: "bad" }, message)),
    h("div", { class: "cards" }, detailCharts(details), profileOf(details.profile), heats),
    h("h2", {}, "Summary"), h("div", { class: "card" }, list(details.summary)),
    h("h2", {}, "Config"), h("div", { class: "card" }, list(details.config)),
    details.log ? [h("h2", {}, "End of log.txt"), h("pre", { tabindex: 0 }, details.log)] : null,
  ];
}

// A chart for each kind of metric: losses, accuracies, the Jacobian's quantiles, metrics by layer, the rest.
function detailCharts(details) {
  const names = Object.keys(details.curves);
  const drawn = new Set();
  const chart = (title, chosen, log) => {
    const logged = chosen.filter((name) => details.curves[name]?.[0].length);
    logged.forEach((name) => drawn.add(name));
    return logged.length ? lineChart(logged.map((name, i) => single(name, details.curves[name], i)), { title, log, legend: chosen.length > 1 }) : null;
  };
  const { learning, quantiles, by_layer: byLayer } = inlined.panels;
  const ends = (end) => learning.map((panel) => panel.name).filter((name) => name.endsWith(end));
  const layers = (prefix) => names.filter((name) => name.startsWith(`${prefix}/`) && name !== "gap/max");
  return [
    chart("Loss, mean over examples", ends("/loss"), true),
    chart("Accuracy (share of examples)", ends("/acc"), false),
    chart("Singular values of ∂h_L/∂h_0, quantiles", quantiles.map((panel) => panel.name), true),
    Object.entries(byLayer).map(([prefix, title]) => chart(title, layers(prefix), true)),
    chart("ln ‖∂loss/∂h‖ at the input and at the output", names.filter((name) => name.startsWith("signal_grad/")), false),
    h("details", { class: "card whole" }, h("summary", {}, "Every other metric"),
      h("div", { class: "cards small" }, names.filter((name) => !drawn.has(name) && name !== "epoch").map((name) => chart(name, [name], false)))),
  ];
}

function single(name, [steps, values], i) {
  const short = name.split("/").length > 2 ? name.split("/").slice(1).join("/") : name;
  return { label: short, colour: i % COLOURS, dash: DASHES[Math.floor(i / COLOURS + i) % DASHES.length], steps, values };
}

function profileOf(profile) {
  if (!profile) return null;
  const events = [...new Set([0, Math.floor((profile.steps.length - 1) / 2), profile.steps.length - 1])];
  const series = events.map((event, i) => ({ label: `step ${profile.steps[event]}`, colour: i, dash: DASHES[i], steps: profile.places, values: profile.values[event] }));
  return lineChart(series, { title: "ln ‖∂loss/∂h_l‖ along the network", x: "layer or time step l, 0 is the input", legend: true });
}

function list(entries) {
  return h("dl", {}, Object.entries(entries).map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, number(value)))));
}
