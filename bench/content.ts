/**
 * What the objects hold: one random block for all, opened by the key's number, so that an answer for another key, an
 * old size or a shifted byte is seen, and nothing has to be generated or hashed while requests run.
 */
import { createHash, randomFillSync } from 'node:crypto';

const LABEL_BYTES = 16;

export interface Content {
  readonly size: number;
  /** The bytes of object `index`. Objects larger than the label share memory, so that many can be in flight. */
  body(index: number): readonly Buffer[];
  sha256(index: number): string;
  /** A checker to be fed with what comes back, in order; `end` says whether it was that object and all of it. */
  checker(index: number): { add(chunk: Uint8Array): void; end(): boolean };
}

export function createContent(size: number): Content {
  const block = randomFillSync(Buffer.allocUnsafe(size));
  const rest = block.subarray(Math.min(LABEL_BYTES, size));
  const label = (index: number) => Buffer.from(String(index).padStart(LABEL_BYTES, '0')).subarray(0, size);
  return {
    size,
    body: (index) => [label(index), rest],
    sha256: (index) => createHash('sha256').update(label(index)).update(rest).digest('hex'),
    checker(index) {
      const head = label(index);
      let offset = 0;
      let same = true;
      return {
        add(chunk) {
          const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
          const inHead = Math.max(0, Math.min(head.length - offset, bytes.length));
          const expectedHead = head.subarray(offset, offset + inHead);
          const expectedRest = block.subarray(offset + inHead, offset + bytes.length);
          same &&=
            expectedHead.equals(bytes.subarray(0, inHead)) && expectedRest.equals(bytes.subarray(inHead));
          offset += bytes.length;
        },
        end: () => same && offset === size,
      };
    },
  };
}
