// The page: one stream of snapshots and events, what it is asked for, and the keys. Everything shown comes through dom.js.

import { byId, bytes, count, duration, el, plural, rate, seconds, setClass, setText } from "./dom.js";
import { Spark } from "./charts.js";
import { EventList } from "./events.js";
import { ServiceTable, line } from "./services.js";

const HISTORY = 120;
const AGAIN = 3000;

const state = { search: "", sort: "name", page: 0, pages: 1, paused: false };
const table = new ServiceTable(() => connect());
const events = new EventList();
const tiles = ["Open connections", "New connections", "Bytes", "Failures", "Time to connect"].map(tile);
let source;
let timer;

function tile(title) {
  const heading = el("h3");
  heading.textContent = title;
  const value = el("div", { class: "value" });
  const note = el("div", { class: "note" });
  const spark = new Spark(HISTORY, title === "Time to connect" ? 0.001 : 1);
  byId("tiles").append(el("section", { class: "tile" }, heading, value, note, spark.node));
  return { value, note, spark, first: [], second: [] };
}

function connect() {
  clearTimeout(timer);
  source?.close();
  if (state.paused || document.hidden) return;
  const query = new URLSearchParams({ search: state.search, sort: state.sort, page: state.page });
  for (const service of table.opened) query.append("open", service);
  source = new EventSource(`live?${query}`);
  let first = true;
  source.addEventListener("open", () => { first = true; });
  source.addEventListener("snapshot", (message) => show(JSON.parse(message.data)));
  source.addEventListener("events", (message) => {
    events.add(JSON.parse(message.data), first);
    first = false;
  });
  source.addEventListener("error", () => {
    pill("bad", "agent does not answer");
    if (source.readyState === EventSource.CLOSED) timer = setTimeout(connect, AGAIN);
  });
  const shown = new URLSearchParams();
  for (const name of ["search", "sort", "page"]) if (state[name] && state[name] !== "name") shown.set(name, state[name]);
  history.replaceState(null, "", String(shown) ? `?${shown}` : location.pathname);
}

function show(snapshot) {
  header(snapshot);
  totals(snapshot);
  table.show(snapshot.rows, snapshot.interval > 0);
  const { found, services, page, pages } = snapshot;
  state.page = page;
  state.pages = pages;
  setText(byId("found"), found === services ? services.toLocaleString("en") : `${found.toLocaleString("en")} of ${services.toLocaleString("en")}`);
  byId("none").hidden = snapshot.rows.length > 0;
  setText(byId("none"), services ? "No Service matches. Esc clears the search." : "No Services yet. They appear here as soon as the API server has one.");
  byId("services").hidden = !snapshot.rows.length;
  byId("pager").hidden = pages < 2;
  setText(byId("page"), `Page ${page + 1} of ${pages}`);
  byId("previous").disabled = page === 0;
  byId("next").disabled = page + 1 >= pages;
  capture(snapshot.capture);
  list(byId("watches"), snapshot.watches, watch);
}

function header(snapshot) {
  if (!snapshot.ready) pill("warn", `not ready: ${snapshot.waiting_for.join(", ")}`);
  else if (!snapshot.healthy) pill("bad", "changes are not applied in time");
  else pill("good", "ready");
  setText(byId("version"), snapshot.version);
  const { running, replaced } = snapshot.workers;
  const facts = [`up ${duration((Date.parse(snapshot.time) - Date.parse(snapshot.started)) / 1000)}`, running ? plural(running, "worker") : "one process"];
  if (replaced) facts.push(`${replaced} replaced`);
  if (snapshot.without_endpoints) facts.push(`${plural(snapshot.without_endpoints, "Service port")} without endpoints`);
  list(byId("facts"), facts, (fact) => line(fact.endsWith("endpoints") ? "bad" : "", fact, "span"));
  list(byId("warnings"), snapshot.warnings, (warning) => line("", warning));
}

function totals(snapshot) {
  // The first snapshot of a stream has nothing to compare with; what was shown before stays.
  const { rates } = snapshot;
  if (!snapshot.interval && tiles[0].first.length) return;
  const failing = rates.failed + rates.retried;
  put(0, count(rates.open), "", `${count(snapshot.accepted)} accepted since the start`, rates.open);
  put(1, rate(rates.new), "/s", `${count(snapshot.failed)} failed since the start`, rates.new);
  const [moved, unit] = bytes(rates.received + rates.sent);
  put(2, moved, `${unit}/s`, `${bytes(rates.received).join(" ")} in, ${bytes(rates.sent).join(" ")} out`, rates.sent, rates.received);
  put(3, rate(failing), "/s", `dials retried ${rate(rates.retried)}/s, clients refused ${rate(rates.failed)}/s`, failing, undefined, true);
  put(4, seconds(snapshot.p50), "p50", snapshot.p99 === null ? "no dial yet" : `${seconds(snapshot.p99)} p99`, snapshot.p50 ?? 0, snapshot.p99 ?? 0);
}

function put(index, value, unit, note, first, second, alarm = false) {
  const one = tiles[index];
  const small = el("small");
  small.textContent = unit;
  one.value.replaceChildren(String(value), small);
  setText(one.note, note);
  one.first.push(first);
  if (second !== undefined) one.second.push(second);
  for (const values of [one.first, one.second]) if (values.length > HISTORY) values.shift();
  one.spark.draw(one.first, one.second, alarm && one.first.some((past) => past > 0));
}

function capture(view) {
  const inUse = view.detail ? `${view.name} (${view.detail})` : view.name;
  setText(byId("capture"), inUse);
  const repairs = view.repairs ? [{ capture: "repairs", usable: false, reason: `put back ${plural(view.repairs, "time")}: another program removes what is ours` }] : [];
  list(byId("probes"), [...view.probes, ...repairs], (probe) => {
    const name = el("span", { class: "strong" });
    name.textContent = probe.capture;
    const word = el("span", { class: "faint" });
    word.textContent = probe.usable ? (probe.capture === inUse ? "in use" : "usable") : probe.capture === "repairs" ? "" : "not usable";
    return el("li", {}, el("span", { class: `dot ${probe.usable ? "good" : "warn"}` }), name, word, line("sub", probe.reason, "span"));
  });
}

function watch(one) {
  const name = el("span");
  name.textContent = one.resource;
  const age = el("span", { class: "faint" });
  age.textContent = one.last_event_age === null ? "no event yet" : `event ${duration(one.last_event_age)} ago`;
  const restarts = Object.entries(one.restarts).filter(([, times]) => times).map(([reason, times]) => `${reason} ${times}`);
  const notes = [plural(one.objects, "object")];
  if (restarts.length) notes.push(`restarted: ${restarts.join(", ")}`);
  if (one.decode_errors) notes.push(`${one.decode_errors} not understood`);
  if (!one.connected && one.last_error) notes.push(one.last_error);
  return el("li", {}, el("span", { class: `dot ${one.connected ? "good" : "bad"}` }), name, age, line("sub", notes.join(" · "), "span"));
}

// Rebuilds a small list only when what it says has changed.
function list(node, items, make) {
  const text = JSON.stringify(items, (key, value) => (key === "last_event_age" && value !== null ? duration(value) : value));
  if (node.shown === text) return;
  node.shown = text;
  node.replaceChildren(...items.map(make));
}

function pill(kind, text) {
  setClass(byId("state"), `pill ${kind}`);
  setText(byId("state"), text);
}

function ask(changes) {
  Object.assign(state, { page: 0 }, changes);
  connect();
}

function pause() {
  state.paused = !state.paused;
  byId("pause").setAttribute("aria-pressed", String(state.paused));
  setText(byId("pause"), state.paused ? "Resume" : "Pause");
  if (state.paused) pill("", "paused");
  connect();
}

function theme(step) {
  const names = ["system", "light", "dark"];
  let name = "system";
  try { name = localStorage.getItem("userproxy-theme") ?? "system"; } catch { /* storage may be forbidden */ }
  if (!names.includes(name)) name = "system";
  if (step) name = names[(names.indexOf(name) + 1) % names.length];
  try { localStorage.setItem("userproxy-theme", name); } catch { /* then it lasts as long as the page */ }
  document.documentElement.dataset.theme = name;
  setText(byId("theme"), { system: "System", light: "Light", dark: "Dark" }[name]);
}

function keys(event) {
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape" && event.target === byId("search")) {
    event.target.value = "";
    event.target.blur();
    if (state.search) ask({ search: "" });
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const actions = {
    "/": () => byId("search").focus(), j: () => table.move(1), k: () => table.move(-1), ArrowDown: () => table.move(1), ArrowUp: () => table.move(-1),
    p: pause, t: () => theme(1), "[": () => byId("previous").click(), "]": () => byId("next").click(),
  };
  const onRow = event.target.matches("tr.row");
  if (!(event.key in actions) || (event.key.startsWith("Arrow") && !onRow)) return;
  event.preventDefault();
  actions[event.key]();
}

const asked = new URLSearchParams(location.search);
state.search = byId("search").value = asked.get("search") ?? "";
if ([...byId("sort").options].some((option) => option.value === asked.get("sort"))) state.sort = byId("sort").value = asked.get("sort");
state.page = /^\d{1,7}$/.test(asked.get("page") ?? "") ? Number(asked.get("page")) : 0;
let typed;
byId("search").addEventListener("input", (event) => {
  clearTimeout(typed);
  typed = setTimeout(() => ask({ search: event.target.value }), 180);
});
byId("sort").addEventListener("change", (event) => ask({ sort: event.target.value }));
byId("previous").addEventListener("click", () => ask({ page: Math.max(0, state.page - 1) }));
byId("next").addEventListener("click", () => ask({ page: Math.min(state.pages - 1, state.page + 1) }));
byId("pause").addEventListener("click", pause);
byId("theme").addEventListener("click", () => theme(1));
document.addEventListener("keydown", keys);
document.addEventListener("visibilitychange", connect);
theme(0);
connect();
