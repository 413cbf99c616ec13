/** The landmarks of one picture, as values: every change makes another. */

export type Pixel = readonly [number, number];
export type Origin = "proposed" | "accepted" | "moved";

export interface Point {
  readonly name: string;
  /** Pixels (u, v), whole numbers at their centres; kept while the point is not in the picture. */
  readonly uv: Pixel | null;
  readonly visible: boolean;
  /** 0...1, the detector's. */
  readonly confidence: number;
  readonly origin: Origin;
}

export type Points = readonly Point[];

/** As the server says them: rows, columns. */
export type Size = readonly [number, number];

export function change(points: Points, name: string, how: (point: Point) => Partial<Point>): Points {
  return points.map((point) => (point.name === name ? { ...point, ...how(point) } : point));
}

export function moved(points: Points, name: string, to: Pixel, size: Size): Points {
  return change(points, name, () => ({ uv: inside(to, size), visible: true, origin: "moved" }));
}

export function toggled(points: Points, name: string, middle: Pixel): Points {
  return change(points, name, (point) => ({ visible: !point.visible, uv: point.uv ?? middle, origin: "moved" }));
}

export function accepted(points: Points, name?: string): Points {
  return points.map((point) =>
    point.origin === "proposed" && (name === undefined || name === point.name) ? { ...point, origin: "accepted" } : point,
  );
}

/** Left and right exchanged: for a picture that the detector read mirrored. */
export function exchanged(points: Points): Points {
  const other = new Map(points.map((point) => [point.name, point]));
  return points.map((point) => {
    const twin = other.get(twinOf(point.name));
    return twin === undefined || twin === point ? point : { ...twin, name: point.name };
  });
}

/** The nearest place in the picture, to a hundredth of a pixel. */
export function inside([u, v]: Pixel, [rows, columns]: Size): Pixel {
  const within = (x: number, n: number) => Math.round(Math.min(Math.max(x, -0.5), n - 0.5) * 100) / 100;
  return [within(u, columns), within(v, rows)];
}

/** What is sent: null for what is not in the picture. */
export function asLabel(points: Points): Record<string, Pixel | null> {
  return Object.fromEntries(points.map((point) => [point.name, point.visible ? point.uv : null]));
}

/** Those that a reader is certain of; the others may be looked for again. */
export function certain(points: Points): Record<string, Pixel | null> {
  return asLabel(points.filter((point) => point.origin !== "proposed"));
}

export function titleOf(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function twinOf(name: string): string {
  if (name.startsWith("left_")) return name.replace("left_", "right_");
  return name.replace(/^right_/, "left_");
}
