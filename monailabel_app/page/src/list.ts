/** The points by name, beside the picture. */

import type { Point, Points } from "./points";
import { titleOf } from "./points";
import { described, shade } from "./viewer";

export interface Choices {
  choose(name: string): void;
  toggle(name: string): void;
}

/** Rows are made once and then brought up to date, so that none loses the focus. */
export function list(place: HTMLElement, points: Points, selected: string | null, odd: ReadonlySet<string>, choices: Choices): void {
  const names = points.map((point) => point.name).join();
  if (place.dataset.names !== names) {
    place.dataset.names = names;
    place.replaceChildren(...points.map((point) => made(point.name, choices)));
  }
  points.forEach((point, number) => update(place.children[number] as HTMLElement, point, point.name === selected, odd.has(point.name)));
}

function made(name: string, choices: Choices): HTMLElement {
  const item = document.createElement("li");
  const [row, see] = [document.createElement("button"), document.createElement("button")];
  row.type = see.type = "button";
  row.dataset.row = name;
  see.className = "see";
  for (const part of ["dot", "lr", "name", "said"]) {
    const span = document.createElement("span");
    span.className = part;
    row.append(span);
  }
  const [, side = "", rest] = /^(left_|right_)?(.*)$/.exec(name)!;
  row.children[1]!.textContent = side.charAt(0).toUpperCase();
  row.children[2]!.textContent = titleOf(rest!);
  row.addEventListener("click", () => choices.choose(name));
  see.addEventListener("click", () => choices.toggle(name));
  item.append(row, see);
  return item;
}

function update(item: HTMLElement, point: Point, selected: boolean, odd: boolean): void {
  const [row, see] = item.children as unknown as [HTMLElement, HTMLElement];
  const said = row.children[3]!;
  item.classList.toggle("gone", !point.visible);
  row.className = `row ${point.origin === "proposed" ? shade(point.confidence) : "sure"}`;
  row.setAttribute("aria-current", String(selected));
  row.setAttribute("aria-label", described(point) + (odd ? ", side in doubt" : ""));
  row.title = titleOf(point.name);
  said.textContent = odd ? "side?" : point.origin === "proposed" ? `${Math.round(100 * point.confidence)} %` : point.visible ? point.origin : "not there";
  said.classList.toggle("odd", odd);
  see.textContent = point.visible ? "in" : "out";
  see.setAttribute("aria-label", `${titleOf(point.name)} is ${point.visible ? "in the picture; say that it is not" : "not in the picture; say that it is"}`);
}
