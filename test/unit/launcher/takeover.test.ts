/** Who may take over, when it does, and what people are told of it: decisions alone. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AgentStatus } from '../../../src/launcher/agent-protocol.ts';
import type { RoleRecord } from '../../../src/launcher/agent-role.ts';
import { eventOf } from '../../../src/launcher/role-history.ts';
import { judgeTakeOver, refuseTakeOver, type TakeOverSight } from '../../../src/launcher/takeover.ts';

const record = (change: Partial<RoleRecord> = {}): RoleRecord => ({
  ...({ role: 'standby', term: 1, turn: 3, step: null, synchronous: true, mayReturn: false } as const),
  ...{ leaseMs: 5_000, since: '2026-01-01T00:00:00.000Z', why: 'a reason', decidedBy: 'root', ...change },
});
const level = { state: 'streaming', flushed: 9, replayed: 9, slot: 'reserved', synchronous: true };
const primary = (change: Partial<AgentStatus> = {}): AgentStatus => ({
  ...({ member: 'directory-a5', role: 'primary', term: 1, turn: 1, step: null, trustMs: 4_000 } as const),
  ...({ synchronous: true, mayReturn: false, pid: 7, dataState: 'primary', replication: level } as const),
  ...{ since: '', why: '', decidedBy: '', systemId: '1', timeline: 1, problem: null, ...change },
});
const PLANNED = { assertTwinDown: false, force: false };
const ASSERTED = { assertTwinDown: true, force: false };
const FORCED = { assertTwinDown: true, force: true };
const own = (change: Partial<RoleRecord> = {}, isRunning = true) => ({ record: record(change), isRunning });

describe('an order to take over', () => {
  it('is taken in order from a primary that answers, by assertion from one that does not', () => {
    assert.equal(refuseTakeOver(PLANNED, own(), primary()), null);
    assert.equal(refuseTakeOver(ASSERTED, own(), null), null);
    assert.equal(refuseTakeOver(ASSERTED, own(), primary({ pid: null })), null);
    assert.equal(refuseTakeOver(FORCED, own(), primary()), null);
  });
  it('is refused by whoever may lack something, also by force', () => {
    for (const order of [PLANNED, ASSERTED, FORCED]) {
      assert.equal(refuseTakeOver(order, own({ synchronous: false }), primary()), 'was-out');
      assert.equal(refuseTakeOver(order, own(), primary({ synchronous: false })), 'was-out');
      assert.equal(refuseTakeOver(order, own(), primary({ term: 2 })), 'other-term');
    }
  });
  it('is refused where it does not fit what is seen', () => {
    assert.equal(refuseTakeOver(ASSERTED, own(), primary()), 'primary-answers');
    assert.equal(refuseTakeOver(PLANNED, own(), null), 'primary-silent');
    assert.equal(refuseTakeOver(PLANNED, own(), primary({ pid: null })), 'primary-silent');
    assert.equal(refuseTakeOver(PLANNED, own(), primary({ replication: null })), 'not-level');
    assert.equal(refuseTakeOver(PLANNED, own({}, false), primary()), 'not-running');
    assert.equal(refuseTakeOver(PLANNED, own({ role: 'primary' }), null), 'not-standby');
    const step = { kind: 'gave-up', order: 'x' } as const;
    assert.equal(refuseTakeOver(ASSERTED, own({ step }), null), 'not-standby');
  });
});

describe('taking over', () => {
  const judged = (change: Partial<TakeOverSight> = {}) =>
    judgeTakeOver({
      step: { kind: 'taking-over', order: 'x', asserted: true },
      ...{ isIn: true, isRunning: true, leaseLeftMs: 0, ageMs: 0, primary: null, ...change },
    }).kind;
  const planned = { kind: 'taking-over', order: 'x', asserted: false } as const;
  const gaveUp = (order: string, pid: number | null = null) =>
    primary({ role: 'standby', pid, step: { kind: 'gave-up', order } });

  it('by assertion waits for the leases, and for nothing else', () => {
    assert.equal(judged({ leaseLeftMs: 1 }), 'wait');
    assert.equal(judged(), 'promote');
    assert.equal(judged({ primary: primary() }), 'promote');
    assert.equal(judged({ ageMs: 1e9, leaseLeftMs: 1 }), 'wait');
  });
  it('goes on at once when the primary has given up for this very order, and its server has ended', () => {
    assert.equal(judged({ step: planned, primary: gaveUp('x'), leaseLeftMs: 4_000 }), 'promote');
    assert.equal(judged({ step: planned, primary: gaveUp('y') }), 'abandon');
    assert.equal(judged({ step: planned, primary: gaveUp('x', 7) }), 'abandon');
    assert.equal(judged({ primary: gaveUp('y'), leaseLeftMs: 1 }), 'wait');
  });
  it('in order asks the primary, and is given up when it does not come about', () => {
    assert.equal(judged({ step: planned, primary: primary() }), 'ask-to-give-up');
    assert.equal(judged({ step: planned }), 'wait');
    assert.equal(judged({ step: planned, ageMs: 61_000 }), 'abandon');
    assert.equal(judged({ step: planned, primary: primary(), ageMs: 61_000 }), 'abandon');
  });
  it('needs a server that runs, and everything that was acknowledged', () => {
    assert.equal(judged({ isRunning: false }), 'wait');
    assert.equal(judged({ isIn: false }), 'abandon');
    assert.equal(judged({ primary: primary({ synchronous: false }) }), 'abandon');
  });
});

describe('what is told of a change of the role file', () => {
  const was = record({ role: 'primary' });
  it('promotions, also found at a start; and the twin going and coming', () => {
    const promoting = record({ role: 'primary', term: 2, step: { kind: 'promoting' }, synchronous: false });
    assert.equal(eventOf(record(), promoting), 'promoted');
    assert.equal(eventOf(null, promoting), 'promoted');
    assert.equal(eventOf(promoting, { ...promoting, step: null }), null);
    assert.equal(eventOf(was, { ...was, synchronous: false }), 'left-out');
    assert.equal(eventOf(was, { ...was, synchronous: false, mayReturn: true }), 'may-return');
    assert.equal(eventOf({ ...was, synchronous: false }, was), 'returned');
  });
  it('nothing of a standby, nor twice', () => {
    assert.equal(eventOf(null, was), null);
    assert.equal(eventOf(was, was), null);
    assert.equal(eventOf(was, record()), null);
  });
});
