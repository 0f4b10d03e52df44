/** What a gateway makes of the agents' words: who is the primary, and the conditions that status shows. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MemberId, PairId } from '../../../src/base/ids.ts';
import type { AgentStatus } from '../../../src/launcher/agent-protocol.ts';
import { type Heard, judgeAgents, type KnownPrimary } from '../../../src/launcher/judge-agents.ts';

const A = 'directory-a5' as MemberId;
const B = 'directory-b5' as MemberId;
const PAIR = { id: 'directory/5' as PairId, members: [A, B] as const };
const STREAMS = { state: 'streaming', flushed: 1_000, replayed: 1_000, slot: 'reserved', synchronous: true };
const SILENT: Heard = { ok: false, why: 'no answer within 1000 ms' };

const said = (member: MemberId, change: Partial<AgentStatus>): Heard => ({
  ok: true,
  status: {
    member,
    ...{ role: 'none', term: 1, turn: 1, synchronous: true, mayReturn: false, pid: 7, dataState: 'primary' },
    ...{ since: '2026-01-01T00:00:00.000Z', why: 'a reason', decidedBy: 'root', systemId: '1', timeline: 1 },
    ...{ replication: null, problem: null, step: null, trustMs: 1_000 },
    ...change,
  },
});
const primary = (member: MemberId, change: Partial<AgentStatus> = {}) =>
  said(member, { role: 'primary', replication: STREAMS, ...change });
const standby = (member: MemberId, change: Partial<AgentStatus> = {}) =>
  said(member, { role: 'standby', dataState: 'standby', ...change });
const judged = (a: Heard, b: Heard, known: KnownPrimary | null = null) =>
  judgeAgents(
    PAIR,
    new Map([
      [A, a],
      [B, b],
    ]),
    known,
  );
const conditionOf = (view: ReturnType<typeof judged>, id: MemberId) =>
  view.members.find((m) => m.id === id)?.condition;

describe('the primary', () => {
  it('is who says so, also the second of the pair', () => {
    const view = judged(standby(A), primary(B));
    assert.equal(view.directory?.primary, B);
    assert.equal(view.directory?.condition, 'redundant');
  });
  it('is nobody before anybody says so', () => {
    assert.equal(judged(SILENT, standby(B)).directory, null);
  });
  it('stays while its agent is silent: its server may go on', () => {
    const view = judged(SILENT, standby(B), { member: A, term: 1 });
    assert.equal(view.directory?.primary, A);
    assert.notEqual(view.directory?.condition, 'lost');
    assert.equal(conditionOf(view, A), 'suspect');
  });
  it('is lost when its agent says that no Postgres runs', () => {
    assert.equal(judged(primary(A, { pid: null }), standby(B)).directory?.condition, 'lost');
  });
  it('is the one of the higher term', () => {
    assert.equal(judged(primary(A), primary(B, { term: 2 })).directory?.primary, B);
  });
  it('is not one of an earlier term than was known', () => {
    const view = judged(primary(A), SILENT, { member: B, term: 2 });
    assert.equal(view.directory?.primary, B);
  });
  it('is nobody when two say so of one term', () => {
    const view = judged(primary(A), primary(B));
    assert.equal(view.directory, null);
    assert.match(view.members[0]!.reason ?? '', /both members/);
  });
});

describe('the standby', () => {
  it('serves while it streams and commits wait for it', () => {
    assert.equal(conditionOf(judged(primary(A), standby(B)), B), 'serving');
  });
  it('is resyncing until it has noted that it has everything', () => {
    const view = judged(primary(A), standby(B, { synchronous: false }));
    assert.equal(conditionOf(view, B), 'resyncing');
    assert.equal(view.directory?.condition, 'degraded');
  });
  it('is suspect while commits wait for it and it does not stream', () => {
    const view = judged(primary(A, { replication: { ...STREAMS, state: null } }), SILENT);
    assert.equal(conditionOf(view, B), 'suspect');
    assert.match(view.members[1]!.reason ?? '', /commits wait for it/);
    assert.equal(view.directory?.condition, 'degraded');
  });
  it('is in failover once the operator has taken it out, also while it streams', () => {
    const view = judged(primary(A, { synchronous: false }), standby(B));
    assert.equal(conditionOf(view, B), 'failed-over');
    assert.match(view.members[1]!.reason ?? '', /a reason \(root, 2026/);
    assert.equal(view.directory?.synchronous, false);
  });
  it('is resyncing when it may return, and its lag is said', () => {
    const replication = { ...STREAMS, flushed: 9_000_000, synchronous: false };
    const view = judged(primary(A, { synchronous: false, mayReturn: true, replication }), standby(B));
    assert.equal(conditionOf(view, B), 'resyncing');
    assert.match(view.members[1]!.reason ?? '', /8999000 bytes behind/);
  });
});
