// The methods in a table that sorts; rows stay the same elements, so that focus stays where it is.

import { breakable, drawn, element, parted } from "./dom.js";
import { count, duration, percent } from "./words.js";

const calls = (method) => method.hits + method.misses;
const ended = (method) => method.loads + method.failures;
const mean = (method) => (ended(method) ? method.load_time / ended(method) : -1);
const ratio = (method) => (calls(method) ? method.hits / calls(method) : -1);

const COLUMNS = [
  { name: "Method", by: (method) => method.label, show: named },
  { name: "Hit ratio", by: ratio, show: bar },
  { name: "Calls", by: calls, show: (method) => [count(calls(method))] },
  { name: "A load", by: mean, show: times },
  { name: "Saved", by: (method) => method.time_saved, show: saved },
  { name: "Entries", by: (method) => method.entries, show: (method) => [count(method.entries)] },
  { name: "Invalidated", by: (m) => m.invalidations, show: (m) => [count(m.invalidations)] },
  { name: "Evicted", by: (m) => m.evictions, show: (m) => [count(m.evictions)] },
  { name: "Failed", by: (m) => m.failures, show: (m) => [count(m.failures)], bad: (m) => m.failures },
];

export class Table {
  constructor(table, forget) {
    this.forget = forget;
    this.sorted = { column: COLUMNS[2], down: true };
    this.rows = new Map();
    this.methods = [];
    this.headings = COLUMNS.map((column) => this.heading(column));
    this.forgets = element("td");
    this.head = element("tr", {}, ...this.headings);
    this.body = element("tbody");
    table.append(element("thead", {}, this.head), this.body);
  }

  heading(column) {
    const button = element("button", { type: "button" }, column.name);
    button.addEventListener("click", () => {
      const { sorted } = this;
      const down = sorted.column === column ? !sorted.down : column !== COLUMNS[0];
      this.sorted = { column, down };
      this.order();
    });
    return element("th", { scope: "col" }, button);
  }

  show(methods, mayForget) {
    this.methods = methods;
    this.forgets.remove();
    if (mayForget) this.head.append(this.forgets);
    const there = new Set(methods.map((method) => method.label));
    for (const [label, row] of this.rows) {
      if (!there.has(label)) {
        row.remove();
        this.rows.delete(label);
      }
    }
    for (const method of methods) this.fill(method, mayForget);
    // Nothing moves from under a finger: another method would be forgotten.
    if (!this.body.matches(":hover, :focus-within")) this.order();
  }

  fill(method, mayForget) {
    let row = this.rows.get(method.label);
    if (!row) {
      row = element("tr", { "data-method": method.label }, ...COLUMNS.map(() => element("td")));
      this.rows.set(method.label, row);
      this.body.append(row);
    }
    COLUMNS.forEach((column, i) => {
      row.cells[i].replaceChildren(...column.show(method));
      row.cells[i].classList.toggle("bad", Boolean(column.bad?.(method)));
    });
    mayForget &&= method.forgettable;
    if (mayForget && row.cells.length === COLUMNS.length) {
      const button = element("button", { type: "button" }, "Forget");
      button.setAttribute("aria-label", `Forget ${method.label}`);
      button.addEventListener("click", () => this.forget(method.label));
      row.append(element("td", {}, button));
    } else if (!mayForget && row.cells.length > COLUMNS.length) {
      row.cells[COLUMNS.length].remove();
    }
  }

  order() {
    const { column, down } = this.sorted;
    this.headings.forEach((heading, i) => {
      if (COLUMNS[i] === column) {
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      } else {
        heading.removeAttribute("aria-sort");
      }
    });
    const compared = (one, other) => (one < other ? -1 : one > other ? 1 : 0);
    const sorted = [...this.methods].sort(
      (one, other) =>
        (down ? -1 : 1) * compared(column.by(one), column.by(other)) ||
        compared(one.label, other.label),
    );
    const rows = sorted.map((method) => this.rows.get(method.label));
    // To move an element is to take the focus from it.
    if (rows.some((row, i) => this.body.rows[i] !== row)) this.body.append(...rows);
  }
}

function named(method) {
  const [within, name] = parted(method.label);
  const parts = [element("span", {}, ...breakable(name))];
  if (within) parts.push(element("span", { class: "soft" }, ...breakable(within)));
  return parts;
}

function bar(method) {
  if (!calls(method)) return ["–"];
  const part = ratio(method);
  const svg = drawn(
    "svg",
    { class: "bar", width: 48, height: 8, "aria-hidden": "true" },
    drawn("rect", { class: "whole", width: 48, height: 8, rx: 2 }),
    drawn("rect", { class: "part", width: 48 * part, height: 8, rx: 2 }),
  );
  return [svg, percent(part)];
}

// The mean, and how the loads are spread: each bar is ten times as long as the one before.
function times(method) {
  if (mean(method) < 0) return ["–"];
  const spread = method.load_times;
  const highest = Math.max(1, ...spread);
  const bars = spread.map((number, i) => {
    const height = number ? 2 + 14 * (number / highest) : 1;
    const place = { x: 6 * i, y: 16 - height, width: 5, height };
    return drawn("rect", { class: number ? null : "none", ...place });
  });
  const svg = drawn("svg", { class: "times", width: 6 * spread.length, height: 16 }, ...bars);
  return [duration(mean(method)), svg];
}

function saved(method) {
  return [method.time_saved > 0 ? duration(method.time_saved) : "–"];
}
