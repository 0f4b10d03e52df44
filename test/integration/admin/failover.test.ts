/** The routes of failover over HTTP: who may, what they answer, what they refuse and under which status. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { MemberId } from '../../../src/base/ids.ts';
import { buildTopology } from '../../../src/twin/load.ts';
import { ROOT, startAdmin } from './admin-harness.ts';

const topology = buildTopology({
  centers: [
    { name: 'a', subnets: ['10.1.0.0/24'] },
    { name: 'b', subnets: ['10.2.0.0/24'] },
  ],
  members: [1, 2].flatMap((subnet) => [
    ...[11, 12].map((host) => ({ kind: 'node' as const, address: `10.${subnet}.0.${host}`, port: 7100 })),
    { kind: 'directory' as const, address: `10.${subnet}.0.5`, port: 7432 },
  ]),
});

describe('the routes of failover', () => {
  let admin: Awaited<ReturnType<typeof startAdmin>>;
  before(async () => {
    admin = await startAdmin({ topology });
  });
  after(() => admin.close());

  const enter = (body: unknown) => admin.send('POST', '/failover/enter', { body });

  it('are for the root account alone', async () => {
    for (const path of ['/failover/enter', '/failover/leave'])
      assert.equal(
        (await admin.send('POST', path, { body: { subject: 'a' }, credentials: null })).status,
        403,
      );
    assert.equal((await admin.send('GET', '/failover/history', { credentials: null })).status, 403);
    assert.equal((await admin.catalog.readConditions()).epoch, 1);
  });

  it('enter a member, tell its pair, and keep who gave the order', async () => {
    const { status, json } = await enter({ subject: 'node-a11', reason: 'a new disk' });
    assert.equal(status, 200);
    assert.deepEqual([json.subject, json.epoch], ['node-a11', 2]);
    assert.equal(json.members[0].condition, 'failed-over');
    assert.deepEqual(admin.told, ['node-a11', 'node-b11']);
    const { json: page } = await admin.send('GET', '/failover/history');
    const { subject, state, why, decidedBy, epoch } = page.events[0];
    assert.deepEqual(
      { subject, state, why, decidedBy, epoch },
      {
        subject: 'node-a11',
        state: 'failed-over',
        why: 'a new disk',
        decidedBy: `root (${ROOT.accessKeyId})`,
        epoch: 2,
      },
    );
  });

  it('refuse a member whose twin does not serve with 409, and take it by force', async () => {
    const refused = await enter({ subject: 'node-b11' });
    assert.deepEqual([refused.status, refused.json.code], [409, 'TwinNotServing']);
    assert.match(refused.json.message, /node-a11.*failed-over/);
    const center = await enter({ subject: 'center b' });
    assert.deepEqual([center.status, center.json.code], [409, 'TwinNotServing']);
    assert.equal((await admin.catalog.readConditions()).epoch, 2);
    const forced = await enter({ subject: 'node-b11', force: true });
    assert.deepEqual([forced.status, forced.json.epoch], [200, 3]);
  });

  it('say which subjects there are not, and what is not supported yet', async () => {
    for (const [body, status, code] of [
      [{ subject: 'node-c11' }, 404, 'NoSuchMember'],
      [{ subject: 'directory-a5' }, 501, 'NotSupported'],
      [{ subject: '' }, 400, 'InvalidRequest'],
      [{ subject: 'a', forced: true }, 400, 'InvalidRequest'],
      [{ subject: 'a', reason: 'two\nlines' }, 400, 'InvalidRequest'],
    ] as const) {
      const answer = await enter(body);
      assert.deepEqual([answer.status, answer.json.code], [status, code], JSON.stringify(body));
    }
  });

  it('leave lets members return, and changes nothing for those that serve', async () => {
    const { status, json } = await admin.send('POST', '/failover/leave', { body: { subject: 'a' } });
    assert.equal(status, 200);
    assert.deepEqual(
      json.members.map((m: { member: string; condition: string; mayReturn: boolean }) => [
        m.member,
        m.condition,
        m.mayReturn,
      ]),
      [
        ['node-a11', 'failed-over', true],
        ['node-a12', 'serving', true],
      ],
    );
  });

  it('leave by force puts one back that nobody can fill, and nothing else', async () => {
    const leave = (subject: string) =>
      admin.send('POST', '/failover/leave', { body: { subject, force: true } });
    for (const [subject, status, message] of [
      ['center a', 400, /one node is put back at a time/],
      ['node-a12', 409, /node-a12 serves/],
    ] as const) {
      const answer = await leave(subject);
      assert.equal(answer.status, status);
      assert.match(answer.json.message, message);
    }
    const done = await leave('node-a11');
    assert.equal(done.status, 200, done.text);
    assert.equal(done.json.members[0].condition, 'serving');
    const record = await admin.catalog.readConditions();
    assert.equal(record.members.get('node-a11' as MemberId)!.storeId, 'disk of node-a11');
    const twin = await leave('node-b11');
    assert.equal(twin.status, 409);
    assert.match(twin.json.message, /filled by node-a11, which serves/);
  });

  it('the history comes in pages', async () => {
    const first = await admin.send('GET', '/failover/history', { query: { max: '1' } });
    assert.deepEqual([first.json.events.length, first.json.truncated], [1, true]);
    const before = String(first.json.events[0].id);
    const rest = await admin.send('GET', '/failover/history', { query: { before } });
    assert.ok(rest.json.events.every((event: { id: number }) => event.id < Number(before)));
    assert.equal(rest.json.truncated, false);
    assert.equal((await admin.send('GET', '/failover/history', { query: { max: '0' } })).status, 400);
  });
});
