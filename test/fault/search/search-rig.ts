/**
 * Four nodes, each a process of its own on a loopback address of its center's subnet, and a gateway's finder and DOSM over
 * them. The record of conditions is made by hand. Blobs are put on whichever node the scenario wants.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { systemClock } from '../../../src/base/clock.ts';
import { type Epoch, type MemberId, newBlobId, type PairId } from '../../../src/base/ids.ts';
import type { SearchConfig } from '../../../src/config.ts';
import type { BlobRef } from '../../../src/ddm/catalog.ts';
import { createDosm, type GatewayDosm } from '../../../src/dosm/create.ts';
import type { NodeFinder, TracedBlob } from '../../../src/dosm/find.ts';
import { openFinder, searchPlace } from '../../../src/launcher/search.ts';
import { createNodeClient } from '../../../src/nodes/client.ts';
import { digest } from '../../../src/nodes/digest-tree.ts';
import type { NodeDeadlines } from '../../../src/nodes/protocol.ts';
import { allServing, type Conditions, type RecordedState, viewOf } from '../../../src/twin/condition.ts';
import { buildTopology } from '../../../src/twin/load.ts';
import type { SearchMode } from '../../../src/twin/search.ts';
import type { CenterGroup } from '../../../src/twin/search-multicast.ts';
import type { SearchTuning } from '../../../src/twin/search-tuning.ts';
import type { Topology } from '../../../src/twin/topology.ts';
import { GroupEar } from '../../harness/group-ear.ts';
import { NodeProcess } from '../../harness/node-process.ts';
import { blobOf, intentOf } from '../../integration/nodes/fixture.ts';

export const MODES: readonly SearchMode[] = ['multicast', 'point-to-point', 'auto'];
export const [A1, A2, B1, B2] = ['node-a11', 'node-a12', 'node-b11', 'node-b12'] as MemberId[] as [
  MemberId,
  MemberId,
  MemberId,
  MemberId,
];
/** Wider than the product's, so that a crowded machine does not look like a failed node. */
const DEADLINES: NodeDeadlines = { connectMs: 1_500, firstByteMs: 2_500, stallMs: 2_500 };
const CLOCK = systemClock;

export type Client = ReturnType<typeof createNodeClient>;
export interface SearchRig extends AsyncDisposable {
  readonly topology: Topology;
  readonly secret: Buffer;
  readonly nodes: ReadonlyMap<MemberId, NodeProcess>;
  readonly clients: ReadonlyMap<MemberId, Client>;
  /** A gateway that searches so, and knows what `setRecord` said last. */
  gateway(mode: SearchMode): { readonly finder: NodeFinder; readonly dosm: GatewayDosm };
  setRecord(
    states: Readonly<Record<string, RecordedState>>,
    more?: Partial<Pick<Conditions, 'epoch' | 'pairEpochs'>>,
  ): void;
  /** A new blob of the pair of A1 and B1, on these nodes alone. */
  put(...members: MemberId[]): Promise<{ readonly blob: BlobRef; readonly bytes: Buffer }>;
  groupOf(center: string): CenterGroup['group'];
  listen(center: string): Promise<GroupEar>;
  /** Data requests so far. */
  requests(member: MemberId): Promise<number>;
}

/** The same, for searches. */
const TUNING: Partial<SearchTuning> = {
  multicastWaitMs: 1_000,
  settleMs: 200,
  pointToPointMs: 2_000,
  stepMs: 4_000,
};

export async function startSearchRig(options: { centers: 1 | 2 }): Promise<SearchRig> {
  const folder = await mkdtemp(join(tmpdir(), 'antipode-search-'));
  const secret = randomBytes(32);
  const octet = 128 + (randomBytes(1)[0]! >> 1);
  const subnets = [`127.1.${octet}`, `127.2.${octet}`] as const; // ports are free ones, so that others may be there too
  const places = [
    { member: A1, host: `${subnets[0]}.11` },
    { member: A2, host: `${subnets[0]}.12` },
    { member: B1, host: `${subnets[1]}.11` },
    { member: B2, host: `${subnets[1]}.12` },
  ];
  const cidrs = subnets.map((subnet) => `${subnet}.0/24`);
  const topologyWith = (ports: ReadonlyMap<MemberId, number>) =>
    buildTopology({
      centers:
        options.centers === 1
          ? [{ name: 'a', subnets: cidrs }]
          : ['a', 'b'].map((name, i) => ({ name, subnets: [cidrs[i]!] })),
      members: places.map(({ member, host }) => ({
        kind: 'node',
        id: member,
        address: host,
        port: ports.get(member) ?? 1,
      })),
    });
  const search: SearchConfig = { transport: 'auto', port: 7_180, groups: {}, waitMs: 150, ttl: 1 };
  const nodes = new Map<MemberId, NodeProcess>();
  const draft = topologyWith(new Map());
  for (const { member, host } of places) {
    const own = searchPlace({ search }, draft, member, secret)!;
    const secretHex = secret.toString('hex');
    nodes.set(
      member,
      new NodeProcess({ member, host, dataDir: join(folder, member), secretHex, search: own }),
    );
  }
  await Promise.all([...nodes.values()].map((node) => node.start()));
  const topology = topologyWith(new Map([...nodes].map(([member, node]) => [member, node.port])));
  const clients = new Map(
    places.map(({ member, host }) => {
      const { port } = nodes.get(member)!;
      const client = createNodeClient({
        member,
        address: host,
        port,
        secret,
        deadlines: DEADLINES,
        clock: CLOCK,
      });
      return [member, client] as const;
    }),
  );
  let record = allServing(topology);
  const conditions = viewOf(() => record);
  const opened: { finder: NodeFinder; dosm: GatewayDosm }[] = [];
  const ears: GroupEar[] = [];
  const log = pino({ level: 'silent' });
  const groupOf = (center: string) =>
    searchPlace({ search }, topology, center === 'b' ? B1 : A1, secret)!.group!;

  return {
    topology,
    secret,
    nodes,
    clients,
    groupOf,
    gateway: (transport) => {
      const config = { search: { ...search, transport } };
      const finder = openFinder({
        config,
        secret,
        topology,
        conditions,
        clients,
        clock: CLOCK,
        log,
        tuning: TUNING,
        finderTuning: { rememberMs: 60_000 },
      });
      const dosm = createDosm({
        topology,
        clients,
        center: null,
        clock: CLOCK,
        random: Math.random,
        log,
        conditions,
        finder,
      });
      opened.push({ finder, dosm });
      return { finder, dosm };
    },
    setRecord: (states, more = {}) => {
      const all = allServing(topology);
      const members = [...all.members].map(
        ([id, facts]) => [id, { ...facts, state: states[id] ?? facts.state }] as const,
      );
      const centers = [...all.centers].map(
        ([name, facts]) => [name, { ...facts, state: states[`center ${name}`] ?? facts.state }] as const,
      );
      record = { ...all, members: new Map(members), centers: new Map(centers), ...more };
    },
    put: async (...members) => {
      const bytes = randomBytes(3_000);
      const made = blobOf(bytes, newBlobId());
      for (const member of members) {
        const options = { epoch: record.epoch };
        const writer = await clients.get(member)!.write(made.id, made.size, intentOf(), options);
        await writer.write(bytes, digest(bytes));
        await writer.finish(made.root);
      }
      return { blob: { id: made.id, size: made.size, root: made.root, pair: 'node/11' as PairId }, bytes };
    },
    listen: async (center) => {
      const ear = await GroupEar.open(
        groupOf(center),
        topology.members.get(center === 'b' ? B1 : A1)!.address,
      );
      ears.push(ear);
      return ear;
    },
    requests: async (member) => (await clients.get(member)!.status()).requests,
    async [Symbol.asyncDispose]() {
      for (const { finder, dosm } of opened) {
        await dosm.close();
        await finder.close();
      }
      for (const ear of ears) await ear.close();
      for (const client of clients.values()) await client.close().catch(() => {});
      for (const node of nodes.values()) await node.kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What each step was about, in short. */
export const stepsOf = ({ trace }: TracedBlob): readonly string[] =>
  trace.map(({ step, center, transport, answer }) => `${step} ${center} ${transport} ${answer}`);

export const epoch = (n: number): Epoch => n as Epoch;
