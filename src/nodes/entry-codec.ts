/**
 * Write intents and inventory entries as JSON, for headers, control answers and the node's index. Peers are
 * authenticated, yet what they send is parsed once here, with bounds, and trusted afterwards.
 */
import { z } from 'zod';
import { type BlobId, parseBlobId, type WriteId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { InventoryEntry, WriteIntent } from './protocol.ts';

const intentSchema = z.object({
  writeId: z.string().regex(/^[0-9a-f-]{36}$/),
  intentAt: z.number().nonnegative(),
  bucket: z.string().max(255),
  key: z.string().max(LIMITS.keyBytesMax),
  uploadId: z.string().max(64).optional(),
  partNumber: z.number().int().min(1).max(LIMITS.partNumberMax).optional(),
});

/** As the node keeps it. */
export function intentToJson(intent: WriteIntent): string {
  const { writeId, intentAt, bucket, key, uploadId, partNumber } = intent;
  return JSON.stringify({ writeId, intentAt, bucket, key, uploadId, partNumber });
}

/** Checked where it enters the node; from there on its JSON is trusted. @throws when it is not an intent */
export function intentFromJson(json: string): WriteIntent {
  const { writeId, intentAt, bucket, key, uploadId, partNumber } = intentSchema.parse(JSON.parse(json));
  return {
    writeId: writeId as WriteId,
    intentAt,
    bucket,
    key,
    ...(uploadId === undefined ? {} : { uploadId }),
    ...(partNumber === undefined ? {} : { partNumber }),
  };
}

/** Keys may hold any UTF-8, headers may not. */
export const intentToHeader = (intent: WriteIntent): string =>
  Buffer.from(intentToJson(intent), 'utf8').toString('base64url');
export const intentFromHeader = (header: string): WriteIntent =>
  intentFromJson(Buffer.from(header, 'base64url').toString('utf8'));

const entrySchema = z.object({
  id: z.string(),
  size: z.number().int().min(1).max(LIMITS.blobBytesMax),
  root: z.string().regex(/^[0-9a-f]{64}$/),
  state: z.enum(['pending', 'confirmed']),
  intent: z.unknown(),
});

export const entryToJson = (entry: InventoryEntry): unknown => ({
  id: entry.id,
  size: entry.size,
  root: entry.root.toString('hex'),
  state: entry.state,
  intent: entry.intent,
});

export function entryFromJson(value: unknown): InventoryEntry {
  const entry = entrySchema.parse(value);
  const intent = intentSchema.parse(entry.intent);
  return {
    id: parseBlobId(entry.id),
    size: entry.size,
    root: Buffer.from(entry.root, 'hex'),
    state: entry.state,
    intent: { ...intent, writeId: intent.writeId as WriteId } as WriteIntent,
  };
}

/** Most ids in one confirm or delete, and most entries in one page of a listing. */
export const IDS_MAX = 1_000;

export const idsFromJson = (value: unknown): BlobId[] =>
  z
    .object({ ids: z.array(z.string()).max(IDS_MAX) })
    .parse(value)
    .ids.map(parseBlobId);
