// In which hours and on which days a sound is heard: a table with colours.

import * as address from "./address.js";
import * as api from "./api.js";
import { element } from "./dom.js";
import { TEXTS, fill } from "./texts.js";

const HOURS = Array.from({ length: 24 }, (_, hour) => hour);

export async function showCounts(page, place, signal, isCurrent) {
  const { state } = page;
  if (!(state.text.length || state.said) || !page.store.with_time) {
    place.replaceChildren();
    page.status(page.store.with_time ? TEXTS.countsNeeds : TEXTS.countsNone);
    return;
  }
  page.status(TEXTS.searching);
  const found = await api.counts(address.asked(state), signal);
  if (!isCurrent()) return;
  page.status("");
  const share = Math.round(100 * found.min_probability);
  const tables = found.texts.map((text) => table(page, fill(TEXTS.countsCaption, { text, share }), found.days.map(({ day, counts }) => (
    { day, counts: counts[text][0], totals: counts[text][1] })), () => ({ said: "", min_probability: state.min_probability || "0.5" })));
  const silent = { text: [], plus: [], minus: [], like: [], unlike: [], words: "", min_probability: "" };
  if (state.said) tables.push(table(page, fill(TEXTS.countsSaid, { said: state.said }), found.said_days.map((one) => ({ ...one, totals: null })), () => silent));
  place.replaceChildren(...tables);
}

// `asked` gives what is to change of the state to find what a number counts.
function table(page, caption, days, asked) {
  const most = Math.max(1, ...days.flatMap((one) => one.counts));
  const rows = days.map(({ day, counts, totals }) => {
    const cells = HOURS.map((hour) => {
      const count = counts[hour], total = totals ? totals[hour] : count;
      if (!total) return element("td", {});
      const title = totals ? fill(TEXTS.countsCell, { count, total }) : fill(count === 1 ? TEXTS.countsPlace : TEXTS.countsPlaces, { count });
      const cell = element("td", { class: "counted", title },
        element("button", { type: "button", onclick: () => open(page, day, hour, asked()), "aria-label": `${day} ${hour}:00, ${title}` }, String(count)));
      cell.style.setProperty("--share", String(count / most));
      if (count / most > 0.5) cell.classList.add("many");
      return cell;
    });
    return element("tr", {}, element("th", { scope: "row" }, day === "unknown" ? TEXTS.unknownDay : day), ...cells);
  });
  return element("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": caption },
    element("table", { class: "counts" },
      element("caption", {}, caption),
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, TEXTS.countsDay), ...HOURS.map((hour) => element("th", { scope: "col" }, String(hour))))),
      element("tbody", {}, ...rows)));
}

// The windows or places behind a number.
function open(page, day, hour, asked) {
  page.changed({ ...page.state, ...asked, view: "search", recorded: day, hour: `${hour}-${hour + 1}`, all_windows: "true" }, true);
}
