// Numbers as people read them.

export function percent(share) {
  const whole = 100 * share;
  if (whole > 0 && whole < 1) return "<1 %";
  if (whole > 99 && whole < 100) return `${Math.floor(whole * 10) / 10} %`;
  return `${Math.round(whole)} %`;
}

export function duration(seconds) {
  if (!seconds) return "0 s";
  for (const [unit, name] of [[86400, "days"], [3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"]]) {
    if (seconds >= unit * (unit > 1 ? 2 : 0.9995)) return `${short(seconds / unit)} ${name}`;
  }
  return `${short(seconds * 1e6)} µs`;
}

export function count(number) {
  return number < 1e6 ? Math.round(number).toLocaleString("en") : compact(number);
}

export function rate(number) {
  return number < 10 ? short(number) : count(number);
}

function short(number) {
  return String(Number(number.toPrecision(number < 1000 ? 3 : 4)));
}

function compact(number) {
  for (const [unit, name] of [[1e12, "T"], [1e9, "G"], [1e6, "M"]]) {
    if (number >= unit) return `${short(number / unit)} ${name}`;
  }
  return String(number);
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}
