import { describe, expect, test } from "vitest";
import * as history from "../src/history";
import type { Points } from "../src/points";
import { accepted, asLabel, certain, exchanged, inside, moved, toggled } from "../src/points";
import { sides } from "../src/sides";
import { automatic, table } from "../src/window";

const SIZE = [200, 240] as const;
const points: Points = [
  { name: "left_femoral_head", uv: [180, 100], visible: true, confidence: 0.9, origin: "proposed" },
  { name: "right_femoral_head", uv: [60, 101], visible: true, confidence: 0.4, origin: "proposed" },
];

describe("points", () => {
  test("stay in the picture, whose outer pixels reach half a pixel beyond their centres", () => {
    expect(inside([-9, 1e9], SIZE)).toEqual([-0.5, 199.5]);
    expect(inside([12.3456, 7], SIZE)).toEqual([12.35, 7]);
  });
  test("that are not in the picture are null, and come back where they were", () => {
    const gone = toggled(points, "left_femoral_head", [0, 0]);
    expect(asLabel(gone)).toEqual({ left_femoral_head: null, right_femoral_head: [60, 101] });
    expect(asLabel(toggled(gone, "left_femoral_head", [0, 0]))).toEqual(asLabel(points));
  });
  test("that were moved or accepted are certain, others are not", () => {
    expect(certain(points)).toEqual({});
    expect(certain(moved(points, "left_femoral_head", [1, 2], SIZE))).toEqual({ left_femoral_head: [1, 2] });
    expect(Object.keys(certain(accepted(points)))).toHaveLength(2);
  });
  test("exchanged twice are where they were", () => {
    expect(asLabel(exchanged(exchanged(points)))).toEqual(asLabel(points));
    expect(asLabel(exchanged(points)).left_femoral_head).toEqual([60, 101]);
  });
});

describe("sides", () => {
  test("are told by the points, mirrored or not", () => {
    expect(sides(points).left).toBe("image right");
    expect(sides(exchanged(points)).left).toBe("image left");
    expect(sides(points.slice(1)).left).toBe("unknown");
  });
  test("name the pairs that say otherwise", () => {
    const more = ["a", "b"].flatMap((name): Points => [
      { ...points[0]!, name: `left_${name}` },
      { ...points[1]!, name: `right_${name}` },
    ]);
    const odd = sides([...more, ...exchanged(points)]).odd;
    expect([...odd].sort()).toEqual(["left_femoral_head", "right_femoral_head"]);
  });
});

describe("history", () => {
  test("undone and done again is as it was", () => {
    const two = history.next(history.next(history.begin(0), 1), 2);
    expect(history.undo(two).now).toBe(1);
    expect(history.redo(history.undo(two))).toEqual(two);
    expect(history.undo(history.begin(0)).now).toBe(0);
  });
  test("forgets what was undone once something else is done", () => {
    expect(history.redo(history.next(history.undo(history.next(history.begin(0), 1)), 5)).now).toBe(5);
  });
});

describe("window", () => {
  test("runs from black to white over its width, and back when inverted", () => {
    const grey = (colours: Uint32Array, value: number) => colours[value]! & 0xff;
    const shown = table({ level: 1000, width: 1000, inverted: false });
    expect([499, 1000, 1501].map((value) => grey(shown, value))).toEqual([0, 128, 255]);
    const inverted = table({ level: 1000, width: 1000, inverted: true });
    expect([499, 1501].map((value) => grey(inverted, value))).toEqual([255, 0]);
  });
  test("leaves out the outermost values at first", () => {
    const values = Uint16Array.from({ length: 1000 }, (_, k) => (k === 0 ? 65535 : 10000 + 10 * k));
    const { level, width } = automatic({ rows: 1, columns: 1000, values });
    expect(level + width / 2).toBeLessThan(20000);
  });
});
