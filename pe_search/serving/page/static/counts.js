// In which hours and on which days a sound is heard: a table with colours.

import * as address from "./address.js";
import * as api from "./api.js";
import { element } from "./dom.js";
import { TEXTS, fill } from "./texts.js";

const HOURS = Array.from({ length: 24 }, (_, hour) => hour);

export async function showCounts(page, place, signal, isCurrent) {
  const { state } = page;
  if (!state.text.length || !page.store.with_time) {
    place.replaceChildren();
    page.status(page.store.with_time ? TEXTS.countsNeeds : TEXTS.countsNone);
    return;
  }
  page.status(TEXTS.searching);
  const found = await api.counts(address.asked(state), signal);
  if (!isCurrent()) return;
  page.status("");
  place.replaceChildren(...found.texts.map((text) => table(page, text, found)));
}

function table(page, text, found) {
  const most = Math.max(1, ...found.days.flatMap((one) => one.counts[text][0]));
  const rows = found.days.map(({ day, counts }) => {
    const cells = HOURS.map((hour) => {
      const count = counts[text][0][hour], total = counts[text][1][hour];
      if (!total) return element("td", {});
      const cell = element("td", { class: "counted", title: fill(TEXTS.countsCell, { count, total }) },
        element("button", { type: "button", onclick: () => open(page, day, hour), "aria-label": `${day} ${hour}:00, ${fill(TEXTS.countsCell, { count, total })}` }, String(count)));
      cell.style.setProperty("--share", String(count / most));
      if (count / most > 0.5) cell.classList.add("many");
      return cell;
    });
    return element("tr", {}, element("th", { scope: "row" }, day === "unknown" ? TEXTS.unknownDay : day), ...cells);
  });
  return element("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": fill(TEXTS.countsCaption, { text, share: Math.round(100 * found.min_probability) }) },
    element("table", { class: "counts" },
      element("caption", {}, fill(TEXTS.countsCaption, { text, share: Math.round(100 * found.min_probability) })),
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, TEXTS.countsDay), ...HOURS.map((hour) => element("th", { scope: "col" }, String(hour))))),
      element("tbody", {}, ...rows)));
}

// The windows behind a number.
function open(page, day, hour) {
  page.changed({ ...page.state, view: "search", recorded: day, hour: `${hour}-${hour + 1}`, all_windows: "true", min_probability: page.state.min_probability || "0.5" }, true);
}
