// Scales that map numbers to pixels, and the ticks of an axis.

function scale(low, high, log, from, to) {
  if (log) [low, high] = [Math.log10(low), Math.log10(high)];
  if (!(high > low)) [low, high] = [low - 0.5, low + 0.5];
  const place = (v) => from + (((log ? Math.log10(v) : v) - low) / (high - low)) * (to - from);
  return { place, ticks: log ? logTicks(low, high) : ticks(low, high), log };
}

function ticks(low, high, most = 5) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough) ?? rough;
  const values = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) values.push(Number((i * step).toPrecision(12)));
  return values;
}

function logTicks(low, high) {
  const every = Math.max(1, Math.ceil((high - low) / 6));
  const powers = [];
  for (let k = Math.ceil(low - 1e-9); k <= high + 1e-9; k++) if (k % every === 0) powers.push(10 ** k);
  if (powers.length > 1) return powers;
  return ticks(10 ** low, 10 ** high, 4).filter((v) => v > 0);
}

function tick(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const short = Number(value.toPrecision(3));
  return size >= 1e4 || size < 1e-3 ? short.toExponential().replace("e+", "e") : String(short);
}

// The smallest and largest value of many lists, without values that an axis cannot show; null if there are none.
function extent(lists, log) {
  let low = Infinity, high = -Infinity;
  for (const list of lists) {
    for (const v of list) {
      if (v === null || (log && v <= 0)) continue;
      if (v < low) low = v;
      if (v > high) high = v;
    }
  }
  return low <= high ? [low, high] : null;
}
