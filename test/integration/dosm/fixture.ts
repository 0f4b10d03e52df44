/** A DOSM over one or two pairs of real nodes, each a process of its own behind a proxy that can be told to fail. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { systemClock } from '../../../src/base/clock.ts';
import type { Epoch, MemberId } from '../../../src/base/ids.ts';
import type { BlobRef } from '../../../src/ddm/catalog.ts';
import { createDosm, type GatewayDosm } from '../../../src/dosm/create.ts';
import { rankPairs } from '../../../src/dosm/placement.ts';
import { createNodeClient } from '../../../src/nodes/client.ts';
import type { NodeClient, NodeDeadlines } from '../../../src/nodes/protocol.ts';
import type { ConditionView, RecordedState } from '../../../src/twin/condition.ts';
import { buildTopology } from '../../../src/twin/load.ts';
import type { Topology } from '../../../src/twin/topology.ts';
import { NodeProcess } from '../../harness/node-process.ts';
import { TcpProxy } from '../../harness/tcp-proxy.ts';
import { WorldRecord } from '../../world/record.ts';
import { collect, writeRequest } from '../../world/world.ts';

/** Wider than the product's, so that a crowded machine does not look like a failed node. */
const DEADLINES: NodeDeadlines = { connectMs: 1_500, firstByteMs: 2_500, stallMs: 2_500 };
/** Likewise: a read that its twin has won by then never comes to the fault on the first one's line. */
const HEDGE_MS = 1_500;
/** Likewise, for a handoff that is copied from the survivor. */
const COPY_MS = 30_000;

export interface Site {
  readonly member: MemberId;
  readonly node: NodeProcess;
  readonly proxy: TcpProxy;
  readonly client: NodeClient;
}
export interface Rig extends AsyncDisposable {
  readonly topology: Topology;
  readonly sites: ReadonlyMap<MemberId, Site>;
  readonly dosm: GatewayDosm;
  /** What is recorded of the nodes; the DOSM knows what it last read of it. */
  readonly record: WorldRecord;
  readonly conditions: ConditionView;
  /** The sites of a blob's pair: the gateway's own center first. */
  holders(blob: BlobRef): readonly [Site, Site];
  /** Those that its row names: the pair's but for the absent, and the handoffs. */
  replicas(blob: BlobRef): readonly Site[];
  /** Declares it and tells the nodes that answer, as a gateway does; this one hears of it with `isKnown` alone. */
  declare(
    state: RecordedState,
    members: readonly MemberId[],
    options?: { isKnown?: boolean },
  ): Promise<Epoch>;
  /** Those that a blob of the default placement goes to first. */
  firstChoice(): readonly [Site, Site];
  write(bytes: Buffer): Promise<BlobRef>;
  read(blob: BlobRef): Promise<Buffer>;
}

export async function startRig(pairs: 1 | 2 | 3): Promise<Rig> {
  const folder = await mkdtemp(join(tmpdir(), 'antipode-dosm-'));
  const secret = randomBytes(32);
  const names = ['11', '12', '13'].slice(0, pairs);
  const places = names.flatMap((name) =>
    ['a', 'b'].map((center) => ({ center, id: `node-${center}${name}` })),
  );
  const started = await Promise.all(
    places.map(async ({ center, id }) => {
      const dataDir = join(folder, id);
      const node = new NodeProcess({
        member: id,
        host: '127.0.0.1',
        dataDir,
        secretHex: secret.toString('hex'),
      });
      await node.start();
      const proxy = new TcpProxy({ host: '127.0.0.1', port: node.port });
      await proxy.start();
      return { center, id, node, proxy };
    }),
  );
  const topology = buildTopology({
    centers: [
      { name: 'a', subnets: [] },
      { name: 'b', subnets: [] },
    ],
    members: started.map(({ center, id, proxy }) => ({
      kind: 'node' as const,
      id,
      center,
      address: '127.0.0.1',
      port: proxy.port,
    })),
    twins: names.map((name) => ({ name, members: [`node-a${name}`, `node-b${name}`] as const })),
  });
  const clock = systemClock;
  const sites = new Map<MemberId, Site>();
  for (const { id, node, proxy } of started) {
    const { id: member, address, port } = topology.members.get(id as MemberId)!;
    const client = createNodeClient({ member, address, port, secret, deadlines: DEADLINES, clock });
    sites.set(member, { member, node, proxy, client });
  }
  const clients = new Map([...sites].map(([member, site]) => [member, site.client]));
  const log = pino({ level: 'silent' });
  const record = new WorldRecord(topology);
  const conditions = record.view(clock);
  const dosm = createDosm({
    topology,
    clients,
    conditions,
    center: 'a',
    clock,
    random: Math.random,
    log,
    tuning: { hedgeMs: HEDGE_MS, copyMs: COPY_MS },
  });
  const holders = (blob: Pick<BlobRef, 'pair'>): readonly [Site, Site] => {
    const [first, second] = topology.pairs.get(blob.pair)!.members;
    return [sites.get(first)!, sites.get(second)!];
  };
  return {
    ...{ topology, sites, dosm, record, conditions, holders },
    replicas: (blob) => [
      ...holders(blob).filter(({ member }) => !blob.absent?.includes(member)),
      ...(blob.offMap ?? []).map((member) => sites.get(member)!),
    ],
    declare: async (state, members, { isKnown = true } = {}) => {
      const epoch = record.declare(state, ...members);
      if (isKnown) await conditions.reload();
      const told = members.flatMap((member) => [member, topology.members.get(member)!.twin!]);
      await Promise.allSettled(
        [...new Set(told)].map((member) => {
          const now = record.now.members.get(member)!.state;
          const stance = now === 'failed-over' ? 'fenced' : now;
          return sites.get(member)!.client.setCondition({ state: stance, epoch });
        }),
      );
      return epoch;
    },
    firstChoice: () =>
      holders({ pair: rankPairs(topology.pairs.values(), writeRequest(Buffer.of(1)).placement)[0]! }),
    write: async (bytes) => (await dosm.write(writeRequest(bytes))).blob,
    read: async (blob) => collect(await dosm.read({ segments: [{ blob, from: 0, to: blob.size - 1 }] })),
    async [Symbol.asyncDispose]() {
      await dosm.close();
      await Promise.all(
        [...sites.values()].map(async ({ node, proxy, client }) => {
          await node.kill();
          await proxy.close();
          await client.close().catch(() => {});
        }),
      );
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
