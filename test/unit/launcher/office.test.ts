/** A standby's side of the leases: whom it gives one, and what it writes down before it does. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Clock } from '../../../src/base/clock.ts';
import { AgentRefused } from '../../../src/launcher/agent-client.ts';
import type { RoleRecord } from '../../../src/launcher/agent-role.ts';
import { Office } from '../../../src/launcher/office.ts';

const LEASE = { leaseMs: 5_000, marginMs: 500, renewMs: 1_000 };
const quiet = { warn() {}, debug() {} };

function office(change: Partial<RoleRecord> = {}) {
  const written: RoleRecord[] = [];
  let now = 0;
  const pass = (ms: number) => {
    now += ms;
  };
  const clock: Clock = { now: () => now, monotonic: () => now, sleep: async () => {} };
  const found: RoleRecord = {
    ...({ role: 'standby', term: 3, turn: 1, step: null, synchronous: true, mayReturn: false } as const),
    ...{ leaseMs: 5_000, since: '2026-01-01T00:00:00.000Z', why: 'a reason', decidedBy: 'root', ...change },
  };
  const roles = { read: () => found, write: (record: RoleRecord) => void written.push(record) };
  const o = new Office({ roles, clock, settings: LEASE, log: quiet, changed: () => {} });
  return { office: o, written, pass };
}

describe('a standby that is asked for a lease', () => {
  it('gives it, and nobody can rely on it longer than it says with the margin', () => {
    const { office: o, written, pass } = office();
    pass(60_000);
    assert.equal(o.givenLeftMs, 0);
    assert.deepEqual(o.give({ term: 3, twin: 'in' }), { leaseMs: 5_000 });
    assert.equal(o.givenLeftMs, 5_500);
    assert.deepEqual(written, []);
  });

  it('counts, after a start, the longest that it may have given before', () => {
    assert.equal(office({ leaseMs: 9_000 }).office.givenLeftMs, 9_500);
    assert.equal(office({ leaseMs: 1_000 }).office.givenLeftMs, 5_500);
  });

  it('writes down that commits do not wait for it, and that they do again, before it answers', () => {
    const { office: o, written } = office();
    o.give({ term: 3, twin: 'out' });
    assert.equal(written.at(-1)?.synchronous, false);
    o.give({ term: 3, twin: 'catching-up' });
    assert.equal(written.length, 1);
    o.give({ term: 3, twin: 'in' });
    assert.equal(written.at(-1)?.synchronous, true);
    o.give({ term: 3, twin: 'catching-up' });
    assert.equal(o.record?.synchronous, true);
    assert.equal(written.length, 2);
  });

  it('writes down the longest lease that it has given', () => {
    const { office: o, written } = office({ leaseMs: 1_000 });
    o.give({ term: 3, twin: 'in' });
    assert.equal(written.at(-1)?.leaseMs, 5_000);
    const longer = office({ leaseMs: 9_000 });
    longer.office.give({ term: 3, twin: 'out' });
    assert.equal(longer.written.at(-1)?.leaseMs, 9_000);
  });

  it('gives none in another role or term, nor while it takes over; nothing is written then', () => {
    const order = { term: 3, twin: 'in' } as const;
    const takingOver = { kind: 'taking-over', order: 'x', asserted: true } as const;
    for (const [change, refusal] of [
      [{ role: 'primary' }, 'not-standby'],
      [{ step: takingOver }, 'under-way'],
      [{ step: { kind: 'gave-up', order: 'x' } }, 'under-way'],
      [{ term: 2 }, 'other-term'],
      [{ term: 4 }, 'other-term'],
    ] as const) {
      const { office: o, written, pass } = office({ ...change, synchronous: false });
      pass(60_000);
      assert.equal(o.give(order), refusal);
      assert.equal(o.givenLeftMs, 0);
      assert.deepEqual(written, []);
    }
  });
});

describe('a primary that asks for a lease', () => {
  const primary = { role: 'primary', synchronous: true } as const;

  it('is trusted for what is left of it, counted from when it asked', async () => {
    const { office: o, pass } = office(primary);
    assert.equal(o.trustMs(true), 0);
    await o.renew({
      lease: async () => {
        pass(1_000);
        return { leaseMs: 5_000 };
      },
    });
    assert.equal(o.trustMs(true), 4_000);
    assert.equal(o.trustMs(false), 0);
    pass(4_000);
    assert.equal(o.trustMs(true), 0);
  });

  it('is trusted by nobody once it gives up, also when a lease arrives after that', async () => {
    const { office: o } = office(primary);
    const asking = o.renew({ lease: async () => ({ leaseMs: 5_000 }) });
    o.beginGivingUp();
    await asking;
    assert.equal(o.trustMs(true), 0);
    o.resume();
    assert.equal(o.trustMs(true), 0);
  });

  it('says that its twin is in only when that has everything, and remembers why it got none', async () => {
    const { office: o } = office(primary);
    const said: string[] = [];
    const twin = {
      lease: async ({ twin: word }: { twin: string }) => {
        said.push(word);
        throw new AgentRefused('directory-b5', 'not-standby');
      },
    };
    const seen = { state: 'streaming', slot: 'reserved', synchronous: true };
    await o.renew(twin);
    o.cover.note({ ...seen, flushed: 9, replayed: 8 }, true);
    await o.renew(twin);
    o.cover.note({ ...seen, flushed: 12, replayed: 9 }, true);
    await o.renew(twin);
    o.cover.note({ ...seen, flushed: 12, replayed: 9, state: 'catchup' }, true);
    await o.renew(twin);
    assert.deepEqual(said, ['catching-up', 'catching-up', 'in', 'catching-up']);
    assert.equal(o.refused, 'not-standby');
  });
});
