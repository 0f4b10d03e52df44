/** Randomness that a number replays: mulberry32, uniform in [0, 1). */
import type { Random } from '../../src/base/clock.ts';

export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A whole number from `min` to `max`, both included. */
export const whole = (random: Random, min: number, max: number): number =>
  min + Math.floor(random() * (max - min + 1));

export function pick<T>(random: Random, items: readonly T[]): T {
  return items[Math.floor(random() * items.length)]!;
}

/** So many lower-case hex digits (a multiple of 8). */
export function hexOf(random: Random, digits: number): string {
  let text = '';
  while (text.length < digits) text += whole(random, 0, 0xffff_ffff).toString(16).padStart(8, '0');
  return text;
}
