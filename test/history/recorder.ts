/**
 * Calls a catalog and writes down what was asked, what was answered, and when each began and ended. One recorder holds
 * the history of a program: of each bucket, the calls that are judged together.
 */
import { type BucketId, newWriteId, type UploadId } from '../../src/base/ids.ts';
import {
  type Catalog,
  CatalogUnavailable,
  type CompletePart,
  type ListedVersion,
  type ListPage,
  type ObjectVersion,
  type Outcome,
  type PutVersion,
  type VersionContent,
  type WriteCondition,
} from '../../src/ddm/catalog.ts';
import { ATTRIBUTES, blobOf, OWNER } from '../contract/contract-kit.ts';
import type { HistoryEvent, ShownPage, ShownRow } from '../model/history-events.ts';
import type { Recorded } from './linearize.ts';

export type Judged = Recorded<HistoryEvent> & { readonly client: number };
type Tags = Readonly<Record<string, string>>;
const tagsText = (tags: Tags) => JSON.stringify(tags);

export const contentText = (content: VersionContent): string =>
  content.kind === 'empty'
    ? 'empty'
    : content.kind === 'blob'
      ? `blob:${content.blob.id}`
      : `manifest:${content.manifestId}`;

/** A row as a read or a listing shows it. */
const shownOf = (row: ListedVersion & Partial<ObjectVersion>): ShownRow => ({
  key: row.key,
  versionId: row.versionId,
  isLatest: row.isLatest,
  isMarker: row.isDeleteMarker,
  etag: row.etag,
  size: row.size,
  tags: row.tags ? tagsText(row.tags) : null,
  lastModified: row.lastModified.getTime(),
  content: row.content ? contentText(row.content) : null,
});

const pageOf = (page: ListPage<ListedVersion>): ShownPage => ({
  rows: page.entries.flatMap((entry) => (entry.kind === 'item' ? [shownOf(entry.item)] : [])),
  truncated: page.truncated,
});

const mapped = <T, U>(outcome: Outcome<T, string>, of: (value: T) => U): Outcome<U, string> =>
  outcome.outcome === 'done' ? { outcome: 'done', value: of(outcome.value) } : outcome;

/** Without what only a clock could check. */
const written = ({ versionId, lastModified }: { versionId: string; lastModified: Date }) => ({
  versionId,
  lastModified: lastModified.getTime(),
});

export class Recorder {
  /** By bucket. */
  readonly events = new Map<BucketId, Judged[]>();
  readonly outcomes = new Map<string, number>();
  /** Contents that were refused as dying, and when that had been said. */
  readonly dead: { readonly content: string; readonly said: number }[] = [];
  #now = 0;
  #names = 0;

  /** A name that no other write of the program has. */
  name(what: string): string {
    return `${what}-${++this.#names}`;
  }

  client(catalog: Catalog, bucketId: BucketId, client: number): Caller {
    return new Caller(this, catalog, bucketId, client);
  }

  /** Null: the call was refused before it had begun, so nothing of it may ever show. */
  async record<A>(
    o: { bucketId: BucketId; client: number; op: string },
    ask: () => Promise<A>,
    eventOf: (answer: A) => HistoryEvent,
  ): Promise<A | null> {
    const begin = ++this.#now;
    let answer: A;
    try {
      answer = await ask();
    } catch (error) {
      if (!(error instanceof CatalogUnavailable)) throw error;
      this.#count(`${o.op} unavailable`);
      return null;
    }
    const event = eventOf(answer);
    const outcome = 'answer' in event ? event.answer : null;
    const end = outcome?.outcome === 'unknown' ? Number.POSITIVE_INFINITY : ++this.#now;
    this.#count(
      `${o.op} ${!outcome ? 'read' : outcome.outcome === 'refused' ? outcome.reason : outcome.outcome}`,
    );
    if (event.op === 'put' && outcome?.outcome === 'refused' && outcome.reason === 'blob-dying')
      this.dead.push({ content: event.content, said: end });
    const all = this.events.get(o.bucketId) ?? [];
    all.push({ event, begin, end, client: o.client });
    this.events.set(o.bucketId, all);
    return answer;
  }

  #count(what: string): void {
    this.outcomes.set(what, (this.outcomes.get(what) ?? 0) + 1);
  }
}

/** One client's view of one bucket. */
export class Caller {
  readonly #recorder: Recorder;
  readonly #catalog: Catalog;
  readonly #bucketId: BucketId;
  readonly #client: number;

  constructor(recorder: Recorder, catalog: Catalog, bucketId: BucketId, client: number) {
    this.#recorder = recorder;
    this.#catalog = catalog;
    this.#bucketId = bucketId;
    this.#client = client;
  }

  #record<A>(op: string, ask: () => Promise<A>, eventOf: (answer: A) => HistoryEvent): Promise<A | null> {
    return this.#recorder.record({ bucketId: this.#bucketId, client: this.#client, op }, ask, eventOf);
  }

  #put(
    op: string,
    key: string,
    o: { size: number; tags: Tags; condition?: WriteCondition },
    content: PutVersion['content'],
  ) {
    const [bucketId, etag] = [this.#bucketId, this.#recorder.name('e')];
    const attributes = { ...ATTRIBUTES, tags: o.tags };
    const conditional = o.condition === undefined ? {} : { condition: o.condition };
    const text = contentText(content.kind === 'share' ? content.content : content);
    return this.#record(
      op,
      () =>
        this.#catalog.putVersion({
          ...{ writeId: newWriteId(), bucketId, key, owner: OWNER, size: o.size, etag, attributes, content },
          ...conditional,
        }),
      (answer) => ({
        ...{ op: 'put', key, etag, size: o.size, tags: tagsText(o.tags), content: text },
        ...{ isShare: content.kind === 'share', ...conditional, answer: mapped(answer, written) },
      }),
    );
  }

  put(key: string, o: { size: number; tags: Tags; condition?: WriteCondition }) {
    if (o.size === 0) return this.#put('put', key, o, { kind: 'empty' });
    return this.#put('put', key, o, { kind: 'blob', blob: blobOf(o.size), intentAt: Date.now() });
  }

  copy(key: string, from: ObjectVersion, o: { tags?: Tags; condition?: WriteCondition }) {
    const content = { kind: 'share', content: from.content } as const;
    return this.#put('copy', key, { size: from.size, tags: from.tags, ...o }, content);
  }

  delete(key: string, o: { versionId?: string; condition?: WriteCondition }) {
    const what = { key, ...o };
    return this.#record(
      o.versionId === undefined ? 'delete' : 'delete-version',
      () =>
        this.#catalog.deleteVersion({
          writeId: newWriteId(),
          bucketId: this.#bucketId,
          owner: OWNER,
          ...what,
        }),
      (answer) => ({ op: 'delete', ...what, answer }),
    );
  }

  tag(key: string, tags: Tags, versionId?: string) {
    const what = { key, ...(versionId === undefined ? {} : { versionId }) };
    return this.#record(
      'tag',
      () => this.#catalog.setTags({ writeId: newWriteId(), bucketId: this.#bucketId, tags, ...what }),
      (answer) => ({ op: 'tag', ...what, tags: tagsText(tags), answer }),
    );
  }

  versioning(state: 'enabled' | 'suspended') {
    const ask = () => this.#catalog.setVersioning(this.#bucketId, state);
    return this.#record('versioning', ask, (answer) => ({ op: 'versioning', state, answer }));
  }

  createUpload(key: string, tags: Tags) {
    const upload = { bucketId: this.#bucketId, key, owner: OWNER, attributes: { ...ATTRIBUTES, tags } };
    return this.#record(
      'create-upload',
      () => this.#catalog.createUpload({ ...upload, writeId: newWriteId() }),
      (answer) => ({
        op: 'create-upload',
        key,
        tags: tagsText(tags),
        answer: mapped(answer, ({ uploadId }) => uploadId),
      }),
    );
  }

  putPart(uploadId: UploadId, partNumber: number, size: number) {
    const part = { uploadId, partNumber, size, etag: this.#recorder.name('p') };
    return this.#record(
      'put-part',
      () =>
        this.#catalog.putPart({
          ...{ writeId: newWriteId(), bucketId: this.#bucketId, ...part },
          content: { kind: 'blob', blob: blobOf(size), intentAt: Date.now() },
        }),
      (answer) => ({
        ...{ op: 'put-part', uploadId, number: partNumber, etag: part.etag, size },
        answer: mapped(answer, () => null),
      }),
    );
  }

  complete(
    key: string,
    uploadId: UploadId,
    o: { parts: readonly CompletePart[]; size: number; condition?: WriteCondition },
  ) {
    const what = { key, uploadId, etag: this.#recorder.name('m'), ...o };
    return this.#record(
      'complete',
      () => this.#catalog.completeUpload({ writeId: newWriteId(), bucketId: this.#bucketId, ...what }),
      (answer) => ({
        ...{ op: 'complete', ...what },
        answer: mapped(answer, (value) => ({ ...written(value), etag: value.etag })),
      }),
    );
  }

  abort(key: string, uploadId: UploadId) {
    return this.#record(
      'abort',
      () => this.#catalog.abortUpload(this.#bucketId, key, uploadId),
      (answer) => ({ op: 'abort', key, uploadId, answer }),
    );
  }

  find(key: string, versionId?: string) {
    return this.#record(
      versionId === undefined ? 'find' : 'find-version',
      () => this.#catalog.findVersion(this.#bucketId, key, versionId),
      (row) => ({
        ...{ op: 'find', key, ...(versionId === undefined ? {} : { versionId }) },
        shown: row && shownOf(row),
      }),
    );
  }

  listVersions(after: string, max: number) {
    const query = { bucketId: this.#bucketId, prefix: '', delimiter: '', keyMarker: after, maxKeys: max };
    const ask = () => this.#catalog.listVersions(query);
    return this.#record('list-versions', ask, (page) => ({
      op: 'list-versions',
      after,
      max,
      shown: pageOf(page),
    }));
  }

  listObjects(after: string, max: number) {
    const query = { bucketId: this.#bucketId, prefix: '', delimiter: '', after, maxKeys: max };
    const ask = () => this.#catalog.listObjects(query);
    return this.#record('list-objects', ask, (page) => ({
      op: 'list-objects',
      after,
      max,
      shown: pageOf(page),
    }));
  }

  listParts(uploadId: UploadId) {
    return this.#record(
      'list-parts',
      () => this.#catalog.listParts(this.#bucketId, uploadId, { after: 0, max: 1000 }),
      ({ parts }) => ({
        ...{ op: 'list-parts', uploadId },
        shown: parts.map(({ partNumber, etag, size }) => ({ number: partNumber, etag, size })),
      }),
    );
  }
}
