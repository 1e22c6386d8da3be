// Makes elements. Whatever is shown is set as text: nothing here reads markup.

const SVG = "http://www.w3.org/2000/svg";

function made(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function element(tag, attributes = {}, ...children) {
  return made(document.createElement(tag), attributes, children);
}

export function drawn(tag, attributes = {}, ...children) {
  return made(document.createElementNS(SVG, tag), attributes, children);
}

// "shop.users.Users.get" is get of Users, somewhere in shop.users.
export function parted(label) {
  const parts = label.split(".");
  if (parts.length < 3) return ["", label];
  return [parts.slice(0, -2).join("."), parts.slice(-2).join(".")];
}

export function shortened(text, most) {
  return text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`;
}

// A long name is broken where it has a joint.
export function breakable(name) {
  const joints = name.split(/(?<=[._])/);
  return joints.flatMap((part, i) => (i ? [element("wbr"), part] : [part]));
}
