// Clips that sound the same, and clips that are like no other.

import * as api from "./api.js";
import { element } from "./dom.js";
import { storeChoice } from "./stores.js";
import { TEXTS, fill } from "./texts.js";

async function show(page, place, asked, isCurrent, tell) {
  page.status(TEXTS.searching);
  const found = await asked, { hits } = found;
  if (!isCurrent()) return;
  const choice = storeChoice(page);
  place.replaceChildren(...(choice ? [element("div", { class: "actions" }, choice)] : []));
  page.showHits(hits, hits.length ? 0 : -1);
  page.status(tell(found));
}

export const showCopies = (page, place, signal, isCurrent) =>
  show(page, place, api.duplicates(page.state.store, signal), isCurrent, ({ hits, groups }) => {
    if (!hits.length) return TEXTS.duplicatesNone;
    const last = hits[hits.length - 1].rank;
    return fill(last < groups ? TEXTS.duplicatesSome : TEXTS.duplicatesFound, { count: hits.length, groups: last, all: groups });
  });

export const showOdd = (page, place, signal, isCurrent) =>
  show(page, place, api.outliers(page.state.store, signal), isCurrent, ({ hits }) => fill(TEXTS.outliersFound, { count: hits.length }));
