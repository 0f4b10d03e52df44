/** An operator's orders: what they ask of the record, what is refused and how it is said. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFailover, type FailoverSources } from '../../../src/admin/failover.ts';
import type { MemberId } from '../../../src/base/ids.ts';
import type { ConditionChange } from '../../../src/ddm/cluster-catalog.ts';
import { allServing, type Conditions, viewOf } from '../../../src/twin/condition.ts';
import { epoch, topologyOf } from '../twin/monitor-kit.ts';

function make(
  answer: Partial<FailoverSources['catalog']> = {},
  centers: 1 | 2 = 2,
  directories: FailoverSources['directories'] = null,
) {
  const topology = topologyOf([11, 12], centers);
  const withDirectory = {
    ...topology,
    members: new Map([
      ...topology.members,
      ...[
        { id: 'directory-a5' as MemberId, kind: 'directory', center: 'a', twin: null } as const,
        { id: 'gateway-1' as MemberId, kind: 'gateway', center: null, twin: null } as const,
      ].map((m) => [m.id, { ...m, address: '10.1.0.5', port: 7432 }] as const),
    ]),
  };
  const after: Conditions = { ...allServing(topology), epoch: epoch(5) };
  const asked: ConditionChange[] = [];
  const told: string[] = [];
  const taken: Conditions[] = [];
  const failover = createFailover({
    catalog: {
      changeCondition: async (change) => {
        asked.push(change);
        return { outcome: 'done', value: after };
      },
      allowReturn: async () => ({ outcome: 'done', value: after }),
      conditionHistory: async () => [],
      ...answer,
    },
    topology: withDirectory,
    conditions: { ...viewOf(() => after), take: (conditions) => void taken.push(conditions) },
    storeIdOf: () => null,
    tell: async (members) => void told.push(...members),
    directories,
    log: { warn: () => {} },
  });
  return { failover, asked, told, taken };
}

const refused = (code: string, message: RegExp) => (error: { code?: string; message: string }) =>
  error.code === code && message.test(error.message);

describe('failover enter', () => {
  it('asks for the state without an epoch, keeps it until leave, and tells the pair before it answers', async () => {
    const { failover, asked, told, taken } = make();
    const report = await failover.enter(
      { subject: 'node-a11', reason: 'new disk', force: false },
      'root (KEY)',
    );
    assert.deepEqual(asked, [
      {
        subject: { kind: 'member', member: 'node-a11' },
        to: 'failed-over',
        why: 'new disk',
        decidedBy: 'root (KEY)',
        mayReturn: false,
        force: false,
      },
    ]);
    assert.deepEqual(told, ['node-a11', 'node-b11']);
    assert.equal(taken.length, 1);
    assert.deepEqual([report.subject, report.epoch, report.members.length], ['node-a11', 5, 1]);
  });

  it('takes a center by its name, with and without the word', async () => {
    for (const subject of ['a', 'center a', 'center/a']) {
      const { failover, asked, told } = make();
      const report = await failover.enter({ subject, force: true }, 'root');
      assert.deepEqual(asked[0]!.subject, { kind: 'center', center: 'a' });
      assert.equal(asked[0]!.force, true);
      assert.deepEqual(told, ['node-a11', 'node-b11', 'node-a12', 'node-b12']);
      assert.deepEqual([report.subject, report.members.length], ['center a', 2]);
    }
  });

  it('says why it is refused when the twin does not serve', async () => {
    const detail = 'node-b11, the twin of node-a11, is failed-over';
    const { failover, told } = make({
      changeCondition: async () => ({ outcome: 'refused', reason: 'twin-not-serving', detail }),
    });
    await assert.rejects(
      failover.enter({ subject: 'node-a11', force: false }, 'root'),
      refused('TwinNotServing', /node-b11, the twin of node-a11, is failed-over; --force/),
    );
    assert.deepEqual(told, []);
  });

  it('does not take an unknown outcome for done', async () => {
    const { failover } = make({ changeCondition: async () => ({ outcome: 'unknown' }) });
    await assert.rejects(
      failover.enter({ subject: 'node-a11', force: false }, 'root'),
      refused('OutcomeUnknown', /did not say/),
    );
  });

  it('refuses directories, gateways, strangers and the only center, without asking the record', async () => {
    const { failover, asked } = make();
    const enter = (subject: string) => failover.enter({ subject, force: true }, 'root');
    await assert.rejects(enter('directory-a5'), refused('NotSupported', /decides about it by itself/));
    await assert.rejects(enter('gateway-1'), refused('InvalidRequest', /no twin/));
    await assert.rejects(enter('node-c9'), refused('NoSuchMember', /node-c9; there is center a, center b/));
    assert.deepEqual(asked, []);
    const one = make({}, 1);
    await assert.rejects(
      one.failover.enter({ subject: 'center a', force: true }, 'root'),
      refused('OnlyCenter', /a is the only center/),
    );
    assert.deepEqual(one.asked, []);
  });
});

describe('failover of a directory, where the operator decides', () => {
  it('goes to its agent and not to the record', async () => {
    const orders: unknown[] = [];
    const word = {
      member: 'directory-a5',
      condition: 'failed-over',
      since: '',
      why: 'w',
      decidedBy: 'root',
    } as const;
    const { failover, asked } = make({}, 2, {
      enter: async (...order) => {
        orders.push(order);
        return { ...word, mayReturn: false };
      },
      leave: async (...order) => {
        orders.push(order);
        return { ...word, condition: 'resyncing', mayReturn: true };
      },
    });
    const order = { subject: 'directory-a5', force: false, assertDown: true };
    const entered = await failover.enter(order, 'root');
    assert.deepEqual(entered, {
      subject: 'directory-a5',
      epoch: 5,
      members: [{ ...word, mayReturn: false }],
    });
    assert.equal(
      (await failover.leave({ subject: 'directory-a5', force: false }, 'root')).members[0]?.condition,
      'resyncing',
    );
    assert.deepEqual(orders, [
      ['directory-a5', order, 'root'],
      ['directory-a5', 'root'],
    ]);
    assert.deepEqual(asked, []);
  });
});

describe('failover leave and history', () => {
  it('lets members return, and shows them as they are', async () => {
    const asked: unknown[] = [];
    const value = allServing(topologyOf());
    const { failover } = make({
      allowReturn: async (subject, who) => {
        asked.push([subject, who]);
        return { outcome: 'done', value };
      },
    });
    const report = await failover.leave({ subject: 'b', force: false }, 'root (KEY)');
    assert.deepEqual(asked, [[{ kind: 'center', center: 'b' }, 'root (KEY)']]);
    assert.deepEqual(
      report.members.map((m) => m.member),
      ['node-b11', 'node-b12'],
    );
  });

  it('gives the history page by page', async () => {
    const event = (id: number) =>
      ({
        id,
        subject: 'node-a11',
        state: 'failed-over',
        epoch: epoch(id),
        at: new Date(0),
        why: 'x',
        decidedBy: 'y',
      }) as const;
    const { failover } = make({
      conditionHistory: async ({ max, before = 100 }) =>
        Array.from({ length: Math.min(max, before - 1) }, (_, index) => event(before - 1 - index)),
    });
    const page = await failover.history({ max: 2, before: '4' });
    assert.deepEqual([page.events.map((e) => e.id), page.truncated], [[3, 2], true]);
    assert.equal(page.events[0]!.at, '1970-01-01T00:00:00.000Z');
    assert.equal((await failover.history({ max: 3, before: '4' })).truncated, false);
  });
});
