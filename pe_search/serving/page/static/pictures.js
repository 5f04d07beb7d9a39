// Waveforms and spectrograms: fetched a few at a time, what is seen first, and kept while there is room.

import * as api from "./api.js";

const MOST_AT_ONCE = 3, MOST_KEPT = 600;
const kept = new Map(), waiting = [];
let running = 0;

// What is wanted later is drawn first: it is what is on the screen now. `isWanted` is asked before it begins.
export function peaks(clip, from, to, columns, isWanted = () => true) {
  return wanted(`p ${clip} ${from} ${to} ${columns}`, () => api.peaks(clip, from, to, columns), isWanted);
}

export function spectrogram(clip, from, to, columns, isWanted = () => true) {
  return wanted(`s ${clip} ${from} ${to} ${columns}`, () => api.spectrogram(clip, from, to, columns), isWanted);
}

function wanted(key, fetched, isWanted) {
  const known = kept.get(key);
  if (known) {
    kept.delete(key);
    kept.set(key, known);
    return known;
  }
  const made = new Promise((done, failed) => waiting.push({ key, fetched, isWanted, done, failed }));
  kept.set(key, made);
  made.catch(() => kept.delete(key));
  if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
  next();
  return made;
}

function next() {
  while (running < MOST_AT_ONCE && waiting.length) {
    const one = waiting.pop();
    if (!one.isWanted()) {
      one.failed(new DOMException("no longer wanted", "AbortError"));
      continue;
    }
    running += 1;
    one.fetched().then(one.done, one.failed).finally(() => {
      running -= 1;
      next();
    });
  }
}

export function colours(node) {
  const style = getComputedStyle(node);
  return Object.fromEntries(
    ["accent", "muted", "mark", "span", "text", "surface"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
  );
}

export const sizeOf = (canvas) => ({ width: canvas.clientWidth, height: canvas.clientHeight });

// A canvas as sharp as the screen is.
export function context(canvas, size = sizeOf(canvas)) {
  const scale = Math.min(window.devicePixelRatio || 1, 2);
  const width = Math.max(1, Math.round(size.width * scale)), height = Math.max(1, Math.round(size.height * scale));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  // Small and many: to have each on a graphics card takes longer than to draw it.
  const drawing = canvas.getContext("2d", { willReadFrequently: true });
  drawing.setTransform(scale, 0, 0, scale, 0, 0);
  drawing.clearRect(0, 0, size.width, size.height);
  return drawing;
}

// `view` is {from, to} in seconds, `window` what is marked in it, `spans` what lies over it. Whoever draws many that are
// alike gives `size` and `paint`, which take the browser long to find out.
export function drawWave(canvas, numbers, view, { window: part, spans = [], at = null, size = sizeOf(canvas), paint = colours(canvas) } = {}) {
  const drawing = context(canvas, size), { width, height } = size;
  const x = (time) => ((time - view.from) / (view.to - view.from)) * width;
  const isWhole = !part || (part.from <= view.from + 1e-6 && part.to >= view.to - 1e-6);
  if (part && !isWhole) {
    drawing.fillStyle = paint.mark;
    drawing.fillRect(x(part.from), 0, Math.max(x(part.to) - x(part.from), 2), height);
  }
  for (const span of spans) {
    drawing.fillStyle = paint.span;
    drawing.fillRect(x(span.start_s), 0, Math.max(x(span.end_s) - x(span.start_s), 2), height);
  }
  if (numbers) {
    const columns = numbers.length / 2, middle = height / 2;
    let loudest = 1;
    for (const number of numbers) loudest = Math.max(loudest, Math.abs(number));
    // Quiet recordings are drawn larger, up to eight times.
    const scale = (middle - 1) / Math.max(loudest, 16);
    for (let column = 0; column < columns; column += 1) {
      const time = view.from + ((column + 0.5) / columns) * (view.to - view.from);
      const isIn = !part || (time >= part.from && time <= part.to);
      drawing.fillStyle = isIn ? paint.accent : paint.muted;
      const top = middle - numbers[2 * column + 1] * scale, bottom = middle - numbers[2 * column] * scale;
      drawing.fillRect((column / columns) * width, top, Math.max(width / columns - 0.3, 0.7), Math.max(bottom - top, 1));
    }
  }
  if (at !== null && at >= view.from && at <= view.to) {
    drawing.fillStyle = paint.text;
    drawing.fillRect(x(at) - 0.75, 0, 1.5, height);
  }
}

const STOPS = [[6, 8, 24], [59, 22, 92], [150, 44, 101], [226, 96, 62], [250, 190, 90], [252, 250, 210]];

function palette(value) {
  const place = (value / 255) * (STOPS.length - 1), low = Math.min(Math.floor(place), STOPS.length - 2), share = place - low;
  return STOPS[low].map((number, colour) => number + (STOPS[low + 1][colour] - number) * share);
}

const PALETTE = Array.from({ length: 256 }, (_, value) => palette(value));
export const ROWS = 128;

export function drawSpectrogram(canvas, numbers) {
  const columns = numbers.length / ROWS, image = new ImageData(columns, ROWS);
  for (let column = 0; column < columns; column += 1) {
    for (let row = 0; row < ROWS; row += 1) {
      const [red, green, blue] = PALETTE[numbers[column * ROWS + row]];
      image.data.set([red, green, blue, 255], 4 * ((ROWS - 1 - row) * columns + column));
    }
  }
  canvas.width = columns;
  canvas.height = ROWS;
  canvas.getContext("2d").putImageData(image, 0, 0);
}
