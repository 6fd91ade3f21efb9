// The latest events, newest first. Hidden kinds are kept, so that a change of the filter shows the past too.

import { byId, bytes, clock, el, plural, seconds } from "./dom.js";
import { chip } from "./services.js";

const KEPT = 200;

export class EventList {
  constructor() {
    this.list = byId("events");
    this.kind = "all";
    this.events = [];
    byId("kinds").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      this.kind = button.dataset.kind;
      for (const other of byId("kinds").children) other.setAttribute("aria-pressed", String(other === button));
      this.draw();
    });
    this.draw();
  }

  add(events, anew) {
    // A new stream begins with the past again.
    if (anew) this.events = [];
    this.events.push(...events);
    this.events.sort((one, other) => (one.time < other.time ? -1 : one.time > other.time ? 1 : 0));
    this.events.splice(0, this.events.length - KEPT);
    this.draw();
  }

  draw() {
    const wanted = this.events.filter((event) => matches(event, this.kind)).reverse();
    if (wanted.length) this.list.replaceChildren(...wanted.map(item));
    else {
      const none = el("li", { class: "faint" });
      none.textContent = this.events.length ? "None of this kind among the latest." : "Nothing has happened yet.";
      none.style.setProperty("display", "block");
      this.list.replaceChildren(none);
    }
  }
}

function matches(event, kind) {
  const trouble = event.type === "lost" || ["refused", "reset", "drop", "reject"].includes(event.verdict) || event.failed?.length > 0 || ["capture", "listener", "worker"].includes(event.kind);
  return kind === "all" || (kind === "trouble" ? trouble : event.type === "change");
}

function item(event) {
  const time = el("time", { datetime: event.time });
  time.textContent = clock(event.time);
  const what = el("span", { class: "what" });
  const node = el("li", {}, time, what);
  if (event.type === "lost") {
    what.textContent = `${plural(event.count, "event")} left out: they came too fast`;
    node.append(chip("warn", "lost"));
    return node;
  }
  const service = event.service ? `${event.namespace}/${event.service}${event.port ? `:${event.port}` : ""}` : "";
  if (event.type === "change") {
    what.textContent = service || "this proxy";
    node.append(chip(tone(event), event.kind === "verdict" ? event.verdict : "change"), sub(event.message));
    return node;
  }
  what.textContent = event.endpoint && event.verdict !== "refused" ? `${service} → ${event.endpoint}` : service;
  node.append(chip(tone(event), event.failed.length && event.verdict === "closed" ? "retried" : event.verdict), sub(story(event)));
  return node;
}

function story(event) {
  const parts = [event.client, seconds(event.seconds)];
  if (event.verdict !== "refused") parts.push(`${bytes(event.received).join(" ")} in, ${bytes(event.sent).join(" ")} out`);
  if (event.failed.length) parts.push(`${event.failed.join(", ")}: ${event.reason || "no answer"}`);
  else if (event.reason) parts.push(event.reason);
  if (event.sample > 1) parts.push(`1 of ${event.sample}`);
  return parts.join(" · ");
}

function tone(event) {
  if (["refused", "drop", "reject"].includes(event.verdict)) return "bad";
  if (event.verdict === "reset" || event.failed?.length || ["capture", "listener", "worker"].includes(event.kind)) return "warn";
  return ["carry", "opened"].includes(event.verdict) ? "good" : "";
}

function sub(text) {
  const node = el("span", { class: "sub" });
  node.textContent = text;
  return node;
}
