// All clips as dots: what sounds alike lies close.

import * as api from "./api.js";
import { element, iconButton, labelledButton, say } from "./dom.js";
import { shown, times } from "./list.js";
import { storeChoice } from "./stores.js";
import { save } from "./strip.js";
import { TEXTS, fill } from "./texts.js";

const MOST_CHOSEN = 10000, GRID = 128, NEAR_PX = 12, HOVER_MS = 140, ASK_AGAIN_MS = 1000;
const LAYOUTS = ["pca", "pacmap"];
// Twelve colours that are told apart on light and on dark (after Paul Tol's, and Okabe and Ito's).
const COLOURS = [[0, 119, 187], [238, 119, 51], [0, 153, 136], [204, 51, 17], [170, 68, 153], [153, 153, 51], [51, 187, 238], [136, 84, 40], [238, 51, 119], [68, 119, 70], [120, 94, 240], [221, 170, 0]];
const OTHERS = [136, 140, 138];
const NONE = { folder: 65535, tag: 65535, hour: 255, label: 255 };

function unpacked(text, Kind) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let place = 0; place < raw.length; place += 1) bytes[place] = raw.charCodeAt(place);
  return new Kind(bytes.buffer);
}

export async function showMap(page, place, signal, isCurrent) {
  page.status(TEXTS.searching);
  const labels = page.state.by ? page.state.by.split(",").map((one) => one.trim()).filter(Boolean).slice(0, 20) : [];
  const { state } = page, of = state.dots === "windows" ? "windows" : "clips";
  const asked = () => api.map(of, LAYOUTS.includes(state.layout) ? state.layout : "", state.store, labels, signal);
  const found = await asked();
  if (!isCurrent()) return;
  page.status("");
  const map = new SoundMap(page, place, found, signal);
  if (found.better !== "making" || state.layout === "pca") return;
  // Nobody waits for it.
  better().catch((error) => error.name !== "AbortError" && isCurrent() && say(error.message || TEXTS.offline, true));

  async function better() {
    for (let told = found; told.better === "making";) {
      await new Promise((done) => setTimeout(done, ASK_AGAIN_MS));
      if (!isCurrent()) return;
      told = await api.betterMap(of, state.store, signal);
    }
    const again = await asked();
    if (!isCurrent()) return;
    if (again.mark === found.mark) map.change(again);
    else new SoundMap(page, place, again, signal);
  }
}

export class SoundMap {
  // `signal` ends it.
  constructor(page, place, found, signal) {
    this.page = page;
    this.found = found;
    this.points = unpacked(found.points, Uint16Array);
    this.values = { folder: unpacked(found.folder, Uint16Array), tag: unpacked(found.tag, Uint16Array), hour: unpacked(found.hour, Uint8Array), label: unpacked(found.label, Uint8Array) };
    this.colour = page.state.colour in NONE ? page.state.colour : found.labels.length ? "label" : "folder";
    this.zoom = 1;
    this.left = 0;
    this.top = 0;
    this.lasso = [];
    this.chosen = new Uint8Array(found.count);
    this.plays = true;
    this.canvas = element("canvas", { class: "map", role: "application", tabindex: "0", "aria-describedby": "map-hint", "aria-label": fill(TEXTS.mapNames[found.of], { count: found.count }) });
    this.legend = element("ul", { class: "legend" });
    this.actions = element("div", { class: "actions" });
    const select = element("select", { id: "colour", "aria-label": TEXTS.mapColour }, ...Object.entries(TEXTS.colours).map(([value, text]) => element("option", { value, selected: value === this.colour }, text)));
    select.addEventListener("change", () => page.changed({ ...page.state, colour: select.value }, false));
    const input = element("input", { type: "text", id: "labels", value: page.state.by, placeholder: TEXTS.mapLabelsExample, "aria-label": TEXTS.mapLabels, title: TEXTS.mapLabels });
    input.addEventListener("change", () => page.changed({ ...page.state, by: input.value, colour: input.value ? "label" : "" }, true));
    const hover = element("input", { type: "checkbox", id: "hover", checked: true });
    hover.addEventListener("change", () => (this.plays = hover.checked));
    this.layout = choice("layout", TEXTS.layouts, found.layout, (value) => page.changed({ ...page.state, layout: value }, true));
    const dots = choice("dots", TEXTS.mapDots, found.of, (value) => page.changed({ ...page.state, dots: value === "clips" ? "" : value }, true));
    this.told = element("p", { class: "facts told", role: "status" });
    if (!found.count) {
      place.replaceChildren(element("div", { class: "actions" }, storeChoice(page)), element("p", {}, TEXTS.mapEmpty));
      return;
    }
    place.replaceChildren(
      element("div", { class: "actions" }, storeChoice(page), labelled(TEXTS.mapOf, dots), labelled(TEXTS.mapLayout, this.layout)),
      this.told,
      element("div", { class: "actions" }, element("label", { class: "flag back" }, element("span", {}, TEXTS.mapColour), select), input,
        element("label", { class: "flag" }, element("span", {}, TEXTS.mapHover), hover),
        iconButton("like", TEXTS.zoomIn, () => this.zoomBy(1.5)), iconButton("unlike", TEXTS.zoomOut, () => this.zoomBy(1 / 1.5)),
        labelledButton("like", TEXTS.chooseAll, () => this.chooseShown())),
      this.canvas, element("p", { class: "hint", id: "map-hint" }, TEXTS.mapHint), this.legend, this.actions);
    this.tell();
    this.index();
    this.paint();
    this.draw();
    this.listen();
    addEventListener("resize", () => this.canvas.isConnected && this.draw(), { signal });
  }

  // The same dots, laid out anew.
  change(found) {
    this.found = found;
    this.points = unpacked(found.points, Uint16Array);
    this.layout.value = found.layout;
    this.tell();
    this.index();
    this.draw();
    if (found.layout === "pacmap") say(TEXTS.mapChanged);
  }

  tell() {
    const { found } = this, isDrawn = found.of === "windows" && found.windows > found.count;
    const wants = this.page.state.layout !== "pca";
    this.told.textContent = [
      isDrawn ? fill(TEXTS.mapSome, { count: found.count.toLocaleString(), windows: found.windows.toLocaleString() }) : "",
      wants && found.better === "making" ? TEXTS.mapMaking : "", wants && found.layout === "pca" ? shown(found.why.trim()) : "",
    ].filter(Boolean).join(" ");
    this.told.hidden = !this.told.textContent;
  }

  // Which dots are in which square, so that the nearest is found at once.
  index() {
    const counts = new Uint32Array(GRID * GRID + 1), { points, found } = this, cell = (dot) => (points[2 * dot + 1] >> 9) * GRID + (points[2 * dot] >> 9);
    for (let dot = 0; dot < found.count; dot += 1) counts[cell(dot) + 1] += 1;
    for (let place = 1; place < counts.length; place += 1) counts[place] += counts[place - 1];
    const next = counts.slice(), order = new Uint32Array(found.count);
    for (let dot = 0; dot < found.count; dot += 1) order[next[cell(dot)]++] = dot;
    this.starts = counts;
    this.order = order;
  }

  paint() {
    const { found, colour } = this, values = this.values[colour], counts = new Map();
    for (const value of values) if (value !== NONE[colour]) counts.set(value, (counts.get(value) ?? 0) + 1);
    const named = { folder: found.folders, tag: found.tags, hour: null, label: found.labels }[colour];
    const first = [...counts.keys()].sort(colour === "hour" ? (one, other) => one - other : (one, other) => counts.get(other) - counts.get(one));
    const wheel = (hour) => hsl(((hour + 12) % 24) * 15);
    const of = new Map(first.map((value, place) => [value, colour === "hour" ? wheel(value) : (COLOURS[place] ?? OTHERS)]));
    const packed = (rgb) => (255 << 24) | (rgb[2] << 16) | (rgb[1] << 8) | rgb[0];
    this.colours = Uint32Array.from(values, (value) => packed(of.get(value) ?? OTHERS));
    const entries = first.slice(0, colour === "hour" ? 24 : COLOURS.length).map((value) => [named ? last(named[value]) : `${value}:00`, of.get(value), counts.get(value)]);
    const rest = found.count - entries.reduce((sum, [, , count]) => sum + count, 0);
    if (rest) entries.push([first.length > entries.length ? TEXTS.others : TEXTS.none, OTHERS, rest]);
    this.legend.replaceChildren(...entries.map(([text, rgb, count]) => {
      const dot = element("span", { class: "dot" });
      dot.style.background = `rgb(${rgb.join(",")})`;
      return element("li", {}, dot, `${shown(text)} (${count.toLocaleString()})`);
    }));
  }

  place(dot) {
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    return [(this.points[2 * dot] / 65535 - this.left) * this.zoom * width, (1 - this.points[2 * dot + 1] / 65535 - this.top) * this.zoom * height];
  }

  draw() {
    const { canvas, points, colours, chosen, found } = this, scale = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      this.image = null;
    }
    const drawing = canvas.getContext("2d");
    this.image ??= drawing.createImageData(width, height);
    const pixels = new Uint32Array(this.image.data.buffer);
    pixels.fill(0);
    const kx = (this.zoom * width) / 65535, ky = (this.zoom * height) / 65535, x0 = this.left * this.zoom * width, y0 = (1 - this.top) * this.zoom * height;
    const usual = Math.max(1, Math.round((found.count > 20000 ? 1.5 : found.count > 1000 ? 3 : 9) * scale * Math.min(Math.sqrt(this.zoom), 3)));
    const isAny = this.isAny;
    for (let dot = 0; dot < found.count; dot += 1) {
      const size = isAny && chosen[dot] ? usual + Math.ceil(2 * scale) : usual;
      const left = Math.round(points[2 * dot] * kx - x0 - size / 2), top = Math.round(y0 - points[2 * dot + 1] * ky - size / 2);
      if (left < 0 || top < 0 || left + size >= width || top + size >= height) continue;
      const colour = isAny && !chosen[dot] ? (colours[dot] & 0xffffff) | (70 << 24) : colours[dot];
      const radius = size / 2, isRound = size > 3;
      for (let row = 0; row < size; row += 1) {
        const from = (top + row) * width + left;
        const reach = isRound ? Math.sqrt(Math.max(0, radius * radius - (row + 0.5 - radius) ** 2)) : radius;
        pixels.fill(colour, from + Math.round(radius - reach), from + Math.round(radius + reach));
      }
    }
    drawing.putImageData(this.image, 0, 0);
    if (this.lasso.length > 1) {
      drawing.setTransform(scale, 0, 0, scale, 0, 0);
      drawing.strokeStyle = getComputedStyle(canvas).getPropertyValue("--accent");
      drawing.lineWidth = 2;
      drawing.beginPath();
      this.lasso.forEach(([x, y], step) => (step ? drawing.lineTo(x, y) : drawing.moveTo(x, y)));
      drawing.closePath();
      drawing.stroke();
      drawing.setTransform(1, 0, 0, 1, 0, 0);
    }
  }

  soon() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.draw();
    });
  }

  nearest(x, y) {
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    const column = Math.floor((x / width / this.zoom + this.left) * GRID), row = Math.floor((1 - (y / height / this.zoom + this.top)) * GRID);
    const reach = Math.ceil((NEAR_PX / Math.min(width, height) / this.zoom) * GRID) + 1;
    let best = -1, least = NEAR_PX * NEAR_PX;
    for (let r = Math.max(0, row - reach); r <= Math.min(GRID - 1, row + reach); r += 1) {
      for (let c = Math.max(0, column - reach); c <= Math.min(GRID - 1, column + reach); c += 1) {
        for (let at = this.starts[r * GRID + c]; at < this.starts[r * GRID + c + 1]; at += 1) {
          const [px, py] = this.place(this.order[at]), distance = (px - x) ** 2 + (py - y) ** 2;
          if (distance < least) [best, least] = [this.order[at], distance];
        }
      }
    }
    return best;
  }

  listen() {
    const { canvas } = this;
    let from = null, moves = false, later = null;
    const fingers = new Map();
    // Where the middle of two fingers is, and how far they are from each other.
    const pinched = () => {
      const [[x1, y1], [x2, y2]] = [...fingers.values()];
      return { x: (x1 + x2) / 2 / canvas.clientWidth, y: (y1 + y2) / 2 / canvas.clientHeight, far: Math.max(Math.hypot(x2 - x1, y2 - y1), 1) };
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
      from = [event.offsetX, event.offsetY];
      moves = event.shiftKey || event.button === 1 || fingers.size > 1;
      this.lasso = moves ? [] : [from];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) {
        clearTimeout(later);
        later = setTimeout(() => this.pointAt(event.offsetX, event.offsetY), HOVER_MS);
        return;
      }
      const before = fingers.size === 2 ? pinched() : null;
      if (fingers.has(event.pointerId)) fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
      if (before) {
        const now = pinched();
        this.left -= (now.x - before.x) / this.zoom;
        this.top -= (now.y - before.y) / this.zoom;
        this.zoomBy(now.far / before.far, now.x, now.y);
      } else if (moves) {
        this.left -= (event.offsetX - from[0]) / canvas.clientWidth / this.zoom;
        this.top -= (event.offsetY - from[1]) / canvas.clientHeight / this.zoom;
        from = [event.offsetX, event.offsetY];
      } else this.lasso.push([event.offsetX, event.offsetY]);
      this.soon();
    });
    canvas.addEventListener("pointercancel", (event) => {
      fingers.delete(event.pointerId);
      from = null;
      this.lasso = [];
      this.soon();
    });
    canvas.addEventListener("pointerup", (event) => {
      fingers.delete(event.pointerId);
      // The finger that is left draws nothing.
      if (!from || fingers.size) return;
      const lasso = this.lasso;
      from = null;
      this.lasso = [];
      if (moves) return;
      if (lasso.length < 4) {
        const dot = this.nearest(event.offsetX, event.offsetY);
        this.choose(dot < 0 ? [] : [dot], true);
      } else this.choose(this.within(lasso));
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 400), event.offsetX / canvas.clientWidth, event.offsetY / canvas.clientHeight);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = 0.2 / this.zoom;
      const does = {
        "+": () => this.zoomBy(1.5), "=": () => this.zoomBy(1.5), "-": () => this.zoomBy(1 / 1.5),
        ArrowLeft: () => (this.left -= step), ArrowRight: () => (this.left += step),
        ArrowUp: () => (this.top -= step), ArrowDown: () => (this.top += step), Enter: () => this.chooseShown(),
      }[event.key];
      if (!does) return;
      event.preventDefault();
      event.stopPropagation();
      does();
      this.soon();
    });
  }

  rows(dots) {
    return api.mapRows(this.found.mark, this.found.of, this.page.state.store, dots);
  }

  // Around a place of the canvas, from 0 to 1.
  zoomBy(factor, x = 0.5, y = 0.5) {
    const zoom = Math.min(60, Math.max(1, this.zoom * factor));
    this.left += x / this.zoom - x / zoom;
    this.top += y / this.zoom - y / zoom;
    this.zoom = zoom;
    if (zoom === 1) this.left = this.top = 0;
    this.soon();
  }

  async pointAt(x, y) {
    const dot = this.nearest(x, y);
    if (dot === this.pointed) return;
    this.pointed = dot;
    this.canvas.title = "";
    if (dot < 0) return;
    try {
      const [hit] = await this.rows([dot]);
      if (this.pointed !== dot) return;
      const name = this.found.of === "windows" ? `${shown(hit.name)} ${times(hit)}` : shown(hit.name);
      this.canvas.title = name;
      say(name);
      if (this.plays) this.page.player.play(hit);
    } catch (error) {
      say(error.message || TEXTS.offline, true);
    }
  }

  // By the rule of even and odd.
  within(lasso) {
    const found = [];
    for (let dot = 0; dot < this.found.count; dot += 1) {
      const [x, y] = this.place(dot);
      let isIn = false;
      for (let one = 0, other = lasso.length - 1; one < lasso.length; other = one++) {
        const [x1, y1] = lasso[one], [x2, y2] = lasso[other];
        if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) isIn = !isIn;
      }
      if (isIn) found.push(dot);
    }
    return found;
  }

  chooseShown() {
    const all = [], width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    for (let dot = 0; dot < this.found.count; dot += 1) {
      const [x, y] = this.place(dot);
      if (x >= 0 && y >= 0 && x <= width && y <= height) all.push(dot);
    }
    this.choose(all);
  }

  async choose(dots, plays = false) {
    const all = dots.length, mine = (this.choosing = (this.choosing ?? 0) + 1);
    dots = dots.slice(0, MOST_CHOSEN);
    this.chosen.fill(0);
    for (const dot of dots) this.chosen[dot] = 1;
    this.isAny = dots.length > 0;
    this.draw();
    const hits = dots.length ? await this.rows(dots).catch((error) => (say(error.message, true), [])) : [];
    // Others may be chosen by now.
    if (mine !== this.choosing || !this.canvas.isConnected) return;
    this.page.showHits(hits, hits.length ? 0 : -1);
    if (plays && hits.length) this.page.player.play(hits[0]);
    this.page.status(fill(all > dots.length ? TEXTS.chosenSome : TEXTS.chosen, { count: hits.length.toLocaleString(), all: all.toLocaleString() }));
    if (!hits.length) {
      this.actions.replaceChildren();
      return;
    }
    const input = element("input", { type: "text", id: "tag-all", maxlength: "100", "aria-label": TEXTS.addTag, placeholder: TEXTS.addTag, list: "known-tags" });
    this.actions.replaceChildren(
      labelledButton("save", TEXTS.exportPaths, () => save("paths.txt", [...new Set(hits.map((hit) => `${hit.path}\n`))].join(""))),
      this.found.of === "windows" ? labelledButton("save", TEXTS.exportParts, () => save("parts.csv", table(hits))) : "",
      input, labelledButton("heart", TEXTS.tagAll, () => this.tagAll(hits, input.value.trim())));
  }

  async tagAll(hits, tag) {
    if (!tag) return;
    try {
      const found = await api.tag([...new Set(hits.map((hit) => hit.digest))], [tag], []);
      for (const hit of hits) hit.tags = found.clips[hit.digest];
      this.page.store.tags = found.tags;
      this.page.showHits(hits, 0);
      say(fill(TEXTS.tagged, { tags: shown(tag) }));
    } catch (error) {
      say(error.message || TEXTS.offline, true);
    }
  }
}

function choice(id, texts, value, onchange) {
  const select = element("select", { id }, ...Object.entries(texts).map(([one, text]) => element("option", { value: one, selected: one === value }, text)));
  select.addEventListener("change", () => onchange(select.value));
  return select;
}

const labelled = (text, control) => element("label", { class: "flag back" }, element("span", {}, text), control);

// As pe-search reads tables: path, start_s, end_s.
function table(hits) {
  const quoted = (text) => `"${text.replace(/"/g, '""')}"`;
  return ["path,start_s,end_s\n", ...hits.map((hit) => `${quoted(hit.path)},${hit.start_s},${hit.end_s}\n`)].join("");
}

const last = (path) => path.split(/[/\\]/).filter(Boolean).pop() ?? path;

function hsl(hue) {
  const part = (offset) => {
    const place = (offset + hue / 30) % 12;
    return Math.round(255 * (0.5 - 0.33 * Math.max(-1, Math.min(place - 3, 9 - place, 1))));
  };
  return [part(0), part(8), part(4)];
}
