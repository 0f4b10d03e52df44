/** Pairs that are planned while the store runs, and found again by the next start. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { StartConfig } from '../../../src/config.ts';
import { knownHosts, planPair, planStore, withNodes } from '../../../src/launcher/layout.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'antipode-layout-'));
after(() => rmSync(dataDir, { recursive: true }));

const config = {
  ...{
    dataDir,
    nodesPerCenter: 2,
    directoriesPerCenter: 1,
    centers: 2,
    subnets: ['127.1.9.0/24', '127.2.9.0/24'],
  },
  ...{ listen: { host: '127.0.0.1', port: 9000 }, admin: { host: '127.0.0.1', port: 9001 } },
} as unknown as StartConfig;

const nodeIds = (plan: ReturnType<typeof planStore>) =>
  plan.members.filter(({ kind }) => kind === 'node').map(({ id }) => id as string);

describe('a pair that is planned while the store runs', () => {
  it('has the next host part after the highest, one node in each subnet', () => {
    const planned = planPair(planStore(config), config);
    assert.deepEqual(
      planned.map(({ id, address, port }) => [id, address, port]),
      [
        ['node-a13', '127.1.9.13', 7100],
        ['node-b13', '127.2.9.13', 7100],
      ],
    );
    const after20 = planPair(planStore(config, { nodes: [20], directories: [] }), config);
    assert.deepEqual(
      after20.map(({ address }) => address),
      ['127.1.9.21', '127.2.9.21'],
    );
    assert.throws(
      () => planPair(planStore(config, { nodes: [254], directories: [] }), config),
      /subnets are full/,
    );
  });

  it('joins the plan before the gateway, whose configuration names it', () => {
    const plan = planStore(config);
    const grown = withNodes(plan, planPair(plan, config));
    assert.deepEqual(nodeIds(grown), [...nodeIds(plan), 'node-a13', 'node-b13']);
    assert.equal(grown.members.at(-1)?.kind, 'gateway');
    assert(grown.cluster.members.some(({ id }) => id === 'node-b13'));
    assert.equal(nodeIds(plan).length, 4, 'the plan that was handed in is as it was');
    assert.deepEqual(
      planPair(grown, config).map(({ id }) => id as string),
      ['node-a14', 'node-b14'],
    );
  });

  it('is found again by its folder, and only it', () => {
    assert.deepEqual(knownHosts(join(dataDir, 'nothing yet')), { nodes: [], directories: [] });
    for (const name of [
      'node-a11',
      'node-b11',
      'node-a13',
      'node-b13',
      'directory-a5',
      'directory-a6',
      'directory-b6',
      'node-a13.old',
      'run',
    ])
      mkdirSync(join(dataDir, name));
    const known = knownHosts(dataDir);
    assert.deepEqual([...known.nodes].sort(), [11, 13]);
    assert.deepEqual([...known.directories].sort(), [5, 6]);
    const ids = nodeIds(planStore(config, knownHosts(dataDir)));
    assert.deepEqual(ids.sort(), [
      ...['node-a11', 'node-a12', 'node-a13'],
      ...['node-b11', 'node-b12', 'node-b13'],
    ]);
    const plan = planStore(config, known);
    assert.deepEqual(
      plan.directoryPairs.map(({ id, members }) => [id, ...members.map((member) => member.id)]),
      [
        ['directory/5', 'directory-a5', 'directory-b5'],
        ['directory/6', 'directory-a6', 'directory-b6'],
      ],
    );
  });
});
