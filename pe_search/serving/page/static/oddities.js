// Clips that sound the same, and clips that are like no other.

import * as api from "./api.js";
import { element } from "./dom.js";
import { storeChoice } from "./stores.js";
import { TEXTS, fill } from "./texts.js";

async function show(page, place, found, isCurrent, tell) {
  page.status(TEXTS.searching);
  const hits = await found;
  if (!isCurrent()) return;
  const choice = storeChoice(page);
  place.replaceChildren(...(choice ? [element("div", { class: "actions" }, choice)] : []));
  page.showHits(hits, hits.length ? 0 : -1);
  page.status(tell(hits));
}

export const showCopies = (page, place, signal, isCurrent) =>
  show(page, place, api.duplicates(page.state.store, signal), isCurrent, (hits) =>
    hits.length ? fill(TEXTS.duplicatesFound, { count: hits.length, groups: hits[hits.length - 1].rank }) : TEXTS.duplicatesNone);

export const showOdd = (page, place, signal, isCurrent) =>
  show(page, place, api.outliers(page.state.store, signal), isCurrent, (hits) => fill(TEXTS.outliersFound, { count: hits.length }));
