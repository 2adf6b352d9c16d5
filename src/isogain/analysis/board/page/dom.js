// Nodes, and numbers as text. Texts of a run enter the page as text nodes and attribute values, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const TAGS_OF_SVG = new Set(["svg", "g", "path", "line", "text", "rect", "circle", "polyline", "title"]);

// h("a", {href: "#x", onclick: f, css: {width: "3px"}}, "text", node, [nodes])
function h(tag, attributes = {}, ...children) {
  const node = TAGS_OF_SVG.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "css") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return node;
}

function number(value) {
  if (typeof value !== "number") return value === null || value === undefined ? "–" : String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

function select(label, options, chosen, onchange) {
  const shown = options.map((o) => h("option", { value: o, selected: o === chosen }, o));
  return h("label", {}, label, h("select", { onchange: (event) => onchange(event.target.value) }, shown));
}

function swatch(group) {
  const line = h("line", { x1: 0, x2: 30, y1: 5, y2: 5, class: "curve", "stroke-dasharray": group.dash });
  return h("svg", { class: `swatch g${group.colour}`, viewBox: "0 0 30 10", "aria-hidden": "true" }, line);
}
