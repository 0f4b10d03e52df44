/**
 * What a bucket's keys may answer, as a pure function: a state, a call and the answer that was seen give the next
 * state, or null when that answer cannot be explained there. No clock and no ids of its own: version ids and times are
 * taken from the answers and must then stay what they were. What an answer that was lost would have told is null in the
 * state until somebody sees it.
 */
import type { Bucket, DeleteDone, WriteCondition } from '../../src/ddm/catalog.ts';
import type {
  BucketState,
  HistoryEvent,
  HistoryRow,
  HistoryUpload,
  Seen,
  ShownRow,
} from './history-events.ts';

type Event<O extends HistoryEvent['op']> = Extract<HistoryEvent, { op: O }>;

export const startOf = (versioning: Bucket['versioning'], keys: readonly string[]): BucketState => ({
  versioning,
  keys: Object.fromEntries(keys.toSorted().map((key) => [key, []])),
  uploads: {},
});

/** The state after the event, the very same object where nothing changes; null when the answer is impossible. */
export function explain(state: BucketState, event: HistoryEvent): BucketState | null {
  switch (event.op) {
    case 'put':
      return put(state, event);
    case 'delete':
      return remove(state, event);
    case 'tag':
      return tag(state, event);
    case 'versioning':
      if (event.answer.outcome === 'refused') return null;
      return event.state === state.versioning ? state : { ...state, versioning: event.state };
    case 'create-upload':
      return createUpload(state, event);
    case 'put-part':
      return putPart(state, event);
    case 'complete':
      return complete(state, event);
    case 'abort':
      return abort(state, event);
    case 'find':
      return find(state, event);
    case 'list-versions':
      return list(state, event, (rows) => rows);
    case 'list-objects':
      return list(state, event, (rows) => rows.slice(0, rows[0]?.isMarker === false ? 1 : 0));
    case 'list-parts': {
      const upload = state.uploads[event.uploadId];
      const parts = upload && !upload.completed ? upload.parts : [];
      return JSON.stringify(parts) === JSON.stringify(event.shown) ? state : null;
    }
  }
}

/** Whether the event, answered as it was, changes nothing in any state. */
export function isIdle(event: HistoryEvent): boolean {
  if ('shown' in event) return true;
  if (event.answer.outcome !== 'done') return event.answer.outcome === 'refused';
  return event.op === 'delete' && !event.answer.value.existed;
}

// --------------------------------------------------------------------------------------------- objects

const rowsOf = (state: BucketState, key: string) => state.keys[key]!;
const withRows = (state: BucketState, key: string, rows: readonly HistoryRow[]): BucketState => ({
  ...state,
  keys: { ...state.keys, [key]: rows },
});

/** What the model says, against what was answered: the state after it, or null when they differ. */
function settled<T>(
  state: BucketState,
  answer: Seen<T>,
  refusal: string | null,
  next: (value: T | null) => BucketState | null,
): BucketState | null {
  if (answer.outcome === 'refused') return refusal === answer.reason ? state : null;
  if (refusal !== null) return null;
  return next(answer.outcome === 'done' ? answer.value : null);
}

function failedWrite(rows: readonly HistoryRow[], condition: WriteCondition | undefined): string | null {
  const current = rows[0]?.isMarker === false ? rows[0] : null;
  const { ifMatch, ifNoneMatch } = condition ?? {};
  if (ifMatch !== undefined && current === null) return 'no-such-key';
  if (ifMatch !== undefined && ifMatch !== '*' && ifMatch !== current?.etag) return 'precondition-failed';
  if (ifNoneMatch !== undefined && current !== null)
    if (ifNoneMatch === '*' || ifNoneMatch === current.etag) return 'precondition-failed';
  return null;
}

/** The new row comes first; without versioning it takes the place of the null version. Null: not with that id. */
function inserted(
  state: BucketState,
  key: string,
  row: Omit<HistoryRow, 'versionId'>,
  seenId: string | undefined,
): BucketState | null {
  const isNull = state.versioning !== 'enabled';
  if (seenId !== undefined && isNull !== (seenId === 'null')) return null;
  const rows = rowsOf(state, key);
  if (!isNull && seenId !== undefined && rows.some((other) => other.versionId === seenId)) return null;
  const kept = isNull ? rows.filter((other) => other.versionId !== 'null') : rows;
  return withRows(state, key, [{ ...row, versionId: isNull ? 'null' : (seenId ?? null) }, ...kept]);
}

function put(state: BucketState, event: Event<'put'>): BucketState | null {
  const refusal = failedWrite(rowsOf(state, event.key), event.condition);
  const { etag, size, tags, content, answer } = event;
  if (answer.outcome === 'refused' && answer.reason === 'blob-dying')
    return refusal === null && event.isShare ? state : null;
  return settled(state, answer, refusal, (value) => {
    const row = { isMarker: false, etag, size, tags, content, lastModified: value?.lastModified ?? null };
    return inserted(state, event.key, row, value?.versionId);
  });
}

function failedDelete(row: HistoryRow, condition: WriteCondition): string | null {
  const { ifMatch, ifMatchSize } = condition;
  const isOther =
    (ifMatch !== undefined && ifMatch !== '*' && ifMatch !== row.etag) ||
    (ifMatchSize !== undefined && ifMatchSize !== row.size);
  return isOther ? 'precondition-failed' : null;
}

function remove(state: BucketState, event: Event<'delete'>): BucketState | null {
  const { key, versionId, condition, answer } = event;
  const rows = rowsOf(state, key);
  const row = versionId === undefined ? rows[0] : rows.find((other) => other.versionId === versionId);
  const says = (value: DeleteDone | null, expected: DeleteDone, next: BucketState) =>
    value === null || JSON.stringify(value) === JSON.stringify(expected) ? next : null;
  const refusal = row && condition ? failedDelete(row, condition) : null;
  return settled(state, answer, refusal, (value) => {
    const isPlain = versionId === undefined;
    if (row === undefined && (!isPlain || condition || state.versioning === 'unversioned'))
      return says(value, { existed: false }, state);
    if (isPlain && state.versioning !== 'unversioned') {
      if (value && !(value.existed && value.deleteMarker && value.versionId)) return null;
      const marker = {
        ...{ isMarker: true, etag: '', size: 0, tags: '{}', lastModified: null },
        content: 'empty',
      };
      return inserted(state, key, marker, value?.versionId);
    }
    const next = withRows(
      state,
      key,
      rows.filter((other) => other !== row),
    );
    if (isPlain) return says(value, { existed: true }, next);
    return says(value, { existed: true, versionId, deleteMarker: row!.isMarker }, next);
  });
}

function tag(state: BucketState, event: Event<'tag'>): BucketState | null {
  const { key, versionId, tags, answer } = event;
  const rows = rowsOf(state, key);
  const row = versionId === undefined ? rows[0] : rows.find((other) => other.versionId === versionId);
  const isThere = row?.isMarker === false;
  const refusal = isThere ? null : versionId === undefined ? 'no-such-key' : 'no-such-version';
  return settled(state, answer, refusal, (value) => {
    if (value && row!.versionId !== null && value.versionId !== row!.versionId) return null;
    const changed = { ...row!, tags, versionId: value?.versionId ?? row!.versionId };
    return withRows(
      state,
      key,
      rows.map((other) => (other === row ? changed : other)),
    );
  });
}

// ----------------------------------------------------------------------------------------------- reads

/** The row with what the read has shown of it for the first time; null when it is another one. */
function matched(row: HistoryRow, isLatest: boolean, shown: ShownRow): HistoryRow | null {
  const same =
    (row.versionId === null ? shown.versionId !== 'null' : row.versionId === shown.versionId) &&
    (row.lastModified === null || row.lastModified === shown.lastModified) &&
    (row.content === null || shown.content === null || row.content === shown.content) &&
    shown.isLatest === isLatest &&
    row.isMarker === shown.isMarker &&
    row.etag === shown.etag &&
    row.size === shown.size &&
    (shown.tags === null || row.tags === shown.tags);
  if (!same) return null;
  if (row.versionId !== null && row.lastModified !== null && row.content !== null) return row;
  const { versionId, lastModified } = shown;
  return { ...row, versionId, lastModified, content: row.content ?? shown.content };
}

function learned(
  state: BucketState,
  key: string,
  row: HistoryRow,
  shown: ShownRow | undefined,
): BucketState | null {
  const rows = rowsOf(state, key);
  const seen = shown?.key === key ? matched(row, rows[0] === row, shown) : null;
  if (seen === null) return null;
  return seen === row
    ? state
    : withRows(
        state,
        key,
        rows.map((other) => (other === row ? seen : other)),
      );
}

function find(state: BucketState, event: Event<'find'>): BucketState | null {
  const rows = rowsOf(state, event.key);
  const row =
    event.versionId === undefined ? rows[0] : rows.find((other) => other.versionId === event.versionId);
  if (row === undefined || event.shown === null) return !row && !event.shown ? state : null;
  return learned(state, event.key, row, event.shown);
}

function list(
  state: BucketState,
  event: Event<'list-versions' | 'list-objects'>,
  listed: (rows: readonly HistoryRow[]) => readonly HistoryRow[],
): BucketState | null {
  const expected = Object.entries(state.keys)
    .filter(([key]) => key > event.after)
    .flatMap(([key, rows]) => listed(rows).map((row) => ({ key, at: rows.indexOf(row) })));
  const { rows, truncated } = event.shown;
  if (rows.length !== Math.min(event.max, expected.length) || truncated !== expected.length > event.max)
    return null;
  let next: BucketState | null = state;
  for (const [i, shown] of rows.entries()) {
    const { key, at } = expected[i]!;
    next = learned(next, key, rowsOf(next, key)[at]!, shown);
    if (next === null) return null;
  }
  return next;
}

// --------------------------------------------------------------------------------------------- uploads

const withUpload = (state: BucketState, id: string, upload: HistoryUpload | null): BucketState => {
  const others = Object.entries(state.uploads).filter(([other]) => other !== id);
  const all = upload === null ? others : [...others, [id, upload] as const];
  return { ...state, uploads: Object.fromEntries(all.sort(([a], [b]) => (a < b ? -1 : 1))) };
};

function createUpload(state: BucketState, event: Event<'create-upload'>): BucketState | null {
  // An upload whose id nobody was told is never heard of again.
  if (event.answer.outcome !== 'done') return event.answer.outcome === 'unknown' ? state : null;
  const { key, tags } = event;
  return withUpload(state, event.answer.value, { key, tags, parts: [], completed: null });
}

function putPart(state: BucketState, event: Event<'put-part'>): BucketState | null {
  const upload = state.uploads[event.uploadId];
  const refusal = !upload || upload.completed ? 'no-such-upload' : null;
  return settled(state, event.answer, refusal, () => {
    const { number, etag, size } = event;
    const parts = [...upload!.parts.filter((part) => part.number !== number), { number, etag, size }];
    parts.sort((a, b) => a.number - b.number);
    return withUpload(state, event.uploadId, { ...upload!, parts });
  });
}

function complete(state: BucketState, event: Event<'complete'>): BucketState | null {
  const upload = state.uploads[event.uploadId];
  const asked = JSON.stringify(event.parts);
  if (!upload || upload.key !== event.key || (upload.completed && upload.completed.parts !== asked))
    return settled(state, event.answer, 'no-such-upload', () => null);
  if (upload.completed) return completedAgain(state, event, upload.completed.etag);
  const isThere = event.parts.every((named) =>
    upload.parts.some((part) => part.number === named.partNumber && part.etag === named.etag),
  );
  const refusal = isThere ? failedWrite(rowsOf(state, event.key), event.condition) : 'invalid-part';
  return settled(state, event.answer, refusal, (value) => {
    if (value && value.etag !== event.etag) return null;
    const { etag, size } = event;
    const lastModified = value?.lastModified ?? null;
    const row = { isMarker: false, etag, size, tags: upload.tags, content: null, lastModified };
    const next = inserted(state, event.key, row, value?.versionId);
    const completed = { parts: asked, etag };
    return next && withUpload(next, event.uploadId, { ...upload, parts: [], completed });
  });
}

/** The first answer again, whatever became of its row since. */
function completedAgain(state: BucketState, event: Event<'complete'>, firstEtag: string): BucketState | null {
  return settled(state, event.answer, null, (value) => {
    if (value === null) return state;
    const row = rowsOf(state, event.key).find((other) => other.etag === firstEtag);
    if (value.etag !== firstEtag) return null;
    if (row?.versionId && row.versionId !== value.versionId) return null;
    if (row?.lastModified && row.lastModified !== value.lastModified) return null;
    return state;
  });
}

function abort(state: BucketState, event: Event<'abort'>): BucketState | null {
  const upload = state.uploads[event.uploadId];
  const isOpen = upload !== undefined && upload.completed === null && upload.key === event.key;
  return settled(state, event.answer, isOpen ? null : 'no-such-upload', () =>
    withUpload(state, event.uploadId, null),
  );
}
