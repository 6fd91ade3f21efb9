// The table of Service ports: rows that are changed in place, and the endpoints of those that are opened.

import { byId, bytes, count, el, plural, rate, seconds, setClass, setText } from "./dom.js";
import { Spark, StateBar, histogram } from "./charts.js";

const KINDS = ["used", "idle", "leaving", "out"];
const HISTORY = 60;
const LABELS = ["", "", "", "Open", "New/s", "Bytes/s", "Failures", "Dial p50 / p99"];

export class ServiceTable {
  constructor(toggled) {
    this.toggled = toggled;
    this.body = byId("rows");
    this.rows = new Map();
    this.opened = new Set();
    this.body.addEventListener("click", (event) => this.click(event));
    this.body.addEventListener("keydown", (event) => this.key(event));
  }

  show(rows, rated) {
    const seen = new Set();
    const order = [];
    for (const data of rows) {
      const id = [data.namespace, data.service, data.port, data.protocol, data.ip_family].join("|");
      seen.add(id);
      const row = this.rows.get(id) ?? this.add(id, data);
      row.update(data, this.opened.has(row.service), rated);
      order.push(...row.nodes());
    }
    for (const [id, row] of this.rows) {
      if (!seen.has(id)) {
        row.nodes().forEach((node) => node.remove());
        this.rows.delete(id);
      }
    }
    order.forEach((node, index) => {
      if (this.body.children[index] !== node) this.body.insertBefore(node, this.body.children[index] ?? null);
    });
  }

  move(step) {
    const rows = [...this.body.querySelectorAll("tr.row")];
    const at = rows.indexOf(document.activeElement);
    const next = rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  add(id, data) {
    const row = new Row(data);
    this.rows.set(id, row);
    return row;
  }

  click(event) {
    const node = event.target.closest("tr.row");
    // Whoever selects an address to copy it does not want the row to open.
    if (node && !String(getSelection())) this.toggle(node.dataset.service);
  }

  key(event) {
    if (!event.target.matches("tr.row") || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    this.toggle(event.target.dataset.service);
  }

  toggle(service) {
    if (this.opened.has(service)) this.opened.delete(service);
    else this.opened.add(service);
    this.toggled();
  }
}

class Row {
  constructor(data) {
    this.service = `${data.namespace}/${data.service}`;
    this.history = [];
    this.label = el("span", { class: "service" });
    this.chips = el("span", { class: "chips" });
    this.bar = new StateBar(KINDS);
    this.ends = el("span");
    this.spark = new Spark(HISTORY, 1);
    this.fresh = el("span", { class: "figure" });
    const cells = LABELS.map((label, index) => el("td", index > 2 ? { class: "n", "data-label": label } : {}));
    [this.name, this.address, this.endpoints, this.open, this.news, this.bytes, this.failures, this.dial] = cells;
    this.name.append(el("div", { class: "name" }, this.label, this.chips));
    setClass(this.address, "mono");
    this.endpoints.append(el("div", { class: "ends" }, this.bar.node, this.ends));
    this.news.append(el("span", { class: "rate" }, this.spark.node, this.fresh));
    this.node = el("tr", { class: "row", tabindex: "0", "aria-expanded": "false" }, ...cells);
    this.node.dataset.service = this.service;
    this.heading(data);
  }

  nodes() {
    return this.detail ? [this.node, this.detail.node] : [this.node];
  }

  heading(data) {
    const name = el("b");
    name.textContent = data.service;
    const space = el("span", { class: "faint" });
    space.textContent = `${data.namespace}/`;
    const port = el("span", { class: "faint" });
    port.textContent = data.port ? `:${data.port}` : "";
    this.label.append(space, name, port);
  }

  update(data, opened, rated) {
    this.chip(data);
    setText(this.address, data.address + (data.more_addresses ? ` +${data.more_addresses}` : ""));
    this.bar.draw([data.in_use, data.ready, data.terminating, data.unready]);
    const known = data.in_use + data.ready + data.terminating + data.unready;
    setText(this.ends, data.in_use === known ? String(known) : `${data.in_use} of ${known}`);
    setClass(this.ends, data.in_use ? "" : "bad strong");
    this.endpoints.title = `${data.in_use} in use, ${data.ready} ready but not used here, ${data.terminating} terminating, ${data.unready} not ready`;
    number(this.open, data.rates.open, count(data.rates.open));
    if (rated || !this.history.length) this.rates(data);
    number(this.dial, data.p50 ?? 0, data.p50 === null ? "–" : `${seconds(data.p50)} / ${seconds(data.p99)}`);
    this.node.setAttribute("aria-expanded", String(opened));
    this.open_(data, opened);
  }

  rates(data) {
    this.history.push(data.rates.new);
    if (this.history.length > HISTORY) this.history.shift();
    this.spark.draw(this.history);
    setText(this.fresh, rate(data.rates.new));
    setClass(this.news, data.rates.new ? "n" : "n zero");
    const flow = data.rates.received + data.rates.sent;
    number(this.bytes, flow, bytes(flow).join(" "));
    const failing = data.rates.failed + data.rates.retried;
    setText(this.failures, failures(data));
    setClass(this.failures, `n ${failing || data.failed ? "bad" : data.retried ? "warn" : "zero"}`);
    this.failures.title = `${plural(data.failed, "connection")} failed, ${plural(data.retried, "dial")} retried since the start`;
  }

  chip(data) {
    const words = [];
    if (data.protocol !== "TCP") words.push(["", data.protocol]);
    if (data.ip_family === "IPv6") words.push(["", "IPv6"]);
    if (data.verdict === "drop") words.push(["bad", "dropping: no endpoint"]);
    if (data.verdict === "reject") words.push(["bad", "rejecting: no endpoint"]);
    if (!data.verdict) words.push(["", "not planned yet"]);
    if (data.warnings.length) words.push(["warn", plural(data.warnings.length, "warning")]);
    const text = words.map(([kind, word]) => `${kind} ${word}`).join("|");
    if (this.chips.dataset.text === text) return;
    this.chips.dataset.text = text;
    this.chips.replaceChildren(...words.flatMap(([kind, word]) => [chip(kind, word), " "]));
  }

  open_(data, opened) {
    if (!opened) {
      this.detail?.node.remove();
      this.detail = undefined;
      return;
    }
    this.detail ??= new Detail();
    if (data.detail) this.detail.show(data);
  }
}

class Detail {
  constructor() {
    this.endpoints = el("ul", { class: "scroll" });
    this.frontends = el("ul", { class: "scroll" });
    this.dials = el("div");
    this.warnings = el("div");
    const grid = el("div", { class: "grid" }, part("Endpoints", this.endpoints), part("Addresses", this.frontends, this.warnings), part("Time to connect to an endpoint", this.dials));
    this.node = el("tr", { class: "detail" }, el("td", { colspan: "8" }, grid));
  }

  show(data) {
    const text = JSON.stringify([data.detail, data.warnings]);
    if (text === this.shown) return;
    this.shown = text;
    const { detail } = data;
    this.endpoints.replaceChildren(...detail.endpoints.map(endpoint));
    if (!detail.endpoints.length) this.endpoints.append(line("faint", "none"));
    if (detail.more_endpoints) this.endpoints.append(line("faint", `and ${detail.more_endpoints} more`));
    this.frontends.replaceChildren(...detail.frontends.map(frontend));
    this.warnings.replaceChildren(...data.warnings.map((warning) => line("warning", warning, "p")));
    const reasons = [["refused", detail.dial_refused], ["unreachable", detail.dial_unreachable], ["timed out", detail.dial_timeout], ["other", detail.dial_other]];
    const failed = reasons.filter(([, times]) => times).map(([word, times]) => `${count(times)} ${word}`).join(", ");
    const dialled = detail.dial_buckets.some((times) => times);
    this.dials.replaceChildren(dialled ? histogram(detail.dial_buckets) : line("faint", "no dial yet", "p"), ...(failed ? [line("bad", `Failed dials: ${failed}`, "p")] : []));
  }
}

function endpoint(one) {
  const kind = one.in_use ? "used" : one.terminating ? "leaving" : one.ready ? "idle" : "out";
  const word = { used: one.terminating ? "in use, terminating" : "in use", leaving: one.serving ? "terminating, serving" : "terminating", idle: "ready, not used here", out: "not ready" }[kind];
  const address = el("span", { class: "mono" });
  address.textContent = one.address.includes(":") ? `[${one.address}]:${one.port}` : `${one.address}:${one.port}`;
  const right = el("span", { class: "right" });
  right.textContent = one.node ? `${word} · ${one.node}` : word;
  return el("li", {}, el("span", { class: `dot ${kind}` }), address, right);
}

function frontend(one) {
  const address = el("span", { class: "mono" });
  address.textContent = one.address.includes(":") ? `[${one.address}]:${one.port}` : `${one.address}:${one.port}`;
  const right = el("span", { class: "right under" });
  right.textContent = one.listener ? `${one.kind}, listener ${one.listener}` : one.kind;
  return el("li", {}, address, right);
}

function part(title, ...nodes) {
  const heading = el("h3");
  heading.textContent = title;
  return el("div", {}, heading, ...nodes);
}

export function chip(kind, word) {
  const node = el("span", { class: `chip ${kind}`.trim() });
  node.textContent = word;
  return node;
}

export function line(kind, text, tag = "li") {
  const node = el(tag, { class: kind });
  node.textContent = text;
  return node;
}

function failures(data) {
  const failing = data.rates.failed + data.rates.retried;
  const total = data.failed + data.retried;
  if (!total) return "0";
  return failing ? `${rate(failing)}/s · ${count(total)}` : count(total);
}

function number(cell, value, text) {
  setText(cell, text);
  setClass(cell, value ? "n" : "n zero");
}
