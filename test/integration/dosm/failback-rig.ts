/**
 * Two pairs of real nodes, each a process of its own, a real directory, and gateways that run the jobs: what repair and
 * resync are in a deployment, without the S3 front. Conditions are declared by the tests, as a monitor does it.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../../src/base/clock.ts';
import { type AccountId, type BucketId, type MemberId, newWriteId } from '../../../src/base/ids.ts';
import type { BlobRef, Catalog, ConditionChange } from '../../../src/ddm/catalog.ts';
import { CachedConditions } from '../../../src/ddm/condition-view.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { createDosm, type GatewayDosm } from '../../../src/dosm/create.ts';
import type { ReplicationSettings } from '../../../src/jobs/replication.ts';
import { type Jobs, startJobs } from '../../../src/jobs/start.ts';
import { createNodeClient } from '../../../src/nodes/client.ts';
import { type NodeClient, NodeError } from '../../../src/nodes/protocol.ts';
import { buildTopology } from '../../../src/twin/load.ts';
import type { Topology } from '../../../src/twin/topology.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { NodeProcess } from '../../harness/node-process.ts';
import { testDatabase } from '../../harness/postgres.ts';
import { collect, writeRequest } from '../../world/world.ts';

export const [A11, B11, A12, B12] = ['node-a11', 'node-b11', 'node-a12', 'node-b12'] as MemberId[] as [
  MemberId,
  MemberId,
  MemberId,
  MemberId,
];
const DEADLINES = { connectMs: 1_500, firstByteMs: 5_000, stallMs: 5_000 };
const SOON_MS = 60_000;
const OWNER = 'owner' as AccountId;

/** Short, so that tests end soon; a resync that must be met on its way gets a low rate. */
const SETTINGS: Partial<ReplicationSettings> = {
  ...{ repairMs: 100, damageMs: 200, resyncMs: 100, surplusMs: 200, sweepMs: 500, resyncLeaseMs: 1_500 },
};

export interface Gateway {
  readonly owner: string;
  readonly dosm: GatewayDosm;
  readonly jobs: Jobs;
  /** As kill -9: nothing of it reaches anybody any more, and no lease is given up. */
  kill(): Promise<void>;
}

export class FailbackRig implements AsyncDisposable {
  readonly folder: string;
  readonly nodes: ReadonlyMap<MemberId, NodeProcess>;
  readonly topology: Topology;
  readonly clients: ReadonlyMap<MemberId, NodeClient>;
  readonly catalog: Catalog;
  readonly view: CachedConditions;
  readonly gateways: Gateway[] = [];
  readonly objects = new Map<string, Buffer>();
  bucket = 0 as BucketId;

  private constructor(
    parts: Pick<FailbackRig, 'folder' | 'nodes' | 'topology' | 'clients' | 'catalog' | 'view'>,
  ) {
    this.folder = parts.folder;
    this.nodes = parts.nodes;
    this.topology = parts.topology;
    this.clients = parts.clients;
    this.catalog = parts.catalog;
    this.view = parts.view;
  }

  static async open(): Promise<FailbackRig> {
    const folder = await mkdtemp(join(tmpdir(), 'antipode-failback-'));
    const secret = randomBytes(32);
    const nodes = new Map<MemberId, NodeProcess>();
    for (const id of [A11, B11, A12, B12]) {
      const dataDir = join(folder, id);
      const options = { member: id, host: '127.0.0.1', dataDir, secretHex: secret.toString('hex') };
      nodes.set(id, new NodeProcess({ ...options, fenced: true }));
    }
    await Promise.all([...nodes.values()].map((node) => node.start()));
    const topology = buildTopology({
      centers: ['a', 'b'].map((name) => ({ name, subnets: [] })),
      members: [...nodes].map(([id, { port }]) => ({
        ...{ kind: 'node' as const, id, center: id.charAt(5), address: '127.0.0.1', port },
      })),
      twins: [
        { name: '11', members: [A11, B11] },
        { name: '12', members: [A12, B12] },
      ],
    });
    const clock = systemClock;
    const clients = new Map(
      [...nodes].map(([member, { port }]) => [
        member,
        createNodeClient({ member, address: '127.0.0.1', port, secret, deadlines: DEADLINES, clock }),
      ]),
    );
    const { app } = await testDatabase();
    const catalog = await openCatalog({ root: ROOT, locator: locatorOf(app), log: quiet, clock });
    await catalog.registerTopology(topology);
    const view = new CachedConditions(await catalog.readConditions(), {
      ...{ read: () => catalog.readConditions(), clock, random: Math.random, log: quiet, pollMs: 100 },
    });
    const rig = new FailbackRig({ folder, nodes, topology, clients, catalog, view });
    for (const member of nodes.keys()) await rig.tell(member);
    await catalog.createAccount({ id: OWNER, displayName: 'owner', isRoot: true });
    const name = `bucket-${randomBytes(4).toString('hex')}`;
    const made = await catalog.createBucket({ name, owner: OWNER, region: 'us-east-1', objectLock: false });
    assert(made.outcome === 'done');
    rig.bucket = made.value.id;
    return rig;
  }

  gateway(owner: string, settings: Partial<ReplicationSettings> = {}): Gateway {
    const { topology, view } = this;
    let isDead = false;
    const living = <T extends object>(target: T): T =>
      new Proxy(target, {
        get: (object, name) => {
          const value = Reflect.get(object, name, object);
          if (typeof value !== 'function') return value;
          return (...args: unknown[]) => {
            if (isDead) throw new NodeError('aborted', A11, 'this gateway is dead');
            return value.apply(object, args);
          };
        },
      });
    const catalog = living(this.catalog);
    const clients = new Map([...this.clients].map(([id, client]) => [id, living(client)] as const));
    const shared = { topology, clients, clock: systemClock, random: Math.random, log: quiet };
    const dosm = createDosm({ ...shared, center: 'a', conditions: view });
    const jobs = startJobs({
      ...{ ...shared, catalog, view },
      intervals: { reapMs: 500, reclaimMs: 200, intentMs: 600_000, pendingGraceMs: 0, blobGraceMs: 100 },
      replication: { catalog, clients, topology, view, owner, settings: { ...SETTINGS, ...settings } },
    });
    const made: Gateway = {
      ...{ owner, dosm, jobs },
      kill: async () => {
        isDead = true;
        await Promise.all([jobs.close(), dosm.close()]);
      },
    };
    this.gateways.push(made);
    return made;
  }

  // -------------------------------------------------------------------------------------------- objects

  async put(gateway: Gateway, key: string, bytes: Buffer): Promise<BlobRef> {
    const placement = { kind: 'object', bucket: 'bucket', key } as const;
    const written = await gateway.dosm.write(writeRequest(bytes, { placement }));
    const done = await this.catalog.putVersion({
      ...{ writeId: newWriteId(), bucketId: this.bucket, key, owner: OWNER },
      ...{ size: bytes.length, etag: written.blob.id },
      attributes: { system: {}, user: {}, tags: {}, storageClass: 'STANDARD' },
      content: { kind: 'blob', ...written },
    });
    assert.equal(done.outcome, 'done', JSON.stringify(done));
    gateway.dosm.confirm([written.blob]);
    this.objects.set(key, bytes);
    return written.blob;
  }
  async remove(key: string): Promise<void> {
    const done = await this.catalog.deleteVersion({
      ...{ writeId: newWriteId(), bucketId: this.bucket, key, owner: OWNER },
    });
    assert.equal(done.outcome, 'done');
    this.objects.delete(key);
  }
  async get(gateway: Gateway, key: string): Promise<Buffer | null> {
    const version = await this.catalog.findVersion(this.bucket, key);
    if (version?.content.kind !== 'blob') return null;
    const { blob } = version.content;
    return collect(await gateway.dosm.read({ segments: [{ blob, from: 0, to: blob.size - 1 }] }));
  }

  // ------------------------------------------------------------------------------------------ conditions

  async change(member: MemberId, to: ConditionChange['to']): Promise<void> {
    const done = await this.catalog.changeCondition({
      subject: { kind: 'member', member },
      ...{ to, why: 'test', decidedBy: 'test', mayReturn: true },
    });
    assert.equal(done.outcome, 'done', JSON.stringify(done));
    await this.view.reload(done.outcome === 'done' ? done.value.epoch : undefined);
  }
  /** The node stands as the record says. */
  async tell(member: MemberId): Promise<void> {
    const { members, pairEpochs } = this.view.current();
    const state = members.get(member)?.state ?? 'serving';
    const pair = [...this.topology.pairs.values()].find((p) => p.members.includes(member))!;
    const stance = state === 'failed-over' ? 'fenced' : state;
    await this.clients.get(member)!.setCondition({ state: stance, epoch: pairEpochs.get(pair.id)! });
  }
  async away(member: MemberId): Promise<void> {
    await this.nodes.get(member)!.kill();
    await this.change(member, 'failed-over');
    await this.tell(this.topology.members.get(member)!.twin!);
  }
  /** Started again, fenced as it starts; on an empty disk if so wished. */
  async back(member: MemberId, o: { emptyDisk?: boolean } = {}): Promise<void> {
    if (o.emptyDisk) await rm(join(this.folder, member), { recursive: true });
    await this.nodes.get(member)!.start();
    await this.change(member, 'resyncing');
  }
  stateOf = (member: MemberId) => this.view.stateOf(member);
  served = (member: MemberId) =>
    this.until(`${member} serves`, async () => this.stateOf(member) === 'serving');

  // ----------------------------------------------------------------------------------------------- checks

  async until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + SOON_MS;
    while (!(await isTrue())) {
      if (Date.now() > end)
        assert.fail(`in time: ${what}; ${JSON.stringify(await this.catalog.listResyncs())}`);
      await sleep(20);
    }
  }
  /** Twins are equal and have what the catalog names; no repairs, no handoffs; every object reads as it was written. */
  async assertWhole(gateway: Gateway): Promise<void> {
    await this.until('nothing waits', async () => (await this.catalog.countRepairs()).queued === 0);
    await this.until('nothing is surplus', async () => (await this.catalog.listSurplus(9)).length === 0);
    for (const pair of this.topology.pairs.values()) {
      const named = (await this.catalog.listBlobs({ pair: pair.id, max: 10_000 })).map(({ id }) => id);
      const [a, b] = pair.members.map((member) => this.clients.get(member)!);
      // Reclaim has its own pace.
      await this.until(`${pair.id} is equal`, async () => {
        const lists = await Promise.all([a!, b!].map((client) => client.inventory({ max: 1_000 })));
        return lists.every((list) => list.map(({ id }) => id).join() === named.join());
      });
      assert.deepEqual(await a!.digests(), await b!.digests());
    }
    for (const [key, bytes] of this.objects)
      assert(
        bytes.equals((await this.get(gateway, key)) ?? Buffer.alloc(0)),
        `${key} reads as it was written`,
      );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.gateways.map(({ jobs, dosm }) => Promise.all([jobs.close(), dosm.close()])));
    await this.view.close();
    await Promise.all([...this.clients.values()].map((client) => client.close().catch(() => {})));
    await Promise.all([...this.nodes.values()].map((node) => node.kill()));
    await this.catalog.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
