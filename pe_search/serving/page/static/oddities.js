// Clips that sound the same, and clips that are like no other.

import * as api from "./api.js";
import { TEXTS, fill } from "./texts.js";

async function show(page, place, found, isCurrent, tell) {
  page.status(TEXTS.searching);
  const hits = await found;
  if (!isCurrent()) return;
  page.showHits(hits, hits.length ? 0 : -1);
  page.status(tell(hits));
}

export const showCopies = (page, place, signal, isCurrent) =>
  show(page, place, api.duplicates(signal), isCurrent, (hits) =>
    hits.length ? fill(TEXTS.duplicatesFound, { count: hits.length, groups: hits[hits.length - 1].rank }) : TEXTS.duplicatesNone);

export const showOdd = (page, place, signal, isCurrent) =>
  show(page, place, api.outliers(signal), isCurrent, (hits) => fill(TEXTS.outliersFound, { count: hits.length }));
