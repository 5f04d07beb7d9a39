// A recording, or a day of them, as a strip: how probable a sound is in each window, and what is above a line.

import * as address from "./address.js";
import * as api from "./api.js";
import { element, labelledButton, say } from "./dom.js";
import { isFile, line as lineOf, shown } from "./list.js";
import { colours, context, peaks } from "./pictures.js";
import { TEXTS, clock, fill } from "./texts.js";

const MOST = 10000, COLUMNS = 1200, PIECE_S = 3600, NEAR_PX = 6;
let share = 0.5;

const seconds = (moment) => Date.parse(`${moment.slice(0, 19)}Z`) / 1000;
const dayClock = (at) => new Date(at * 1000).toISOString().slice(11, 19);

export async function showStrip(page, place, signal, isCurrent) {
  const { state } = page;
  const isOfClip = Boolean(state.clip), isOfSound = address.isAsked({ ...state, said: "" });
  if (!(isOfSound || state.said) || !(isOfClip || state.recorded)) {
    place.replaceChildren();
    page.status(TEXTS.stripNeeds);
    return;
  }
  page.status(TEXTS.searching);
  const every = { ...address.asked(state), all_windows: "true", min_probability: "", sort: "", reverse: "", fields: "", k: MOST };
  const silent = { text: [], plus: [], minus: [], like: [], unlike: [], words: "" };
  // A place where words are said has no probability, and stands beside the windows.
  const answers = (await Promise.all([
    isOfSound ? api.hits({ ...every, said: "" }, signal) : null,
    state.said ? api.hits({ ...every, ...silent }, signal) : null,
  ])).map((one) => one?.hits ?? []);
  const found = answers.flat(), isCut = answers.some((one) => one.length === MOST);
  if (!isCurrent()) return;
  const start = (hit) => (isOfClip ? hit.start_s : seconds(hit.at));
  const hits = found.filter((hit) => isOfClip || hit.at).sort((one, other) => start(one) - start(other));
  hits.forEach((hit, place) => (hit.rank = place + 1));
  if (!hits.length) {
    place.replaceChildren();
    page.status(TEXTS.noHits);
    return;
  }
  const from = isOfClip ? 0 : start(hits[0]);
  const to = Math.max((isOfClip && hits[0].length_s) || 0, ...hits.map((hit) => start(hit) + hit.end_s - hit.start_s));
  const said = isOfClip ? clock : dayClock, asked = state.text.join(" ") || state.said;
  const windows = hits.filter((hit) => hit.probability !== null), places = hits.filter((hit) => hit.probability === null);
  const canvas = element("canvas", { class: "strip", role: "img", "aria-label": fill(isOfSound ? TEXTS.stripLabel : TEXTS.stripSaidLabel, { text: asked, from: said(from), to: said(to) }) });
  const line = element("input", { type: "range", min: "0.05", max: "0.95", step: "0.05", value: String(share), id: "share" });
  let wave = null;
  const draw = () => {
    drawStrip(canvas, windows, places, { from, to, start, said, share, wave, chosen: page.list.hit });
    const parts = above(windows, share, start).length;
    page.status([isOfSound && fill(TEXTS.stripFound, { spans: parts, share: Math.round(100 * share), windows: windows.length }),
      state.said && fill(TEXTS.stripSaid, { said: state.said, places: places.length }),
      isCut && fill(TEXTS.stripCut, { count: MOST.toLocaleString() })].filter(Boolean).join(" "));
  };
  line.addEventListener("input", () => {
    share = Number(line.value);
    draw();
  });
  canvas.addEventListener("click", (event) => {
    const time = from + (event.offsetX / canvas.clientWidth) * (to - from);
    // What is said there, before the window around it.
    const near = (hit) => Math.abs(start(hit) - time) * canvas.clientWidth < NEAR_PX * (to - from);
    const hit = places.findLast(near) ?? windows.findLast((one) => start(one) <= time);
    if (hit) page.list.choose(hits.indexOf(hit), { plays: true, focuses: false });
  });
  const title = isOfClip ? shown(hits[0].name) : state.recorded;
  const name = title.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}_.-]+/gu, "_");
  const label = asked.replace(/\s+/g, " ");
  const tools = element("div", { class: "actions" }, isOfSound ? element("label", { class: "flag", for: "share" }, element("span", {}, TEXTS.threshold), line) : null);
  if (isOfClip) {
    const spoken = places.map((hit) => ({ from: hit.start_s, to: hit.end_s, probability: null, label: lineOf(hit.said) }));
    const parts = () => [...above(windows, share, start), ...spoken].sort((one, other) => one.from - other.from);
    tools.append(
      labelledButton("save", TEXTS.saveAudacity, () => save(`${name}.txt`, audacity(parts(), label))),
      labelledButton("save", TEXTS.saveRaven, () => save(`${name}.selections.txt`, raven(parts(), label, hits[0]))),
      labelledButton("cross", TEXTS.wholeClip, () => page.changed({ ...page.state, clip: "", view: "search" }, true)));
  }
  place.replaceChildren(element("h2", {}, title), canvas, element("p", { class: "hint" }, TEXTS.stripHint), tools);
  const best = hits.reduce((one, hit, other) => ((hit.probability ?? -1) > (hits[one].probability ?? -1) ? other : one), 0);
  page.showHits(hits, best);
  draw();
  page.list.addEventListener("choice", () => canvas.isConnected && draw(), { signal });
  addEventListener("resize", () => canvas.isConnected && draw(), { signal });
  const length = hits[0].length_s ?? to;
  if (!isOfClip || hits[0].is_gone || !isFile(hits[0])) return;
  // Hours are drawn piece by piece, so that nothing else waits for them.
  const pieces = Math.max(1, Math.ceil(length / PIECE_S)), columns = Math.max(1, Math.round(COLUMNS / pieces)), each = length / pieces;
  wave = new Int8Array(2 * columns * pieces);
  try {
    for (let piece = 0; piece < pieces; piece += 1) {
      wave.set(await peaks(hits[0].digest, piece * each, (piece + 1) * each, columns, () => canvas.isConnected), 2 * columns * piece);
      if (!isCurrent()) return;
      draw();
    }
  } catch (error) {
    if (error.name !== "AbortError" && isCurrent()) say(error.message || TEXTS.offline, true);
  }
}

// Windows above the line that touch become one part.
export function above(hits, least, start) {
  const parts = [];
  for (const hit of hits) {
    if (hit.probability < least) continue;
    const from = start(hit), to = from + hit.end_s - hit.start_s, last = parts[parts.length - 1];
    if (last && from <= last.to + 1e-6) {
      last.to = Math.max(last.to, to);
      last.probability = Math.max(last.probability, hit.probability);
    } else parts.push({ from, to, probability: hit.probability });
  }
  return parts;
}

export function audacity(parts, label) {
  return parts.map((part) => `${part.from.toFixed(6)}\t${part.to.toFixed(6)}\t${part.label ?? label}${part.probability === null ? "" : ` ${part.probability.toFixed(2)}`}\n`).join("");
}

export function raven(parts, label, hit) {
  const high = (hit.sample_rate_hz ?? 48000) / 2;
  const head = ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)", "Begin File", "Label", "Probability"];
  const rows = parts.map((part, place) => [place + 1, "Spectrogram 1", 1, part.from.toFixed(6), part.to.toFixed(6), "0.0", high.toFixed(1), shown(hit.name).replace(/[\t\r\n]/g, " "), part.label ?? label, part.probability === null ? "" : part.probability.toFixed(4)]);
  return [head, ...rows].map((row) => `${row.join("\t")}\n`).join("");
}

export function save(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function drawStrip(canvas, windows, places, { from, to, start, said, share: least, wave, chosen }) {
  const drawing = context(canvas), paint = colours(canvas), width = canvas.clientWidth, height = canvas.clientHeight - 20;
  const x = (time) => ((time - from) / (to - from)) * width;
  if (wave) {
    const columns = wave.length / 2, middle = height / 2;
    drawing.fillStyle = paint.muted;
    drawing.globalAlpha = 0.45;
    let loudest = 16;
    for (const number of wave) loudest = Math.max(loudest, Math.abs(number));
    for (let column = 0; column < columns; column += 1) {
      const top = middle - (wave[2 * column + 1] / loudest) * middle, bottom = middle - (wave[2 * column] / loudest) * middle;
      drawing.fillRect((column / columns) * width, top, Math.max(width / columns, 0.7), Math.max(bottom - top, 1));
    }
    drawing.globalAlpha = 1;
  }
  for (const hit of windows) {
    const left = x(start(hit)), wide = Math.max(x(start(hit) + hit.end_s - hit.start_s) - left - 0.5, 1), tall = hit.probability * height;
    drawing.fillStyle = hit === chosen ? paint.text : paint.accent;
    drawing.globalAlpha = hit.probability >= least ? 0.9 : 0.35;
    drawing.fillRect(left, height - tall, wide, tall);
  }
  drawing.globalAlpha = 1;
  for (const hit of places) {
    const left = x(start(hit)), wide = Math.max(x(start(hit) + hit.end_s - hit.start_s) - left, 2);
    drawing.fillStyle = hit === chosen ? paint.text : paint.unsure;
    drawing.fillRect(left, 0, wide, 8);
    drawing.fillRect(left, 0, 1, height);
  }
  drawing.fillStyle = paint.text;
  if (windows.length) drawing.fillRect(0, height - least * height, width, 1);
  drawing.font = "12px system-ui";
  const steps = Math.max(2, Math.min(8, Math.floor(width / 110)));
  for (let step = 0; step <= steps; step += 1) {
    drawing.textAlign = step === 0 ? "left" : step === steps ? "right" : "center";
    drawing.fillText(said(from + (step / steps) * (to - from)), (step / steps) * width, height + 15);
  }
}
