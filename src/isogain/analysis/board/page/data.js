// Answers of the server, or those inlined in a static page; runs, filters and groups.

const inlined = JSON.parse(document.getElementById("data").textContent);
const answers = new Map(); // "name of" -> {tag, value}

// The server's answer; the same object as before where nothing has changed.
async function answer(name, of = "") {
  if (!inlined.live) return inlined.answers[name]?.[of] ?? null;
  const key = `${name} ${of}`;
  const reply = await fetch(`api/${name}?of=${encodeURIComponent(of)}`);
  if (!reply.ok) return null;
  const tag = reply.headers.get("ETag");
  if (answers.get(key)?.tag !== tag) answers.set(key, { tag, value: await reply.json() });
  return answers.get(key).value;
}

// The answer to "runs", each run with its values by key.
function runsOf(table) {
  const keys = [...table.options, ...table.results];
  return table.runs.map((run) => {
    const values = new Map(keys.map((key, i) => [key, run.values[i]]));
    values.set("status", run.status).set("run", run.name).set("error", run.error).set("step", run.step);
    return { ...run, of: values };
  });
}

const TESTS = {
  "=": (a, b) => same(a, b),
  "!=": (a, b) => !same(a, b),
  ">": (a, b) => a > b,
  "<": (a, b) => a < b,
  ">=": (a, b) => a >= b,
  "<=": (a, b) => a <= b,
};

function same(value, text) {
  const equalNumbers = text.trim() !== "" && typeof value === "number" && value === Number(text);
  return equalNumbers || String(value ?? "") === text;
}

// "reg=gain init.gain>1 word" -> {test: run -> boolean, mistake: text or ""}; all words must hold.
function filter(text) {
  let mistake = "";
  const tests = text.split(/\s+/).filter(Boolean).map((word) => {
    const [, key, sign, value] = /^([^=<>!]+)(!=|>=|<=|=|>|<)(.*)$/.exec(word) ?? [];
    if (!sign) return (run) => `${run.name} ${run.status} ${run.error}`.toLowerCase().includes(word.toLowerCase());
    if (state.runs.length && !state.runs[0].of.has(key)) mistake = `no run has “${key}”`;
    const ordered = sign.includes("<") || sign.includes(">");
    return (run) => {
      const own = run.of.get(key);
      if (ordered) return typeof own === "number" && TESTS[sign](own, Number(value));
      return value.split("|").some((one) => same(own, one)) === (sign === "=");
    };
  });
  return { test: (run) => tests.every((test) => test(run)), mistake };
}

const COLOURS = 7;
const MOST_GROUPS = 14;
const DASHES = ["", "8 4", "2 3", "9 3 2 3", "14 4", "5 2 2 2 2 2", "4 4"];

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if ((a ?? null) === null || (b ?? null) === null) return ((a ?? null) === null) - ((b ?? null) === null);
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

// Runs grouped by the value of `key`; the filter does not change a group's colour and dash.
function groupsOf(all, shown, key) {
  const values = [...new Set(all.map((run) => run.of.get(key) ?? null))].sort(compare);
  const place = new Map(values.map((value, i) => [value, Math.min(i, MOST_GROUPS - 1)]));
  const groups = new Map();
  for (const run of shown) {
    const i = place.get(run.of.get(key) ?? null);
    const rest = i === MOST_GROUPS - 1 && values.length > MOST_GROUPS;
    const label = key === "" ? "all runs" : rest ? "others" : number(run.of.get(key));
    if (!groups.has(i)) groups.set(i, { label, colour: i % COLOURS, dash: DASHES[i % DASHES.length], runs: [], i });
    groups.get(i).runs.push(run);
  }
  return [...groups.values()].sort((a, b) => a.i - b.i);
}

const GRID = 120;

// The mean (geometric if `log`), smallest and largest value of curves [[steps], [values]] on one grid of steps.
function mean(curves, log) {
  const known = curves.filter((curve) => curve[0].length);
  const steps = [...new Set(known.flatMap((curve) => curve[0]))].sort((a, b) => a - b);
  const grid = steps.length <= GRID ? steps : Array.from({ length: GRID }, (_, i) =>
    steps[0] + (i * (steps.at(-1) - steps[0])) / (GRID - 1));
  const means = { steps: [], values: [], low: [], high: [] };
  for (const step of grid) {
    const at = known.map((curve) => interpolated(curve, step)).filter((v) => v !== null && (!log || v > 0));
    if (!at.length) continue;
    const sum = at.reduce((total, v) => total + (log ? Math.log(v) : v), 0) / at.length;
    means.steps.push(step);
    means.values.push(log ? Math.exp(sum) : sum);
    means.low.push(Math.min(...at));
    means.high.push(Math.max(...at));
  }
  return means;
}

function interpolated([steps, values], at) {
  let low = 0, high = steps.length - 1;
  if (at < steps[0] || at > steps[high]) return null;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= at) low = middle; else high = middle;
  }
  if (steps[high] === at || low === high) return values[high];
  if (steps[low] === at || values[low] === null || values[high] === null) return values[low];
  return values[low] + ((values[high] - values[low]) * (at - steps[low])) / (steps[high] - steps[low]);
}
