// A waveform as an element: nothing is drawn again while it scrolls, and the style sheet has its colours.

const TALL = 128, MIDDLE = TALL / 2, LEAST = 1;

function part(kind, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export class Wave {
  // `view` is {from, to} in seconds, `marked` the window in it. `onclick` is called with the time.
  constructor(label, view, marked, { isLarge = false, onclick }) {
    this.view = view;
    this.marked = marked;
    this.node = part("svg", { class: isLarge ? "wave large" : "wave", role: "img", "aria-label": label, viewBox: `0 0 1 ${TALL}`, preserveAspectRatio: "none" });
    this.isWhole = marked.start_s <= view.from + 1e-6 && marked.end_s >= view.to - 1e-6;
    this.now = null;
    this.spans = null;
    if (!this.isWhole) this.node.append(this.stretch("mark", marked));
    this.node.addEventListener("click", (event) => {
      event.stopPropagation();
      const box = this.node.getBoundingClientRect();
      onclick(view.from + ((event.clientX - box.left) / box.width) * (view.to - view.from));
    });
  }

  x(time) {
    return (time - this.view.from) / (this.view.to - this.view.from);
  }

  stretch(kind, { start_s, end_s }) {
    return part("rect", { class: kind, x: this.x(start_s), width: Math.max(this.x(end_s) - this.x(start_s), 0.004), height: TALL });
  }

  // `numbers` has the lowest and the highest sample of each column.
  show(numbers) {
    const columns = numbers.length / 2;
    let loudest = 16;
    for (const number of numbers) loudest = Math.max(loudest, Math.abs(number));
    // Quiet recordings are drawn larger, up to eight times.
    const scale = (MIDDLE - 2) / loudest, paths = { in: "", out: "" };
    const isIn = (column) => {
      const time = this.view.from + ((column + 0.5) / columns) * (this.view.to - this.view.from);
      return this.isWhole || (time >= this.marked.start_s && time <= this.marked.end_s);
    };
    for (let first = 0, after = 0; first < columns; first = after) {
      const kind = isIn(first);
      while (after < columns && isIn(after) === kind) after += 1;
      let above = `M${first / columns} ${MIDDLE}`, below = "";
      for (let column = first; column < after; column += 1) {
        const high = MIDDLE - numbers[2 * column + 1] * scale, low = MIDDLE - numbers[2 * column] * scale;
        const middle = (high + low) / 2, half = Math.max((low - high) / 2, LEAST), x = ((column + 0.5) / columns).toFixed(5);
        above += `L${x} ${(middle - half).toFixed(1)}`;
        below = `L${x} ${(middle + half).toFixed(1)}${below}`;
      }
      paths[kind ? "in" : "out"] += `${above}L${after / columns} ${MIDDLE}${below}Z`;
    }
    this.node.querySelectorAll("path").forEach((one) => one.remove());
    for (const [kind, path] of Object.entries(paths)) if (path) this.node.append(part("path", { class: kind, d: path }));
    if (this.now) this.node.append(this.now);
  }

  // When it is heard, and what plays now; null for nothing.
  mark(spans, at) {
    if (spans && spans !== this.spans) {
      this.node.querySelectorAll(".span").forEach((one) => one.remove());
      this.node.prepend(...spans.map((span) => this.stretch("span", span)));
      this.spans = spans;
    }
    const isIn = at !== null && at >= this.view.from && at <= this.view.to;
    if (!isIn) {
      this.now?.remove();
      this.now = null;
      return;
    }
    if (!this.now) this.node.append((this.now = part("line", { class: "now", y2: TALL })));
    this.now.setAttribute("x1", this.x(at));
    this.now.setAttribute("x2", this.x(at));
  }
}
