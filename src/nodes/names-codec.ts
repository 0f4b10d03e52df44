/** Records of names as JSON between client and node. Parsed once, with bounds, and trusted afterwards. */
import { z } from 'zod';
import type { BlobId } from '../base/ids.ts';
import { blobIdSchema, IDS_MAX } from './entry-codec.ts';
import { NAME_BODY_BYTES_MAX, NAMES_MAX, type NameRecord, type NamesPage } from './names-protocol.ts';

/** What NAMES_BYTES_MAX, or a single body of the largest size, takes with every quote escaped. */
export const NAMES_REQUEST_BYTES_MAX = 2 * NAME_BODY_BYTES_MAX + 256 * 1024;

export const nameIdSchema = z.string().regex(/^[0-9a-f]{32}$/);
const changeSchema = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const recordSchema = z.object({
  id: nameIdSchema,
  change: changeSchema,
  isDeleted: z.boolean(),
  body: z.string().max(NAME_BODY_BYTES_MAX),
});
const recordsSchema = z.object({ records: z.array(recordSchema).max(NAMES_MAX) });
const pageSchema = z.object({ records: z.array(recordSchema), next: nameIdSchema.nullable() });

export const recordToJson = ({ id, change, isDeleted, body }: NameRecord): unknown => ({
  id,
  change,
  isDeleted,
  body,
});
export const recordsFromJson = (value: unknown): readonly NameRecord[] => recordsSchema.parse(value).records;
export const namesPageFromJson = (value: unknown): NamesPage => pageSchema.parse(value);

export const countFromJson = (value: unknown): number =>
  z.object({ count: z.number().int().min(0) }).parse(value).count;

const trimSchema = z.object({
  below: changeSchema.optional(),
  tombstonesBelow: changeSchema.optional(),
  ids: z.array(nameIdSchema).max(NAMES_MAX).optional(),
});
export type TrimOrder = z.infer<typeof trimSchema>;
export const trimFromJson = (value: unknown): TrimOrder => trimSchema.parse(value);

const releaseSchema = z.object({
  ids: z.array(blobIdSchema).max(IDS_MAX),
  intentAt: z.number().nonnegative(),
});
export const releaseFromJson = (value: unknown): { ids: BlobId[]; intentAt: number } =>
  releaseSchema.parse(value);
