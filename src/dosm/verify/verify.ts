/**
 * Compares the catalog with the inventories of all nodes, in one pass over the ids: every blob is on both members of its
 * pair and nowhere else, but for recorded handoffs. What looks wrong is asked again before it is said, as rows and bytes
 * come and go meanwhile. Reads nothing but listings, unless `deep`: then every byte of every replica is read, on its node.
 *
 * Members that do not serve are not asked; what they should have is `unknown`, as with those that do not answer.
 */
import type { Clock } from '../../base/clock.ts';
import type { BlobId, BucketId, MemberId } from '../../base/ids.ts';
import type { BlobRef, Catalog, NewRepair } from '../../ddm/catalog.ts';
import type { InventoryEntry, NodeClient } from '../../nodes/protocol.ts';
import type { ConditionView } from '../../twin/condition.ts';
import type { Topology } from '../../twin/topology.ts';
import { Cursor } from './cursor.ts';
import type { ExceptionKind, VerifyException, VerifyLine } from './report.ts';

export interface VerifyDeps {
  readonly catalog: Pick<Catalog, 'listBlobs' | 'findBlobs' | 'knownBlobs' | 'countObjects' | 'addRepairs'>;
  readonly clients: ReadonlyMap<MemberId, NodeClient>;
  readonly topology: Topology;
  readonly conditions: ConditionView;
  readonly clock: Clock;
}
export interface VerifyOptions {
  /** Blobs of this bucket alone; what no row names is then not looked for. */
  readonly bucketId?: BucketId;
  readonly deep?: boolean;
  readonly signal?: AbortSignal;
}

const PAGE = 1_000;
/** Blobs per question, where every byte is read. */
const DEEP_PAGE = 50;
const PROGRESS_EVERY = 5_000;

export async function* verify(deps: VerifyDeps, options: VerifyOptions = {}): AsyncGenerator<VerifyLine> {
  yield* new Verification(deps, options).run();
}

class Verification {
  readonly #deps: VerifyDeps;
  readonly #options: VerifyOptions;
  readonly #inventories = new Map<MemberId, Cursor<InventoryEntry>>();
  readonly #unanswered = new Set<MemberId>();
  readonly #repairs: NewRepair[] = [];
  readonly #deepQueue = new Map<MemberId, BlobId[]>();
  readonly #counts = { blobs: 0, replicas: 0, handoffs: 0, exceptions: 0, unknown: 0, inFlight: 0 };

  constructor(deps: VerifyDeps, options: VerifyOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  async *run(): AsyncGenerator<VerifyLine> {
    const { catalog } = this.#deps;
    const { bucketId, signal } = this.#options;
    const rows = new Cursor<BlobRef>(async (after) =>
      catalog.listBlobs({ max: PAGE, ...(after && { after }), ...(bucketId !== undefined && { bucketId }) }),
    );
    yield* this.#openInventories();
    for (let seen = 1; ; seen += 1) {
      signal?.throwIfAborted();
      const id = await this.#least(rows);
      // A directory that does not answer ends it: without its rows nothing can be said.
      if (rows.failure) throw rows.failure;
      yield* this.#newlyUnanswered();
      if (id === null) break;
      yield* this.#one(id, await rows.take(id));
      if (seen % PROGRESS_EVERY === 0) {
        yield { type: 'progress', done: shareOf(id), blobs: this.#counts.blobs };
        await this.#queueRepairs();
      }
    }
    yield* this.#deepRest();
    await this.#queueRepairs();
    const objects = await catalog.countObjects(bucketId);
    yield { type: 'summary', objects, ...this.#counts };
  }

  *#openInventories(): Generator<VerifyLine> {
    const { clients, topology, conditions } = this.#deps;
    for (const member of topology.members.values()) {
      if (member.kind !== 'node') continue;
      const client = clients.get(member.id);
      const state = conditions.stateOf(member.id);
      if (!client || state !== 'serving') {
        this.#unanswered.add(member.id);
        yield {
          type: 'unanswered',
          member: member.id,
          reason: client ? `it is ${state}` : 'no connection to it',
        };
        continue;
      }
      const page = (after: BlobId | undefined) => client.inventory({ max: PAGE, ...(after && { after }) });
      this.#inventories.set(member.id, new Cursor(page));
    }
  }

  /** The least id in hand of all cursors; a bucket's audit goes by its rows alone. */
  async #least(rows: Cursor<BlobRef>): Promise<BlobId | null> {
    const row = await rows.peek();
    if (this.#options.bucketId !== undefined) return row?.id ?? null;
    const inHand = await Promise.all([...this.#inventories.values()].map((cursor) => cursor.peek()));
    let least = row?.id ?? null;
    for (const entry of inHand) if (entry && (least === null || entry.id < least)) least = entry.id;
    return least;
  }

  *#newlyUnanswered(): Generator<VerifyLine> {
    for (const [member, { failure }] of this.#inventories) {
      if (!failure || this.#unanswered.has(member)) continue;
      this.#unanswered.add(member);
      yield { type: 'unanswered', member, reason: failure.message };
    }
  }

  async *#one(id: BlobId, row: BlobRef | null): AsyncGenerator<VerifyLine> {
    const entries = new Map<MemberId, InventoryEntry>();
    for (const [member, cursor] of this.#inventories) {
      const entry =
        this.#options.bucketId === undefined ? await cursor.take(id) : await this.#stat(member, id);
      if (entry) entries.set(member, entry);
    }
    const suspicious = row ? this.#problemsOf(row, entries) : [...entries.keys()];
    if (row && suspicious.length === 0) return yield* this.#sound(row, entries);
    yield* this.#lookAgain(id, row !== null);
  }

  /** Something does not fit: rows and inventories were read at different moments, so both are asked now. */
  async *#lookAgain(id: BlobId, hadRow: boolean): AsyncGenerator<VerifyLine> {
    const { catalog } = this.#deps;
    // The nodes first: what is written after that has a row by the time the row is asked for, or is pending.
    const entries = new Map<MemberId, InventoryEntry>();
    await Promise.all(
      [...this.#inventories.keys()].map(async (member) => {
        const entry = await this.#stat(member, id);
        if (entry) entries.set(member, entry);
      }),
    );
    yield* this.#newlyUnanswered();
    const row = (await catalog.findBlobs([id]))[0];
    if (row) {
      for (const { kind, member } of this.#problemsOf(row, entries)) yield this.#exception(kind, id, member);
      yield* this.#sound(row, entries);
      return;
    }
    if (entries.size === 0) return;
    const isKnown = hadRow || (await catalog.knownBlobs([id])).has(id);
    for (const [member, { state }] of entries) {
      // Dying, or written a moment ago, or to be reaped: their jobs have them in hand.
      if (isKnown || state === 'pending') this.#counts.inFlight += 1;
      else yield this.#exception('unknown-blob', id, member);
    }
  }

  #problemsOf(
    row: BlobRef,
    entries: ReadonlyMap<MemberId, InventoryEntry>,
  ): { kind: ExceptionKind; member: MemberId | null }[] {
    const pair = this.#deps.topology.pairs.get(row.pair);
    if (!pair) return [{ kind: 'no-pair', member: null }];
    const problems: { kind: ExceptionKind; member: MemberId | null }[] = [];
    const absent = row.absent ?? [];
    for (const member of pair.members) {
      const entry = entries.get(member);
      if (entry && !isSame(row, entry)) problems.push({ kind: 'different', member });
      if (!entry && !absent.includes(member) && this.#isHeard(member))
        problems.push({ kind: 'missing', member });
    }
    for (const member of row.offMap ?? []) {
      const entry = entries.get(member);
      if (this.#isHeard(member) && !(entry && isSame(row, entry)))
        problems.push({ kind: 'handoff-missing', member });
    }
    const expected = new Set([...pair.members, ...(row.offMap ?? [])]);
    for (const member of entries.keys()) if (!expected.has(member)) problems.push({ kind: 'stray', member });
    return problems;
  }

  /** Counts what is right with a blob. */
  async *#sound(row: BlobRef, entries: ReadonlyMap<MemberId, InventoryEntry>): AsyncGenerator<VerifyLine> {
    this.#counts.blobs += 1;
    const holds = (member: MemberId) => {
      const entry = entries.get(member);
      return entry !== undefined && isSame(row, entry);
    };
    for (const member of this.#deps.topology.pairs.get(row.pair)?.members ?? []) {
      if (holds(member)) {
        this.#counts.replicas += 1;
        if (this.#options.deep) yield* this.#deep(member, row.id);
      } else if (!this.#isHeard(member) && !row.absent?.includes(member)) this.#counts.unknown += 1;
    }
    for (const member of row.offMap ?? []) {
      if (holds(member)) this.#counts.handoffs += 1;
      else if (!this.#isHeard(member)) this.#counts.unknown += 1;
    }
  }

  async *#deep(member: MemberId, id: BlobId): AsyncGenerator<VerifyLine> {
    const waiting = this.#deepQueue.get(member) ?? [];
    this.#deepQueue.set(member, waiting);
    waiting.push(id);
    if (waiting.length >= DEEP_PAGE) yield* this.#deepBatch(member, waiting.splice(0));
  }

  async *#deepRest(): AsyncGenerator<VerifyLine> {
    for (const [member, waiting] of this.#deepQueue)
      if (waiting.length > 0) yield* this.#deepBatch(member, waiting.splice(0));
  }

  async *#deepBatch(member: MemberId, ids: readonly BlobId[]): AsyncGenerator<VerifyLine> {
    const { clients, catalog } = this.#deps;
    try {
      const damaged = await clients.get(member)!.check(ids, this.#options.signal);
      // What was deleted between listing and reading is no damage.
      const live = new Set((await catalog.findBlobs(damaged.map(({ id }) => id))).map(({ id }) => id));
      for (const { id, kind } of damaged) if (live.has(id)) yield this.#exception(kind, id, member);
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      this.#counts.unknown += ids.length;
      yield { type: 'unanswered', member, reason: (error as Error).message };
    }
  }

  #isHeard(member: MemberId): boolean {
    return this.#inventories.has(member) && !this.#unanswered.has(member);
  }

  async #stat(member: MemberId, id: BlobId): Promise<InventoryEntry | null> {
    const cursor = this.#inventories.get(member)!;
    if (cursor.failure) return null;
    try {
      return await this.#deps.clients.get(member)!.stat(id);
    } catch (error) {
      cursor.failure = error as Error;
      return null;
    }
  }

  #exception(kind: ExceptionKind, blob: BlobId, member: MemberId | null): VerifyException {
    this.#counts.exceptions += 1;
    const reason = REPAIR_OF[kind];
    if (reason && member) this.#repairs.push({ blobId: blob, member, reason, foundBy: 'verify' });
    return { type: 'exception', kind, blob, member };
  }

  async #queueRepairs(): Promise<void> {
    while (this.#repairs.length > 0) await this.#deps.catalog.addRepairs(this.#repairs.splice(0, PAGE));
  }
}

/** What is mended by itself from now on; the rest is for a person to look at. */
const REPAIR_OF: Readonly<Partial<Record<ExceptionKind, NewRepair['reason']>>> = {
  missing: 'missing',
  different: 'corrupt',
  corrupt: 'corrupt',
};

const isSame = (row: BlobRef, entry: InventoryEntry): boolean =>
  entry.size === row.size && entry.root.equals(row.root);

/** Ids are uniform: the first 32 bits say how far a pass in their order has come. */
const shareOf = (id: BlobId): number => Number.parseInt(id.slice(0, 8), 16) / 2 ** 32;
