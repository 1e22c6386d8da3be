// What has happened over time: totals as the server counted them, made into rates and means.

import { Plot, SHARES, levels } from "./plots.js";
import { clock, duration, percent, rate } from "./words.js";

// Over so many seconds, or one call in a second would make a ratio of 0 or 1.
const WINDOW = 10;
const SHOWN = 600;
const STEPS = [1, 5, 10, 30, 60, 120];

export class Past {
  constructor() {
    this.plots = ["ratio", "calls", "loads"].map((id) => new Plot(document.getElementById(id)));
    this.points = [];
  }

  // points: [when, hits, misses, loads, seconds of loads]
  add(points, room) {
    this.points.push(...points);
    this.points.splice(0, Math.max(0, this.points.length - room));
  }

  // What there was between a point and one some seconds before it.
  span(at) {
    const last = this.points[at];
    let from = at - 1;
    while (from > 0 && last[0] - this.points[from][0] < WINDOW) from -= 1;
    const first = this.points[Math.max(0, from)];
    const [seconds, hits, misses, loads, time] = last.map((value, i) => value - first[i]);
    const calls = hits + misses;
    return {
      ratio: calls > 0 ? hits / calls : null,
      hits: seconds > 0 ? hits / seconds : null,
      misses: seconds > 0 ? misses / seconds : null,
      load: loads > 0 ? time / loads : null,
    };
  }

  latest() {
    return this.points.length > 1 ? this.span(this.points.length - 1) : null;
  }

  draw() {
    const { points } = this;
    if (points.length < 2) return;
    const to = points[points.length - 1][0];
    let start = points.findIndex(([when]) => when >= to - SHOWN);
    if (points.length - start < 2) start = points.length - 2;
    const xs = points.slice(start).map(([when]) => when);
    const spans = xs.map((_, i) => (start + i ? this.span(start + i) : null));
    const line = (name) => xs.map((x, i) => [x, spans[i]?.[name] ?? null]);
    const time = { ...axis(xs[0], to), latest: true };
    const [ratio, calls, loads] = this.plots;
    ratio.show({
      ...time,
      ...SHARES,
      label: "Hit ratio over time",
      lines: [{ style: "one", points: line("ratio"), filled: true }],
      read: (at, [y]) => `${clock(at)}  ${y === null ? "no calls" : percent(y)}`,
    });
    const [hits, misses] = [line("hits"), line("misses")];
    calls.show({
      ...time,
      ...levels(most([...hits, ...misses]), rate),
      label: "Hits and misses a second, over time",
      lines: [
        { style: "one", points: hits },
        { style: "two", points: misses },
      ],
      read: (at, ys) => `${clock(at)}  ${ys.map((y) => rate(y ?? 0)).join(" / ")}`,
    });
    const load = line("load");
    loads.show({
      ...time,
      ...levels(most(load), duration),
      label: "Mean time of a load, over time",
      lines: [{ style: "one", points: load, filled: true }],
      read: (at, [y]) => `${clock(at)}  ${y === null ? "no loads" : duration(y)}`,
    });
  }
}

function most(points) {
  return Math.max(0, ...points.map(([, y]) => y ?? 0));
}

function axis(from, to) {
  const step = STEPS.find((seconds) => (to - from) / seconds <= 5) ?? 120;
  const ticks = [[to, "now"]];
  for (let back = step; to - back >= from && ticks.length < 6; back += step) {
    ticks.push([to - back, step < 60 ? `−${back} s` : `−${back / 60} min`]);
  }
  return { from, to, ticks };
}
