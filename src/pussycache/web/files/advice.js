// What the advisor says of observed objects: its reasons, and its curves.

import { element } from "./dom.js";
import { Plot, SHARES, magnitudes } from "./plots.js";
import { count, duration, percent } from "./words.js";

const UNKNOWN = ["cannot", "too few calls"];
const TTLS = [[1, "1 s"], [60, "1 min"], [3600, "1 h"], [86400, "1 day"]];

export class Advice {
  constructor(host) {
    this.host = host;
    this.methods = new Map();
    this.cards = new Map();
  }

  // reports: as Report.to_json() makes them, with the key of the object.
  show(reports) {
    for (const report of reports) {
      let card = this.cards.get(report.key);
      if (!card) {
        const watched = element("p", { class: "soft" });
        const inside = element("div");
        const heading = element("h2", {}, `What to cache of ${report.object}`);
        this.host.append(element("section", { class: "card" }, heading, watched, inside));
        this.cards.set(report.key, (card = { watched, inside }));
      }
      card.watched.textContent =
        `Observed for ${duration(report.watched_seconds)}, ${count(report.calls)} calls.`;
      for (const [name, method] of Object.entries(report.methods)) {
        this.method(`${report.key} ${name}`, card.inside, name, method);
      }
    }
  }

  method(key, inside, name, method) {
    let shown = this.methods.get(key);
    if (!shown) {
      const said = element("p", { class: "soft" });
      const plots = element("div", { class: "plots" });
      inside.append(element("h3", {}, name), said, plots);
      this.methods.set(key, (shown = { said, plots, drawn: null }));
    }
    shown.said.textContent = method.reasons;
    if (UNKNOWN.includes(method.advice) || !method.repeated) return;
    shown.drawn ??= [plotted(shown.plots, BY_SIZE), plotted(shown.plots, BY_TTL)];
    shown.drawn[0].show(bySize(method));
    shown.drawn[1].show(byTtl(method));
  }
}

const BY_SIZE = () => [
  element("span", { class: "key one" }, "Misses"),
  " of an LRU cache, by its entries",
];
const BY_TTL = () => [
  element("span", { class: "key one" }, "Hits"),
  " by ttl, and ",
  element("span", { class: "key two" }, "wrong answers"),
  ", were nothing invalidated",
];

function plotted(host, caption) {
  const plot = element("div", { class: "plot" });
  host.append(element("figure", {}, element("figcaption", {}, ...caption()), plot));
  return new Plot(plot);
}

function bySize(method) {
  const points = method.curve.map((point) => [point.entries, point.miss_ratio]);
  const to = points[points.length - 1][0];
  return {
    ...SHARES,
    label: "Share of calls that miss, by entries of an LRU cache",
    logarithmic: true,
    from: points[0][0],
    to,
    ticks: magnitudes(points[0][0], to).map((entries) => [entries, count(entries)]),
    mark: method.entries,
    lines: [{ style: "one", points }],
    read: (at, [y]) => `${count(at)} entries: ${percent(y)}`,
  };
}

function byTtl(method) {
  const hits = method.ttl.map((point) => [point.seconds, point.hit_ratio]);
  const wrong = method.ttl.map((point) => [point.seconds, point.wrong_ratio]);
  const [from, to] = [hits[0][0], hits[hits.length - 1][0]];
  return {
    ...SHARES,
    label: "Share of calls that hit, and of wrong answers, by ttl",
    logarithmic: true,
    from,
    to,
    ticks: TTLS.filter(([ttl]) => ttl >= from && ttl <= to),
    mark: method.ttl_seconds,
    lines: [
      { style: "one", points: hits },
      { style: "two", points: wrong },
    ],
    read: (at, [hit, bad]) =>
      `${duration(at)}: ${percent(hit)}${bad === null ? "" : `, ${percent(bad)} wrong`}`,
  };
}
