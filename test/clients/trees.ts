/** Trees of real files, and what tells whether one came back as it was. */
import { createCipheriv, createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const PACKAGES = resolve(import.meta.dirname, '../../node_modules');
/** Small packages of this repository's own dependencies: some hundred real files in nested folders. */
const REAL = ['express', 'yaml', 'busboy', 'commander', 'saxes', 'pg'];
const MIB = 2 ** 20;

/** The same bytes for the same seed; they do not compress. */
export function seededBytes(seed: number, size: number): Buffer {
  const key = createHash('sha256').update(`seed ${seed}`).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

/** Files whose sizes and names are where stores go wrong: around the chunk, around the small-blob limit, odd names. */
const ODD: readonly (readonly [string, number])[] = [
  ['empty', 0],
  ['one', 1],
  ['sizes/64k', 64 * 1024],
  ['sizes/64k-and-one', 64 * 1024 + 1],
  ['sizes/chunk', 256 * 1024],
  ['sizes/chunk-and-one', 256 * 1024 + 1],
  ['sizes/megabytes', 3 * MIB + 17],
  ['names/with space', 100],
  ['names/plus+and%percent', 101],
  ["names/quote's & ampersand", 102],
  ['names/ümläut-日本語-🚀', 103],
  ['names/semi;colon,comma=equals', 104],
  ['names/deep/er/and/deep/er/still', 105],
];

/**
 * Makes the tree in `folder` and returns what {@link hashTree} will say of a true copy. Its files are an hour old: S3
 * tells times in whole seconds, so a client rightly takes a file for newer than its upload within the same second.
 */
export function makeTree(
  folder: string,
  options: { names: 'odd' | 'plain' } = { names: 'odd' },
): Map<string, string> {
  for (const name of REAL) {
    cpSync(join(PACKAGES, name), join(folder, 'packages', name), {
      recursive: true,
      dereference: true,
      filter: (source) => !relative(PACKAGES, source).includes('node_modules'),
    });
  }
  for (const [i, [name, size]] of ODD.entries()) {
    if (options.names === 'plain' && name.startsWith('names/')) continue;
    writeFile(join(folder, name), seededBytes(i, size));
  }
  const hashes = hashTree(folder);
  const anHourAgo = Date.now() / 1000 - 3600;
  for (const path of hashes.keys()) utimesSync(join(folder, path), anHourAgo, anHourAgo);
  return hashes;
}

export function writeFile(path: string, bytes: Buffer): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

export const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');
export const md5 = (bytes: Buffer | string) => createHash('md5').update(bytes).digest('hex');
export const sha256File = (path: string) => sha256(readFileSync(path));

/** Path below `folder` → SHA-256 of the file. */
export function hashTree(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const paths = files.map((entry) => relative(folder, join(entry.parentPath, entry.name))).sort();
  return new Map(paths.map((path) => [path, sha256File(join(folder, path))]));
}
