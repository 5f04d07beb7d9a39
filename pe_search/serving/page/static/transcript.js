// What is said in the chosen hit. It follows the sound, and plays from where it is clicked.

import * as api from "./api.js";
import { element, say } from "./dom.js";
import { line, shown } from "./list.js";
import { TEXTS, clock, fill } from "./texts.js";

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
    this.rows = [];
    this.now = this.word = null;
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
    this.now = this.word = null;
    this.rows = chosen.segments.map((segment) => row(segment));
    this.list = element("ol", { "aria-label": TEXTS.transcript, onclick: (event) => this.play(event), onkeydown: (event) => this.move(event) },
      ...this.rows.map((one) => element("li", {}, one.button)));
    this.rows[0].button.tabIndex = 0;
    this.place.replaceChildren(
      element("h3", {}, TEXTS.transcript),
      found.length > 1 ? this.choice(found, chosen) : "",
      element("p", { class: "hint" }, TEXTS.transcriptHint),
      chosen.until_s === null ? "" : element("p", { class: "hint" }, fill(TEXTS.transcriptUntil, { time: clock(chosen.until_s) })),
      this.list);
    this.place.hidden = false;
    this.follow();
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
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const place = this.rows.findIndex((one) => one.button === document.activeElement) + by;
    if (this.rows[place]) {
      this.reach(this.rows[place]);
      this.rows[place].button.focus();
    }
  }

  reach(wanted) {
    for (const one of this.rows) one.button.tabIndex = one === wanted ? 0 : -1;
  }

  // Before anything plays, the place that was found is marked.
  get time() {
    const { player } = this.page;
    if (player.hit === this.hit && player.audio.currentTime > 0) return player.time;
    return this.hit?.said ? this.hit.start_s : null;
  }

  follow() {
    const { time } = this;
    const covers = (one) => time !== null && one.start_s <= time && time < one.end_s;
    const now = this.rows.findLast(covers) ?? null;
    if (now !== this.now) {
      this.now?.button.removeAttribute("aria-current");
      this.now = now;
      if (now) {
        now.button.setAttribute("aria-current", "true");
        if (!this.list.contains(document.activeElement)) this.reach(now);
        this.list.scrollTop = now.button.offsetTop - (this.list.clientHeight - now.button.offsetHeight) / 2;
      }
    }
    const word = now?.words.findLast(covers) ?? null;
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

function row(segment) {
  const text = line(segment.text), parts = [], words = [];
  let done = 0;
  for (const one of segment.words) {
    const word = line(one.word), at = text.indexOf(word, done);
    // A word that is written otherwise in the text can't be marked there.
    if (!word || at < 0) continue;
    const place = element("span", { class: "word", "data-start": one.start_s }, word);
    parts.push(text.slice(done, at), place);
    words.push({ start_s: one.start_s, end_s: one.end_s, place });
    done = at + word.length;
  }
  const button = element("button", { type: "button", class: "segment", tabindex: "-1", "data-start": segment.start_s },
    element("span", { class: "from" }, clock(segment.start_s)), element("span", {}, ...parts, text.slice(done)));
  return { start_s: segment.start_s, end_s: segment.end_s, button, words };
}
