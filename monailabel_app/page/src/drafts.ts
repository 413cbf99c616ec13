/** Work that is not saved yet, kept by the browser: one draft for each reader. It holds points, never the token. */

import type { Given } from "./api";
import type { Points } from "./points";

export interface Draft {
  readonly given: Given;
  readonly points: Points;
  readonly after: number;
  readonly weights: number;
  readonly seconds: number;
}

const key = (reader: string) => `skiagraph.draft.${reader}`;

export function keep(reader: string, draft: Draft): boolean {
  try {
    localStorage.setItem(key(reader), JSON.stringify(draft));
    return true;
  } catch {
    return false;
  }
}

export function kept(reader: string): Draft | null {
  try {
    const found = JSON.parse(localStorage.getItem(key(reader)) ?? "null") as Draft | null;
    return found !== null && Array.isArray(found.points) && typeof found.given?.id === "string" ? found : null;
  } catch {
    return null;
  }
}

export function forget(reader: string): void {
  localStorage.removeItem(key(reader));
}
