/** Undo and redo of values that never change. */

export interface History<T> {
  readonly past: readonly T[];
  readonly now: T;
  readonly future: readonly T[];
}

const MOST = 200;

export function begin<T>(now: T): History<T> {
  return { past: [], now, future: [] };
}

export function next<T>(history: History<T>, now: T): History<T> {
  return now === history.now ? history : { past: [...history.past, history.now].slice(-MOST), now, future: [] };
}

export function undo<T>({ past, now, future }: History<T>): History<T> {
  const last = past.at(-1);
  return last === undefined ? { past, now, future } : { past: past.slice(0, -1), now: last, future: [now, ...future] };
}

export function redo<T>({ past, now, future }: History<T>): History<T> {
  const first = future[0];
  return first === undefined ? { past, now, future } : { past: [...past, now], now: first, future: future.slice(1) };
}
