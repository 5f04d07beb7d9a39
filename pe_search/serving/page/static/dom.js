// Elements. Names, tags and all else that comes from outside becomes text, never markup.

// Bytes that are no text come from the server as lone surrogates; marks of direction would turn what stands beside a name.
export const shown = (text) =>
  text.replace(/[\ud800-\udfff]/gu, "\ufffd").replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "\ufffd");

export function element(kind, attributes = {}, ...children) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const PATHS = {
  play: "M7 4v16l13-8z",
  pause: "M6 4h4v16H6zM14 4h4v16h-4z",
  loop: "M7 7h9l-2-2 1.4-1.4L19.8 8l-4.4 4.4L14 11l2-2H7v4H5V9a2 2 0 0 1 2-2zm10 10H8l2 2-1.4 1.4L4.2 16l4.4-4.4L10 13l-2 2h9v-4h2v4a2 2 0 0 1-2 2z",
  like: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  unlike: "M5 11h14v2H5z",
  copy: "M8 3h11v13h-2V5H8zM5 7h10v14H5zm2 2v10h6V9z",
  save: "M11 3h2v9l3-3 1.4 1.4L12 15.8l-5.4-5.4L8 9l3 3zM5 18h14v2H5z",
  heart: "M12 20 4.5 12.6a4.7 4.7 0 0 1 6.6-6.7l.9.9.9-.9a4.7 4.7 0 0 1 6.6 6.7z",
  mic: "M12 3a3 3 0 0 1 3 3v6a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zm-6 9h2a4 4 0 0 0 8 0h2a6 6 0 0 1-5 5.9V21h-2v-3.1A6 6 0 0 1 6 12z",
  file: "M6 3h8l4 4v14H6zm2 2v14h8V8h-3V5zm2 12a2 2 0 0 1 0-4V9h4v2h-2v4a2 2 0 0 1-2 2z",
  search: "M10 4a6 6 0 0 1 4.7 9.7l5 5-1.4 1.4-5-5A6 6 0 1 1 10 4zm0 2a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
  cross: "M6.4 5 12 10.6 17.6 5 19 6.4 13.4 12l5.6 5.6-1.4 1.4-5.6-5.6L6.4 19 5 17.6l5.6-5.6L5 6.4z",
  picture: "M4 5h2v14H4zm4 6h2v8H8zm4-8h2v16h-2zm4 5h2v11h-2zm4 5h2v6h-2z",
  ear: "M4 11h3v2H4zm5-5h2v12H9zm4 3h2v6h-2zm4 2h3v2h-3z",
  line: "M3 11h18v2H3zm2-5h2v4H5zm5-3h2v7h-2zm5 5h2v2h-2zM5 14h2v3H5zm5 0h2v6h-2zm5 0h2v4h-2z",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

export function iconButton(name, label, onclick, more = {}) {
  return element("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick, ...more }, icon(name));
}

export function labelledButton(name, label, onclick, more = {}) {
  return element("button", { type: "button", class: "labelled", onclick, ...more }, icon(name), element("span", {}, label));
}

let quiet = null;

// One line for everybody, which a screen reader reads too.
export function say(text, isError = false) {
  const line = document.getElementById("said");
  line.textContent = shown(text);
  line.classList.toggle("error", isError);
  line.classList.toggle("shown", text !== "");
  clearTimeout(quiet);
  if (text && !isError) quiet = setTimeout(() => line.classList.remove("shown"), 4000);
}
