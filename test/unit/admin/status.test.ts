import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { collectStatus, type MemberState, type StatusSources } from '../../../src/admin/status.ts';
import { systemClock } from '../../../src/base/clock.ts';
import type { Epoch, MemberId, PairId } from '../../../src/base/ids.ts';
import { type CatalogStatus, CatalogUnavailable, type DirectoryEvent } from '../../../src/ddm/catalog.ts';
import { type NodeClient, NodeError, type NodeStatus } from '../../../src/nodes/protocol.ts';
import { allServing, type Conditions, type MemberCondition, viewOf } from '../../../src/twin/condition.ts';
import type { Member, Topology } from '../../../src/twin/topology.ts';
import { QUIET_NODE } from '../../harness/node-status.ts';

const id = (text: string) => text as MemberId;

function member(
  name: string,
  kind: Member['kind'],
  center: string | null,
  address: string,
  twin: string | null,
): Member {
  return { id: id(name), kind, center, address, port: 7100, twin: twin === null ? null : id(twin) };
}

const members = [
  member('gateway-1', 'gateway', null, '127.0.0.1', null),
  member('directory-a5', 'directory', 'a', '127.1.0.5', 'directory-b5'),
  member('directory-b5', 'directory', 'b', '127.2.0.5', 'directory-a5'),
  member('node-a11', 'node', 'a', '127.1.0.11', 'node-b11'),
  member('node-b11', 'node', 'b', '127.2.0.11', 'node-a11'),
];
const topology: Topology = {
  centers: [
    { name: 'a', subnets: ['127.1.0.0/24'] },
    { name: 'b', subnets: ['127.2.0.0/24'] },
  ],
  members: new Map(members.map((m) => [m.id, m])),
  pairs: new Map(
    [
      { id: 'node/11', kind: 'node' as const, members: ['node-a11', 'node-b11'] as const },
      { id: 'directory/5', kind: 'directory' as const, members: ['directory-a5', 'directory-b5'] as const },
    ].map((p) => [
      p.id as PairId,
      { ...p, id: p.id as PairId, members: [id(p.members[0]), id(p.members[1])] as const, weight: 1 },
    ]),
  ),
};

/** A client of which only `status` is ever asked. */
const client = (name: string, status: () => Promise<NodeStatus>) =>
  [id(name), { member: id(name), status } as NodeClient] as const;
const serves = (name: string) => async (): Promise<NodeStatus> => ({
  ...QUIET_NODE,
  member: id(name),
  requests: 7,
  controlRequests: 3,
  blobs: 2,
  storedBytes: 100,
  freeBytes: 1000,
  pid: 42,
});
const healthy: CatalogStatus = { pair: 'directory/5' as PairId, writable: true, synchronous: true };

function sources(change: Partial<StatusSources> = {}): StatusSources {
  return {
    topology,
    clients: new Map([client('node-a11', serves('node-a11')), client('node-b11', serves('node-b11'))]),
    catalog: { status: async () => [healthy] },
    members: () => [
      { id: id('directory-a5'), pid: 10, condition: 'serving', primary: true },
      { id: id('directory-b5'), pid: 11, condition: 'serving', primary: false },
    ],
    clock: systemClock,
    deadlineMs: 50,
    ...change,
  };
}

async function report(change?: Partial<StatusSources>) {
  const status = await collectStatus(sources(change));
  const of = (name: string) => status.members.find((m) => m.id === name)!;
  const stateOf = (pair: string) => status.pairs.find((p) => p.id === pair)!.state;
  return { status, of, stateOf };
}

const directories =
  (standby: Partial<MemberState>, primary: Partial<MemberState> = {}) =>
  (): MemberState[] => [
    { id: id('directory-a5'), pid: 10, condition: 'serving', primary: true, ...primary },
    { id: id('directory-b5'), pid: 11, condition: 'serving', primary: false, ...standby },
  ];

describe('collectStatus', () => {
  it('reports every member, pair and center of a healthy store', async () => {
    const { status, of } = await report();
    assert.equal(status.redundant, true);
    assert.deepEqual(status.repairs, { queued: 0 });
    assert.deepEqual(status.centers[0], { name: 'a', subnet: '127.1.0.0/24', condition: 'serving' });
    assert.deepEqual(of('node-a11'), {
      id: 'node-a11',
      kind: 'node',
      center: 'a',
      address: '127.1.0.11:7100',
      twin: 'node-b11',
      pid: 42,
      requests: 7,
      controlRequests: 3,
      blobs: 2,
      storedBytes: 100,
      freeBytes: 1000,
      condition: 'serving',
      stance: 'serving',
      epoch: 1,
      refusedRequests: 0,
      damaged: 0,
      scrub: { bytes: 0, blobs: 0, lastRoundEndedAt: null, bytesPerSecondMax: 0 },
    });
    assert.equal(of('directory-a5').primary, true);
    assert.equal(of('gateway-1').twin, null);
    assert.equal(of('gateway-1').condition, 'serving');
  });

  it('reports a node that refuses connections, and its pair as degraded', async () => {
    const refused = async () => {
      throw new NodeError('unreachable', id('node-b11'), 'connection refused');
    };
    const clients = new Map([client('node-a11', serves('node-a11')), client('node-b11', refused)]);
    const { status, of, stateOf } = await report({ clients });
    assert.equal(of('node-b11').condition, 'suspect');
    assert.match(of('node-b11').reason!, /connection refused/);
    assert.equal(of('node-b11').requests, null);
    assert.equal(stateOf('node/11'), 'degraded');
    assert.equal(status.redundant, false);
  });

  it('does not wait for a node that accepts and never answers, whatever the supervisor believes', async () => {
    const clients = new Map([
      client('node-a11', serves('node-a11')),
      client('node-b11', () => new Promise(() => {})),
    ]);
    const believed: MemberState[] = [{ id: id('node-b11'), pid: 42, condition: 'serving' }];
    const { of, stateOf } = await report({ clients, members: () => believed });
    assert.equal(of('node-b11').condition, 'suspect');
    assert.match(of('node-b11').reason!, /no answer within 50 ms/);
    assert.equal(of('node-b11').pid, 42);
    assert.equal(stateOf('node/11'), 'degraded');
  });

  it('keeps what was decided about a node over what was seen', async () => {
    const clients = new Map([client('node-a11', serves('node-a11')), client('node-b11', serves('node-b11'))]);
    const decided: MemberState[] = [{ id: id('node-b11'), condition: 'resyncing' }];
    const { of, stateOf } = await report({ clients, members: () => decided });
    assert.equal(of('node-b11').condition, 'resyncing');
    assert.equal(stateOf('node/11'), 'degraded');
  });

  it('calls a pair lost when neither twin serves, and a center out when none of its members does', async () => {
    const down = async () => {
      throw new Error('down');
    };
    const { status, stateOf } = await report({
      clients: new Map([client('node-a11', down), client('node-b11', down)]),
      members: directories({ pid: null, condition: 'failed-over' }),
    });
    assert.equal(stateOf('node/11'), 'lost');
    assert.equal(stateOf('directory/5'), 'degraded');
    assert.deepEqual(
      status.centers.map((c) => c.condition),
      ['serving', 'suspect'],
    );
  });

  it('reports a standby that commits do not wait for', async () => {
    const { of, stateOf } = await report({
      catalog: { status: async () => [{ ...healthy, synchronous: false }] },
    });
    assert.equal(of('directory-b5').condition, 'failed-over');
    assert.equal(of('directory-a5').condition, 'serving');
    assert.equal(stateOf('directory/5'), 'degraded');
  });

  it('says since when a directory is out and by whose decision, as the catalog has it', async () => {
    const event = (member: string, state: DirectoryEvent['state'], day: number): DirectoryEvent => ({
      ...{ pair: 'directory/5' as PairId, member: id(member), state, epoch: 2 as Epoch, cursor: '' },
      ...{ at: new Date(Date.UTC(2026, 0, day)), why: 'it ended', decidedBy: 'antipode start' },
    });
    const out = { condition: 'failed-over', reason: 'its twin was promoted' } as const;
    const ask = async (events: readonly DirectoryEvent[]) => {
      const catalog = {
        status: async () => [{ ...healthy, epoch: 2 as Epoch }],
        directoryHistory: async () => ({ events, silent: [] }),
      };
      const { of, status } = await report({ catalog, members: directories(out) });
      const { since, decidedBy } = of('directory-b5');
      return [since, decidedBy, status.pairs.map((pair) => pair.epoch)];
    };
    const promoted = event('directory-a5', 'primary', 2);
    assert.deepEqual(await ask([promoted, event('directory-b5', 'serving', 1)]), [
      ...['2026-01-02T00:00:00.000Z', 'antipode start', [null, 2]],
    ]);
    const left = event('directory-b5', 'failed-over', 3);
    assert.equal((await ask([left, promoted]))[0], '2026-01-03T00:00:00.000Z');
    // The agent has not written it there yet.
    assert.deepEqual((await ask([event('directory-b5', 'serving', 3), left])).slice(0, 2), [
      undefined,
      undefined,
    ]);
  });

  it('reports a standby that is copied anew as resyncing', async () => {
    const { of } = await report({
      catalog: { status: async () => [{ ...healthy, synchronous: false }] },
      members: directories({ condition: 'resyncing' }),
    });
    assert.equal(of('directory-b5').condition, 'resyncing');
  });

  it('answers while the catalog does not', async () => {
    const status = async () => {
      throw new CatalogUnavailable('no primary');
    };
    const { of, stateOf } = await report({ catalog: { status } });
    assert.equal(of('directory-a5').condition, 'suspect');
    assert.equal(of('directory-a5').reason, 'no primary');
    assert.equal(stateOf('directory/5'), 'degraded');
  });

  const record = (change: Partial<MemberCondition>, member = 'node-b11'): Conditions => {
    const all = allServing(topology);
    const was = all.members.get(id(member))!;
    return {
      ...all,
      epoch: 7 as Epoch,
      members: new Map([...all.members, [was.member, { ...was, ...change }]]),
    };
  };
  const out = {
    state: 'failed-over',
    why: 'its disk is changed',
    since: new Date(1_000),
    decidedBy: 'root (KEY)',
    mayReturn: false,
  } as const;

  it('shows the record of a member that answers and is out all the same, with the epoch', async () => {
    const conditions = viewOf(() => record(out));
    const { status, of, stateOf } = await report({ conditions });
    assert.equal(status.epoch, 7);
    const { condition, reason, since, decidedBy, mayReturn, blobs } = of('node-b11');
    assert.deepEqual(
      { condition, reason, since, decidedBy, mayReturn, blobs },
      {
        condition: 'failed-over',
        reason: 'its disk is changed; until failover leave',
        since: '1970-01-01T00:00:01.000Z',
        decidedBy: 'root (KEY)',
        mayReturn: false,
        blobs: 2,
      },
    );
    assert.equal(stateOf('node/11'), 'degraded');
    assert.equal(status.redundant, false);
  });

  it('shows how far a resync is', async () => {
    const resync = {
      member: id('node-b11'),
      epoch: 7 as Epoch,
      phase: 'pull',
      startedAt: new Date(0),
      updatedAt: new Date(0),
      owner: 'gateway-1',
      comparedRanges: 256,
      toPull: 10,
      pulledBlobs: 4,
      pulledBytes: 400,
      removedBlobs: 1,
      lag: 2,
    } as const;
    const conditions = viewOf(() => record({ ...out, state: 'resyncing', mayReturn: true }));
    const { of } = await report({
      conditions,
      catalog: { status: async () => [healthy], listResyncs: async () => [resync] },
    });
    assert.equal(of('node-b11').condition, 'resyncing');
    assert.deepEqual([of('node-b11').resync!.pulledBlobs, of('node-b11').resync!.lag], [4, 2]);
  });

  it('calls a node that answers and is not admitted suspect, and says why', async () => {
    const fenced = async () => ({ ...(await serves('node-b11')()), state: 'fenced' as const });
    const clients = new Map([client('node-a11', serves('node-a11')), client('node-b11', fenced)]);
    const notAdmitted = (member: MemberId) => (member === 'node-b11' ? 'another disk' : null);
    const { of, stateOf } = await report({ clients, conditions: viewOf(() => record({})), notAdmitted });
    assert.deepEqual([of('node-b11').condition, of('node-b11').reason], ['suspect', 'another disk']);
    assert.equal(stateOf('node/11'), 'degraded');
  });

  it('does not call a store redundant while repairs are queued, or while nobody knows', async () => {
    const byMember = new Map([[id('node-b11'), 3]]);
    const countRepairs = async () => ({ queued: 3, byMember });
    const queued = await report({ catalog: { status: async () => [healthy], countRepairs } });
    assert.deepEqual(queued.status.repairs, { queued: 3, byMember: { 'node-b11': 3 } });
    assert.equal(queued.status.redundant, false);
    const away = async () => {
      throw new CatalogUnavailable('away');
    };
    const unknown = await report({ catalog: { status: async () => [healthy], countRepairs: away } });
    assert.deepEqual([unknown.status.repairs.queued, unknown.status.redundant], [null, false]);
  });

  it('shows a center that was declared out', async () => {
    const all = allServing(topology);
    const center = { ...all.centers.get('b')!, state: 'failed-over', why: 'silent' } as const;
    const conditions = viewOf(() => ({ ...all, centers: new Map([...all.centers, ['b', center]]) }));
    const { status } = await report({ conditions });
    assert.deepEqual(
      status.centers.map((c) => [c.condition, c.reason]),
      [
        ['serving', undefined],
        ['failed-over', 'silent'],
      ],
    );
  });

  it('reports a directory whose process is gone', async () => {
    const { of, stateOf } = await report({ members: directories({ pid: null }) });
    assert.equal(of('directory-b5').condition, 'suspect');
    assert.equal(of('directory-b5').reason, 'not running');
    assert.equal(stateOf('directory/5'), 'degraded');
  });
});
