// Small charts in SVG: lines over time, endpoints by state, dials by time. Each is made once and then changed in place.

import { svg, setClass } from "./dom.js";

const WIDTH = 100;
const HEIGHT = 30;

export class Spark {
  // Up to `size` values, the newest at the right edge; a second line shares the scale.
  constructor(size, floor) {
    this.size = size;
    this.floor = floor;
    this.area = svg("path", { class: "area" });
    this.line = svg("path", { class: "line" });
    this.second = svg("path", { class: "second" });
    this.node = svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, this.area, this.second, this.line);
  }

  draw(values, others = [], alarm = false) {
    const top = Math.max(this.floor, ...values, ...others) * 1.08;
    const line = this.path(values, top);
    this.line.setAttribute("d", line);
    this.second.setAttribute("d", this.path(others, top));
    const start = this.x(0, values.length);
    this.area.setAttribute("d", line ? `${line}L${WIDTH} ${HEIGHT}L${start} ${HEIGHT}Z` : "");
    setClass(this.node, alarm ? "spark alarm" : "spark");
  }

  x(index, length) {
    return (WIDTH - ((length - 1 - index) * WIDTH) / (this.size - 1)).toFixed(2);
  }

  path(values, top) {
    if (values.length < 2) return "";
    const points = values.map((value, index) => `${this.x(index, values.length)} ${(HEIGHT - 1 - (value / top) * (HEIGHT - 3)).toFixed(2)}`);
    return `M${points.join("L")}`;
  }
}

export class StateBar {
  // Parts of a whole, in the order of `kinds`.
  constructor(kinds) {
    this.parts = kinds.map((kind) => svg("rect", { class: `seg ${kind}`, y: "0", height: "8" }));
    this.node = svg("svg", { viewBox: "0 0 64 8", preserveAspectRatio: "none", "aria-hidden": "true" }, ...this.parts);
  }

  draw(counts) {
    const total = counts.reduce((sum, value) => sum + value, 0);
    let at = 0;
    counts.forEach((value, index) => {
      const width = total ? (value / total) * 64 : 0;
      this.parts[index].setAttribute("x", at.toFixed(2));
      this.parts[index].setAttribute("width", width.toFixed(2));
      at += width;
    });
  }
}

const LABELS = ["½ ms", "1", "2.5", "5", "10", "25", "50", "100", "250", "0.5s", "1", "2", ">2s"];

export function histogram(buckets) {
  const most = Math.max(1, ...buckets);
  const step = 260 / buckets.length;
  const parts = [];
  buckets.forEach((value, index) => {
    const height = value ? Math.max(2, (Math.sqrt(value / most)) * 54) : 0;
    parts.push(svg("rect", { x: (index * step + 2).toFixed(1), y: (56 - height).toFixed(1), width: (step - 4).toFixed(1), height: height.toFixed(1), rx: "1.5" }));
    if (index % 2 === 0) {
      const label = svg("text", { x: (index ? index * step + step / 2 : 2).toFixed(1), y: "69", "text-anchor": index ? "middle" : "start" });
      label.textContent = LABELS[index] ?? "";
      parts.push(label);
    }
  });
  return svg("svg", { class: "histogram", viewBox: "0 0 260 74", role: "img", "aria-label": "Successful dials by time" }, ...parts);
}
