// Hits as rows. Only those that are on the screen are elements, however many there are.

import * as api from "./api.js";
import { element, icon, shown } from "./dom.js";
import { peaks } from "./pictures.js";
import { TEXTS, clock, fill } from "./texts.js";
import { Wave } from "./wave.js";

export { shown };

const BEYOND = 6, WHOLE_S = 60, COLUMNS = 240, MOST_PRINTED = 1000;

// What of a clip is drawn for a hit: all of it, or the window and as much before and after it.
export function viewOf(hit) {
  const length = hit.length_s ?? hit.end_s;
  if (length <= WHOLE_S) return { from: 0, to: length };
  const around = Math.max(hit.end_s - hit.start_s, 1);
  return { from: Math.max(0, hit.start_s - around), to: Math.min(length, hit.end_s + around) };
}

export const percent = (hit) =>
  hit.probability !== null ? `${Math.round(100 * hit.probability)} %` : hit.score !== null ? hit.score.toFixed(2) : "";
export const times = (hit) => `${clock(hit.start_s)}–${clock(hit.end_s)}`;
export const moment = (hit) => (hit.at ?? hit.recorded_at ?? "").replace("T", " ").replace(/\.\d+/, "").replace(/[+-]\d\d:\d\d$/, "");

// A row of a data set has a name only; there is nothing to play or draw.
export const isFile = (hit) => /^([A-Za-z]:)?[/\\]/.test(hit.path ?? "/");

// The fields that were asked for, with their values as text.
export const valuesOf = (hit) => Object.entries(hit.fields ?? {}).map(([name, value]) => [name, line([value ?? "–"].flat().join(", "))]);

// Of several stores, the one that has it comes first.
export const placeOf = (hit) => [hit.store, hit.folder].filter(Boolean).map(shown).join(" · ");

// What is said may be written in several lines.
export const line = (text) => shown(text.replace(/\s+/g, " ").trim());

// The server says which characters were looked for; all of them stay text. Counted are code points, as Python does.
export function marked(text, marks = []) {
  const letters = [...text], parts = [];
  let done = 0;
  const spaced = (from, after) => shown(letters.slice(from, after).join("").replace(/\s+/g, " "));
  for (const [from, after] of marks) {
    parts.push(spaced(done, from), element("mark", {}, spaced(from, after)));
    done = after;
  }
  return [...parts, spaced(done, letters.length)];
}

export class List extends EventTarget {
  constructor(place, player) {
    super();
    this.player = player;
    this.hits = [];
    this.rows = new Map();
    this.chosen = -1;
    this.verdictOf = () => "";
    this.list = element("ol", { class: "hits", "aria-label": TEXTS.list });
    place.append(this.list);
    // The browser may tell of several in one frame.
    const soon = () => {
      this.due ??= requestAnimationFrame(() => {
        this.due = null;
        this.fill();
      });
    };
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", () => (this.rowHeight() === this.height ? soon() : this.show(this.hits, this.chosen)));
    // On paper nothing scrolls.
    addEventListener("beforeprint", () => this.fill(0, Math.min(this.hits.length, MOST_PRINTED)));
    addEventListener("afterprint", () => this.fill());
    player.addEventListener("change", () => this.rows.forEach((row) => row.mark()));
    player.addEventListener("time", () => this.rows.get(this.hits.indexOf(player.hit))?.draw());
  }

  show(hits, chosen = -1) {
    this.hits = hits;
    this.rows.forEach((row) => row.item.remove());
    this.rows.clear();
    this.chosen = Math.min(chosen, hits.length - 1);
    this.height = this.rowHeight();
    this.list.style.height = `${hits.length * this.height}px`;
    this.fill();
  }

  rowHeight() {
    return parseFloat(getComputedStyle(this.list).getPropertyValue("--row")) || 76;
  }

  // More of the same: what is there stays as it is.
  extend(hits) {
    this.hits = this.hits.concat(hits.slice(this.hits.length));
    this.list.style.height = `${this.hits.length * this.height}px`;
    this.rows.forEach((row) => row.item.setAttribute("aria-setsize", this.hits.length));
    this.fill();
  }

  get hit() {
    return this.hits[this.chosen] ?? null;
  }

  fill(from = null, to = null) {
    if (!this.list.isConnected || this.list.offsetParent === null) return;
    const { top } = this.list.getBoundingClientRect();
    const first = from ?? Math.max(0, Math.floor(-top / this.height) - BEYOND);
    const last = to ?? Math.min(this.hits.length, Math.ceil((innerHeight - top) / this.height) + BEYOND);
    for (const [place, row] of this.rows) {
      // What has the focus stays, or the keyboard would lose its place.
      if ((place < first || place >= last) && !row.item.contains(document.activeElement)) {
        row.item.remove();
        this.rows.delete(place);
      }
    }
    for (let place = first; place < last; place += 1) {
      if (!this.rows.has(place)) this.rows.set(place, new Row(this, place));
    }
    if (to === null && last === this.hits.length && last > 0) this.dispatchEvent(new Event("end"));
  }

  choose(place, { plays = false, focuses = true } = {}) {
    if (place < 0 || place >= this.hits.length) return;
    const before = this.rows.get(this.chosen);
    this.chosen = place;
    before?.mark();
    this.reveal(place);
    const row = this.rows.get(place);
    row?.mark();
    if (focuses) row?.item.focus({ preventScroll: true });
    this.dispatchEvent(new CustomEvent("choice", { detail: this.hit }));
    if (plays) this.player.play(this.hit);
  }

  // Scrolls no further than it must.
  reveal(place) {
    const top = this.list.getBoundingClientRect().top + place * this.height;
    const header = document.querySelector("header").getBoundingClientRect().bottom;
    if (top < header) scrollBy(0, top - header - 8);
    else if (top + this.height > innerHeight - this.room()) scrollBy(0, top + this.height - innerHeight + this.room() + 8);
    this.fill();
  }

  // What the dock at the bottom of a narrow screen covers.
  room() {
    const detail = document.getElementById("detail");
    return getComputedStyle(detail).position === "fixed" ? detail.offsetHeight : 0;
  }

  renew(hit) {
    const place = this.hits.indexOf(hit);
    const row = this.rows.get(place);
    if (!row) return;
    const hadFocus = row.item.contains(document.activeElement);
    row.item.remove();
    const made = new Row(this, place);
    this.rows.set(place, made);
    if (hadFocus) made.item.focus({ preventScroll: true });
  }
}

class Row {
  constructor(list, place) {
    this.list = list;
    this.place = place;
    this.hit = list.hits[place];
    const view = viewOf(this.hit);
    const { hit } = this;
    const name = shown(hit.name);
    this.wave = new Wave(fill(TEXTS.waveform, { name }), view, hit, { onclick: (time) => {
      list.choose(place);
      list.player.play(hit, time);
    } });
    this.button = element("button", { type: "button", class: "icon play", tabindex: "-1" });
    this.button.addEventListener("click", (event) => {
      event.stopPropagation();
      list.choose(place);
      list.player.toggle(hit);
    });
    const facts = [clock(hit.length_s ?? hit.end_s), moment(hit)].filter(Boolean).join(" · ");
    const verdict = list.verdictOf(hit);
    this.item = element(
      "li",
      {
        class: "hit", tabindex: "-1", draggable: "true", "aria-posinset": place + 1, "aria-setsize": list.hits.length,
        "aria-label": hit.said ? fill(TEXTS.rowSaid, { rank: hit.rank, name, time: times(hit), said: line(hit.said) }) : fill(TEXTS.row, { rank: hit.rank, name, probability: percent(hit), time: hit.probability === null ? "" : `, ${times(hit)}` }),
        onclick: () => list.choose(place),
        ondblclick: () => list.player.play(hit),
        ondragstart: (event) => dragged(event, hit),
      },
      this.button,
      element("span", { class: "rank" }, String(hit.rank)),
      element("span", { class: "probability" }, element("b", {}, percent(hit)), hit.score === null ? null : bar(hit.probability ?? hit.score)),
      element("span", { class: "names" },
        element("span", { class: "name" }, element("b", {}, name), ...hit.tags.map((tag) => element("i", { class: "tag" }, shown(tag)))),
        hit.said ? element("span", { class: "quote", title: line(hit.said) }, ...marked(hit.said, hit.said_marks)) : element("span", { class: "folder" }, placeOf(hit)),
        element("span", { class: "facts" }, valuesOf(hit).map(([, value]) => value).join(" · ") || `${times(hit)} / ${facts}`)),
      this.wave.node,
      element("span", { class: `verdict ${verdict}` }, verdict ? TEXTS.verdicts[verdict] : ""),
    );
    this.item.style.transform = `translateY(${place * list.height}px)`;
    // In the order of the hits, for screen readers and the tab key.
    let after = null;
    for (const [other, row] of list.rows) if (other > place && (!after || other < after.place)) after = row;
    list.list.insertBefore(this.item, after?.item ?? null);
    this.mark();
    const isWanted = () => this.item.isConnected;
    if (!hit.is_gone && isFile(hit) && view.to > view.from) {
      Promise.resolve(peaks(hit.digest, view.from, view.to, COLUMNS, isWanted)).then((numbers) => isWanted() && this.wave.show(numbers), () => {});
    }
  }

  mark() {
    const isChosen = this.list.chosen === this.place, { player } = this.list;
    const isPlaying = player.isPlaying && player.hit === this.hit;
    this.item.classList.toggle("chosen", isChosen);
    this.item.classList.toggle("gone", this.hit.is_gone);
    this.item.tabIndex = isChosen || (this.list.chosen < 0 && this.place === 0) ? 0 : -1;
    if (isChosen) this.item.setAttribute("aria-current", "true");
    else this.item.removeAttribute("aria-current");
    this.button.replaceChildren(icon(isPlaying ? "pause" : "play"));
    this.button.setAttribute("aria-label", isPlaying ? TEXTS.pause : fill(TEXTS.play, { name: shown(this.hit.name) }));
    this.draw();
  }

  draw() {
    const { player } = this.list;
    this.wave.mark(this.hit.spans, player.hit === this.hit && player.audio.currentTime > 0 ? player.time : null);
  }
}

function bar(share) {
  const made = element("span", { class: "bar" }, element("span", {}));
  made.firstChild.style.width = `${100 * (share ?? 0)}%`;
  return made;
}

// Into a folder or a DAW: browsers that can make a file of it (Chromium), others a link.
export function dragged(event, hit, part = false) {
  const url = part ? api.fileUrl(hit.digest, hit.start_s, hit.end_s) : api.fileUrl(hit.digest);
  const stem = shown(hit.name).replace(/\.[^.]*$/, "").replace(/[:/\\]/g, "_");
  const name = part ? `${stem}_${hit.start_s.toFixed(2)}-${hit.end_s.toFixed(2)}s.flac` : shown(hit.name).replace(/[:/\\]/g, "_");
  event.dataTransfer.effectAllowed = "copy";
  event.dataTransfer.setData("DownloadURL", `application/octet-stream:${name}:${url}`);
  event.dataTransfer.setData("text/uri-list", url);
  event.dataTransfer.setData("application/x-pe-search", hit.digest);
}
