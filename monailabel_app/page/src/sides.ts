/** On which side of the picture the patient's left is, told by the points and never by habit alone. */

import type { Points } from "./points";

export type Left = "image right" | "image left" | "unknown";

export interface Sides {
  readonly left: Left;
  /** Points that lie on the other side of their twin than most pairs say. */
  readonly odd: ReadonlySet<string>;
}

export function sides(points: Points): Sides {
  const at = new Map(points.filter((point) => point.visible && point.uv).map((point) => [point.name, point.uv![0]]));
  const pairs: [string, string, number][] = [];
  for (const [name, u] of at) {
    const twin = name.replace("left_", "right_");
    const other = at.get(twin);
    if (name.startsWith("left_") && other !== undefined && other !== u) pairs.push([name, twin, u - other]);
  }
  const vote = pairs.reduce((sum, [, , apart]) => sum + Math.sign(apart), 0);
  if (pairs.length === 0 || vote === 0) return { left: "unknown", odd: new Set() };
  const odd = pairs.filter(([, , apart]) => Math.sign(apart) !== Math.sign(vote)).flatMap(([a, b]) => [a, b]);
  return { left: vote > 0 ? "image right" : "image left", odd: new Set(odd) };
}
