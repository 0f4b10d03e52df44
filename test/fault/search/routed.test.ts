/**
 * Searches on networks that are not one machine's loopback: two centers in namespaces of their own behind a router that
 * forwards multicast, and IPv6. Each node and the gateway run where their addresses are.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { promisify } from 'node:util';
import type { MemberId, PairId } from '../../../src/base/ids.ts';
import type { SearchConfig } from '../../../src/config.ts';
import type { TracedBlob } from '../../../src/dosm/find.ts';
import { searchPlace } from '../../../src/launcher/search.ts';
import { buildTopology, type TopologyConfig } from '../../../src/twin/load.ts';
import type { SearchMode } from '../../../src/twin/search.ts';
import { NetLab, netnsProblem } from '../../harness/netns.ts';
import { NodeProcess } from '../../harness/node-process.ts';
import type { SearchMainOptions } from '../../harness/search-main.ts';
import { randomBlob } from '../../integration/nodes/fixture.ts';
import { A1, A2, B1, B2, MODES, stepsOf } from './search-rig.ts';

const HARNESS = resolve(import.meta.dirname, '../../harness');
const PORT = 7_100;
const problem = netnsProblem();

interface Place {
  readonly member: MemberId;
  readonly address: string;
  readonly space: string;
}

describe('searches on networks', { skip: problem ?? false }, () => {
  let lab: NetLab;
  let folder: string;
  let nodes: NodeProcess[];
  const secret = randomBytes(32);
  beforeEach(async () => {
    lab = new NetLab();
    nodes = [];
    folder = await mkdtemp(join(tmpdir(), 'antipode-routed-'));
  });
  afterEach(async () => {
    for (const node of nodes) await node.kill();
    lab.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Starts the nodes, and answers how to ask from another namespace. */
  const startNodes = async (topology: TopologyConfig, places: readonly Place[], ttl: number) => {
    const search: SearchConfig = { transport: 'auto', port: 7_180, groups: {}, waitMs: 150, ttl };
    for (const { member, address, space } of places) {
      const own = searchPlace({ search }, buildTopology(topology), member, secret)!;
      const facts = {
        member,
        host: address,
        dataDir: join(folder, member),
        secretHex: secret.toString('hex'),
      };
      const node = new NodeProcess({ ...facts, search: own }, lab.inside(space));
      node.port = PORT;
      await node.start();
      nodes.push(node);
    }
    return async (from: string, transport: SearchMode, failedOver: readonly string[] = []) => {
      const { id, size, root } = randomBlob(10);
      const options: SearchMainOptions = {
        topology,
        secretHex: secret.toString('hex'),
        search: { ...search, transport },
        tuning: { multicastWaitMs: 1_000, pointToPointMs: 3_000, stepMs: 6_000 },
        failedOver,
        blobs: [{ id, size, root: root.toString('hex'), pair: 'node/11' as PairId }],
      };
      const [program, ...before] = lab.inside(from);
      const main = [process.execPath, join(HARNESS, 'search-main.ts'), JSON.stringify(options)];
      const { stdout } = await promisify(execFile)(program, [...before, ...main], { timeout: 30_000 });
      return JSON.parse(stdout) as TracedBlob;
    };
  };

  it('reach a center behind a router that forwards multicast, when their hops allow it', async () => {
    for (const space of ['a', 'b', 'router']) lab.add(space);
    const [, toA] = lab.cable(
      { space: 'a', addresses: ['10.77.1.2/24', '10.77.1.11/24', '10.77.1.12/24'] },
      { space: 'router', addresses: ['10.77.1.1/24'] },
    );
    const [, toB] = lab.cable(
      { space: 'b', addresses: ['10.77.2.11/24', '10.77.2.12/24'] },
      { space: 'router', addresses: ['10.77.2.1/24'] },
    );
    lab.ip('a', 'route', 'add', 'default', 'via', '10.77.1.1');
    lab.ip('b', 'route', 'add', 'default', 'via', '10.77.2.1');
    lab.setting('router', 'net/ipv4/ip_forward', '1');
    const router = lab.start('router', 'python3', [join(HARNESS, 'multicast-router.py'), toA, toB]);
    await once(router.stdout!, 'data');
    const topology: TopologyConfig = {
      centers: [
        { name: 'a', subnets: ['10.77.1.0/24'] },
        { name: 'b', subnets: ['10.77.2.0/24'] },
      ],
      members: ['10.77.1.11', '10.77.1.12', '10.77.2.11', '10.77.2.12'].map((address) => ({
        kind: 'node' as const,
        address,
        port: PORT,
      })),
    };
    const places: Place[] = [
      { member: A1, address: '10.77.1.11', space: 'a' },
      { member: A2, address: '10.77.1.12', space: 'a' },
      { member: B1, address: '10.77.2.11', space: 'b' },
      { member: B2, address: '10.77.2.12', space: 'b' },
    ];
    const ask = await startNodes(topology, places, 2);
    const forwarded = () => {
      const routes = lab.ip('router', '-s', 'mroute', 'show');
      return [...routes.matchAll(/(\d+) packets/g)].reduce((sum, [, packets]) => sum + Number(packets), 0);
    };
    for (const mode of MODES) {
      const first = mode === 'point-to-point' ? 'point-to-point' : 'multicast';
      const before = forwarded();
      const found = await ask('a', mode);
      assert.equal(found.outcome, 'nowhere', mode);
      assert.deepEqual(stepsOf(found), [`twin-center b ${first} nowhere`, `first-center a ${first} nowhere`]);
      // The question to b's group, and the one to a's, which the router does not know to be local.
      if (mode === 'point-to-point') assert.equal(forwarded(), before);
      else assert.ok(forwarded() - before >= 1 && forwarded() - before <= 2);
    }
    for (const node of nodes) await node.kill();
    const near = await startNodes(topology, places, 1);
    const unheard = await near('a', 'multicast');
    assert.equal(unheard.outcome, 'unknown');
    assert.ok(unheard.trace[0]!.asked.every(({ state }) => state === 'silent'));
    assert.equal((await near('a', 'auto')).outcome, 'nowhere');
  });

  it('work the same with IPv6', async () => {
    for (const space of ['gateway', 'nodes']) lab.add(space);
    const subnets = ['fd77:1::/64', 'fd77:2::/64'];
    const hosts = ['fd77:1::11', 'fd77:1::12', 'fd77:2::11', 'fd77:2::12'];
    lab.cable(
      { space: 'gateway', addresses: ['fd77:1::1/64', 'fd77:2::1/64'] },
      { space: 'nodes', addresses: hosts.map((host) => `${host}/64`) },
    );
    const topology: TopologyConfig = {
      centers: [{ name: 'a', subnets }],
      members: hosts.map((address) => ({ kind: 'node' as const, address, port: PORT })),
    };
    const placed = [...buildTopology(topology).members.values()];
    const places = placed.map(({ id, address }) => ({ member: id, address, space: 'nodes' }));
    const ask = await startNodes(topology, places, 1);
    for (const mode of MODES) {
      const found = await ask('gateway', mode);
      const first = mode === 'point-to-point' ? 'point-to-point' : 'multicast';
      assert.deepEqual([found.outcome, stepsOf(found)], ['nowhere', [`twin-center a ${first} nowhere`]]);
      assert.equal(found.trace[0]!.asked.length, 4);
    }
  });
});
