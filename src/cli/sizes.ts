/** Limits as people write them: a number of bytes with or without a unit, a number of objects, or `none`. */
import { CommandError } from './command-error.ts';

/** Powers of 1024 and of 1000; `1.5 GiB`, `500MB`, `1024`. */
const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  ...Object.fromEntries(['k', 'm', 'g', 't', 'p'].map((unit, i) => [`${unit}ib`, 1024 ** (i + 1)])),
  ...Object.fromEntries(['k', 'm', 'g', 't', 'p'].map((unit, i) => [`${unit}b`, 1000 ** (i + 1)])),
};

/** @throws {CommandError} with exit code 2 */
export function parseSize(text: string): number | null {
  if (text === 'none') return null;
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(text) ?? [];
  const bytes = Number(number) * (UNITS[unit.toLowerCase()] ?? Number.NaN);
  if (number === '' || !Number.isSafeInteger(Math.round(bytes)))
    throw new CommandError(
      `${text} is no size: give bytes, or a number with KiB, MiB, GiB or TiB, or none`,
      2,
    );
  return Math.round(bytes);
}

/** @throws {CommandError} with exit code 2 */
export function parseCount(text: string): number | null {
  if (text === 'none') return null;
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(Number(text)))
    throw new CommandError(`${text} is no number of objects: give a whole number, or none`, 2);
  return Number(text);
}
