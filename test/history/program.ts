/**
 * A random concurrent program: a few clients, each with a gateway of its own or a shared one, do everything at once to
 * two buckets of two keys. What a client does is drawn from its own seeded randomness; what it does it to (version ids,
 * sources of copies, uploads, ETags) is what any of them has seen so far. On a catalog whose timing is a seed's too, the
 * whole history is the seed's.
 */
import type { AccountId, BucketId } from '../../src/base/ids.ts';
import {
  type Bucket,
  type Catalog,
  CatalogUnavailable,
  type ListedVersion,
  type ObjectVersion,
  type Upload,
  type WriteCondition,
} from '../../src/ddm/catalog.ts';
import { mustBeDone, newName } from '../contract/contract-kit.ts';
import { pick, seededRandom, whole } from '../world/seeded-random.ts';
import { type Caller, Recorder } from './recorder.ts';

export const KEYS = ['a', 'b'];
const BUCKETS = 2;
const VERSIONING = ['unversioned', 'enabled', 'enabled', 'suspended'] as const;

export interface ProgramOptions {
  readonly seed: number;
  /** Gateways; clients are spread over them. */
  readonly catalogs: readonly Catalog[];
  readonly clients: number;
  readonly stepsPerClient: number;
  /** How often each kind of step is drawn; those that are left out never. */
  readonly kinds?: Kinds;
  /** Between two steps of a client, to make trouble; told how many steps all have made. */
  readonly trouble?: (steps: number) => void;
}

/** What the clients know of one bucket. */
interface Known {
  readonly bucketId: BucketId;
  readonly ids: string[];
  readonly etags: string[];
  readonly uploads: Upload[];
}

export interface Program {
  readonly recorder: Recorder;
  readonly starts: ReadonlyMap<BucketId, Bucket['versioning']>;
}

export async function runProgram(o: ProgramOptions): Promise<Program> {
  const random = seededRandom(o.seed);
  const recorder = new Recorder();
  const starts = new Map<BucketId, Bucket['versioning']>();
  const all: Known[] = [];
  for (let i = 0; i < BUCKETS; i++) {
    const versioning = pick(random, VERSIONING);
    const bucketId = await makeBucket(o.catalogs[0]!, `program-${o.seed}`, versioning);
    starts.set(bucketId, versioning);
    all.push({ bucketId, ids: ['null'], etags: ['nothing'], uploads: [] });
  }
  const sources: ObjectVersion[] = [];
  const lots = lotsOf(o.kinds ?? KINDS);
  let steps = 0;
  const run = async (client: number) => {
    const own = seededRandom(o.seed * 31 + client + 1);
    const catalog = o.catalogs[client % o.catalogs.length]!;
    for (let i = 0; i < o.stepsPerClient; i++) {
      o.trouble?.(++steps);
      const known = pick(own, all);
      const caller = recorder.client(catalog, known.bucketId, client);
      const other = pick(own, all);
      const from = recorder.client(catalog, other.bucketId, client);
      await new Step({ random: own, lots, catalog, recorder, caller, known, from, sources }).run();
    }
  };
  await Promise.all(Array.from({ length: o.clients }, (_, client) => run(client)));
  for (const { bucketId, uploads } of all) await lookAtAll(recorder, o.catalogs[0]!, bucketId, uploads);
  return { recorder, starts };
}

/** An owner of its own for every program: an account has a bound on its buckets. */
async function makeBucket(
  catalog: Catalog,
  owner: string,
  versioning: Bucket['versioning'],
): Promise<BucketId> {
  const what = { name: newName(), owner: owner as AccountId, region: 'us-east-1', objectLock: false };
  const { id } = mustBeDone(await catalog.createBucket(what));
  if (versioning !== 'unversioned') mustBeDone(await catalog.setVersioning(id, versioning));
  return id;
}

/** What all of it has led to. */
async function lookAtAll(
  recorder: Recorder,
  catalog: Catalog,
  bucketId: BucketId,
  uploads: readonly Upload[],
): Promise<void> {
  const caller = recorder.client(catalog, bucketId, -1);
  const versions = await caller.listVersions('', 1000);
  // A listing shows neither tags nor content.
  for (const entry of versions?.entries ?? [])
    if (entry.kind === 'item') await caller.find(entry.item.key, entry.item.versionId);
  await caller.listObjects('', 1000);
  for (const key of KEYS) await caller.find(key);
  for (const { uploadId } of uploads) await caller.listParts(uploadId);
}

interface StepOptions {
  readonly random: () => number;
  readonly lots: readonly Kind[];
  readonly catalog: Catalog;
  readonly recorder: Recorder;
  readonly caller: Caller;
  readonly known: Known;
  /** The same client's view of the bucket that a copy is taken from. */
  readonly from: Caller;
  readonly sources: ObjectVersion[];
}

/** How often each kind is drawn. */
const KINDS = {
  put: 18,
  putIf: 12,
  copy: 12,
  copySeen: 8,
  delete: 10,
  deleteIf: 5,
  deleteVersion: 12,
  tag: 6,
  versioning: 8,
  createUpload: 4,
  putPart: 5,
  complete: 8,
  abort: 2,
  find: 12,
  findVersion: 6,
  listVersions: 8,
  listObjects: 5,
  listParts: 2,
  reap: 3,
} as const;
type Kind = keyof typeof KINDS;
export type Kinds = Readonly<Partial<Record<Kind, number>>>;
const lotsOf = (kinds: Kinds): readonly Kind[] =>
  Object.entries(kinds).flatMap(([kind, lots]) => Array<Kind>(lots).fill(kind as Kind));

class Step {
  readonly #o: StepOptions;
  readonly #key: string;

  constructor(o: StepOptions) {
    this.#o = o;
    this.#key = pick(o.random, KEYS);
  }

  async run(): Promise<void> {
    const { random, lots, caller, known } = this.#o;
    const kind = pick(random, lots);
    switch (kind) {
      case 'put':
      case 'putIf': {
        const size = whole(random, 0, 5);
        const condition = kind === 'putIf' ? { condition: this.#condition() } : {};
        return this.#knowId(await caller.put(this.#key, { size, tags: this.#tags(), ...condition }));
      }
      case 'copy':
      case 'copySeen':
        return this.#copy(kind === 'copySeen');
      case 'delete':
        return this.#knowId(await caller.delete(this.#key, {}));
      case 'deleteIf': {
        const isBySize = random() < 0.3;
        const condition = isBySize ? { ifMatchSize: whole(random, 0, 5) } : { ifMatch: this.#etag() };
        const versionId = random() < 0.3 ? { versionId: pick(random, known.ids) } : {};
        return this.#knowId(await caller.delete(this.#key, { condition, ...versionId }));
      }
      case 'deleteVersion':
        await caller.delete(this.#key, { versionId: pick(random, known.ids) });
        return;
      case 'tag':
        await caller.tag(this.#key, this.#tags(), random() < 0.5 ? pick(random, known.ids) : undefined);
        return;
      case 'versioning':
        await caller.versioning(random() < 0.5 ? 'enabled' : 'suspended');
        return;
      case 'createUpload':
      case 'putPart':
      case 'complete':
      case 'abort':
      case 'listParts':
        return this.#upload(kind);
      case 'reap':
        return this.#reap();
      default:
        return this.#read(kind);
    }
  }

  #tags(): Record<string, string> {
    return this.#o.random() < 0.3 ? { t: this.#o.recorder.name('t') } : {};
  }

  #etag(): string {
    return this.#o.random() < 0.2 ? '*' : pick(this.#o.random, this.#o.known.etags.slice(-4));
  }

  #condition(): WriteCondition {
    return this.#o.random() < 0.5 ? { ifNoneMatch: this.#etag() } : { ifMatch: this.#etag() };
  }

  #knowId(answer: { outcome: string; value?: { versionId?: string } } | null): void {
    const id = answer?.value?.versionId;
    if (id !== undefined && !this.#o.known.ids.includes(id)) this.#o.known.ids.push(id);
  }

  #knowRow(row: ListedVersion): void {
    const { known } = this.#o;
    if (!known.ids.includes(row.versionId)) known.ids.push(row.versionId);
    if (row.isDeleteMarker) return;
    if (!known.etags.includes(row.etag)) known.etags.push(row.etag);
  }

  #knowSource(row: ObjectVersion): void {
    this.#knowRow(row);
    if (row.isDeleteMarker) return;
    const { sources } = this.#o;
    sources.push(row);
    if (sources.length > 12) sources.shift();
  }

  /** From what is there now, or from what somebody saw before. */
  async #copy(isSeen: boolean): Promise<void> {
    const { random, caller, from, sources } = this.#o;
    const source = isSeen
      ? sources.length > 0 && pick(random, sources)
      : await from.find(pick(random, KEYS), random() < 0.2 ? 'null' : undefined);
    if (!source || source.isDeleteMarker) return;
    const replaced = random() < 0.5 ? { tags: this.#tags() } : {};
    const condition = random() < 0.2 ? { condition: this.#condition() } : {};
    this.#knowId(await caller.copy(this.#key, source, { ...replaced, ...condition }));
  }

  /** No part of the history; on a wire that is cut, the next one goes on where this one ended. */
  async #reap(): Promise<void> {
    try {
      const taken = await this.#o.catalog.takeDyingBlobs(10, 0);
      await this.#o.catalog.forgetBlobs(taken.map(({ blob }) => blob.id));
    } catch (error) {
      if (!(error instanceof CatalogUnavailable)) throw error;
    }
  }

  async #upload(kind: Kind): Promise<void> {
    const { random, caller, known } = this.#o;
    if (kind === 'createUpload' || known.uploads.length === 0) {
      const made = await caller.createUpload(this.#key, this.#tags());
      if (made?.outcome !== 'done') return;
      known.uploads.push(made.value);
      await caller.putPart(made.value.uploadId, 1, whole(random, 1, 5));
      return;
    }
    const { uploadId, key } = pick(random, known.uploads.slice(-2));
    if (kind === 'putPart') await caller.putPart(uploadId, whole(random, 1, 3), whole(random, 1, 5));
    if (kind === 'abort') await caller.abort(key, uploadId);
    if (kind === 'listParts') await caller.listParts(uploadId);
    if (kind !== 'complete') return;
    const there = await caller.listParts(uploadId);
    if (there === null) return;
    const named = there.parts.filter(() => random() < 0.8);
    const size = named.reduce((sum, part) => sum + part.size, 0);
    const condition = random() < 0.3 ? { condition: this.#condition() } : {};
    const list = named.map(({ partNumber, etag }) => ({ partNumber, etag }));
    const asked = { parts: list.length > 0 ? list : [{ partNumber: 1, etag: 'none' }], size, ...condition };
    this.#knowId(await caller.complete(key, uploadId, asked));
    if (random() < 0.3) this.#knowId(await caller.complete(key, uploadId, asked));
  }

  async #read(kind: Kind): Promise<void> {
    const { random, caller, known } = this.#o;
    if (kind === 'find' || kind === 'findVersion') {
      const row = await caller.find(this.#key, kind === 'find' ? undefined : pick(random, known.ids));
      if (row) this.#knowSource(row);
      return;
    }
    const [after, max] = [random() < 0.7 ? '' : KEYS[0]!, random() < 0.6 ? 1000 : whole(random, 1, 4)];
    const page = await (kind === 'listVersions'
      ? caller.listVersions(after, max)
      : caller.listObjects(after, max));
    for (const entry of page?.entries ?? []) if (entry.kind === 'item') this.#knowRow(entry.item);
  }
}
