/**
 * The node answers searches: from its index alone (no byte is read), by datagram to its center's group and point to
 * point over its port, with the same answer. An answer counts as a data request; silence does not.
 */
import type { Logger } from 'pino';
import type { BlobId, Epoch } from '../../base/ids.ts';
import { type Answerer, createAnswerer, type Look } from '../../twin/search-answerer.ts';
import { type GroupAddress, listenWherePossible } from '../../twin/search-multicast.ts';
import type { SearchTuning } from '../../twin/search-tuning.ts';
import { DATAGRAM_BYTES_MAX, searchKey } from '../../twin/search-wire.ts';
import { digest } from '../digest-tree.ts';
import type { FoundDetail } from '../protocol.ts';
import { ByteTaker } from './byte-taker.ts';
import type { ControlContext } from './control.ts';
import { type Exchange, Refused, writeHead } from './exchange.ts';

export interface NodeSearchOptions {
  readonly center: string;
  /** null: point to point alone. */
  readonly group: GroupAddress | null;
  readonly tuning?: Partial<SearchTuning>;
}

interface NodeFacts {
  readonly host: string;
  readonly secret: Buffer;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly search?: NodeSearchOptions;
}

const BLOB_ID = /^[0-9a-f]{32}$/;
const NOBODY = { close: async (): Promise<void> => {} };

/** Before the node takes requests. */
export async function openNodeSearch(
  { host, secret, log, search }: NodeFacts,
  context: ControlContext,
): Promise<{ close(): Promise<void> }> {
  if (!search) return NOBODY;
  const { member, clock, condition, counters, store } = context;
  const look: Look = (kind, subject) => {
    if (kind !== 'blob' || !BLOB_ID.test(subject)) return null;
    const entry = store.stat(subject as BlobId);
    if (!entry) return { has: false };
    const { size, root, state } = entry;
    return { has: true, detail: { size, root: root.toString('hex'), state } satisfies FoundDetail };
  };
  const answerer = createAnswerer({
    member,
    center: search.center,
    key: searchKey(secret),
    clock,
    standing: (): Epoch | null => (condition.state === 'serving' ? condition.epoch : null),
    look,
    onAnswer: (transport) => {
      if (transport === 'multicast') counters.requests += 1; // over the port, the server counts
    },
    ...(search.tuning ? { tuning: search.tuning } : {}),
  });
  context.search = answerer;
  return listenWherePossible({
    group: search.group,
    address: host,
    answerer,
    clock,
    random: Math.random,
    log,
  });
}

/** POST /v1/search: a question as the body, an answer as the body. */
export async function answerSearch(x: Exchange, answerer: Answerer | undefined): Promise<void> {
  if (x.contentLength < 1 || x.contentLength > DATAGRAM_BYTES_MAX)
    throw new Refused('protocol', 'body length');
  const body = await new ByteTaker(x.req).take(x.contentLength);
  if (digest(body).toString('hex') !== x.bodyDigest) {
    throw new Refused('unauthorized', 'the body is not the one that was signed');
  }
  const reply = (await answerer?.answer(body, 'point-to-point')) ?? { silent: 'unknown-kind' as const };
  if ('silent' in reply) throw new Refused('protocol', `no answer: ${reply.silent}`);
  writeHead(x, 200, reply.bytes.length, reply.bytes);
  x.res.end(reply.bytes);
}
