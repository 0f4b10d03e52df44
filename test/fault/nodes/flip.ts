/** Bits that flip in a node's folder. */
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestBlob } from '../../integration/nodes/fixture.ts';

export async function flip(path: string, position: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, position);
  byte[0]! ^= 0x10;
  await file.write(byte, 0, 1, position);
  await file.close();
}

export const fileOf = (folder: string, { id }: Pick<TestBlob, 'id'>): string =>
  join(folder, 'blobs', id.slice(0, 2), id);

/** Of a blob that is a value of the index. */
export async function flipSmall(folder: string, blob: TestBlob): Promise<void> {
  const path = join(folder, 'index', 'data.mdb');
  const position = (await readFile(path)).indexOf(blob.bytes.subarray(0, 100));
  if (position < 0) throw new Error('the bytes are not in the file');
  await flip(path, position + 50);
}
