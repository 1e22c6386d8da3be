// Asks for the figures once a second, and has them shown.

import { Advice } from "./advice.js";
import { element } from "./dom.js";
import { Graph } from "./graph.js";
import { Past } from "./history.js";
import { Table } from "./table.js";
import { clock, count, duration, percent, rate } from "./words.js";

const EVERY = 1000;
const ADVICE_EVERY = 10_000;
const PATIENCE = 10_000;

const by = (id) => document.getElementById(id);
const past = new Past();
const table = new Table(by("methods"), forget);
const graph = new Graph(by("graph"));
const advice = new Advice(by("advice"));

let asking = null;
let token = null;
let last = -1;
let shown = null; // the process that is shown
let heard = 0; // when it was last heard of
let others = new Set();
let advised = -ADVICE_EVERY;

async function poll() {
  try {
    if (!document.hidden) await ask();
  } catch (error) {
    live(`no answer (${error.message})`, true);
  }
  setTimeout(poll, EVERY);
}

// One question at a time: two would be answered with the same points.
function ask() {
  asking ??= asked().finally(() => {
    asking = null;
  });
  return asking;
}

async function got(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return await answer.json();
}

async function asked() {
  const figures = await got(`figures.json?after=${last}`);
  const now = performance.now();
  const { process } = figures;
  if (process.id !== shown) {
    // Behind one address there may be several processes, each with figures of its own.
    if (shown !== null && now - heard < PATIENCE) {
      others.add(process.id);
      return;
    }
    shown = process.id;
    last = -1;
    past.points = [];
    others = new Set();
    heard = now;
    return await asked();
  }
  heard = now;
  show(figures);
  if (figures.observed && now - advised > ADVICE_EVERY) {
    advised = now;
    advice.show(await got("advice.json"));
  }
}

function live(text, bad = false) {
  by("live").textContent = text;
  by("live").classList.toggle("bad", bad);
}

function show(figures) {
  live("live");
  by("process").textContent =
    `process ${figures.process.pid}` +
    (others.size ? `, one of ${others.size + 1} that answer here; the others have their own` : "");
  last = figures.last;
  past.add(figures.history, figures.room);
  past.draw();
  tiles(figures.total);
  table.show(figures.methods, token !== null);
  by("unlock").hidden = !figures.forgetting || token !== null;
  said(by("more"), figures.more, `and ${count(figures.more)} more, which were called less`);
  by("graphed").hidden = !figures.edges.length;
  graph.show(figures.edges);
  said(by("uncounted"), figures.more_edges, `and ${count(figures.more_edges)} more`);
  writes(figures.writes);
  stores(figures.stores, figures.total.pending);
}

function said(place, number, text) {
  place.hidden = !number;
  place.textContent = text;
}

function tiles(total) {
  const calls = total.hits + total.misses;
  const now = past.latest();
  const ended = total.loads + total.failures;
  const beside = (text) => element("div", { class: "beside" }, text);
  const tile = (name, value, text, bad) =>
    element(
      "div",
      { class: bad ? "tile bad" : "tile" },
      element("div", { class: "name" }, name),
      element("div", { class: "value" }, value),
      beside(text),
    );
  const known = (value, say) => (value === null || value === undefined ? "–" : say(value));
  by("tiles").replaceChildren(
    tile("Hit ratio", known(now?.ratio, percent), `${calls ? percent(total.hits / calls) : "–"} in all`),
    tile("Calls a second", known(now && now.hits + now.misses, rate), `${count(calls)} in all`),
    tile("A load takes", known(now?.load, duration), `${ended ? duration(total.load_time / ended) : "–"} in all`),
    tile("Time saved", total.time_saved > 0 ? duration(total.time_saved) : "–", "an estimate"),
    tile("Entries", count(total.entries), `${count(total.evictions)} evicted, ${count(total.expired)} expired`),
    tile("Failed loads", count(total.failures), `${count(total.stale)} stale answers`, total.failures),
  );
}

function writes(latest) {
  by("written").hidden = !latest.length;
  by("writes").replaceChildren(
    ...latest.map((write) =>
      element("li", {}, element("time", {}, clock(write.when)), element("span", {}, write.what)),
    ),
  );
}

let alarmed = "";

function stores(found, pending) {
  by("stored").hidden = !found.length;
  by("stores").replaceChildren(
    ...found.map((store) =>
      element(
        "li",
        {},
        `${store.name}: `,
        element("span", { class: store.breaker === "closed" ? "good" : "bad" }, `breaker ${store.breaker}`),
        ", ",
        element("span", { class: store.pending ? "bad" : "good" }, `${count(store.pending)} pending`),
      ),
    ),
  );
  const alarms = [];
  for (const store of found) {
    if (store.breaker !== "closed") {
      alarms.push(`${store.name} does not answer (breaker ${store.breaker}): calls compute.`);
    }
  }
  if (pending) {
    alarms.push(
      `Invalidations that have not reached the shared cache yet: ${count(pending)}. Other processes ` +
        "may be served what these have made wrong.",
    );
  }
  // Read aloud when it changes, and not each second.
  if (alarms.join() !== alarmed) {
    alarmed = alarms.join();
    by("alarms").replaceChildren(...alarms.map((text) => element("p", {}, text)));
  }
}

// Forgetting. The token is kept in this page's memory only.

async function post(path, sent, body) {
  return await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Pussycache-Token": sent },
    body: JSON.stringify(body),
  });
}

async function told(answer) {
  try {
    return (await answer.json()).said;
  } catch {
    return `${answer.status} ${answer.statusText}`;
  }
}

function say(text, bad) {
  by("said").textContent = text;
  by("said").classList.toggle("bad", bad);
}

async function forget(label) {
  try {
    const answer = await post("forget", token, { method: label });
    say(await told(answer), !answer.ok);
    if (answer.ok) await ask();
  } catch (error) {
    say(`not forgotten: ${error.message}`, true);
  }
}

by("unlock").addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = by("token").value;
  by("token").value = "";
  try {
    const answer = await post("token", given, {});
    say(await told(answer), !answer.ok);
    if (answer.ok) {
      token = given;
      await ask();
    }
  } catch (error) {
    say(`not allowed: ${error.message}`, true);
  }
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) ask().catch(() => {});
});

poll();
