/** Which folder of a directory pair is started as what, or why none is. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MemberId } from '../../../src/base/ids.ts';
import { type Decision, standingOf } from '../../../src/launcher/decisions.ts';
import { type FoldersSight, judgeFolders } from '../../../src/launcher/start-folders.ts';

const A = 'directory-a5' as MemberId;
const B = 'directory-b5' as MemberId;
const after = (what: Decision['what'] | null, member = B) =>
  standingOf([A, B], what ? { what, member } : undefined);

const judge = (
  what: Decision['what'] | null,
  member: MemberId,
  primary: FoldersSight['primary'],
  twin: FoldersSight['twin'],
) =>
  judgeFolders({
    standing: after(what, member),
    decided: what !== null,
    promoted: what === 'promoted',
    primary,
    twin,
  });

describe('the last decision', () => {
  it('says who is the primary, and whether it waits for its twin', () => {
    assert.deepEqual(after(null), { primary: A, twin: B, twinIn: true, mayReturn: true });
    assert.deepEqual(after('left-out'), { primary: A, twin: B, twinIn: false, mayReturn: true });
    assert.deepEqual(after('promoted'), { primary: B, twin: A, twinIn: false, mayReturn: true });
    assert.deepEqual(after('returned', A), { primary: B, twin: A, twinIn: true, mayReturn: true });
    assert.deepEqual(after('may-return', A), { primary: B, twin: A, twinIn: false, mayReturn: true });
    const held = standingOf([A, B], { what: 'promoted', member: B, mayReturn: false });
    assert.equal(held.mayReturn, false);
  });
  it('is not guessed when it names a stranger', () => {
    assert.throws(() => standingOf([A, B], { what: 'left-out', member: 'node-a11' as MemberId }), /names/);
  });
});

describe('the folders of a pair', () => {
  it('are made when there is none and nothing was ever decided', () => {
    assert.deepEqual(judge(null, B, 'gone', 'gone'), { kind: 'make' });
    assert.equal(judge('returned', B, 'gone', 'gone').kind, 'refuse');
  });
  it('are left alone when the primary has its own; its twin is seeded by its agent', () => {
    for (const twin of ['gone', 'primary', 'standby'] as const)
      assert.deepEqual(judge(null, B, 'primary', twin), { kind: 'none' });
  });
  it('without the primary: its twin takes over if it was in, whoever it is', () => {
    assert.equal(judge(null, B, 'gone', 'standby').kind, 'promote-twin');
    assert.equal(judge('returned', B, 'gone', 'standby').kind, 'promote-twin');
    assert.equal(judge('returned', A, 'gone', 'standby').kind, 'promote-twin');
  });
  it('without the primary, the twin out: refused, nothing is guessed', () => {
    for (const what of ['left-out', 'may-return', 'promoted'] as const) {
      const step = judge(what, B, 'gone', 'standby');
      assert.match(step.kind === 'refuse' ? step.why : step.kind, /was out/);
    }
  });
  it('go on with a promotion that was broken off, and with no other standby', () => {
    assert.equal(judge('promoted', B, 'standby', 'primary').kind, 'none');
    assert.equal(judge(null, B, 'standby', 'primary').kind, 'refuse');
    assert.equal(judge('returned', B, 'standby', 'gone').kind, 'refuse');
    assert.equal(judge('returned', B, 'gone', 'primary').kind, 'refuse');
  });
});
