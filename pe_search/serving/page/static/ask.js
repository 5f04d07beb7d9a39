// What is looked for: the box, the chips below it, and the filters.

import * as api from "./api.js";
import { element, icon, iconButton, say } from "./dom.js";
import { TEXTS, fill } from "./texts.js";

const FILTERS = Object.keys(TEXTS.filterNames);
const LISTS = ["name", "tag"], FLAGS = ["all_windows", "reverse"], OF_FIELDS = ["sort", "fields"];
const PAUSE_MS = 120;
// Digests say nothing to anybody; this page has seen the names of those that it was asked for.
const names = new Map();

export function nameOf(reference) {
  return names.get(reference.split("@")[0]);
}

export function nameIt(id, name) {
  names.set(id, name);
}

export class Ask {
  // `onchange` is called with the new state, and whether it is another step for the back button.
  constructor(form, onchange) {
    this.form = form;
    this.onchange = onchange;
    this.box = element("input", {
      id: "text", type: "search", autocomplete: "off", spellcheck: "false", "aria-label": TEXTS.searchLabel,
      placeholder: TEXTS.searchPlaceholder, "aria-describedby": "hint", enterkeyhint: "search",
    });
    this.recorder = iconButton("mic", TEXTS.record, () => this.record());
    const picker = element("input", { type: "file", accept: "audio/*,video/*,.flac,.wav,.aif,.aiff,.w64,.caf", class: "hidden", tabindex: "-1", "aria-hidden": "true" });
    picker.addEventListener("change", () => picker.files[0] && this.drop(picker.files[0]));
    this.chips = element("ul", { class: "chips", "aria-label": TEXTS.searchLabel });
    this.filters = this.makeFilters();
    form.append(
      element("div", { class: "box" }, icon("search"), this.box, this.recorder,
        iconButton("file", TEXTS.pickFile, () => picker.click()), picker),
      element("p", { id: "hint", class: "hint" }, TEXTS.searchHint), this.chips, this.filters,
    );
    this.box.addEventListener("input", () => this.typed());
    // A form of several boxes has no Enter of its own.
    form.addEventListener("submit", (event) => event.preventDefault());
    this.box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault();
      this.entered();
    });
  }

  makeFilters() {
    this.inputs = {};
    const grid = element("div", { class: "grid" });
    for (const name of FILTERS) {
      const isFlag = FLAGS.includes(name);
      const input = element("input", {
        id: `filter-${name}`, type: isFlag ? "checkbox" : "text", autocomplete: "off", spellcheck: "false",
        placeholder: isFlag ? null : TEXTS.filterExamples[name], list: OF_FIELDS.includes(name) ? "known-fields" : null,
      });
      input.addEventListener("change", () => this.filtered());
      this.inputs[name] = input;
      grid.append(element("label", { class: isFlag ? "flag" : "" }, element("span", {}, TEXTS.filterNames[name]), input));
    }
    const clear = element("button", { type: "button", class: "labelled", onclick: () => this.clear() }, TEXTS.clear);
    this.summary = element("summary", {}, TEXTS.filters);
    return element("details", { class: "filters" }, this.summary, grid, clear);
  }

  show(state) {
    this.state = state;
    if (document.activeElement !== this.box) this.box.value = state.text.join(" ");
    let filters = 0;
    for (const name of FILTERS) {
      const value = LISTS.includes(name) ? state[name].join(", ") : state[name];
      if (FLAGS.includes(name)) this.inputs[name].checked = value === "true";
      else this.inputs[name].value = value;
      filters += value ? 1 : 0;
    }
    this.summary.textContent = filters ? `${TEXTS.filters} (${filters})` : TEXTS.filters;
    const chips = [];
    for (const kind of ["plus", "minus", "like", "unlike"]) {
      state[kind].forEach((text, place) => chips.push(this.chip(kind, text, place)));
    }
    this.chips.replaceChildren(...chips);
    this.chips.hidden = chips.length === 0;
  }

  chip(kind, text, place) {
    const isSound = kind.endsWith("like");
    const shown = fill(TEXTS.chips[kind], { text: isSound ? (nameOf(text) ?? "…") : text });
    const label = element("span", {}, shown);
    const removed = iconButton("cross", fill(TEXTS.removeChip, { chip: shown }), () =>
      this.change({ [kind]: this.state[kind].filter((_, other) => other !== place) }));
    const id = text.split("@")[0];
    if (isSound && !names.has(id) && !id.startsWith("sound-")) {
      api.about(id).then((clip) => {
        nameIt(id, clip.name);
        this.show(this.state);
      }, () => nameIt(id, id.slice(0, 8)));
    }
    return element("li", { class: `chip ${kind}` }, label, removed);
  }

  change(changes, steps = true) {
    // What is looked for is of no use to the other views.
    const view = ["strip", "counts"].includes(this.state.view) ? this.state.view : "search";
    this.onchange({ ...this.state, view, ...changes }, steps);
  }

  typed() {
    clearTimeout(this.later);
    const text = this.box.value.trim();
    // A term becomes a chip with Enter; a word in the making is none yet.
    if (/^[+-]/.test(text) || text === "@") return;
    this.later = setTimeout(() => this.change({ text: text ? [text] : [] }, false), PAUSE_MS);
  }

  entered() {
    clearTimeout(this.later);
    const text = this.box.value.trim();
    const found = /^([+-])\s*(.+)$/.exec(text);
    if (!found) {
      this.change({ text: text ? [text] : [] });
      return;
    }
    const kind = found[1] === "+" ? "plus" : "minus";
    this.box.value = this.state.text.join(" ");
    this.change({ [kind]: [...this.state[kind], found[2]] });
    this.box.select();
  }

  filtered() {
    const changes = {};
    for (const name of FILTERS) {
      const input = this.inputs[name];
      if (FLAGS.includes(name)) changes[name] = input.checked ? "true" : "";
      else if (LISTS.includes(name)) changes[name] = input.value.split(",").map((one) => one.trim()).filter(Boolean);
      else changes[name] = input.value.trim();
    }
    this.change(changes);
  }

  clear() {
    this.box.value = "";
    const empty = Object.fromEntries(Object.entries(this.state).map(([name, value]) => [name, Array.isArray(value) ? [] : ""]));
    this.onchange({ ...empty, view: this.state.view }, true);
    this.box.focus();
  }

  addSound(kind, id, name, part = "") {
    nameIt(id, name);
    const reference = id + part;
    const other = kind === "like" ? "unlike" : "like";
    if (this.state[kind].includes(reference)) return;
    this.change({ [kind]: [...this.state[kind], reference], [other]: this.state[other].filter((one) => one !== reference) });
  }

  async drop(file) {
    say(TEXTS.listening);
    try {
      const kept = await api.keepSound(file);
      say("");
      this.addSound("like", kept.id, file.name || "sound");
    } catch (error) {
      say(error.message || TEXTS.offline, true);
    }
  }

  async record() {
    if (this.recording) {
      this.recording.stop();
      return;
    }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const recording = new MediaRecorder(stream), parts = [];
      recording.addEventListener("dataavailable", (event) => parts.push(event.data));
      recording.addEventListener("stop", () => {
        stream.getTracks().forEach((track) => track.stop());
        this.recording = null;
        this.mark(false);
        const at = new Date().toLocaleTimeString();
        this.drop(new File(parts, at, { type: recording.mimeType }));
      });
      recording.start();
      this.recording = recording;
      this.mark(true);
    } catch (error) {
      say(fill(TEXTS.recordingFailed, { reason: error.message }), true);
    }
  }

  mark(isRecording) {
    this.recorder.classList.toggle("on", isRecording);
    this.recorder.setAttribute("aria-label", isRecording ? TEXTS.stopRecording : TEXTS.record);
    this.recorder.title = isRecording ? TEXTS.stopRecording : TEXTS.record;
  }
}
