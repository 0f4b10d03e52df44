/**
 * The control side of a node: one blob's record, confirm, delete, listings, status. Answers are JSON and signed whole.
 */
import type { Clock } from '../../base/clock.ts';
import { type BlobId, type MemberId, parseBlobId } from '../../base/ids.ts';
import type { Answerer } from '../../twin/search-answerer.ts';
import type { BlobStore } from '../blob-store/blob-store.ts';
import { digest } from '../digest-tree.ts';
import { entryToJson, IDS_MAX, idsFromJson } from '../entry-codec.ts';
import type { NodeStatus } from '../protocol.ts';
import { ByteTaker } from './byte-taker.ts';
import { answerJson, type Exchange, integerOf, Refused } from './exchange.ts';

/** 1,000 ids as JSON take 35 kB. */
const BODY_BYTES_MAX = 64 * 1024;

export interface Counters {
  requests: number;
  controlRequests: number;
}
export interface ControlContext {
  readonly store: BlobStore;
  readonly member: MemberId;
  readonly counters: Counters;
  readonly clock: Clock;
  /** Set once the node answers searches. */
  search?: Answerer;
}

export function statBlob(x: Exchange, store: BlobStore, idText: string): void {
  const entry = store.stat(parseBlobId(idText));
  if (!entry) throw new Refused('not-found', 'no such blob');
  answerJson(x, entryToJson(entry));
}

async function takeIds(x: Exchange): Promise<BlobId[]> {
  if (x.contentLength < 1 || x.contentLength > BODY_BYTES_MAX) throw new Refused('protocol', 'body length');
  const body = await new ByteTaker(x.req).take(x.contentLength);
  if (digest(body).toString('hex') !== x.bodyDigest) {
    throw new Refused('unauthorized', 'the body is not the one that was signed');
  }
  try {
    return idsFromJson(JSON.parse(body.toString('utf8')));
  } catch {
    throw new Refused('protocol', 'not a list of blob ids');
  }
}

export async function confirmBlobs(x: Exchange, store: BlobStore): Promise<void> {
  await store.confirm(await takeIds(x));
  answerJson(x, {});
}

export async function deleteBlobs(x: Exchange, store: BlobStore): Promise<void> {
  await store.remove(await takeIds(x));
  answerJson(x, {});
}

function page(x: Exchange): { after?: BlobId; max: number } {
  const max = integerOf(x, 'max', IDS_MAX);
  const after = x.query.get('after');
  try {
    return after === null ? { max } : { max, after: parseBlobId(after) };
  } catch {
    throw new Refused('protocol', 'after is not a blob id');
  }
}

export function listPending(x: Exchange, store: BlobStore): void {
  const before = integerOf(x, 'before', Number.MAX_SAFE_INTEGER);
  answerJson(x, { entries: store.pending({ ...page(x), before }).map(entryToJson) });
}

export function listInventory(x: Exchange, store: BlobStore): void {
  answerJson(x, { entries: store.inventory(page(x)).map(entryToJson) });
}

export async function status(x: Exchange, context: ControlContext): Promise<void> {
  const totals = await context.store.totals();
  const answer: NodeStatus = { member: context.member, ...context.counters, ...totals, pid: process.pid };
  answerJson(x, answer);
}
