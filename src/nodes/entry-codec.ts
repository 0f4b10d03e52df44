/**
 * Write intents and inventory entries as JSON, for headers, control answers and the node's index. Peers are
 * authenticated, yet what they send is parsed once here, with bounds, and trusted afterwards.
 */
import { z } from 'zod';
import { type BlobId, type MemberId, parseBlobId, type WriteId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { InventoryEntry, WriteIntent } from './protocol.ts';

export const memberSchema = z.string().regex(/^[\x21-\x7e]{1,128}$/);

export const intentSchema = z
  .object({
    handoffFor: memberSchema.optional(),
    writeId: z.string().regex(/^[0-9a-f-]{36}$/),
    intentAt: z.number().nonnegative(),
    bucket: z.string().max(255),
    key: z.string().max(LIMITS.keyBytesMax),
    uploadId: z.string().max(64).optional(),
    partNumber: z.number().int().min(1).max(LIMITS.partNumberMax).optional(),
  })
  .transform((parsed): WriteIntent => {
    const { handoffFor, writeId, intentAt, bucket, key, uploadId, partNumber } = parsed;
    return {
      ...(handoffFor === undefined ? {} : { handoffFor: handoffFor as MemberId }),
      writeId: writeId as WriteId,
      intentAt,
      bucket,
      key,
      ...(uploadId === undefined ? {} : { uploadId }),
      ...(partNumber === undefined ? {} : { partNumber }),
    };
  });

/** How the JSON of a handoff's intent begins, and no other does. */
export const HANDOFF_JSON_START = '{"handoffFor":';

/** As the node keeps it. */
export function intentToJson(intent: WriteIntent): string {
  const { handoffFor, writeId, intentAt, bucket, key, uploadId, partNumber } = intent;
  return JSON.stringify({ handoffFor, writeId, intentAt, bucket, key, uploadId, partNumber });
}

/** Checked where it enters the node; from there on its JSON is trusted. @throws when it is not an intent */
export const intentFromJson = (json: string): WriteIntent => intentSchema.parse(JSON.parse(json));

/** Keys may hold any UTF-8, headers may not. */
export const intentToHeader = (intent: WriteIntent): string =>
  Buffer.from(intentToJson(intent), 'utf8').toString('base64url');
export const intentFromHeader = (header: string): WriteIntent =>
  intentFromJson(Buffer.from(header, 'base64url').toString('utf8'));

export const blobIdSchema = z.string().transform(parseBlobId);
export const sizeSchema = z.number().int().min(1).max(LIMITS.blobBytesMax);
/** 32 bytes as hex. */
export const digestSchema = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform((hex) => Buffer.from(hex, 'hex'));

const entrySchema = z.object({
  id: blobIdSchema,
  size: sizeSchema,
  root: digestSchema,
  state: z.enum(['pending', 'confirmed']),
  intent: intentSchema,
});

export const entryToJson = (entry: InventoryEntry): unknown => ({
  ...entry,
  root: entry.root.toString('hex'),
});
export const entryFromJson = (value: unknown): InventoryEntry => entrySchema.parse(value);

/** Most ids in one confirm or delete, and most entries in one page of a listing. */
export const IDS_MAX = 1_000;

export const idsFromJson = (value: unknown): BlobId[] =>
  z
    .object({ ids: z.array(z.string()).max(IDS_MAX) })
    .parse(value)
    .ids.map(parseBlobId);
