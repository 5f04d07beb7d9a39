// One sound at a time. Times are those of the file, also where a part of it is played, or a slower version.

import * as api from "./api.js";

const LONGEST_WHOLE_S = 120, AROUND_S = 30;
const known = new Map();

export class Player extends EventTarget {
  constructor(audio) {
    super();
    this.audio = audio;
    this.hit = null;
    this.loops = false;
    this.from = 0;
    this.speed = 1;
    this.stopsAt = null;
    for (const name of ["play", "pause", "ended"]) audio.addEventListener(name, () => this.changed());
    audio.addEventListener("timeupdate", () => this.mind());
    audio.addEventListener("error", () => this.fail(audio.error?.message || ""));
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

  // At the end of the window: again, or stop.
  mind() {
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
    let url, from = 0;
    this.speed = clip.speed;
    if (clip.is_playable) url = api.audioUrl(hit.digest);
    else if (length / clip.speed <= LONGEST_WHOLE_S) url = api.audioUrl(hit.digest, 0, length);
    else {
      from = Math.max(0, Math.min(start, hit.start_s) - AROUND_S * clip.speed);
      url = api.audioUrl(hit.digest, from, Math.min(length, Math.max(start, hit.end_s) + AROUND_S * clip.speed));
    }
    this.hit = hit;
    this.from = from;
    if (this.audio.src !== url) this.audio.src = url;
    this.audio.currentTime = (start - from) / this.speed;
    const isInside = start >= hit.start_s && start < hit.end_s;
    this.stopsAt = isInside && hit.end_s < length - 0.05 ? hit.end_s : this.loops && isInside ? hit.end_s - 0.03 : null;
    try {
      await this.audio.play();
    } catch (error) {
      if (error.name !== "AbortError") this.fail(error.message);
    }
  }

  toggle(hit) {
    if (this.isPlaying && this.hit === hit) this.audio.pause();
    else if (this.hit === hit && this.time > hit.start_s && this.time < hit.end_s - 0.1 && !this.audio.ended) this.audio.play();
    else this.play(hit);
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
