/**
 * Three pairs of directories whose agents answer searches over real sockets, in this process, and a gateway's way of asking
 * them. What agents know and what primaries say is set by the scenario; the Postgres servers are another test's.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { systemClock } from '../../../src/base/clock.ts';
import type { MemberId, PairId } from '../../../src/base/ids.ts';
import type { ClusterConfig, SearchConfig } from '../../../src/config.ts';
import { type Bucket, CatalogUnavailable, type FoundBucket } from '../../../src/ddm/catalog.ts';
import { createNameFinder, type NameFinder, type NameSearch } from '../../../src/ddm/find-bucket.ts';
import { NO_ORDERS, openAgentControl } from '../../../src/launcher/agent-control.ts';
import { openNameAnswers } from '../../../src/launcher/agent-search.ts';
import type { Condition } from '../../../src/launcher/messages.ts';
import { openNameSearch } from '../../../src/launcher/name-search.ts';
import { searchPlace } from '../../../src/launcher/search.ts';
import { buildTopology } from '../../../src/twin/load.ts';
import type { SearchMode } from '../../../src/twin/search.ts';
import type { Look, Sight } from '../../../src/twin/search-answerer.ts';
import type { SearchTuning } from '../../../src/twin/search-tuning.ts';
import type { Topology } from '../../../src/twin/topology.ts';
import { GroupEar } from '../../harness/group-ear.ts';

export const MODES: readonly SearchMode[] = ['multicast', 'point-to-point', 'auto'];
export const [P5, P6, P7] = ['directory/5', 'directory/6', 'directory/7'] as PairId[] as [
  PairId,
  PairId,
  PairId,
];
export const PAIRS: readonly PairId[] = [P5, P6, P7];
const HOSTS = [5, 6, 7];
/** Wider than the product's, so that a crowded machine does not look like a failed agent. */
const TUNING: Partial<SearchTuning> = {
  multicastWaitMs: 1_000,
  settleMs: 200,
  pointToPointMs: 2_000,
  stepMs: 4_000,
};
const log = pino({ level: 'silent' });

interface Agent {
  /** What it says; a member that hangs never does. */
  look: Look;
  questions: number;
  close(): Promise<void>;
}

export interface NamesRig extends AsyncDisposable {
  readonly topology: Topology;
  readonly agents: ReadonlyMap<MemberId, Agent>;
  /** Which pair's primary gives the row of a name; pairs in `away` give nothing. */
  readonly rows: Map<string, PairId>;
  readonly away: Set<PairId>;
  readonly read: { pair: PairId; name: string }[];
  /** What the decider says of members. */
  readonly conditions: Map<MemberId, Condition>;
  search(mode: SearchMode): NameSearch;
  finder(mode: SearchMode): NameFinder;
  listen(center: string): Promise<GroupEar>;
  questions(): number;
}

export interface RigOptions {
  readonly centers: 1 | 2;
  /** By default an agent knows what its pair's primary has. */
  readonly lookOf?: (member: MemberId) => Look;
}

export async function startNamesRig(o: RigOptions): Promise<NamesRig> {
  const folder = await mkdtemp(join(tmpdir(), 'antipode-names-'));
  const secret = randomBytes(32);
  await writeFile(join(folder, 'cluster.key'), secret.toString('hex'));
  const octet = 128 + (randomBytes(1)[0]! >> 1);
  const cidrs = [`127.1.${octet}.0/24`, `127.2.${octet}.0/24`];
  const ids = ['a', 'b'].flatMap((net, n) =>
    HOSTS.map((host) => ({
      id: `directory-${net}${host}` as MemberId,
      address: `127.${n + 1}.${octet}.${host}`,
    })),
  );
  const cluster = (ports: ReadonlyMap<MemberId, number>): ClusterConfig => ({
    centers:
      o.centers === 1
        ? [{ name: 'a', subnets: cidrs }]
        : ['a', 'b'].map((name, i) => ({ name, subnets: [cidrs[i]!] })),
    members: ids.map(({ id, address }) => ({
      ...{ kind: 'directory', id, address, port: 7_432 },
      ...(ports.has(id) ? { agentPort: ports.get(id)! } : {}),
    })),
  });
  const searchConfig: SearchConfig = { transport: 'auto', port: 7_180, groups: {}, waitMs: 150, ttl: 1 };
  const topology = buildTopology(cluster(new Map()));
  const pairOf = (member: MemberId) =>
    [...topology.pairs.values()].find(({ members }) => members.includes(member))!;

  const rows = new Map<string, PairId>();
  const away = new Set<PairId>();
  const read: NamesRig['read'] = [];
  const conditions = new Map<MemberId, Condition>();
  const agents = new Map<MemberId, Agent>();
  const ports = new Map<MemberId, number>();
  for (const { id, address } of ids) {
    const place = searchPlace({ search: searchConfig }, topology, id, secret)!;
    const agent: Agent = {
      look: o.lookOf?.(id) ?? ((_, name) => ({ has: rows.get(name) === pairOf(id).id })),
      questions: 0,
      close: async () => {},
    };
    agents.set(id, agent);
    const look = (...args: Parameters<Look>): Sight | Promise<Sight> => {
      agent.questions += 1;
      return agent.look(...args);
    };
    const common = { member: id, secret, clock: systemClock, log };
    const answers = await openNameAnswers({
      ...{ ...common, ...place, address, look },
      timeline: () => 3,
      random: Math.random,
    });
    const control = await openAgentControl({
      ...{ ...common, host: address, port: 0, answerSearch: answers.answer },
      orders: {
        ...NO_ORDERS,
        status: () => {
          throw new Error('nobody asks');
        },
      },
    });
    ports.set(id, control.port);
    agent.close = async () => {
      await answers.close();
      await control.close();
    };
  }
  const opened: { close(): unknown }[] = [];
  const search = (transport: SearchMode): NameSearch => {
    const asking = openNameSearch({
      config: { cluster: cluster(ports), secretsDir: folder, search: { ...searchConfig, transport } },
      ...{ secret, topology, clock: systemClock, log, tuning: TUNING },
      members: () => [...conditions].map(([id, condition]) => ({ id, condition })),
    });
    opened.push(asking.searcher);
    return asking;
  };
  return {
    ...{ topology, agents, rows, away, read, conditions, search },
    finder: (mode) => {
      const finder = createNameFinder({
        pairs: () => PAIRS,
        compute: () => P5,
        readRow: async (pair, name) => {
          read.push({ pair, name });
          if (away.has(pair)) throw new CatalogUnavailable(`${pair} is away`);
          return rows.get(name) === pair ? ({ name, directory: pair } as Bucket) : null;
        },
        ...{ search: search(mode), clock: systemClock, log, tuning: { rememberMs: 60_000 } },
      });
      opened.push(finder);
      return finder;
    },
    listen: async (center) => {
      const ear = await GroupEar.open(
        searchPlace({ search: searchConfig }, topology, `directory-${center}5` as MemberId, secret)!.group!,
        topology.members.get(`directory-${center}5` as MemberId)!.address,
      );
      opened.push(ear);
      return ear;
    },
    questions: () => [...agents.values()].reduce((sum, { questions }) => sum + questions, 0),
    async [Symbol.asyncDispose]() {
      for (const each of opened) await each.close();
      for (const agent of agents.values()) await agent.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What each step was about, in short. */
export const stepsOf = ({ steps }: FoundBucket): readonly string[] =>
  steps.map(({ step, center, transport, answer }) => `${step} ${center ?? '-'} ${transport} ${answer}`);
