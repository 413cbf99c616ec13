/** Grey values to brightness: a window of 16-bit values, as radiologists turn it. */

export interface Window {
  readonly level: number;
  readonly width: number;
  readonly inverted: boolean;
}

export interface Grey {
  readonly rows: number;
  readonly columns: number;
  /** 0...65535, row by row, bone bright. */
  readonly values: Uint16Array;
}

/** The window that leaves out half a per cent of the values at either end. */
export function automatic({ values }: Grey): Window {
  const counts = new Uint32Array(1 << 16);
  for (const value of values) counts[value]!++;
  const at = (share: number) => {
    let seen = 0;
    for (let value = 0; value < counts.length; value++) {
      seen += counts[value]!;
      if (seen > share * values.length) return value;
    }
    return counts.length - 1;
  };
  const [low, high] = [at(0.005), at(0.995)];
  return { level: (low + high) / 2, width: Math.max(high - low, 256), inverted: false };
}

/** Brightness of every value, as pixels of a canvas. */
export function table({ level, width, inverted }: Window): Uint32Array {
  const colours = new Uint32Array(1 << 16);
  const low = level - width / 2;
  for (let value = 0; value < colours.length; value++) {
    const share = Math.min(Math.max((value - low) / width, 0), 1);
    const grey = Math.round(255 * (inverted ? 1 - share : share));
    colours[value] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  return colours;
}
