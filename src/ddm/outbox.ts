/**
 * The change feed on Postgres: pages of the outbox in the order of (tx, id), below the snapshot horizon, and the durable
 * places of consumers. That nothing is skipped and that a key's changes stand in commit order is proved at the head of
 * migrations/0021_feed.sql; here only what is read is passed on.
 */
import { createHash } from 'node:crypto';
import type { BucketId, PairId } from '../base/ids.ts';
import type { Cause } from './catalog.ts';
import {
  type BucketRecord,
  CHANGES_AT_ONCE_MAX,
  type Change,
  type ChangeFeed,
  type ChangeKind,
  type ChangePage,
  comparePositions,
  type Gap,
  NoSuchReader,
  type Position,
  positionOf,
  READER_NAME,
  type ReaderState,
  splitPosition,
  UNREAD_COUNTED_MAX,
} from './change-feed.ts';
import { certain, type Directories } from './directories.ts';
import type { Row } from './link.ts';
import { statement } from './statements.ts';

const READ_CHANGES = statement('read-changes');
const OPEN_READER = statement('open-reader');
const ADVANCE_READER = statement('advance-reader');
const LIST_READERS = statement('list-readers');
const DROP_READER = statement('drop-reader');
const FEED_START = statement('feed-start');

interface Payload {
  readonly result?: { readonly versionId?: string; readonly marker?: boolean };
  readonly size?: number | null;
  readonly etag?: string | null;
  readonly bucket?: BucketRecord;
}

function changeOf(row: Row, pair: PairId): Change {
  const kind = row.kind as ChangeKind;
  const { result, size, etag, bucket } = row.payload as Payload;
  const isPut = kind === 'put';
  return {
    pair,
    event: String(row.event),
    position: positionOf(row.tx, row.id),
    number: Number(row.id),
    at: row.at as Date,
    kind,
    bucketId: Number(row.bucket_id) as BucketId,
    bucket: String(row.bucket ?? bucket?.name ?? ''),
    ...(bucket ? { bucketRecord: bucket } : { key: String(row.key) }),
    ...(result?.versionId !== undefined && { versionId: result.versionId }),
    ...(kind === 'delete' && { deleteMarker: result?.marker === true }),
    ...(isPut && { size: Number(size ?? 0), etag: String(etag ?? '') }),
    ...(row.cause !== null && { cause: row.cause as Cause }),
  };
}

/** A consumer's gap is on record; who has none only sees that its position has been trimmed. */
function gapOf(row: Row, from: Position): Gap | null {
  if (row.reader !== null) {
    if (row.gap_event === null) return null;
    const to = positionOf(row.gap_tx, row.gap_id);
    return comparePositions(from, to) < 0
      ? { event: String(row.gap_event), from, to, changes: Number(row.gap_rows) }
      : null;
  }
  const to = positionOf(row.trim_tx, row.trim_id);
  if (comparePositions(from, to) >= 0) return null;
  // The same for the same gap, whoever asks.
  const hex = createHash('sha256').update(`${from} ${to}`).digest('hex');
  const event = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)];
  return { event: event.join('-'), from, to, changes: null };
}

export function openOutbox(directories: Directories): ChangeFeed {
  return {
    feedPairs: () => directories.pairs(),

    async openReader(pair, name, from) {
      if (!READER_NAME.test(name)) throw new TypeError('not a name for a consumer');
      const [tx, id] = from === 'now' || from === 'beginning' ? [null, null] : splitPosition(from);
      const answer = await directories.of(pair).write(OPEN_READER, [name, from, tx, id]);
      const row = certain(answer).rows[0]!;
      return positionOf(row.tx, row.id);
    },

    async readChanges(pair, { reader, after, max }): Promise<ChangePage> {
      if (reader === undefined && after === undefined)
        throw new TypeError('neither a consumer nor a position');
      const [tx, id] = after === undefined ? [null, null] : splitPosition(after);
      const wanted = Math.max(1, Math.min(max, CHANGES_AT_ONCE_MAX));
      const rows = await directories.of(pair).read(READ_CHANGES, [tx, id, wanted, reader ?? null]);
      const state = rows[0]!;
      if (reader !== undefined && state.reader === null) throw new NoSuchReader(reader);
      const from = after ?? positionOf(state.reader_tx, state.reader_id);
      const gap = gapOf(state, from);
      if (gap) return { pair, gap, changes: [], position: gap.to, more: true };
      const changes = rows.filter((row) => row.event !== null).map((row) => changeOf(row, pair));
      return { pair, changes, position: changes.at(-1)?.position ?? from, more: changes.length >= wanted };
    },

    async advanceReader(pair, name, position) {
      const answer = await directories.of(pair).write(ADVANCE_READER, [name, ...splitPosition(position)]);
      if (certain(answer).rows[0]?.answer !== true) throw new NoSuchReader(name);
    },

    async listReaders() {
      const ofPairs = directories.pairs().map(async (pair) => {
        const rows = await directories.of(pair).read(LIST_READERS, [UNREAD_COUNTED_MAX]);
        return rows.map((row) => readerOf(row, pair));
      });
      const all = (await Promise.all(ofPairs)).flat();
      return all.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    },

    async dropReader(name) {
      let wasThere = false;
      for (const directory of directories.all())
        if (certain(await directory.write(DROP_READER, [name])).rowCount > 0) wasThere = true;
      return wasThere;
    },

    async feedStart(pair, from) {
      const row = (await directories.of(pair).read(FEED_START, []))[0]!;
      return from === 'now' ? positionOf(row.now_tx, 0) : positionOf(row.tx, row.id);
    },
  };
}

function readerOf(row: Row, pair: PairId): ReaderState {
  return {
    pair,
    name: String(row.name),
    position: positionOf(row.tx, row.id),
    createdAt: row.created_at as Date,
    advancedAt: row.advanced_at as Date,
    unread: Number(row.unread),
    ...(row.unread_since !== null && { unreadSince: row.unread_since as Date }),
    ...(row.gap_rows !== null && { gapChanges: Number(row.gap_rows) }),
  };
}
