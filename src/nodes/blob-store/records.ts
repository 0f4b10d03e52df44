/**
 * What the index says of one blob, as bytes: [size, 8 bytes][root, 32 bytes][intent as JSON], under the id's 16 bytes.
 * Invariant: an intent's JSON begins with `handoffFor` where it has one, so that handoffs are told without parsing.
 */
import type { BlobId } from '../../base/ids.ts';
import { DIGEST_BYTES } from '../digest-tree.ts';
import { HANDOFF_JSON_START, intentToJson } from '../entry-codec.ts';
import type { InventoryEntry, WriteIntent } from '../protocol.ts';

export type BlobState = InventoryEntry['state'];

const SIZE_BYTES = 8;
const INTENT_AT = SIZE_BYTES + DIGEST_BYTES;
const HANDOFF = Buffer.from(HANDOFF_JSON_START, 'latin1');

export const keyOf = (id: BlobId): Buffer => Buffer.from(id, 'hex');
export const idOf = (key: Buffer): BlobId => key.toString('hex') as BlobId;

export function encodeRecord(size: number, root: Buffer, intent: WriteIntent): Buffer {
  const json = intentToJson(intent);
  const record = Buffer.allocUnsafe(INTENT_AT + Buffer.byteLength(json));
  record.writeDoubleBE(size, 0);
  record.set(root, SIZE_BYTES);
  record.write(json, INTENT_AT);
  return record;
}

export const sizeOf = (record: Buffer): number => record.readDoubleBE(0);
export const isHandoff = (record: Buffer): boolean =>
  record.subarray(INTENT_AT, INTENT_AT + HANDOFF.length).equals(HANDOFF);

/** What accounts are kept of; parses no JSON. */
export interface BlobSummary {
  readonly id: BlobId;
  readonly size: number;
  readonly root: Buffer;
  readonly isHandoff: boolean;
}
/** `root` is a view of the record. */
export const summaryOf = (key: Buffer, record: Buffer): BlobSummary => ({
  id: idOf(key),
  size: sizeOf(record),
  root: record.subarray(SIZE_BYTES, INTENT_AT),
  isHandoff: isHandoff(record),
});
export const summaryOfEntry = ({ id, size, root, intent }: Omit<InventoryEntry, 'state'>): BlobSummary => ({
  id,
  size,
  root,
  isHandoff: intent.handoffFor !== undefined,
});

export function decodeRecord(id: BlobId, state: BlobState, record: Buffer): InventoryEntry {
  return {
    id,
    size: sizeOf(record),
    root: Buffer.from(record.subarray(SIZE_BYTES, INTENT_AT)),
    state,
    intent: JSON.parse(record.toString('utf8', INTENT_AT)) as WriteIntent,
  };
}
