/**
 * The catalog in memory: what the catalog interface means, in the fewest lines. The contract suite runs on this and
 * on Postgres. Here: accounts, multipart uploads and housekeeping; buckets and versions are in model-objects.ts.
 * `fault` lets a test turn the next commit into an unknown outcome (applied or lost) or an unreachable directory.
 */
import type { AccountId, BlobId, BucketId, PairId, UploadId } from '../../src/base/ids.ts';
import type {
  Account,
  Catalog,
  ClusterCatalog,
  CommitRefusal,
  CompleteRefusal,
  CompleteUpload,
  ConditionChange,
  ListPage,
  ListUploadsQuery,
  Outcome,
  PutDone,
  PutPart,
  QuotaChange,
  Upload,
  UploadPart,
  VersionContent,
} from '../../src/ddm/catalog.ts';
import type { Topology } from '../../src/twin/topology.ts';
import { ModelAccounts } from './model-accounts.ts';
import { done, refused } from './model-buckets.ts';
import { checkWrite } from './model-conditions.ts';
import { compareKeys, pageOf } from './model-listing.ts';
import { checkLocks } from './model-locks.ts';
import { ModelObjects } from './model-objects.ts';
import { ModelRepairs } from './model-repairs.ts';

type Cluster<M extends keyof ClusterCatalog> = Parameters<ClusterCatalog[M]>;

export class ModelCatalog extends ModelObjects implements Catalog {
  readonly #accounts = new ModelAccounts(() => this.now());

  // --- accounts and keys
  findAccessKey = async (id: string) => this.#accounts.key(id);
  findAccount = async (id: AccountId) => this.#accounts.account(id);
  listAccounts = async () => this.#accounts.accounts();
  createAccount = async (account: Account) => this.#accounts.createAccount(account);
  deleteAccount = async (id: AccountId) => {
    const hasBuckets = [...this.buckets.values()].some((row) => row.bucket.owner === id);
    const outcome = this.#accounts.deleteAccount(id, hasBuckets);
    if (outcome.outcome === 'done') this.quotas.forgetAccount(id);
    return outcome;
  };
  listAccessKeys = async (account: AccountId) => this.#accounts.keys(account);
  createAccessKey = async (...[key]: Parameters<Catalog['createAccessKey']>) => this.#accounts.createKey(key);
  resealAccessKey = async (id: string, from: Buffer, to: Buffer) => this.#accounts.resealKey(id, from, to);
  setAccessKeyStatus = async (id: string, status: 'active' | 'inactive') =>
    this.#accounts.setKeyStatus(id, status);
  deleteAccessKey = async (id: string) => this.#accounts.deleteKey(id);

  findEntity = async (...[name]: Parameters<Catalog['findEntity']>) => this.#accounts.entities.find(name);
  findEntityById = async (id: string) => this.#accounts.entities.byId(id);
  listEntities = async (...[query]: Parameters<Catalog['listEntities']>) =>
    this.#accounts.entities.list(query);
  createEntity = async (...[entity, max]: Parameters<Catalog['createEntity']>) =>
    this.#accounts.entities.create(entity, max);
  changeEntity = async (...[name, change]: Parameters<Catalog['changeEntity']>) =>
    this.#accounts.entities.change(name, change);
  deleteEntity = async (...[name]: Parameters<Catalog['deleteEntity']>) =>
    this.#accounts.entities.remove(name, (id) => this.#accounts.hasKeys(id));

  // --- uploads
  async createUpload(
    upload: Omit<Upload, 'initiated' | 'uploadId'>,
  ): Promise<Outcome<Upload, 'bucket-gone'>> {
    return this.commit('createUpload', () => {
      const bucket = this.buckets.get(upload.bucketId);
      if (bucket === undefined) return refused('bucket-gone');
      const uploadId = (++this.sequence).toString(16).padStart(32, '0') as UploadId;
      const value: Upload = { ...upload, uploadId, initiated: new Date(this.now()) };
      bucket.uploads.set(uploadId, { upload: value, parts: new Map() });
      return done(value);
    });
  }

  async findUpload(bucketId: BucketId, key: string, uploadId: UploadId): Promise<Upload | null> {
    const row = this.buckets.get(bucketId)?.uploads.get(uploadId);
    return row === undefined || row.upload.key !== key ? null : row.upload;
  }

  async putPart(part: PutPart): Promise<Outcome<{ lastModified: Date }, CommitRefusal | 'no-such-upload'>> {
    return this.commit('putPart', () => {
      const bucket = this.buckets.get(part.bucketId);
      if (bucket === undefined) return refused('bucket-gone');
      const upload = bucket.uploads.get(part.uploadId);
      if (upload === undefined) return refused('no-such-upload');
      const shared =
        part.content.kind === 'share'
          ? ({ kind: 'share', content: { kind: 'blob', blob: part.content.blob } } as const)
          : part.content;
      const replaced = upload.parts.get(part.partNumber);
      const growth = { objects: 0, bytes: part.size - (replaced?.size ?? 0) };
      const taken = this.takeContent(shared, () => this.quotas.forbids(bucket, growth));
      if (typeof taken === 'string') return refused(taken);
      const lastModified = new Date(this.now());
      upload.parts.set(part.partNumber, {
        ...{ partNumber: part.partNumber, size: part.size, etag: part.etag, lastModified },
        ...(part.checksum === undefined ? {} : { checksum: part.checksum }),
        blob: taken.kind === 'blob' ? taken.blob : null,
      });
      if (replaced !== undefined) this.dropParts([replaced]);
      return done({ lastModified });
    });
  }

  async listParts(bucketId: BucketId, uploadId: UploadId, query: { after: number; max: number }) {
    const parts = [...(this.buckets.get(bucketId)?.uploads.get(uploadId)?.parts.values() ?? [])]
      .filter((part) => part.partNumber > query.after)
      .sort((a, b) => a.partNumber - b.partNumber);
    const page = parts.slice(0, query.max).map((part) => this.blobs.partNow(part));
    return { parts: page, truncated: parts.length > query.max };
  }

  async completeUpload(c: CompleteUpload): Promise<Outcome<PutDone & { etag: string }, CompleteRefusal>> {
    return this.commit('completeUpload', () => {
      const bucket = this.buckets.get(c.bucketId);
      if (bucket === undefined) return refused('bucket-gone');
      const asked = JSON.stringify(c.parts.map((part) => [part.partNumber, part.etag]));
      const before = bucket.completed.get(c.uploadId);
      if (before !== undefined && before.key === c.key && before.parts === asked) return done(before.value);
      const row = bucket.uploads.get(c.uploadId);
      if (row === undefined || row.upload.key !== c.key) return refused('no-such-upload');
      const named = c.parts.map((part) => row.parts.get(part.partNumber));
      if (named.length === 0 || named.some((part, i) => part?.etag !== c.parts[i]!.etag))
        return refused('invalid-part');
      const refusal =
        checkLocks(bucket.bucket, row.upload.attributes) ??
        checkWrite(c.condition, bucket.keys.get(c.key)?.[0]);
      if (refusal !== null) return refused(refusal);
      const parts = named as UploadPart[];
      const { objects, bytes } = this.quotas.growthOf(bucket, c.key, c.size);
      const partBytes = [...row.parts.values()].reduce((sum, part) => sum + part.size, 0);
      if (this.quotas.forbids(bucket, { objects, bytes: bytes - partBytes })) return refused('over-quota');
      const value = { ...this.insert(bucket, this.#completedRow(c, row.upload, parts)), etag: c.etag };
      this.dropParts([...row.parts.values()].filter((part) => !parts.includes(part)));
      bucket.uploads.delete(c.uploadId);
      bucket.completed.set(c.uploadId, { key: c.key, parts: asked, value });
      return done(value);
    });
  }

  #completedRow(c: CompleteUpload, upload: Upload, parts: readonly UploadPart[]) {
    let offset = 0;
    const manifest = parts.map((part) => {
      const { lastModified: _, ...kept } = part;
      offset += part.size;
      return { ...kept, offset: offset - part.size };
    });
    const content: VersionContent = {
      kind: 'manifest',
      manifestId: this.blobs.addManifest(manifest),
      partCount: parts.length,
    };
    const { attributes, owner } = upload;
    return { ...c, attributes, owner, content, isDeleteMarker: false };
  }

  async abortUpload(
    bucketId: BucketId,
    key: string,
    uploadId: UploadId,
  ): Promise<Outcome<null, 'no-such-upload'>> {
    return this.commit('abortUpload', () => {
      const bucket = this.buckets.get(bucketId);
      const row = bucket?.uploads.get(uploadId);
      if (bucket === undefined || row === undefined || row.upload.key !== key)
        return refused('no-such-upload');
      this.dropParts(row.parts.values());
      bucket.uploads.delete(uploadId);
      return done(null);
    });
  }

  async listUploads(query: ListUploadsQuery): Promise<ListPage<Upload>> {
    const marker = query.uploadIdMarker;
    const rows = [...(this.buckets.get(query.bucketId)?.uploads.values() ?? [])]
      .map((row) => row.upload)
      .filter((upload) => {
        const order = compareKeys(upload.key, query.keyMarker);
        return order > 0 || (order === 0 && marker !== undefined && upload.uploadId > marker);
      })
      .sort((a, b) => compareKeys(a.key, b.key) || (a.uploadId < b.uploadId ? -1 : 1));
    return pageOf(rows, query, query.keyMarker);
  }

  // --- quotas and usage
  setBucketQuota = async (id: BucketId, change: QuotaChange) =>
    this.commit('setBucketQuota', () =>
      this.buckets.has(id) ? done(this.quotas.setBucket(id, change)) : refused('no-such-bucket'),
    );
  setAccountQuota = async (id: AccountId, change: QuotaChange) =>
    this.commit('setAccountQuota', () =>
      this.#accounts.account(id) ? done(this.quotas.setAccount(id, change)) : refused('no-such-account'),
    );
  listBucketUsage = async (query: { name?: string; owner?: AccountId; after: string; max: number }) =>
    this.quotas.bucketUsage(query);
  listAccountUsage = async (account?: AccountId) => this.quotas.accountUsage(account);

  // --- conditions, repairs, blobs
  readonly #repairs = new ModelRepairs({
    ...{ blobs: this.blobs, buckets: this.buckets, record: this.record, now: this.now },
  });
  registerTopology = async (topology: Topology) => this.record.register(topology);
  readConditions = async () => this.record.read();
  changeCondition = async (c: ConditionChange) => this.commit('changeCondition', () => this.record.change(c));
  allowReturn = async (...[subject, decidedBy]: Cluster<'allowReturn'>) =>
    this.commit('allowReturn', () => this.record.allowReturn(subject, decidedBy));
  conditionHistory = async ({ max, before }: { max: number; before?: number }) =>
    this.record.history(max, before);
  directoryHistory = async () => ({ events: [], silent: [] });
  adoptStore = async (...[member, storeId]: Cluster<'adoptStore'>) => this.record.adoptStore(member, storeId);
  leaseResync = async (...[lease, progress = {}]: Cluster<'leaseResync'>) =>
    this.record.lease(lease, progress);
  listResyncs = async () => this.record.resyncs();
  setPairWeight = async (pair: PairId, weight: number) =>
    this.commit('setPairWeight', () => this.record.setWeight(pair, weight));
  pairWeights = async () => this.record.weights();
  knownPairs = async () => this.record.pairs();
  addRepairs = async (...[repairs]: Cluster<'addRepairs'>) => this.#repairs.add(repairs);
  takeRepairs = async (...[query]: Cluster<'takeRepairs'>) => this.#repairs.take(query);
  finishRepairs = async (...[finished]: Cluster<'finishRepairs'>) => this.#repairs.finish(finished);
  postponeRepairs = async (...[failed]: Cluster<'postponeRepairs'>) => this.#repairs.postpone(failed);
  listRepairs = async (...[query]: Cluster<'listRepairs'>) => this.#repairs.list(query);
  countRepairs = async () => this.#repairs.count();
  listSurplus = async (max: number) => this.#repairs.surplus(max);
  forgetOffMap = async (...[dropped]: Cluster<'forgetOffMap'>) => this.#repairs.forgetOffMap(dropped);
  recordOffMap = async (...[id, member]: Cluster<'recordOffMap'>) => this.#repairs.recordOffMap(id, member);
  listBlobs = async (...[query]: Cluster<'listBlobs'>) => this.#repairs.listBlobs(query);
  findBlobs = async (ids: readonly BlobId[]) => this.#repairs.find(ids);
  listDying = async (...[query]: Cluster<'listDying'>) => this.#repairs.dying(query);
  countObjects = async (id?: BucketId) => this.#repairs.countObjects(id);
  moveBlobs = async (...[moves]: Cluster<'moveBlobs'>) => this.#repairs.move(moves);

  // --- housekeeping
  knownBlobs = async (ids: readonly BlobId[]) => this.blobs.known(ids);
  takeDyingBlobs = async (max: number, graceMs: number) =>
    this.blobs.dying(max, graceMs).map((blob) => ({ blob }));
  forgetBlobs = async (ids: readonly BlobId[]) => this.blobs.forget(ids);
  status = async () => [{ pair: 'directory/5' as PairId, writable: true, synchronous: true }];
  close = async () => {};
}
