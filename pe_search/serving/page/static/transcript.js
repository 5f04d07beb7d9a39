// What is said in the chosen hit. It follows the sound, and plays from where it is clicked.

import * as api from "./api.js";
import { element, say } from "./dom.js";
import { line, shown } from "./list.js";
import { TEXTS, clock, fill } from "./texts.js";

// Of eight hours there are thousands of segments; these many are elements at most, in steps of some.
const MOST = 160, STEP = 40;

export class Transcript {
  // `page` has: player.
  constructor(page) {
    this.page = page;
    this.place = element("section", { class: "transcript", "aria-label": TEXTS.transcript, hidden: true });
    this.show(null);
  }

  async show(hit) {
    this.asking?.abort();
    this.asking = new AbortController();
    this.hit = hit;
    this.segments = [];
    this.rows = [];
    this.now = this.word = this.reached = null;
    this.place.hidden = true;
    this.place.replaceChildren();
    if (!hit) return;
    try {
      const found = (await api.said(hit.digest, this.asking.signal)).filter((one) => one.segments.length);
      if (this.hit === hit && found.length) this.choose(found, found.find((one) => has(one, hit.said)) ?? found[0]);
    } catch (error) {
      if (error.name !== "AbortError" && this.hit === hit) say(error.message || TEXTS.offline, true);
    }
  }

  choose(found, chosen) {
    this.now = this.word = this.reached = null;
    this.segments = chosen.segments;
    this.list = element("ol", { "aria-label": TEXTS.transcript, onclick: (event) => this.play(event), onkeydown: (event) => this.move(event) });
    this.list.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.place.replaceChildren(
      element("h3", {}, TEXTS.transcript),
      found.length > 1 ? this.choice(found, chosen) : "",
      element("p", { class: "hint" }, TEXTS.transcriptHint),
      chosen.until_s === null ? "" : element("p", { class: "hint" }, fill(TEXTS.transcriptUntil, { time: clock(chosen.until_s) })),
      this.list);
    this.place.hidden = false;
    this.open(Math.max(this.at(), 0));
    this.follow();
  }

  // The elements around a segment.
  open(place) {
    this.first = Math.max(0, Math.min(place - STEP, this.segments.length - 2 * STEP));
    this.now = this.word = null;
    this.rows = this.made(this.first, this.first + 2 * STEP);
    this.list.replaceChildren(...this.rows.map((one) => one.item));
    this.reach(place);
  }

  made(first, after) {
    return this.segments.slice(first, after).map((one, place) => row(one, first + place, this.segments.length));
  }

  rowOf(place) {
    return this.rows[place - this.first] ?? null;
  }

  // More, where the end of what is there comes near; as many go at the other end.
  scrolled() {
    const { list } = this, near = list.clientHeight;
    if (list.scrollTop + 2 * near > list.scrollHeight && this.first + this.rows.length < this.segments.length) this.later();
    else if (list.scrollTop < near && this.first > 0) this.earlier();
  }

  later() {
    const more = this.made(this.first + this.rows.length, this.first + this.rows.length + STEP);
    this.list.append(...more.map((one) => one.item));
    this.rows.push(...more);
    const gone = this.rows.splice(0, Math.max(0, this.rows.length - MOST));
    if (!gone.length) return;
    const tall = this.rows[0].item.offsetTop - gone[0].item.offsetTop, { scrollTop } = this.list;
    gone.forEach((one) => one.item.remove());
    this.list.scrollTop = scrollTop - tall;
    this.first += gone.length;
    if (!this.rowOf(this.reached)) this.reach(this.first);
  }

  earlier() {
    const from = Math.max(0, this.first - STEP), more = this.made(from, this.first), before = this.rows[0].item, { scrollTop } = this.list;
    this.list.prepend(...more.map((one) => one.item));
    this.list.scrollTop = scrollTop + before.offsetTop - more[0].item.offsetTop;
    this.rows.unshift(...more);
    this.first = from;
    this.rows.splice(MOST).forEach((one) => one.item.remove());
    if (!this.rowOf(this.reached)) this.reach(this.first);
  }

  choice(found, chosen) {
    const names = found.map((one) => {
      const [kind] = one.engine.split(".");
      const name = TEXTS.transcriptNames[kind] ?? one.engine;
      return shown(one.language ? `${name} (${one.language})` : name);
    });
    const select = element("select", { "aria-label": TEXTS.transcriptOf },
      ...names.map((name, place) => element("option", { value: place, selected: found[place] === chosen }, name)));
    select.addEventListener("change", () => {
      this.choose(found, found[select.value]);
      this.place.querySelector("select").focus();
    });
    return select;
  }

  play(event) {
    const at = event.target.closest("[data-start]");
    if (at) this.page.player.play(this.hit, Number(at.dataset.start));
  }

  // One stop of the tab key for all segments, however many there are; the arrows go on from there.
  move(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key], from = this.rows.findIndex((one) => one.button === document.activeElement);
    if (!by || from < 0) return;
    event.preventDefault();
    event.stopPropagation();
    const place = this.first + from + by;
    if (place < 0 || place >= this.segments.length) return;
    if (!this.rowOf(place)) this[by > 0 ? "later" : "earlier"]();
    this.reach(place);
    this.rowOf(place).button.focus();
  }

  reach(place) {
    this.reached = place;
    this.rows.forEach((one, other) => (one.button.tabIndex = this.first + other === place ? 0 : -1));
  }

  // Before anything plays, the place that was found is marked.
  get time() {
    const { player } = this.page;
    if (player.hit === this.hit && player.audio.currentTime > 0) return player.time;
    return this.hit?.said ? this.hit.start_s : null;
  }

  // Which segment is said now; -1 for none.
  at() {
    const { time, segments } = this;
    if (time === null) return -1;
    let low = 0, high = segments.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (segments[middle].start_s <= time) low = middle + 1;
      else high = middle;
    }
    // One that began long ago may still be said, beside others.
    for (let place = low - 1; place >= Math.max(0, low - STEP); place -= 1) if (time < segments[place].end_s) return place;
    return -1;
  }

  follow() {
    if (!this.segments.length) return;
    const place = this.at(), { time } = this;
    if (place >= 0 && !this.rowOf(place)) {
      const hadFocus = this.list.contains(document.activeElement);
      this.open(place);
      if (hadFocus) this.rowOf(place).button.focus({ preventScroll: true });
    }
    const now = this.rowOf(place);
    if (now !== this.now) {
      this.now?.button.removeAttribute("aria-current");
      this.now = now;
      if (now) {
        now.button.setAttribute("aria-current", "true");
        if (!this.list.contains(document.activeElement)) this.reach(place);
        this.list.scrollTop = now.button.offsetTop - (this.list.clientHeight - now.button.offsetHeight) / 2;
      }
    }
    const word = now?.words.findLast((one) => one.start_s <= time && time < one.end_s) ?? null;
    if (word === this.word) return;
    this.word?.place.classList.remove("now");
    word?.place.classList.add("now");
    this.word = word;
  }
}

// Whether a transcript has what a hit shows: some of a segment, perhaps with the beginning of the next.
function has(transcript, said) {
  if (!said) return false;
  const bare = (text) => text.replace(/[\s\u200b]+/g, "");
  return bare(transcript.segments.map((one) => one.text).join("")).includes(bare(said.replace(/^… | …$/g, "")));
}

function row(segment, place, count) {
  const text = line(segment.text), parts = [], words = [];
  let done = 0;
  for (const [start_s, end_s, spoken] of segment.words) {
    const word = line(spoken), at = text.indexOf(word, done);
    // A word that is written otherwise in the text can't be marked there.
    if (!word || at < 0) continue;
    const made = element("span", { class: "word", "data-start": start_s }, word);
    parts.push(text.slice(done, at), made);
    words.push({ start_s, end_s, place: made });
    done = at + word.length;
  }
  const button = element("button", { type: "button", class: "segment", tabindex: "-1", "data-start": segment.start_s },
    element("span", { class: "from" }, clock(segment.start_s)), element("span", {}, ...parts, text.slice(done)));
  return { button, words, item: element("li", { "aria-posinset": place + 1, "aria-setsize": count }, button) };
}
