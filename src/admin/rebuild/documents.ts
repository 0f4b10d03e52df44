/** The documents that records of names carry, as far as a rebuild has to know them. Parsed once, here. */
import { z } from 'zod';
import type { AccountId, PairId } from '../../base/ids.ts';
import type { NameRecord } from '../../nodes/names-protocol.ts';

const bucket = z.object({
  kind: z.literal('bucket'),
  bucket: z.looseObject({ id: z.number().int(), name: z.string(), owner: z.string() }),
  directory: z.string().transform((id) => id as PairId),
});
const account = z.object({
  kind: z.literal('account'),
  account: z.object({
    id: z.string().transform((id) => id as AccountId),
    displayName: z.string(),
    email: z.string().optional(),
    tenant: z.string().optional(),
    isRoot: z.boolean(),
  }),
});
const limit = z.number().int().nullable();
const quota = z.object({
  kind: z.literal('quota'),
  pair: z.string(),
  subject: z.string(),
  bytes: limit,
  objects: limit,
});
const position = z.object({
  kind: z.literal('position'),
  pair: z.string(),
  position: z.string(),
  at: z.string(),
});
const version = z.object({
  kind: z.literal('version'),
  version: z.looseObject({
    bucket_id: z.number().int(),
    key: z.string(),
    version_id: z.string(),
    is_delete_marker: z.boolean(),
  }),
});
const document = z.discriminatedUnion('kind', [bucket, account, quota, position, version]);
export type Document = z.infer<typeof document>;
export type DocumentOf<K extends Document['kind']> = Extract<Document, { kind: K }>;

const VERSION = /^\{"kind": ?"version"/;
export const isVersion = ({ body }: NameRecord): boolean => VERSION.test(body);

/** null for what this release does not know, and for tombstones. */
export function documentOf({ isDeleted, body }: NameRecord): Document | null {
  if (isDeleted) return null;
  const parsed = document.safeParse(JSON.parse(body));
  return parsed.success ? parsed.data : null;
}

const epitaph = z.object({ kind: z.literal('bucket'), id: z.number().int() });
/** The id of a bucket that is gone; 0 where it is none. */
export function buriedBucket({ isDeleted, body }: NameRecord): number {
  if (!isDeleted || body === '') return 0;
  const parsed = epitaph.safeParse(JSON.parse(body));
  return parsed.success ? parsed.data.id : 0;
}
