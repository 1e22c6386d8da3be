// Lines over an axis, as SVG, as wide as there is room; what is drawn is not known here.

import { drawn } from "./dom.js";

const LEFT = 46;
const RIGHT = 10;
const TOP = 20;
const BOTTOM = 20;

export class Plot {
  // data: label, lines [{style, points [[x, y or null]], filled}], from, to, ticks [[x, text]],
  // top, levels [[y, text]], logarithmic, mark, read(at, ys).
  constructor(host) {
    this.host = host;
    this.data = null;
    this.pointer = null;
    host.addEventListener("pointermove", (event) => {
      this.pointer = event.clientX - host.getBoundingClientRect().left;
      this.draw();
    });
    host.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(host);
  }

  show(data) {
    this.data = data;
    this.draw();
  }

  draw() {
    const { data, host } = this;
    const width = host.clientWidth;
    const height = host.clientHeight;
    if (!data || width < 100) return;
    const scale = data.logarithmic ? Math.log : (x) => x;
    const least = scale(data.from);
    const range = scale(data.to) - least || 1;
    const across = (x) => LEFT + ((scale(x) - least) / range) * (width - LEFT - RIGHT);
    const down = (y) => TOP + (1 - y / data.top) * (height - TOP - BOTTOM);
    const parts = [];
    for (const [y, text] of data.levels) {
      const at = down(y);
      parts.push(drawn("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: at, y2: at }));
      parts.push(drawn("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, text));
    }
    for (const [x, text] of data.ticks) {
      const at = across(x);
      const anchor = at > width - RIGHT - 24 ? "end" : "middle";
      parts.push(drawn("text", { x: at, y: height - 5, "text-anchor": anchor }, text));
    }
    if (data.mark >= data.from && data.mark <= data.to) {
      const x = across(data.mark);
      parts.push(drawn("line", { class: "mark", x1: x, x2: x, y1: TOP, y2: height - BOTTOM }));
    }
    for (const line of data.lines) parts.push(...drawnLine(line, across, down));
    parts.push(...this.readout(data, across, width, height));
    const svg = drawn(
      "svg",
      { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": data.label },
      ...parts,
    );
    host.replaceChildren(svg);
  }

  readout(data, across, width, height) {
    const xs = data.lines[0].points.map(([x]) => x);
    if (!xs.length) return [];
    let at = xs.length - 1;
    const parts = [];
    if (this.pointer !== null) {
      const away = xs.map((x) => Math.abs(across(x) - this.pointer));
      at = away.indexOf(Math.min(...away));
      const x = across(xs[at]);
      parts.push(drawn("line", { class: "mark", x1: x, x2: x, y1: TOP, y2: height - BOTTOM }));
    } else if (!data.latest) {
      return [];
    }
    const ys = data.lines.map((line) => line.points[at]?.[1] ?? null);
    const text = data.read(xs[at], ys);
    parts.push(
      drawn("text", { class: "readout", x: width - RIGHT, y: 12, "text-anchor": "end" }, text),
    );
    return parts;
  }
}

function drawnLine({ style, points, filled }, across, down) {
  const runs = [];
  let run = null;
  for (const [x, y] of points) {
    if (y === null) {
      run = null;
    } else {
      if (!run) runs.push((run = []));
      run.push(`${across(x).toFixed(1)},${down(y).toFixed(1)}`);
    }
  }
  const parts = [];
  for (const places of runs) {
    if (places.length === 1) {
      const [cx, cy] = places[0].split(",");
      parts.push(drawn("circle", { class: style, cx, cy, r: 2.5 }));
      continue;
    }
    const path = `M${places.join("L")}`;
    if (filled) {
      const [first] = places[0].split(",");
      const [last] = places[places.length - 1].split(",");
      const bottom = down(0).toFixed(1);
      parts.push(drawn("path", { class: "area", d: `${path}L${last},${bottom}L${first},${bottom}Z` }));
    }
    parts.push(drawn("path", { class: style, d: path }));
  }
  return parts;
}

// A round number at or above one, and what stands beside the lines up to there.
export function levels(most, say) {
  const power = 10 ** Math.floor(Math.log10(most || 1));
  const top = [1, 2, 5, 10].map((step) => step * power).find((step) => step >= most) ?? 1;
  return { top, levels: [0, top / 2, top].map((y) => [y, say(y)]) };
}

// Round numbers on a logarithmic axis, not too many.
export function magnitudes(from, to) {
  const steps = to / from < 100 ? [1, 2, 5] : [1];
  const found = [];
  for (let power = 1; power <= to; power *= 10) {
    for (const step of steps) if (step * power >= from && step * power <= to) found.push(step * power);
  }
  return found;
}

export const SHARES = {
  top: 1,
  levels: [0, 0.25, 0.5, 0.75, 1].map((y) => [y, `${100 * y} %`]),
};
