// What the page asks of its server. The key comes behind the # of the address, and is kept for this origin alone.

import { TEXTS } from "./texts.js";

// Servers refuse a longer address.
const KEY = "pe-search-key", LONGEST = 200000;
let pass = "";

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// Whether the address has one.
export function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    localStorage.setItem(KEY, given);
    history.replaceState(history.state, "", location.pathname + location.search);
  }
  return Boolean(given);
}

export function setKey(key) {
  localStorage.setItem(KEY, key);
}

async function ask(path, options = {}) {
  if (path.length > LONGEST) throw new Refusal(414, TEXTS.tooLong);
  const headers = { Authorization: `Bearer ${localStorage.getItem(KEY) ?? ""}`, ...options.headers };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, TEXTS.offline);
  }
  if (response.ok) return response;
  let detail = response.statusText;
  try {
    detail = (await response.json()).detail;
  } catch {
    // The status says it.
  }
  throw new Refusal(response.status, detail);
}

const json = async (path, options) => (await ask(path, options)).json();
const bytes = async (path, options) => (await ask(path, options)).arrayBuffer();
const post = (path, value) =>
  json(path, { method: "POST", body: JSON.stringify(value), headers: { "Content-Type": "application/json" } });

function query(values) {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of [value].flat()) if (one !== undefined && one !== null && one !== "") given.append(name, one);
  }
  return String(given);
}

export async function state() {
  const found = await json("state");
  pass = found.pass;
  return found;
}

export const hits = (asked, signal) => json(`hits?${query(asked)}`, { signal });
export const about = (clip) => json(`clips/${clip}`);
export const peaks = async (clip, from, to, columns, signal) =>
  new Int8Array(await bytes(`peaks/${clip}?${query({ from, to, columns })}`, { signal }));
export const spectrogram = async (clip, from, to, columns, signal) =>
  new Uint8Array(await bytes(`spectrogram/${clip}?${query({ from, to, columns })}`, { signal }));
export const spans = async (clip, from, to, text) => (await json(`spans/${clip}?${query({ from, to, text })}`)).spans;
export const gain = async (clip, from, to) => (await json(`gain/${clip}?${query({ from, to })}`)).gain_db;
export const said = async (clip, signal) => (await json(`said/${clip}`, { signal })).transcripts;
export const tag = (clips, add, remove) => post("tags", { clips, add, remove });
export const words = async () => (await json("words")).words;
export const judgements = async (word) => (await json(`judgements?${query({ word })}`)).judgements;
export const judge = async (given) => (await post("judgements", given)).word;
export const keepSound = (blob) => json("sounds", { method: "POST", body: blob });
export const counts = (asked, signal) => json(`counts?${query(asked)}`, { signal });
export const map = (of, layout, store, labels, signal) => json(`map?${query({ of, layout, store, label: labels })}`, { signal });
export const betterMap = (of, store, signal) => json(`map/better?${query({ of, store })}`, { signal });
export const mapRows = async (mark, of, store, dots) => (await post("map/rows", { mark, of, store: Number(store) || 0, dots })).hits;
export const duplicates = (store, signal) => json(`duplicates?${query({ store })}`, { signal });
export const outliers = (store, signal) => json(`outliers?${query({ store })}`, { signal });

const absolute = (path) => new URL(path, location.href).href;
export const audioUrl = (clip, from, to, original) => absolute(`audio/${clip}?${query({ from, to, original, pass })}`);
export const fileUrl = (clip, from, to) => absolute(`file/${clip}?${query({ from, to, pass })}`);
