/**
 * The clients of a world: each keeps to one gateway and does one thing after another. What they are answered is checked:
 * right bytes, bounded time, and no 503 where everything that was needed was sound and reachable all the while.
 */
import { createHash } from 'node:crypto';
import type { MemberId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import type { BlobRef } from '../../src/ddm/catalog.ts';
import { DOSM_TUNING } from '../../src/dosm/tuning.ts';
import { Violation } from './book.ts';
import { type Answer, type Front, type FrontBucket, GaveUp } from './front.ts';
import { pick, whole } from './seeded-random.ts';
import type { Running, SimGateway } from './sim-gateway.ts';
import type { SimWorld } from './sim-world.ts';
import { DIRECTORY, ROOT } from './wire-catalog.ts';
import { piecesOf } from './world.ts';

/** Random bytes that every schedule takes its blobs from. */
const POOL_BYTES = 2 * 1024 * 1024;
const pool = (() => {
  const blocks: Buffer[] = [];
  for (let at = 0; at < POOL_BYTES; at += 32) blocks.push(createHash('sha256').update(`w${at}`).digest());
  return Buffer.concat(blocks);
})();

/** The longest that one operation may take, whatever happens: deadlines and attempts of every part of it. */
export const OPERATION_MS_MAX = 60_000;
/** With the longest stop of a gateway in the middle. */
const HANG_MS = 3 * OPERATION_MS_MAX;
/** Whoever was out of reach is asked last, and for no handoff, until a probe has found it again. */
const SUSPECT_MS = 2_000;
const KEYS = ['a', 'b', 'c', 'd', 'e', 'f'];
/** Rows that clients remember, to read by them what the catalog would not tell them now. */
const ROWS_KEPT = 12;

export interface Tally {
  puts: number;
  gets: number;
  deletes: number;
  refused: number;
  unknown: number;
  notThere: number;
}

export class Clients {
  readonly tally: Tally = { puts: 0, gets: 0, deletes: 0, refused: 0, unknown: 0, notThere: 0 };
  isReadOnly = false;
  readonly #world: SimWorld;
  readonly #rows: BlobRef[] = [];
  #isOver = false;

  constructor(world: SimWorld) {
    this.#world = world;
  }

  /** Runs until `stop` and then until the operation under way has ended. */
  async run(gateway: SimGateway, pauseMs: readonly [number, number]): Promise<void> {
    const { random } = this.#world;
    while (!this.#isOver) {
      await this.#world.pass(whole(random, ...pauseMs));
      const { running } = gateway;
      if (running && !running.process.isStopped) await this.#operation(gateway, running);
    }
  }

  stop(): void {
    this.#isOver = true;
  }

  /** One of everything, for a world that is well: nothing may be refused. */
  async all(gateway: SimGateway): Promise<void> {
    const { front } = gateway.running!;
    for (const bucket of this.#world.buckets) {
      const bytes = this.#bytes();
      const put = await front.put(bucket, 'last', bytes);
      if (put.status !== 200) throw new Violation(`a put in a world that is well: ${JSON.stringify(put)}`);
      for (const key of [...KEYS, 'last']) {
        const got = await front.get(bucket, key);
        if (got.status === 503) throw new Violation(`a get in a world that is well: ${JSON.stringify(got)}`);
      }
    }
  }

  async #operation(gateway: SimGateway, running: Running): Promise<void> {
    const { clock } = this.#world;
    const startedAt = clock.monotonic();
    const died = new Promise<null>((resolve) => running.process.onKill(() => resolve(null)));
    const hangs = this.#world.pass(HANG_MS).then(() => {
      throw new Violation(`an operation of ${gateway.id} has no end`);
    });
    hangs.catch(() => {});
    const answer = await Promise.race([this.#ask(gateway, running.front, startedAt), died, hangs]);
    if (!answer) {
      this.tally.unknown += 1;
      return;
    }
    const tookMs = clock.monotonic() - Math.max(startedAt, gateway.resumedAt);
    if (tookMs > OPERATION_MS_MAX)
      throw new Violation(`an operation took ${tookMs} ms: ${JSON.stringify(answer)}`);
    if (answer.status === 503) this.tally[answer.isUnknown ? 'unknown' : 'refused'] += 1;
    if (answer.status === 404) this.tally.notThere += 1;
  }

  async #ask(gateway: SimGateway, front: Front, since: number): Promise<Answer> {
    const { random, buckets } = this.#world;
    const bucket = random() < 0.7 ? buckets[0]! : pick(random, buckets);
    const key = pick(random, KEYS);
    const draw = this.isReadOnly ? 0.5 + random() / 2 : random();
    if (draw < 0.38) return await this.#put(gateway, front, bucket, key, since);
    if (draw < 0.48) {
      const answer = await front.delete(bucket, key);
      if (answer.status === 200) this.tally.deletes += 1;
      return answer;
    }
    const row = draw > 0.9 && this.#rows.length > 0 ? pick(random, this.#rows) : undefined;
    const answer = row ? await front.read(row) : await front.get(bucket, key);
    if (answer.status === 200) this.tally.gets += 1;
    if (answer.status === 503 && answer.blob)
      await this.#checkUnread(gateway, answer.blob, answer.why, since);
    if (answer.status === 200 && answer.blob) this.#remember(answer.blob);
    return answer;
  }

  async #put(
    gateway: SimGateway,
    front: Front,
    bucket: FrontBucket,
    key: string,
    since: number,
  ): Promise<Answer> {
    const { random } = this.#world;
    const bytes = this.#bytes();
    const known = gateway.running!.view.current().epoch;
    const recorded = this.#world.recorded!.epoch;
    const failAt = random() < 0.08 ? whole(random, 0, bytes.length) : null;
    const isSlow = random() < 0.1;
    const draw = random();
    const condition =
      draw < 0.1 ? { condition: { ifNoneMatch: '*' } } : draw < 0.2 ? { condition: { ifMatch: '*' } } : {};
    const source = failAt === null && !isSlow ? {} : { source: this.#slowly(bytes, failAt, isSlow) };
    const answer = await front.put(bucket, key, bytes, { ...condition, ...source });
    if (answer.status === 200 && failAt !== null) throw new Violation('a broken body was acknowledged');
    if (answer.status === 200) this.tally.puts += 1;
    const isPlain = answer.status === 503 && !answer.isUnknown && failAt === null && !isSlow;
    const isUpToDate = known === recorded && recorded === this.#world.recorded!.epoch;
    const isReplayable = bytes.length <= DOSM_TUNING.replayBytes;
    if (isPlain && isReplayable && isUpToDate && bucket.durability !== 'both-centers')
      this.#checkUnwritten(gateway, answer.why, since - SUSPECT_MS);
    return answer;
  }

  #bytes(): Buffer {
    const { random } = this.#world;
    const draw = random();
    const size =
      draw < 0.7
        ? whole(random, 1, 2_000)
        : draw < 0.95
          ? whole(random, 1, 3 * LIMITS.chunkBytes)
          : whole(random, LIMITS.chunkBytes, 6 * LIMITS.chunkBytes);
    const from = whole(random, 0, pool.length - size);
    return pool.subarray(from, from + size);
  }

  async *#slowly(bytes: Buffer, failAt: number | null, isSlow: boolean): AsyncGenerator<Buffer> {
    const { random } = this.#world;
    for await (const piece of piecesOf(bytes.subarray(0, failAt ?? bytes.length), 200_000)) {
      if (isSlow) await this.#world.pass(whole(random, 1, 6_000));
      yield piece;
    }
    if (failAt !== null) throw new GaveUp('the client went away');
  }

  #remember(blob: BlobRef): void {
    this.#rows.push(blob);
    if (this.#rows.length > ROWS_KEPT) this.#rows.shift();
  }

  // ------------------------------------------------------------------------- what ought to have worked

  /** Whether the gateway could ask the member all the time since then, and the member answered and served. */
  #isGood(gateway: SimGateway, member: MemberId, since: number): boolean {
    const { network, nodes, recorded } = this.#world;
    if (recorded!.members.get(member)!.state !== 'serving') return false;
    return network.goodSince(gateway.id, member) < since && nodes.get(member)!.goodSince() < since;
  }

  #isCatalogGood(gateway: SimGateway, since: number): boolean {
    const { network } = this.#world;
    return (
      gateway.goodSince() < since &&
      network.goodSince(gateway.id, ROOT) < since &&
      network.goodSince(gateway.id, DIRECTORY) < since
    );
  }

  /** Readable while one proper replica is: on the map or recorded off it, sound, and on a member that serves. */
  async #checkUnread(gateway: SimGateway, asked: BlobRef, why: string, since: number): Promise<void> {
    const { model, topology, nodes, trace } = this.#world;
    if (!this.#isCatalogGood(gateway, since)) return;
    const [blob] = await model.findBlobs([asked.id]);
    if (!blob) return;
    const holders = [...topology.pairs.get(blob.pair)!.members, ...(asked.offMap ?? [])];
    const good = holders.filter(
      (member) => this.#isGood(gateway, member, since) && nodes.get(member)!.soundSince(blob.id) < since,
    );
    trace.note('unread', `${blob.id} by ${gateway.id}: ${why}`);
    if (good.length > 0)
      throw new Violation(`${gateway.id} does not read ${blob.id}, which ${good.join(' and ')} has: ${why}`);
  }

  /** With the record as the gateway knew it: writable while both members of a pair are, or one of them and a neighbour that can hold the handoff. */
  #checkUnwritten(gateway: SimGateway, why: string, since: number): void {
    const { topology, network, trace } = this.#world;
    if (!this.#isCatalogGood(gateway, since)) return;
    const pairs = [...topology.pairs.values()];
    const good = (member: MemberId) => this.#isGood(gateway, member, since);
    const canTake = pairs.find(({ id, members }) => {
      if (members.every(good)) return true;
      return members.some((survivor, side) => {
        if (!good(survivor)) return false;
        return pairs.some((other) => {
          const neighbour = other.members[side]!;
          return other.id !== id && good(neighbour) && network.goodSince(survivor, neighbour) < since;
        });
      });
    });
    trace.note('unwritten', `by ${gateway.id}: ${why}`);
    if (canTake)
      throw new Violation(`${gateway.id} does not write, although ${canTake.id} could take it: ${why}`);
  }
}
