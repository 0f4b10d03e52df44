/** What gateways ask of a node's records of names; and blobs that nobody names any more. */
import type { BlobStore } from '../blob-store/blob-store.ts';
import { digestToJson } from '../control-codec.ts';
import {
  NAMES_REQUEST_BYTES_MAX,
  nameIdSchema,
  recordsFromJson,
  releaseFromJson,
  trimFromJson,
} from '../names-codec.ts';
import { NAMES_MAX } from '../names-protocol.ts';
import { assertOurs } from './catalog.ts';
import type { Admission } from './condition.ts';
import { prefixOf, takeJson } from './control.ts';
import { answerJson, type Exchange, integerOf, Refused } from './exchange.ts';

/** `admission` is asked again when the body is here: a node that was fenced meanwhile takes nothing. */
export async function putNames(x: Exchange, { names }: BlobStore, admission: Admission): Promise<void> {
  const records = await takeJson(x, recordsFromJson, NAMES_REQUEST_BYTES_MAX);
  admission();
  answerJson(x, { count: await names.put(records) });
}

export function listNames(x: Exchange, { names }: BlobStore): void {
  const after = x.query.get('after');
  if (after !== null && !nameIdSchema.safeParse(after).success)
    throw new Refused('protocol', 'after is not an id');
  const max = integerOf(x, 'max', NAMES_MAX);
  answerJson(x, names.page({ max, ...prefixOf(x), ...(after === null ? {} : { after }) }));
}

export function listNameDigests(x: Exchange, { names }: BlobStore): void {
  const { prefix } = prefixOf(x);
  if (prefix?.length === 4) throw new Refused('protocol', 'there are no ranges below two bytes');
  answerJson(x, names.digests(prefix).map(digestToJson));
}

export async function trimNames(x: Exchange, store: BlobStore): Promise<void> {
  assertOurs(x, store);
  answerJson(x, { count: await store.names.trim(await takeJson(x, trimFromJson)) });
}

export async function releaseBlobs(x: Exchange, store: BlobStore): Promise<void> {
  assertOurs(x, store);
  const { ids, intentAt } = await takeJson(x, releaseFromJson);
  await store.release(ids, intentAt);
  answerJson(x, {});
}
