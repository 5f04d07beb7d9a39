// Yes, no and unsure for a word that is taught, and how it stands.

import * as api from "./api.js";
import { element, labelledButton, say } from "./dom.js";
import { shown } from "./list.js";
import { TEXTS, fill } from "./texts.js";

const WORD = /^@[\p{L}\p{N}_][\p{L}\p{N}_.-]{0,98}$/u;
const VERDICTS = ["yes", "no", "unsure"];

// Without the number of the store: what is judged holds for the bytes.
const bare = (clip) => clip.replace(/^\d+-/, "");

export class Teaching {
  // `page` has: state, list, detail, changed(state, steps).
  constructor(page) {
    this.page = page;
    this.word = "";
    this.stands = null;
    this.judged = [];
  }

  // The word that is taught: the one that is named in the address, or the one that is looked for.
  async follow(state) {
    const [text] = state.text;
    const word = state.teach || (state.text.length === 1 && WORD.test(text) ? text : "");
    if (word === this.word) return;
    this.word = word;
    this.judged = [];
    this.stands = null;
    if (!word) return;
    try {
      const [words, judged] = await Promise.all([api.words(), api.judgements(word)]);
      if (this.word !== word) return;
      this.stands = words.find((one) => one.word === word) ?? null;
      this.judged = judged;
    } catch {
      // Nothing is judged yet, as far as anybody knows.
    }
    this.page.detail.showTeaching();
    this.page.list.rows.forEach((row) => this.verdictOf(row.hit) && this.page.list.renew(row.hit));
  }

  verdictOf(hit) {
    const middle = (hit.start_s + hit.end_s) / 2;
    return this.judged.findLast((one) => bare(one.clip) === bare(hit.digest) && one.start_s <= middle && middle <= one.end_s)?.verdict ?? "";
  }

  get standing() {
    return this.stands ? fill(TEXTS.judged, this.stands) : fill(TEXTS.nobodyJudged, { word: this.word });
  }

  show(place, hit) {
    if (!this.word) {
      const suggested = `@${(this.page.state.text[0] ?? "").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "")}`;
      const input = element("input", { type: "text", id: "word", "aria-label": TEXTS.teachWord, placeholder: TEXTS.teachPlaceholder, value: WORD.test(suggested) ? suggested : "", maxlength: "99", autocomplete: "off" });
      const start = () => {
        const word = input.value.trim();
        if (!WORD.test(word)) say(TEXTS.teachWrong, true);
        else this.page.changed({ ...this.page.state, teach: word }, true);
      };
      input.addEventListener("keydown", (event) => event.key === "Enter" && start());
      place.replaceChildren(element("div", { class: "actions" }, input, labelledButton("ear", TEXTS.teach, start)));
      return;
    }
    const verdict = this.verdictOf(hit);
    const buttons = VERDICTS.map((one) => element("button", {
      type: "button", class: `labelled ${one}`, "aria-pressed": String(one === verdict), onclick: () => this.judge(hit, one),
    }, TEXTS.verdicts[one]));
    const again = this.page.state.text[0] === this.word ? null : labelledButton("search", fill(TEXTS.again, { word: this.word }), () =>
      this.page.changed({ ...this.page.state, text: [this.word], teach: "" }, true));
    place.replaceChildren(element("p", { class: "standing" }, this.standing), element("div", { class: "actions" }, ...buttons, again));
  }

  async judge(hit, verdict) {
    if (!this.word || !hit) return;
    const { state } = this.page, word = this.word;
    // A word that is new starts from what was looked for.
    const text = state.text[0] && !state.text[0].startsWith("@") ? state.text[0] : null;
    const part = { start_s: hit.start_s, end_s: hit.end_s };
    try {
      this.stands = await api.judge({ word, clip: hit.digest, ...part, verdict, text });
      this.judged.push({ clip: hit.digest, ...part, verdict });
      say(fill(TEXTS.judgedOne, { name: shown(hit.name), verdict: TEXTS.verdicts[verdict], standing: this.standing }));
      this.page.list.renew(hit);
      this.page.detail.showTeaching();
    } catch (error) {
      say(error.message || TEXTS.offline, true);
    }
  }
}
