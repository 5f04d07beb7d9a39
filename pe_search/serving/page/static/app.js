// The page: which view is shown, and what the keys do.

import * as address from "./address.js";
import * as api from "./api.js";
import { Ask } from "./ask.js";
import { Detail } from "./detail.js";
import { element, say } from "./dom.js";
import { List, shown as legible } from "./list.js";
import { Player } from "./player.js";
import { Teaching } from "./teaching.js";
import { TEXTS, clock, fill } from "./texts.js";

// Asked for before anything is drawn, as the server takes as long as that.
api.takeKey();
const asked = api.state();
asked.catch(() => {});

const FIRST = 60, ALL = 1000, RETRY_MS = 2000, NOTE_MS = 300;
const at = (id) => document.getElementById(id);

const page = {
  state: address.read(),
  store: null,
  player: new Player(at("audio")),
  changed,
  tagged(hit, tags) {
    page.store.tags = tags;
    showTags();
    // Copies of the same bytes have the same tags.
    for (const other of page.list.hits) {
      if (other.digest !== hit.digest) continue;
      other.tags = hit.tags;
      page.list.renew(other);
    }
  },
  openTimeline(hit) {
    changed({ ...page.state, view: "strip", clip: hit.digest }, true);
  },
  status,
  // Other views show their hits as the search does.
  showHits(hits, chosen = -1) {
    at("content").append(page.list.list);
    const place = hits.findIndex(isChosen);
    page.list.show(hits, place < 0 ? chosen : place);
    if (place > 0) page.list.reveal(place);
    page.detail.show(page.list.hit);
  },
};

page.ask = new Ask(at("ask"), changed);
page.list = new List(at("content"), page.player);
page.teaching = new Teaching(page);
page.detail = new Detail(at("detail"), page);
page.list.verdictOf = (hit) => page.teaching.verdictOf(hit);
page.list.addEventListener("choice", (event) => {
  page.detail.show(event.detail);
  if (page.state.view !== "map") remember(event.detail);
});
page.list.addEventListener("end", () => more());
page.player.addEventListener("failure", (event) => say(fill(TEXTS.cantPlay, { reason: event.detail }), true));

const later = (file, name) => async (signal, isCurrent) => (await import(file))[name](page, at("content"), signal, isCurrent);
const VIEWS = {
  search,
  map: later("./map.js", "showMap"),
  strip: later("./strip.js", "showStrip"),
  counts: later("./counts.js", "showCounts"),
  copies: later("./oddities.js", "showCopies"),
  odd: later("./oddities.js", "showOdd"),
};

function changed(state, steps) {
  note();
  // The chosen hit stays where the hits do.
  const same = (one) => JSON.stringify([one.view, address.asked(one)]);
  page.state = { ...state, chosen: same(state) === same(page.state) ? page.state.chosen : "" };
  address.write(page.state, { replaces: !steps });
  render();
}

const chosenOf = (hit) => `${hit.digest}@${+hit.start_s.toFixed(3)}`;
const isChosen = (hit) => chosenOf(hit) === page.state.chosen;
let noting = null;

// Browsers let a page write few addresses in a second.
function remember(hit) {
  page.state = { ...page.state, chosen: chosenOf(hit) };
  noting ??= setTimeout(note, NOTE_MS);
}

function note() {
  if (noting === null) return;
  clearTimeout(noting);
  noting = null;
  address.write(page.state, { replaces: true });
}

let turn = 0, asking = null, shown = "", isAll = false;

async function render() {
  const { state } = page, mine = ++turn;
  clearTimeout(again);
  asking?.abort();
  asking = new AbortController();
  page.ask.show(state);
  page.teaching.follow(state);
  for (const link of at("views").children) {
    if (link.dataset.view === state.view) {
      link.setAttribute("aria-current", "page");
      // On a narrow screen the views are a row that scrolls.
      at("views").scrollLeft = link.offsetLeft - at("views").offsetLeft - (at("views").clientWidth - link.offsetWidth) / 2;
    }
    else link.removeAttribute("aria-current");
  }
  document.body.dataset.view = state.view;
  document.title = state.text.length ? `${state.text.join(" ")} – ${TEXTS.title}` : TEXTS.title;
  if (state.view !== shown) {
    at("content").replaceChildren();
    page.list.show([]);
    page.detail.show(null);
    shown = state.view;
  }
  try {
    await refresh();
    await (VIEWS[state.view] ?? search)(asking.signal, () => mine === turn);
    if (isOffline && mine === turn) {
      isOffline = false;
      say("");
    }
  } catch (error) {
    if (error.name !== "AbortError" && mine === turn) failed(error);
  }
}

async function search(signal, isCurrent) {
  const { state } = page;
  if (!page.list.list.isConnected) at("content").append(page.list.list);
  if (!address.isAsked(state)) {
    page.list.show([]);
    page.detail.show(null);
    status(page.store.clips ? fill(TEXTS.start, { clips: page.store.clips.toLocaleString(), hours: (page.store.audio_s / 3600).toFixed(1) }) : TEXTS.noClips);
    return;
  }
  // What is sorted, or a number that was asked for, comes at once.
  const isWhole = Boolean(state.k || state.sort);
  let found = await api.hits({ ...address.asked(state), k: state.k || (state.sort ? ALL : FIRST) }, signal);
  if (!isCurrent()) return;
  isAll = isWhole || found.hits.length < FIRST;
  let place = found.hits.findIndex(isChosen);
  if (place < 0 && state.chosen && !isAll) {
    found = await api.hits({ ...address.asked(state), k: ALL }, signal);
    if (!isCurrent()) return;
    isAll = true;
    place = found.hits.findIndex(isChosen);
  }
  scrollTo(0, 0);
  page.list.show(found.hits, found.hits.length ? Math.max(place, 0) : -1);
  if (place > 0) page.list.reveal(place);
  page.detail.show(page.list.hit);
  tell(found);
}

async function more() {
  if (isAll || page.state.view !== "search" || !address.isAsked(page.state)) return;
  isAll = true;
  const mine = turn;
  try {
    await refresh();
    const found = await api.hits({ ...address.asked(page.state), k: ALL }, asking.signal);
    if (mine !== turn) return;
    page.list.extend(found.hits);
    tell(found);
  } catch (error) {
    isAll = false;
    if (error.name !== "AbortError") failed(error, more);
  }
}

function tell(found) {
  const count = found.hits.length;
  status(count ? fill(count === 1 ? TEXTS.oneHit : TEXTS.hits, { count: count === ALL && !page.state.k ? `${ALL}+` : count, ms: Math.round(found.took_ms) }) : TEXTS.noHits);
  say(found.problems.join(" "), found.problems.length > 0);
}

function status(text) {
  at("status").textContent = text;
}

let again = null, isOffline = false;

function failed(error, retry = render) {
  if (error.status === 401) askForKey();
  else if (error.status === 0) {
    // What is shown stays, until the server is there again.
    say(error.message, true);
    isOffline = true;
    clearTimeout(again);
    again = setTimeout(retry, RETRY_MS);
  } else {
    page.list.show([]);
    page.detail.show(null);
    status("");
    say(error.message, true);
  }
}

// A server that was away may have come back with another store.
async function refresh() {
  if (!isOffline || !page.store) return;
  const now = await api.state(), of = (one) => JSON.stringify([one.stores, one.model]);
  if (of(now) !== of(page.store)) {
    location.reload();
    await new Promise(() => {});
  }
  page.store = now;
  showStore();
}

function askForKey() {
  const input = element("input", { type: "password", autocomplete: "off", "aria-label": TEXTS.keyLabel });
  const form = element("form", { class: "key" }, element("p", {}, TEXTS.keyNeeded), input, element("button", { class: "labelled strong" }, TEXTS.keyOpen));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    api.setKey(input.value.trim().replace(/^.*#key=/, ""));
    location.reload();
  });
  at("content").replaceChildren(form);
  input.focus();
}

function showTags() {
  at("known-tags").replaceChildren(...Object.keys(page.store.tags).map((tag) => element("option", { value: tag })));
}

function frame() {
  for (const view of Object.keys(VIEWS)) {
    at("views").append(element("a", {
      href: `?view=${view}`, "data-view": view,
      onclick: (event) => {
        event.preventDefault();
        changed({ ...page.state, view, clip: "" }, true);
      },
    }, TEXTS.views[view]));
  }
  const rows = TEXTS.keys.map(([keys, meaning]) => element("tr", {}, element("th", { scope: "row" }, ...keys.split(" ").map((key) => element("kbd", {}, key))), element("td", {}, meaning)));
  at("keys").append(element("h2", {}, TEXTS.keysTitle), element("table", {}, element("tbody", {}, ...rows)),
    element("button", { type: "button", class: "labelled", onclick: () => at("keys").close() }, TEXTS.close));
  at("keys").setAttribute("aria-label", TEXTS.keysTitle);
  at("views").append(element("button", { type: "button", class: "help", onclick: () => at("keys").showModal() }, TEXTS.showKeys));
  at("views").setAttribute("aria-label", TEXTS.title);
  document.body.append(element("datalist", { id: "known-tags" }), element("datalist", { id: "known-fields" }));
}

const KEYS = {
  ArrowDown: () => page.list.choose(page.list.chosen + 1, { plays: true }),
  ArrowUp: () => page.list.choose(page.list.chosen - 1, { plays: true }),
  Home: () => page.list.choose(0, { plays: true }),
  ArrowRight: () => page.player.seek(1),
  ArrowLeft: () => page.player.seek(-1),
  " ": () => page.list.hit && page.player.toggle(page.list.hit),
  l: () => page.player.setLoop(!page.player.loops),
  o: () => page.player.setOriginal(!page.player.isOriginal),
  s: () => page.list.hit && page.detail.toggleSpectrogram(),
  h: () => page.list.hit && page.detail.findSpans(),
  m: () => page.list.hit && page.detail.like("like"),
  x: () => page.list.hit && page.detail.like("unlike"),
  c: () => page.list.hit && page.detail.copyPath(),
  f: () => page.list.hit && page.detail.toggleFavourite(),
  t: () => document.getElementById("tag")?.focus(),
  y: () => judge("yes"),
  n: () => judge("no"),
  u: () => judge("unsure"),
  "/": () => at("text").focus(),
  "?": () => at("keys").showModal(),
};

async function judge(verdict) {
  const { hit, chosen } = page.list;
  if (!hit || !page.teaching.word) return;
  await page.teaching.judge(hit, verdict);
  if (page.list.chosen === chosen) page.list.choose(chosen + 1, { plays: true });
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || at("keys").open) return;
  const isTyping = event.target.matches("input:not([type=checkbox]), textarea, select");
  if (isTyping) {
    if (event.key === "Escape") event.target.blur();
    const leaves = event.key === "ArrowDown" && event.target === at("text") && page.list.hits.length > 0;
    if (!leaves) return;
    event.target.blur();
    page.list.choose(Math.max(page.list.chosen, 0), { plays: true });
    event.preventDefault();
    return;
  }
  // A button that has the focus is pressed by the space bar, as everywhere.
  if (event.key === " " && event.target.matches("button, a, summary, input")) return;
  const does = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!does || (!page.list.list.isConnected && !["/", "?"].includes(event.key))) return;
  event.preventDefault();
  does();
});

let inside = 0;
for (const [name, by] of [["dragenter", 1], ["dragleave", -1]]) {
  addEventListener(name, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    inside = Math.max(0, inside + by);
    document.body.classList.toggle("dropping", inside > 0);
  });
}
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  inside = 0;
  document.body.classList.remove("dropping");
  const [file] = event.dataTransfer.files;
  if (file) page.ask.drop(file);
});
addEventListener("popstate", () => {
  clearTimeout(noting);
  noting = null;
  page.state = address.read();
  render();
});

// An address with another key, in a tab that has the page already.
addEventListener("hashchange", () => api.takeKey() && location.reload());

async function begin(found = asked) {
  try {
    page.store = await found;
  } catch (error) {
    failed(error, () => begin(api.state()));
    return;
  }
  showStore();
  at("known-fields").append(...page.store.fields.map((name) => element("option", { value: name })));
  await render();
  performance.mark("ready");
  document.body.dataset.ready = "true";
  if (!address.isAsked(page.state)) at("text").focus();
}

function showStore() {
  at("store").textContent = page.store.stores.map((one) => legible(one.name)).join(", ");
  at("store").title = fill(TEXTS.storeTitle, { stores: page.store.stores.map((one) => legible(one.path)).join(", "), clips: page.store.clips.toLocaleString(), length: clock(page.store.audio_s) });
  showTags();
}

frame();
document.body.dataset.drop = TEXTS.dropHere;
begin();
