// One sound at a time, as the model hears it, or as the file has it. Times are those of the file, also where a part of it
// is played, or a slower version.

import * as api from "./api.js";

const LONGEST_WHOLE_S = 120, AROUND_S = 30, STRETCH_S = 10, RAMP_S = 0.03;
const known = new Map(), gains = new Map();

// A window, and no whole recording.
const isShort = (hit, speed) => (hit.end_s - hit.start_s) / speed <= 2 * AROUND_S;

export class Player extends EventTarget {
  constructor(audio) {
    super();
    this.audio = audio;
    this.hit = null;
    this.loops = false;
    this.from = 0;
    this.to = null;
    this.length = 0;
    this.speed = 1;
    this.level = "none";
    this.gain = 0;
    this.stretch = null;
    this.isOriginal = false;
    this.isFile = false;
    this.start = 0;
    this.isStale = false;
    this.stopsAt = null;
    for (const name of ["play", "pause", "ended"]) audio.addEventListener(name, () => this.changed());
    audio.addEventListener("ended", () => this.goOn());
    audio.addEventListener("timeupdate", () => this.mind());
    audio.addEventListener("error", () => audio.error && this.recover(audio.error.message || ""));
  }

  get isPlaying() {
    return !this.audio.paused && !this.audio.ended;
  }

  get time() {
    return this.from + this.audio.currentTime * this.speed;
  }

  changed() {
    this.dispatchEvent(new Event("change"));
    if (this.isPlaying) this.watch();
  }

  // Browsers give a damaged file up, or never play it; the server reads on behind the damage, and makes parts.
  recover(reason) {
    if (!this.hit || !this.isFile) {
      this.fail(reason);
      return;
    }
    known.get(this.hit.digest).is_playable = false;
    this.play(this.hit, Math.max(this.audio.currentTime, this.start));
  }

  fail(reason) {
    if (this.hit && this.audio.getAttribute("src")) this.dispatchEvent(new CustomEvent("failure", { detail: reason }));
  }

  watch() {
    const step = () => {
      if (!this.isPlaying) return;
      this.mind();
      this.dispatchEvent(new Event("time"));
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  // A part has ended, and the clip has not.
  goOn() {
    if (this.hit && this.to !== null && this.to < this.length - 0.05) this.play(this.hit, this.to);
  }

  // At the end of the window: again, or stop.
  mind() {
    if (this.stretch && (this.time > this.stretch.to + 0.05 || this.time < this.stretch.from - 0.05)) this.makeLouder(this.time);
    if (this.stopsAt === null || this.time < this.stopsAt) return;
    if (this.loops) this.audio.currentTime = (this.hit.start_s - this.from) / this.speed;
    else {
      this.audio.pause();
      this.stopsAt = null;
    }
  }

  // Plays the window of a hit, or on from a time of it.
  async play(hit, at = null) {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    let clip;
    try {
      if (!known.has(hit.digest)) known.set(hit.digest, await api.about(hit.digest));
      clip = known.get(hit.digest);
    } catch (error) {
      this.hit = hit;
      this.dispatchEvent(new CustomEvent("failure", { detail: error.message }));
      return;
    }
    if (turn !== this.turn) return;
    const length = clip.length_s ?? hit.end_s;
    const start = at ?? hit.start_s;
    const speed = this.isOriginal ? 1 : clip.speed, original = this.isOriginal && clip.speed !== 1 ? true : undefined;
    let url, from = 0, to = null;
    if (clip.is_playable) url = api.audioUrl(hit.digest);
    else {
      const around = AROUND_S * speed, isNear = start >= hit.start_s - around && start < hit.end_s + around;
      const place = isNear && isShort(hit, speed) ? [hit.start_s, hit.end_s] : [start, start];
      const isWhole = length / speed <= LONGEST_WHOLE_S;
      from = isWhole ? 0 : Math.max(0, place[0] - around);
      to = isWhole ? length : Math.min(length, place[1] + around);
      url = api.audioUrl(hit.digest, from, to, original);
    }
    this.hit = hit;
    this.isFile = clip.is_playable;
    this.start = start;
    this.from = from;
    this.to = to;
    this.length = length;
    this.speed = speed;
    this.level = clip.level;
    this.isStale = false;
    this.makeLouder(start);
    if (this.audio.src !== url) this.audio.src = url;
    this.audio.currentTime = (start - from) / this.speed;
    const isInside = start >= hit.start_s && start < hit.end_s;
    this.stopsAt = isInside && hit.end_s < length - 0.05 ? hit.end_s : this.loops && isInside ? hit.end_s - 0.03 : null;
    try {
      await this.audio.play();
    } catch (error) {
      // It may be told before the event is.
      if (error.name === "NotSupportedError" && turn === this.turn) this.recover(error.message);
      else if (error.name !== "AbortError" && turn === this.turn) this.fail(error.message);
    }
  }

  toggle(hit) {
    if (this.isPlaying && this.hit === hit) this.audio.pause();
    else if (this.isStale && this.hit === hit) this.play(hit, this.time);
    else if (this.hit === hit && this.time > hit.start_s && this.time < hit.end_s - 0.1 && !this.audio.ended) this.audio.play();
    else this.play(hit);
  }

  // As the file has it: at its own speed, and no louder.
  setOriginal(isOriginal) {
    this.isOriginal = isOriginal;
    this.isStale = this.hit !== null;
    if (this.isPlaying) this.play(this.hit, this.time);
    this.changed();
  }

  // The gain of the window, or of the stretch from there on: one that makes the quiet window of a hit louder would be far
  // too much for what comes after it.
  async makeLouder(time) {
    const { hit } = this;
    const isInside = time >= hit.start_s && time < hit.end_s && isShort(hit, this.speed);
    const stretch = isInside ? { from: hit.start_s, to: hit.end_s } : { from: time, to: Math.min(this.length, time + STRETCH_S * this.speed) };
    this.stretch = stretch;
    if (this.isOriginal || this.level === "none" || stretch.to <= stretch.from) {
      this.setGain(0);
      return;
    }
    const key = `${hit.digest} ${stretch.from} ${stretch.to}`;
    if (!gains.has(key)) this.setGain(0);
    try {
      if (!gains.has(key)) gains.set(key, await api.gain(hit.digest, stretch.from, stretch.to));
      if (this.stretch === stretch) this.setGain(gains.get(key));
    } catch {
      // It plays as the file has it.
    }
  }

  async setGain(decibels) {
    const isNew = this.gain !== decibels;
    this.gain = decibels;
    if (isNew) this.dispatchEvent(new Event("change"));
    if (!this.amplifier && !decibels) return;
    if (!this.context) this.context = new AudioContext();
    // It waits for the first click or key; until then the sound goes past it.
    await this.context.resume();
    if (!this.amplifier) {
      this.amplifier = this.context.createGain();
      this.context.createMediaElementSource(this.audio).connect(this.amplifier).connect(this.context.destination);
    }
    this.amplifier.gain.setTargetAtTime(10 ** (this.gain / 20), this.context.currentTime, RAMP_S);
  }

  setLoop(loops) {
    this.loops = loops;
    if (this.hit && this.isPlaying && loops) this.stopsAt = this.hit.end_s - 0.03;
    this.changed();
  }

  seek(seconds) {
    if (!this.hit) return;
    this.audio.currentTime = Math.max(0, this.audio.currentTime + seconds);
    this.dispatchEvent(new Event("time"));
  }
}
