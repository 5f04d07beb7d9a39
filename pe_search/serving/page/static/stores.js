// Views that are of one store have a choice, if the page has several.

import { element } from "./dom.js";
import { shown } from "./list.js";
import { TEXTS } from "./texts.js";

export function storeChoice(page) {
  const { stores } = page.store;
  if (stores.length < 2) return null;
  const chosen = Number(page.state.store) || 0;
  const select = element("select", { id: "store-choice" },
    ...stores.map((one, place) => element("option", { value: place, selected: place === chosen }, shown(one.name))));
  select.addEventListener("change", () => page.changed({ ...page.state, store: select.value === "0" ? "" : select.value }, true));
  return element("label", { class: "flag back" }, element("span", {}, TEXTS.storeChoice), select);
}
