// The chosen hit, large: its waveform, spectrogram and spans, and what can be done with it.

import * as api from "./api.js";
import { element, icon, iconButton, labelledButton, say } from "./dom.js";
import { dragged, isFile, moment, percent, placeOf, shown, times, valuesOf, viewOf } from "./list.js";
import { drawSpectrogram, peaks, spectrogram } from "./pictures.js";
import { TEXTS, clock, fill } from "./texts.js";
import { Transcript } from "./transcript.js";
import { Wave } from "./wave.js";

const COLUMNS = 800, LONG_S = 60;

export class Detail {
  // `page` has: ask, player, state, teaching, tagged(hit, tags), openTimeline(hit).
  constructor(place, page) {
    this.place = place;
    this.page = page;
    this.hit = null;
    this.showsSpectrogram = false;
    this.transcript = new Transcript(page);
    place.setAttribute("aria-label", TEXTS.detail);
    page.player.addEventListener("time", () => this.draw());
    page.player.addEventListener("change", () => this.mark());
    this.show(null);
  }

  show(hit) {
    if (hit && hit === this.hit) return;
    this.hit = hit;
    this.transcript.show(hit);
    if (!hit) {
      this.place.replaceChildren(element("p", { class: "hint" }, TEXTS.choose));
      this.place.classList.add("empty");
      return;
    }
    this.place.classList.remove("empty");
    this.view = viewOf(hit);
    const { page } = this, name = shown(hit.name);
    this.wave = new Wave(fill(TEXTS.waveform, { name }), this.view, hit, { isLarge: true, onclick: (time) => page.player.play(hit, time) });
    this.picture = element("canvas", { class: "spectrogram", role: "img" });
    this.picture.addEventListener("click", (event) => page.player.play(hit, this.timeAt(event)));
    this.playing = element("button", { type: "button", class: "labelled strong", onclick: () => page.player.toggle(hit) });
    this.clockNow = element("span", { class: "clock" });
    this.looping = labelledButton("loop", TEXTS.loop, () => page.player.setLoop(!page.player.loops));
    this.original = labelledButton("ear", TEXTS.original, () => page.player.setOriginal(!page.player.isOriginal), { title: TEXTS.originalHint });
    this.original.hidden = !page.store.changes_sound;
    this.heardAs = element("span", { class: "facts" });
    this.showing = labelledButton("picture", TEXTS.spectrogram, () => this.toggleSpectrogram());
    const actions = element("div", { class: "actions" },
      labelledButton("like", TEXTS.like, () => this.like("like")),
      labelledButton("unlike", TEXTS.unlike, () => this.like("unlike")),
      labelledButton("ear", TEXTS.spans, () => this.findSpans()),
      labelledButton("copy", TEXTS.copyPath, () => this.copyPath()),
      ...(isFile(hit) ? [saved(hit, false), saved(hit, true)] : []),
      page.openTimeline && (hit.length_s ?? 0) > LONG_S ? labelledButton("line", TEXTS.timeline, () => page.openTimeline(hit)) : null);
    const facts = [percent(hit), times(hit), clock(hit.length_s ?? hit.end_s), moment(hit),
      hit.sample_rate_hz ? `${hit.sample_rate_hz / 1000} kHz` : "", hit.channels ? `${hit.channels} ch` : ""];
    this.tags = element("div", { class: "tags" });
    this.teaching = element("div", { class: "teaching" });
    this.place.replaceChildren(
      element("h2", {}, name),
      element("p", { class: "folder" }, placeOf(hit)),
      element("p", { class: "facts" }, facts.filter(Boolean).join(" · "),
        hit.copies.length ? ` · ${fill(TEXTS.copies, { count: hit.copies.length })}` : ""),
      element("dl", { class: "fields" }, ...valuesOf(hit).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])),
      hit.is_gone || !isFile(hit) ? element("p", { class: "error" }, hit.is_gone ? TEXTS.gone : TEXTS.nameOnly) : "",
      this.wave.node, this.picture,
      element("div", { class: "transport" }, this.playing, this.looping, this.showing, this.original, this.heardAs, this.clockNow),
      this.transcript.place, actions, this.tags, this.teaching);
    this.showTags();
    this.showTeaching();
    this.mark();
    this.load();
  }

  timeAt(event) {
    return this.view.from + (event.offsetX / event.target.clientWidth) * (this.view.to - this.view.from);
  }

  async load() {
    const { hit, view } = this;
    if (hit.is_gone || !isFile(hit) || view.to <= view.from) return;
    try {
      const numbers = await peaks(hit.digest, view.from, view.to, COLUMNS, () => this.hit === hit);
      if (this.hit === hit) this.wave.show(numbers);
    } catch (error) {
      if (error.name !== "AbortError" && this.hit === hit) say(error.message, true);
    }
    if (this.showsSpectrogram) await this.loadSpectrogram();
  }

  async loadSpectrogram() {
    const { hit, view, picture } = this;
    if (!hit) return;
    picture.hidden = false;
    try {
      const [numbers, clip] = await Promise.all([
        spectrogram(hit.digest, view.from, view.to, COLUMNS, () => this.hit === hit), api.about(hit.digest)]);
      if (this.hit !== hit) return;
      drawSpectrogram(picture, numbers);
      const khz = Math.round(clip.highest_hz / clip.speed / 100) / 10;
      picture.setAttribute("aria-label", fill(TEXTS.spectrogramOf, { name: shown(hit.name), khz }));
      picture.title = picture.getAttribute("aria-label");
    } catch (error) {
      if (error.name !== "AbortError") say(error.message, true);
    }
  }

  toggleSpectrogram() {
    this.showsSpectrogram = !this.showsSpectrogram;
    this.mark();
    if (this.showsSpectrogram) this.loadSpectrogram();
  }

  draw() {
    if (!this.hit) return;
    const { player } = this.page, { hit } = this;
    const at = player.hit === hit && player.audio.currentTime > 0 ? player.time : null;
    this.wave.mark(hit.spans, at);
    this.transcript.follow();
    this.clockNow.textContent = `${clock(at ?? hit.start_s)} / ${clock(hit.length_s ?? hit.end_s)}`;
  }

  mark() {
    if (!this.hit) return;
    const { player } = this.page, isPlaying = player.isPlaying && player.hit === this.hit;
    this.playing.replaceChildren(icon(isPlaying ? "pause" : "play"), element("span", {}, isPlaying ? TEXTS.pause : TEXTS.playShort));
    this.looping.setAttribute("aria-pressed", String(player.loops));
    this.showing.setAttribute("aria-pressed", String(this.showsSpectrogram));
    this.original.setAttribute("aria-pressed", String(player.isOriginal));
    const isHeard = player.hit === this.hit && !player.isOriginal;
    this.heardAs.textContent = [isHeard && player.gain >= 0.5 ? fill(TEXTS.louder, { db: Math.round(player.gain) }) : "",
      isHeard && player.speed !== 1 ? fill(TEXTS.slower, { speed: player.speed }) : ""].filter(Boolean).join(" ");
    this.picture.hidden = !this.showsSpectrogram;
    this.draw();
  }

  like(kind) {
    const { hit } = this;
    this.page.ask.addSound(kind, hit.digest, shown(hit.name), `@${+hit.start_s.toFixed(3)}-${+hit.end_s.toFixed(3)}`);
  }

  async findSpans() {
    const { hit, page } = this, texts = page.state.text.filter((text) => !text.startsWith("@"));
    if (!texts.length) {
      say(TEXTS.spansNeedText, true);
      return;
    }
    say(TEXTS.listening);
    try {
      hit.spans = await api.spans(hit.digest, hit.start_s, hit.end_s, texts);
      const found = hit.spans.map((span) => `${clock(span.start_s)}–${clock(span.end_s)}`).join(", ");
      say(found ? fill(TEXTS.spansFound, { spans: found }) : TEXTS.spansNone);
      page.list.renew(hit);
      this.draw();
    } catch (error) {
      say(error.message || TEXTS.offline, true);
    }
  }

  async copyPath() {
    try {
      await navigator.clipboard.writeText(this.hit.path);
      say(fill(TEXTS.copied, { path: shown(this.hit.path) }));
    } catch (error) {
      say(error.message, true);
    }
  }

  showTags() {
    const { hit } = this;
    const input = element("input", { id: "tag", type: "text", maxlength: "100", autocomplete: "off", "aria-label": TEXTS.addTag, placeholder: TEXTS.addTag, list: "known-tags" });
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !input.value.trim()) return;
      event.preventDefault();
      this.tag([input.value.trim()], []);
    });
    const isFavourite = hit.tags.includes(TEXTS.favouriteTag);
    this.tags.replaceChildren(
      iconButton("heart", TEXTS.favourite, () => this.toggleFavourite(), { "aria-pressed": String(isFavourite) }),
      ...hit.tags.map((tag) => element("span", { class: "chip" }, element("span", {}, shown(tag)),
        iconButton("cross", fill(TEXTS.removeTag, { tag: shown(tag) }), () => this.tag([], [tag])))),
      input);
  }

  toggleFavourite() {
    const isFavourite = this.hit.tags.includes(TEXTS.favouriteTag);
    return this.tag(isFavourite ? [] : [TEXTS.favouriteTag], isFavourite ? [TEXTS.favouriteTag] : []);
  }

  async tag(added, removed) {
    const { hit } = this;
    try {
      const found = await api.tag([hit.digest], added, removed);
      hit.tags = found.clips[hit.digest];
      this.page.tagged(hit, found.tags);
      say(hit.tags.length ? fill(TEXTS.tagged, { tags: hit.tags.map(shown).join(", ") }) : TEXTS.untagged);
      if (this.hit === hit) this.showTags();
    } catch (error) {
      say(error.message || TEXTS.offline, true);
    }
  }

  showTeaching() {
    if (this.hit) this.page.teaching.show(this.teaching, this.hit);
  }
}

function saved(hit, part) {
  const url = part ? api.fileUrl(hit.digest, hit.start_s, hit.end_s) : api.fileUrl(hit.digest);
  return element("a", { class: "labelled", href: url, download: "", draggable: "true", ondragstart: (event) => dragged(event, hit, part) },
    icon("save"), element("span", {}, part ? TEXTS.savePart : TEXTS.saveFile));
}
