/**
 * Feeds the nodes with records of names, from the outbox: what `antipode rebuild-catalog` makes a catalog of. One gateway at a
 * time, under a lease. A batch is: a change number → the versions as they are now → to every member of their pairs that
 * serves or returns → the lease renewed → the place in the outbox advanced. So a place that has been advanced says that the
 * nodes have what came before it, and a batch that broke off is simply repeated. (Why numbers never bring older news:
 * migrations/0025_names.sql.) A record lives on the pair that placement ranks first for (bucket, key); buckets, accounts
 * and quotas on every node. A pair with a member out keeps records on the other, and the member's return copies them.
 *
 * A walk through all versions comes first, when there is a new catalog, when pairs or weights change, and when the nodes know later
 * numbers than the catalog: then it has been restored to an earlier point. Afterwards what is older than the walk is forgotten.
 */
import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { BucketId, MemberId, PairId } from '../base/ids.ts';
import type { Catalog } from '../ddm/catalog.ts';
import type { Change, ChangeFeed } from '../ddm/change-feed.ts';
import {
  type FeedState,
  type NameDocument,
  type NameSource,
  recordId,
  type VersionName,
} from '../ddm/name-source.ts';
import { NAME_BODY_BYTES_MAX, type NodeNames } from '../nodes/names-protocol.ts';
import { type NodeClient, NodeError } from '../nodes/protocol.ts';
import type { ConditionView } from '../twin/condition.ts';
import type { Topology } from '../twin/topology.ts';
import { inPieces, layoutOf, nodePairs, type Placed, placedOn } from './name-placing.ts';

export interface NameRecordsOptions {
  readonly source: NameSource &
    Pick<ChangeFeed, 'feedPairs' | 'openReader' | 'readChanges' | 'advanceReader'>;
  readonly catalog: Pick<Catalog, 'knownBlobs'>;
  readonly clients: ReadonlyMap<MemberId, NodeClient & NodeNames>;
  readonly topology: Pick<Topology, 'pairs'>;
  readonly view: Pick<ConditionView, 'stateOf' | 'epochOf' | 'reload'>;
  readonly owner: string;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Whether this is known to be the catalog of the nodes' blobs: nothing is told or forgotten before. */
  readonly isOurs: () => boolean;
  readonly leaseMs: number;
  /** Tombstones are kept so long. */
  readonly tombstoneMs: number;
  /** What nobody names after a restore is reaped when its writes could have begun so long ago: see release(). */
  readonly keepUnnamedMs: number;
}
export interface NameRecordsCounts {
  records: number;
  /** Of the last run under this gateway's lease: everything that was there to read has been read. */
  isDrained: boolean;
  walked: number;
  /** Confirmed blobs that no row names, found after a restore and left to the reaper. */
  released: number;
}
export const newNameCounts = (): NameRecordsCounts => ({
  records: 0,
  isDrained: false,
  walked: 0,
  released: 0,
});

export const NAMES_READER = 'name-records';
const BATCH = 500;
const BATCHES_PER_RUN = 40;
const MARK_EVERY_MS = 3_600_000;
const MARKS_MAX = 24 * 30;
const INVENTORY_PAGE = 1_000;
/** How often the nodes are asked how far they know, and accounts and quotas compared with what the nodes were told. */
const LOOK_EVERY_MS = 60_000;
const SETTINGS_EVERY_MS = 5_000;

class LeaseGone extends Error {}
/** What one gateway's runs know of each other. */
export interface NameFeedMemory {
  state: FeedState | null;
  /** By the monotonic clock: until when the lease is certainly held; when nodes and settings were last looked at. */
  leasedUntil: number;
  lookedAt: number;
  settingsAt: number;
}
export const newNameFeedMemory = (): NameFeedMemory => ({
  state: null,
  leasedUntil: Number.NEGATIVE_INFINITY,
  lookedAt: Number.NEGATIVE_INFINITY,
  settingsAt: Number.NEGATIVE_INFINITY,
});

/** One run; adds to `counts` as it goes. @throws what the catalog threw, and NodeError while a pair does not take records */
export async function feedNames(
  o: NameRecordsOptions,
  memory: NameFeedMemory,
  counts: NameRecordsCounts,
  signal: AbortSignal,
): Promise<void> {
  counts.isDrained = false;
  if (!o.isOurs()) return;
  const run = new Run(o, memory, counts, signal);
  try {
    // An idle feed writes nothing: the lease is renewed when half of it is over.
    if (memory.leasedUntil - o.clock.monotonic() < o.leaseMs / 2) await run.renew();
    await run.go();
  } catch (error) {
    memory.leasedUntil = Number.NEGATIVE_INFINITY;
    if (error instanceof LeaseGone) return;
    if (error instanceof NodeError && error.kind === 'stale-epoch') await o.view.reload(error.epoch);
    throw error;
  }
}

class Run {
  readonly #o: NameRecordsOptions;
  readonly #memory: NameFeedMemory;
  readonly #counts: NameRecordsCounts;
  readonly #signal: AbortSignal;

  constructor(o: NameRecordsOptions, memory: NameFeedMemory, counts: NameRecordsCounts, signal: AbortSignal) {
    this.#o = o;
    this.#memory = memory;
    this.#counts = counts;
    this.#signal = signal;
  }

  get #state(): FeedState {
    if (!this.#memory.state) throw new LeaseGone();
    return this.#memory.state;
  }

  async go(): Promise<void> {
    await this.#begin();
    const { source, clock } = this.#o;
    const memory = this.#memory;
    let isDrained = true;
    for (const pair of source.feedPairs()) {
      if (!(await this.#walk(pair))) isDrained = false;
      else if (!(await this.#follow(pair))) isDrained = false;
    }
    if (clock.monotonic() - memory.settingsAt >= SETTINGS_EVERY_MS) {
      await this.#tellSettings();
      memory.settingsAt = clock.monotonic();
    }
    if (isDrained) await this.#tidy();
    this.#counts.isDrained = isDrained;
  }

  async #save(change: Partial<FeedState>): Promise<void> {
    await this.#o.source.saveNames(this.#o.owner, change);
    this.#memory.state = { ...this.#state, ...change };
  }

  /** @throws {LeaseGone} */
  async renew(): Promise<void> {
    this.#signal.throwIfAborted();
    const { source, owner, leaseMs, clock } = this.#o;
    const askedAt = clock.monotonic();
    this.#memory.state = await source.leaseNames(owner, leaseMs);
    if (!this.#memory.state) throw new LeaseGone();
    this.#memory.leasedUntil = askedAt + leaseMs;
  }

  /** A walk is due when there was none, when records have to lie elsewhere, and when the nodes are ahead of the catalog. */
  async #begin(): Promise<void> {
    const { source, topology, log, clock } = this.#o;
    const memory = this.#memory;
    const layout = layoutOf(topology);
    const isDue = this.#state.floor === 0 || layout !== this.#state.layout;
    if (!isDue && clock.monotonic() - memory.lookedAt < LOOK_EVERY_MS) return;
    for (const pair of source.feedPairs()) await source.openReader(pair, NAMES_READER, 'now');
    const known = await this.#highestOnNodes();
    // A number taken now is above all that this catalog ever gave.
    const isBehind = known > this.#state.highest && (await source.nextNameChange()) <= known;
    memory.lookedAt = clock.monotonic();
    if (!isDue && !isBehind) return;
    if (isBehind) log.warn({ known }, 'the nodes know later names than the catalog: all are written again');
    const next = await source.nextNameChange(known);
    const restored = isBehind || this.#state.restored;
    await this.#save({ floor: next, trimmed: false, restored, layout, told: {} });
    memory.settingsAt = Number.NEGATIVE_INFINITY;
  }

  async #highestOnNodes(): Promise<number> {
    const asked = this.#members().map(async (client) => (await client.status()).names?.highest ?? 0);
    const answers = await Promise.allSettled(asked);
    return Math.max(0, ...answers.map((a) => (a.status === 'fulfilled' ? a.value : 0)));
  }

  /** Those that take records now, in order of their ids. */
  #members(): (NodeClient & NodeNames)[] {
    const { clients, view } = this.#o;
    return [...clients.values()]
      .filter(({ member }) => view.stateOf(member) !== 'failed-over')
      .sort((a, b) => (a.member < b.member ? -1 : 1));
  }

  /** True when all versions of the directory have been written under the floor. */
  async #walk(pair: PairId): Promise<boolean> {
    const { source } = this.#o;
    const { floor } = this.#state;
    let place = await source.beginWalk(pair, floor);
    if (place.done) return true;
    if (!place.ready) return false;
    for (let batch = 0; batch < BATCHES_PER_RUN; batch += 1) {
      const number = await source.nextNameChange();
      if (place.bucketId === 0) await this.#put(number, (await source.bucketDocuments(pair)).map(everywhere));
      const versions = await source.walkVersions(pair, place, BATCH);
      await this.#put(
        number,
        versions.map((v) => ({ ...v, at: { bucket: v.bucket, key: v.key } })),
      );
      this.#counts.walked += versions.length;
      const last = versions.at(-1);
      const done = versions.length < BATCH;
      place = { ...place, ...(last && { bucketId: last.bucketId, key: last.key, seq: last.seq }), done };
      await this.renew();
      await source.saveWalk(pair, floor, place);
      if (done) return true;
    }
    return false;
  }

  /** True when the outbox has been read to its end. */
  async #follow(pair: PairId): Promise<boolean> {
    const { source } = this.#o;
    for (let batch = 0; batch < BATCHES_PER_RUN; batch += 1) {
      const page = await source.readChanges(pair, { reader: NAMES_READER, max: BATCH });
      if (page.gap) {
        // What was trimmed unread cannot be told any more: everything is written again.
        this.#o.log.warn(
          { pair, ...page.gap },
          'the outbox was trimmed before it was read: all names are written again',
        );
        await source.advanceReader(pair, NAMES_READER, page.position);
        await this.#save({ floor: await source.nextNameChange(), trimmed: false });
        return false;
      }
      if (page.changes.length === 0) return true;
      const number = await source.nextNameChange();
      await this.#put(number, await this.#documents(pair, page.changes));
      const last = page.changes.at(-1)!;
      const position = { kind: 'position', pair, position: page.position, at: last.at.toISOString() };
      await this.#put(number, [
        everywhere({ id: recordId('position', pair), body: JSON.stringify(position) }),
      ]);
      await this.renew();
      await source.advanceReader(pair, NAMES_READER, page.position);
      if (!page.more) return true;
    }
    return false;
  }

  /** What the changes are about, as it is now: each thing once. */
  async #documents(pair: PairId, changes: readonly Change[]): Promise<Unnumbered[]> {
    const { source } = this.#o;
    const versions = new Map<string, VersionName & { bucket: string }>();
    const buckets = new Set<BucketId>();
    for (const { bucketId, bucket, key, versionId, kind } of changes) {
      // A bucket that has left is told by the directory that it arrived at.
      if (key === undefined && kind !== 'bucket-left') buckets.add(bucketId);
      if (key !== undefined && versionId !== undefined)
        versions.set(`${bucketId}/${versionId}/${key}`, { bucketId, key, versionId, bucket });
    }
    const placed: Unnumbered[] = [];
    const names = [...versions.values()];
    for (const [home, own] of await this.#byHome(pair, names)) {
      const documents = await source.versionDocuments(home, own);
      placed.push(...documents.map((document, i) => ({ ...document, at: placeOf(own[i]!) })));
    }
    if (buckets.size === 0) return placed;
    return [...placed, ...(await source.bucketDocuments(pair, [...buckets])).map(everywhere)];
  }

  /** A bucket that has moved on since is where its versions are to be read: here they are gone, and not deleted. */
  async #byHome<T extends VersionName>(pair: PairId, names: readonly T[]): Promise<ReadonlyMap<PairId, T[]>> {
    const { source } = this.#o;
    const pairs = source.feedPairs();
    if (pairs.length === 1) return new Map([[pair, [...names]]]);
    const homes = new Map<BucketId, PairId>();
    for (const at of [...pairs.filter((other) => other !== pair), pair]) {
      const ids = [...new Set(names.map(({ bucketId }) => bucketId))];
      const there = await source.bucketDocuments(at, ids);
      for (const [i, { body }] of there.entries()) if (body !== null) homes.set(ids[i]!, at);
    }
    return Map.groupBy(names, ({ bucketId }) => homes.get(bucketId) ?? pair);
  }

  async #tellSettings(): Promise<void> {
    const documents = await this.#o.source.settingDocuments();
    const digests = Object.fromEntries([...documents].map(([name, body]) => [name, digestOf(body)]));
    const { told } = this.#state;
    const changed = [...new Set([...Object.keys(told), ...documents.keys()])].filter(
      (name) => told[name] !== digests[name],
    );
    if (changed.length === 0) return;
    const number = await this.#o.source.nextNameChange();
    // Read again under the number, so that a higher one never brings older news.
    const now = await this.#o.source.settingDocuments();
    const placed = changed.map((name) =>
      everywhere({ id: recordId(...name.split('\n')), body: now.get(name) ?? null }),
    );
    await this.#put(number, placed);
    await this.renew();
    const still = changed.filter((name) => now.get(name) === documents.get(name));
    const next = { ...told };
    for (const name of still) {
      if (digests[name] === undefined) delete next[name];
      else next[name] = digests[name];
    }
    await this.#save({ told: next });
  }

  /** To the members of the pair that is the record's, or to all. Every member that does not have it in the end is out. */
  async #put(number: number, documents: readonly Unnumbered[]): Promise<void> {
    const { topology } = this.#o;
    const byPair = new Map<PairId, Placed[]>();
    for (const { id, body, epitaph, at } of documents) {
      if (body !== null && Buffer.byteLength(body) > NAME_BODY_BYTES_MAX)
        throw new RangeError(`the record of ${at?.bucket}/${at?.key} is larger than nodes take`);
      const record = { id, change: number, isDeleted: body === null, body: body ?? epitaph ?? '', at };
      for (const pair of at ? placedOn(topology, at) : nodePairs(topology).map((p) => p.id)) {
        const some = byPair.get(pair) ?? [];
        byPair.set(pair, some);
        some.push(record);
      }
    }
    await Promise.all([...byPair].map(([pair, records]) => this.#putOn(pair, records)));
    this.#counts.records += documents.length;
  }

  async #putOn(pairId: PairId, records: readonly Placed[]): Promise<void> {
    const { topology, clients, view } = this.#o;
    const epoch = view.epochOf(pairId);
    const members = topology.pairs
      .get(pairId)!
      .members.filter((member) => view.stateOf(member) !== 'failed-over');
    if (!members.some((member) => view.stateOf(member) === 'serving'))
      throw new NodeError('fenced', members[0] ?? ('' as MemberId), `no member of ${pairId} serves`);
    await Promise.all(
      members.map(async (member) => {
        const client = clients.get(member)!;
        // One that returns takes no data request, and is to have what is told from now on.
        const options = view.stateOf(member) === 'serving' ? { epoch } : {};
        for (const some of inPieces(records)) await client.putNames(some, options);
      }),
    );
  }

  /** Once everything stands under the floor: what is below it is of another time, or of another place. */
  async #tidy(): Promise<void> {
    const members = this.#members();
    const all =
      members.length === this.#o.clients.size &&
      members.every((c) => this.#o.view.stateOf(c.member) === 'serving');
    if (!this.#state.trimmed && all) {
      for (const client of members) await client.trimNames({ below: this.#state.floor });
      // At other times whoever moves or reclaims blobs has them in hand.
      if (this.#state.restored) for (const client of members) await this.#releaseUnnamed(client);
      await this.#save({ trimmed: true, restored: false });
    }
    const now = this.#o.clock.now();
    const { marks } = this.#state;
    if (now - (marks.at(-1)?.at ?? 0) < MARK_EVERY_MS) return;
    const old = marks.filter(({ at }) => at <= now - this.#o.tombstoneMs).at(-1);
    if (old && all) for (const client of members) await client.trimNames({ tombstonesBelow: old.number });
    const kept = marks.filter((mark) => !old || !all || mark.number > old.number);
    await this.#save({ marks: [...kept, { number: this.#state.highest, at: now }].slice(-MARKS_MAX) });
  }

  /**
   * Confirmed blobs that no row names: after a restore to an earlier point, what was written since. They become pending, so that
   * the reaper takes them when they could not be wanted any more.
   */
  async #releaseUnnamed(client: NodeClient & NodeNames): Promise<void> {
    const { catalog, clock, keepUnnamedMs } = this.#o;
    for (let after: { after?: InventoryId } = {}; ; ) {
      this.#signal.throwIfAborted();
      const page = await client.inventory({ max: INVENTORY_PAGE, ...after });
      const confirmed = page.filter(({ state }) => state === 'confirmed').map(({ id }) => id);
      const known = confirmed.length > 0 ? await catalog.knownBlobs(confirmed) : new Set();
      const unnamed = confirmed.filter((id) => !known.has(id));
      if (unnamed.length > 0) await client.release(unnamed, clock.now() + keepUnnamedMs);
      this.#counts.released += unnamed.length;
      if (page.length < INVENTORY_PAGE) return;
      after = { after: page.at(-1)!.id };
      await this.renew();
    }
  }
}

type InventoryId = NonNullable<Parameters<NodeClient['inventory']>[0]['after']>;
type Unnumbered = NameDocument & { readonly at: Placed['at'] };
const everywhere = (document: NameDocument): Unnumbered => ({ ...document, at: null });
const placeOf = ({ bucket, key }: { bucket: string; key: string }) => ({ bucket, key });
const digestOf = (body: string): string => createHash('sha256').update(body).digest('base64url').slice(0, 16);
