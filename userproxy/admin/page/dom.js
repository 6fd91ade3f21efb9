// Elements and words. Whatever an API server or a client named is set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export const byId = (id) => document.getElementById(id);

// Touching the document only where something changed keeps selections, focus and the processor in peace.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setClass(node, name) {
  if (node.getAttribute("class") !== name) node.setAttribute("class", name);
}

export function count(value) {
  if (value < 10_000) return String(Math.round(value));
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) if (value >= size) return three(value / size) + unit;
  return String(value);
}

export function rate(value) {
  if (value === 0) return "0";
  return value < 0.95 ? value.toFixed(1) : count(value);
}

export function bytes(value) {
  if (value < 1000) return [Math.round(value), "B"];
  for (const [unit, size] of [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) if (value >= size * 0.9995) return [three(value / size), unit];
  return [Math.round(value), "B"];
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${three(value * 1000)} ms`;
  return `${three(value)} s`;
}

export function duration(value) {
  if (value < 60) return `${Math.round(value)} s`;
  if (value < 5400) return `${Math.round(value / 60)} min`;
  if (value < 172_800) return `${Math.round(value / 3600)} h`;
  return `${Math.round(value / 86_400)} d`;
}

export function clock(text) {
  const time = new Date(text);
  return time.toLocaleTimeString([], { hour12: false });
}

export const plural = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

const three = (value) => (value < 9.95 ? value.toFixed(1) : String(Math.round(value)));
