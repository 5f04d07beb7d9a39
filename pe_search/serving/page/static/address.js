// The state of the page is in its address, so that back works and a view can be kept as a bookmark.

export const SEVERAL = ["text", "plus", "minus", "like", "unlike", "name", "tag"];
export const ONCE = [
  "words", "said", "under", "length", "rate", "channels", "recorded", "hour", "loudness", "bpm", "min_probability",
  "all_windows", "clip", "k", "sort", "reverse", "fields",
];
const OWN = ["view", "teach", "chosen", "by", "colour", "dots", "layout", "store"];

// Browsers refuse a longer one.
const LONGEST = 1000000;

export function read() {
  const given = new URLSearchParams(location.search);
  const state = {};
  for (const name of SEVERAL) state[name] = given.getAll(name);
  for (const name of [...ONCE, ...OWN]) state[name] = given.get(name) ?? "";
  state.view ||= "search";
  return state;
}

export function asked(state) {
  return Object.fromEntries([...SEVERAL, ...ONCE].map((name) => [name, state[name]]));
}

export function isAsked(state) {
  return [...SEVERAL.slice(0, 4), "words", "said"].some((name) => state[name].length > 0);
}

export function write(state, { replaces = false } = {}) {
  const given = new URLSearchParams();
  for (const name of SEVERAL) for (const one of state[name]) given.append(name, one);
  for (const name of [...ONCE, ...OWN]) if (state[name] && !(name === "view" && state[name] === "search")) given.set(name, state[name]);
  const search = String(given);
  const address = location.pathname + (search ? `?${search}` : "");
  if (address === location.pathname + location.search || address.length > LONGEST) return;
  history[replaces ? "replaceState" : "pushState"](null, "", address);
}
