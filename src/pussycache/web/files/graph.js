// The declarations as a picture: writing methods left, what they make wrong right, counts between.

import { drawn, parted, shortened } from "./dom.js";
import { count } from "./words.js";

const ROW = 44;
const BOX = 34;

export class Graph {
  constructor(host) {
    this.host = host;
    this.edges = [];
    this.before = new Map();
    new ResizeObserver(() => this.draw(new Set())).observe(host);
  }

  // edges: [writer, method, how often]
  show(edges) {
    const now = new Map(edges.map(([writer, method, often]) => [`${writer}\n${method}`, often]));
    const fresh = new Set();
    for (const [name, often] of now) {
      if (this.before.has(name) && this.before.get(name) < often) fresh.add(name);
    }
    const same = now.size === this.before.size && [...now].every(([k, n]) => this.before.get(k) === n);
    this.edges = edges;
    this.before = now;
    if (!same) this.draw(fresh);
  }

  draw(fresh) {
    const width = this.host.clientWidth;
    const { edges } = this;
    if (!edges.length || width < 100) return;
    const methods = [...new Set(edges.map(([, method]) => method))].sort();
    const of = new Map();
    for (const edge of edges) of.set(edge[0], [...(of.get(edge[0]) ?? []), edge]);
    // Near to what it is drawn to, so that lines cross less.
    const middle = (writer) => {
      const places = of.get(writer).map(([, method]) => methods.indexOf(method));
      return places.reduce((sum, place) => sum + place, 0) / places.length;
    };
    const writers = [...of.keys()].sort((a, b) => middle(a) - middle(b) || (a < b ? -1 : 1));
    const height = ROW * Math.max(writers.length, methods.length) + 4;
    const box = Math.min(240, width * 0.38);
    const row = (all, at) => (height * (at + 0.5)) / all.length;
    const lines = [];
    writers.forEach((writer, i) => {
      const own = of.get(writer).sort((a, b) => methods.indexOf(a[1]) - methods.indexOf(b[1]));
      own.forEach((edge, k) => {
        const from = [box, row(writers, i)];
        const to = [width - box, row(methods, methods.indexOf(edge[1]))];
        lines.push(line(edge, from, to, (k + 1) / (own.length + 1), fresh));
      });
    });
    const nodes = [
      ...writers.map((writer, i) => node(writer, 0, row(writers, i), box)),
      ...methods.map((method, i) => node(method, width - box, row(methods, i), box)),
    ];
    const said = edges.map(([writer, method, often]) => `${writer} made ${method} wrong ${often} times`);
    this.host.replaceChildren(
      drawn(
        "svg",
        { width, height, role: "img", "aria-label": said.join("; ") },
        ...lines,
        ...nodes,
      ),
    );
  }
}

function line([writer, method, often], [x1, y1], [x2, y2], t, fresh) {
  const half = (x1 + x2) / 2;
  // Where the curve is at t.
  const [a, b, c, d] = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3];
  const x = a * x1 + (b + c) * half + d * x2;
  const y = (a + b) * y1 + (c + d) * y2;
  const kinds = ["edge"];
  if (!often) kinds.push("never");
  if (fresh.has(`${writer}\n${method}`)) kinds.push("fresh");
  return drawn(
    "g",
    { class: kinds.join(" ") },
    drawn("path", {
      d: `M${x1},${y1}C${half},${y1} ${half},${y2} ${x2},${y2}`,
      "stroke-width": Math.min(8, 1.5 + 0.5 * Math.log2(1 + often)),
    }),
    drawn("text", { x, y: y + 4, "text-anchor": "middle" }, count(often)),
  );
}

function node(label, x, middle, width) {
  const most = Math.floor((width - 14) / 6.6);
  let [within, name] = parted(label);
  const dot = name.lastIndexOf(".");
  if (name.length > most && dot > 0) {
    // Rather the method's name in full than its class's.
    within = name.slice(0, dot);
    name = name.slice(dot + 1);
  }
  const parts = [
    drawn("title", {}, label),
    drawn("rect", { x: x + 1, y: middle - BOX / 2, width: width - 2, height: BOX, rx: 6 }),
    drawn("text", { x: x + 8, y: middle + (within ? -1 : 4) }, shortened(name, most)),
  ];
  if (within) {
    const place = { class: "within", x: x + 8, y: middle + 11 };
    parts.push(drawn("text", place, shortened(within, Math.floor(most * 1.2))));
  }
  return drawn("g", { class: "node" }, ...parts);
}
