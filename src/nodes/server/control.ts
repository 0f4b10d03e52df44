/**
 * One blob's record, confirm, delete, listings, status, and what control requests have in common. Answers are JSON and signed whole.
 */
import type { Clock } from '../../base/clock.ts';
import { type BlobId, type MemberId, parseBlobId } from '../../base/ids.ts';
import type { Answerer } from '../../twin/search-answerer.ts';
import type { BlobStore } from '../blob-store/blob-store.ts';
import { prefixSchema } from '../control-codec.ts';
import { digest } from '../digest-tree.ts';
import { entryToJson, IDS_MAX, idsFromJson } from '../entry-codec.ts';
import type { NodeStatus } from '../protocol.ts';
import type { Puller } from '../puller.ts';
import type { Scrub } from '../scrub.ts';
import { ByteTaker } from './byte-taker.ts';
import { assertOurs, catalogOf } from './catalog.ts';
import type { NodeCondition } from './condition.ts';
import { answerJson, type Exchange, integerOf, Refused } from './exchange.ts';

/** 1,000 ids as JSON take 35 kB. */
const BODY_BYTES_MAX = 64 * 1024;

export interface Counters {
  requests: number;
  controlRequests: number;
  refusedRequests: number;
}
export interface ControlContext {
  readonly store: BlobStore;
  readonly member: MemberId;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly condition: NodeCondition;
  readonly puller: Puller;
  readonly scrub: Scrub;
  /** Set once the node answers searches. */
  search?: Answerer;
}

export function statBlob(x: Exchange, store: BlobStore, idText: string): void {
  const entry = store.stat(parseBlobId(idText));
  if (!entry) throw new Refused('not-found', 'no such blob');
  answerJson(x, entryToJson(entry));
}

/** A control request's body: the bytes that were signed, parsed. */
export async function takeJson<T>(
  x: Exchange,
  parse: (value: unknown) => T,
  bytesMax = BODY_BYTES_MAX,
): Promise<T> {
  if (x.contentLength < 1 || x.contentLength > bytesMax) throw new Refused('protocol', 'body length');
  const body = await new ByteTaker(x.req).take(x.contentLength);
  if (digest(body).toString('hex') !== x.bodyDigest) {
    throw new Refused('unauthorized', 'the body is not the one that was signed');
  }
  try {
    return parse(JSON.parse(body.toString('utf8')));
  } catch {
    throw new Refused('protocol', 'the body is malformed');
  }
}

export const takeIds = (x: Exchange): Promise<BlobId[]> => takeJson(x, idsFromJson);

export async function confirmBlobs(x: Exchange, store: BlobStore): Promise<void> {
  await store.confirm(await takeIds(x));
  answerJson(x, {});
}

export async function deleteBlobs(x: Exchange, store: BlobStore): Promise<void> {
  assertOurs(x, store);
  await store.remove(await takeIds(x));
  answerJson(x, {});
}

export function pageOf(x: Exchange): { after?: BlobId; max: number } {
  const max = integerOf(x, 'max', IDS_MAX);
  const after = x.query.get('after');
  try {
    return after === null ? { max } : { max, after: parseBlobId(after) };
  } catch {
    throw new Refused('protocol', 'after is not a blob id');
  }
}

/** Of an inventory or of digests. */
export function prefixOf(x: Exchange): { prefix?: string } {
  const prefix = x.query.get('prefix');
  if (prefix === null) return {};
  if (!prefixSchema.safeParse(prefix).success)
    throw new Refused('protocol', 'prefix is not 2 or 4 hex digits');
  return { prefix };
}

function scopeOf(x: Exchange): { scope?: 'home' | 'handoff' } {
  const scope = x.query.get('scope');
  if (scope === null) return {};
  if (scope !== 'home' && scope !== 'handoff') throw new Refused('protocol', 'no such scope');
  return { scope };
}

export function listPending(x: Exchange, store: BlobStore): void {
  const before = integerOf(x, 'before', Number.MAX_SAFE_INTEGER);
  answerJson(x, { entries: store.pending({ ...pageOf(x), before }).map(entryToJson) });
}

export function listInventory(x: Exchange, store: BlobStore): void {
  const query = { ...pageOf(x), ...prefixOf(x), ...scopeOf(x) };
  answerJson(x, { entries: store.inventory(query).map(entryToJson) });
}

export async function status(x: Exchange, context: ControlContext): Promise<void> {
  const { store, condition, counters, scrub, member } = context;
  const totals = await store.totals();
  const { state, epoch } = condition;
  const answer: NodeStatus = {
    member,
    ...counters,
    ...totals,
    state,
    epoch,
    storeId: store.storeId,
    damaged: store.notes.damaged,
    scrub: scrub.status(),
    catalog: catalogOf(store.notes),
    names: store.names.status(),
    pid: process.pid,
  };
  answerJson(x, answer);
}
