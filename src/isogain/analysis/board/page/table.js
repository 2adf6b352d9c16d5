// The table of runs, sorted by a click on a column's head; ROWS of them until all are requested.

const ROWS = 100;

function runTable(runs, keys) {
  const { key: by, down } = state.sort;
  const sorted = by === null ? runs : [...runs].sort((a, b) => {
    const [x, y] = [a.of.get(by) ?? null, b.of.get(by) ?? null];
    return x === null || y === null ? compare(x, y) : (down ? -1 : 1) * compare(x, y); // without a value: last
  });
  const columns = ["run", "status", ...keys, "error"];
  const worded = new Set(columns.filter((key) => runs.some((run) => typeof run.of.get(key) === "string")));
  const head = columns.map((key) => h("th", { scope: "col", class: worded.has(key) ? "text" : null,
    "aria-sort": by === key ? (down ? "descending" : "ascending") : null },
  h("button", { type: "button", onclick: () => sortBy(key) }, key, by === key ? (down ? " ▾" : " ▴") : "")));
  const rows = sorted.slice(0, state.rows).map((run) => h("tr", {}, columns.map((key) => {
    if (key === "run") return h("td", { class: "text", title: run.name }, h("a", { href: `#run=${run.id}` }, run.name));
    if (key === "status") return h("td", { class: "text" }, h("span", { class: BAD.has(run.status) ? "bad" : null }, statusWord(run)));
    if (key === "error") return h("td", { class: "text error" }, [run.error, ...Object.entries(run.problems).map(([f, why]) => `${f} ${why}`)].filter(Boolean).join("; "));
    return h("td", { class: worded.has(key) ? "text" : null }, number(run.of.get(key)));
  })));
  const more = sorted.length - rows.length;
  return [
    h("div", { class: "scroll", tabindex: 0, "aria-label": "table of runs" }, h("table", { class: "runs" }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows))),
    more > 0 ? h("button", { type: "button", onclick: () => { state.rows = Infinity; draw(); } }, `Show ${more} more`) : null,
  ];
}

const BAD = new Set(["failed", "diverged", "lost", "broken", "unstarted"]);
const MARKS = { finished: "✓", running: "▶", failed: "✗", diverged: "∞", lost: "?", broken: "✗", pending: "…", preempted: "⏸", interrupted: "⏸" };

function statusWord(run) {
  const step = run.status === "running" && run.step !== null ? `, step ${run.step}` : "";
  return `${MARKS[run.status] ?? "·"} ${run.status}${step}`;
}

function sortBy(key) {
  state.sort = { key, down: state.sort.key === key ? !state.sort.down : false };
  draw();
}
