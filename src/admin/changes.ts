/**
 * The change feed for people and programs: one stream of all directories, read page by page as its reader takes the lines
 * (nothing is buffered but one page), going on by itself when a directory was away. What was read is not thereby dealt
 * with: a consumer's place moves when it says so (`advance`), so a stream that breaks off repeats, and never skips.
 */
import type { Clock } from '../base/clock.ts';
import type { PairId } from '../base/ids.ts';
import { CatalogUnavailable } from '../ddm/catalog.ts';
import {
  type Change,
  type ChangeFeed,
  type FeedStart,
  isPosition,
  NoSuchReader,
  type Position,
  type ReaderState,
} from '../ddm/change-feed.ts';
import { AdminError } from './admin-error.ts';
import { type ChangeLine, type ConsumerReport, type FeedPosition, positionParts } from './changes-api.ts';

export interface ReadOrder {
  readonly from?: 'now' | 'beginning' | FeedPosition | undefined;
  readonly consumer?: string | undefined;
  readonly follow: boolean;
  readonly bucket?: string | undefined;
  readonly prefix?: string | undefined;
}
export interface ChangesService {
  read(order: ReadOrder, signal: AbortSignal): AsyncGenerator<ChangeLine, void>;
  consumers(): Promise<readonly ConsumerReport[]>;
  /** Finds it where it is there already: then `from` means nothing. */
  open(name: string, from: 'now' | 'beginning' | FeedPosition): Promise<readonly ConsumerReport[]>;
  advance(name: string, position: FeedPosition): Promise<void>;
  drop(name: string): Promise<void>;
}

const PAGE = 500;
const POLL_MS = 500;
/** After a directory did not answer. */
const AWAY_MS = 1_000;
/** Each holds a connection now and then, and a page. */
const STREAMS_MAX = 32;

type Places = Map<PairId, Position>;
const textOf = (places: Places): FeedPosition =>
  [...places]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([pair, at]) => `${pair}:${at}`)
    .join(',');
const placesOf = (text: FeedPosition): Places => new Map(positionParts(text)) as Places;

export function createChanges({
  feed,
  clock,
}: {
  feed: ChangeFeed;
  clock: Pick<Clock, 'sleep' | 'now'>;
}): ChangesService {
  let streams = 0;

  /** Where the stream begins in this pair. One that the position does not name joined later: everything in it is new. */
  const startOf = (pair: PairId, from: ReadOrder['from'], consumer: string | undefined) => {
    const isName = from === 'now' || from === 'beginning' || from === undefined;
    const start: FeedStart = isName ? (from ?? 'beginning') : (placesOf(from).get(pair) ?? 'beginning');
    if (consumer !== undefined) return feed.openReader(pair, consumer, start);
    return isPosition(start) ? start : feed.feedStart(pair, start);
  };

  /** `places` is where the taker of the pages has come to. */
  async function* pages(order: ReadOrder, places: Places, signal: AbortSignal) {
    const { consumer, follow } = order;
    const reader = consumer === undefined ? {} : { reader: consumer };
    // All places first: what is written while this goes on is then behind none of them.
    for (const pair of feed.feedPairs()) places.set(pair, await startOf(pair, order.from, consumer));
    while (!signal.aborted) {
      let isAtEnd = true;
      let isAway = false;
      for (const pair of feed.feedPairs()) {
        try {
          const after = places.get(pair) ?? (await startOf(pair, 'beginning', consumer));
          places.set(pair, after);
          const page = await feed.readChanges(pair, { ...reader, after, max: PAGE });
          yield page;
          if (page.more) isAtEnd = false;
        } catch (error) {
          // Who follows waits for it; the others' changes go on.
          if (!(error instanceof CatalogUnavailable) || !follow) throw error;
          isAway = true;
        }
      }
      if (isAway) await clock.sleep(AWAY_MS, signal);
      else if (isAtEnd && !follow) return;
      else if (isAtEnd) await clock.sleep(POLL_MS, signal);
    }
  }

  async function* lines(order: ReadOrder, signal: AbortSignal): AsyncGenerator<ChangeLine, void> {
    const places: Places = new Map();
    for await (const page of pages(order, places, signal)) {
      const before = places.get(page.pair);
      let hasSaid = false;
      if (page.gap) {
        const { event, from, to, changes } = page.gap;
        places.set(page.pair, to);
        yield { type: 'gap', event, directory: page.pair, from, to, changes, position: textOf(places) };
        continue;
      }
      for (const change of page.changes) {
        places.set(page.pair, change.position);
        hasSaid = isWanted(change, order);
        if (hasSaid) yield lineOf(change, textOf(places));
      }
      if (!hasSaid && before !== page.position) yield { type: 'position', position: textOf(places) };
    }
  }

  return {
    async *read(order, signal) {
      if (streams >= STREAMS_MAX)
        throw new AdminError('NotAllowed', `${STREAMS_MAX} streams of changes are open here: close one`);
      streams++;
      try {
        yield* lines(order, signal);
      } catch (error) {
        throw error instanceof NoSuchReader ? noConsumer(error.message) : error;
      } finally {
        streams--;
      }
    },

    async consumers() {
      return (await feed.listReaders()).map((state) => consumerOf(state, clock.now()));
    },

    async open(name, from) {
      const places = from === 'now' || from === 'beginning' ? null : placesOf(from);
      for (const pair of feed.feedPairs())
        await feed.openReader(pair, name, places ? (places.get(pair) ?? 'beginning') : (from as FeedStart));
      const states = await feed.listReaders();
      return states.filter((state) => state.name === name).map((state) => consumerOf(state, clock.now()));
    },

    async advance(name, position) {
      const known = new Set(feed.feedPairs());
      for (const [pair, at] of placesOf(position)) {
        if (!known.has(pair)) throw new AdminError('InvalidRequest', `there is no directory ${pair}`);
        await feed.advanceReader(pair, name, at).catch((error: unknown) => {
          throw error instanceof NoSuchReader ? noConsumer(name) : error;
        });
      }
    },

    async drop(name) {
      if (!(await feed.dropReader(name))) throw noConsumer(name);
    },
  };
}

const noConsumer = (name: string) =>
  new AdminError('NotFound', `there is no consumer ${name} of the changes`);

const isWanted = (change: Change, { bucket, prefix }: ReadOrder): boolean =>
  (bucket === undefined || change.bucket === bucket) &&
  (prefix === undefined || (change.key?.startsWith(prefix) ?? false));

function lineOf(change: Change, position: FeedPosition): ChangeLine {
  const { event, kind, pair, bucket, key, versionId, deleteMarker, size, etag, number, bucketRecord, cause } =
    change;
  return {
    ...{ type: 'change', event, at: change.at.toISOString(), kind, directory: pair, bucket },
    ...(key !== undefined && { key }),
    ...(versionId !== undefined && { versionId }),
    ...(deleteMarker !== undefined && { deleteMarker }),
    ...(size !== undefined && { size }),
    ...(etag !== undefined && { etag }),
    number,
    ...(bucketRecord && { record: bucketRecord }),
    ...(cause && { cause }),
    position,
  };
}

function consumerOf(state: ReaderState, nowMs: number): ConsumerReport {
  const { pair, name, position, createdAt, advancedAt, unread, unreadSince, gapChanges } = state;
  return {
    ...{ name, directory: pair, position, unread },
    ...{ createdAt: createdAt.toISOString(), advancedAt: advancedAt.toISOString() },
    lagSeconds: unreadSince ? Math.max(0, (nowMs - unreadSince.getTime()) / 1000) : 0,
    ...(gapChanges !== undefined && { gapChanges }),
  };
}
