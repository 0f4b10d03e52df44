/** The decider's record survives what a crash can do to a file. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { MemberId, PairId } from '../../../src/base/ids.ts';
import { type Decision, openDecisions } from '../../../src/launcher/decisions.ts';

const pair = 'directory/5' as PairId;
const decision = (what: Decision['what']): Decision => ({
  at: '2026-01-01T00:00:00.000Z',
  pair,
  what,
  member: 'directory-b5' as MemberId,
  why: 'it ended',
  proof: 'no process',
});
const path = () => join(mkdtempSync(join(tmpdir(), 'antipode-decisions-')), 'decisions.jsonl');

describe('decisions', () => {
  it('are found again, the last of each pair', () => {
    const file = path();
    const log = openDecisions(file);
    log.append(decision('left-out'));
    log.append(decision('returned'));
    assert.equal(log.last.get(pair)?.what, 'returned');
    assert.equal(openDecisions(file).last.get(pair)?.what, 'returned');
  });

  it('are not lost after a line that a crash has torn', () => {
    const file = path();
    openDecisions(file).append(decision('left-out'));
    appendFileSync(file, '{"at":"2026-01-01T00:00:01.000Z","pair":"direc');
    const log = openDecisions(file);
    assert.equal(log.last.get(pair)?.what, 'left-out');
    log.append(decision('returned'));
    assert.equal(openDecisions(file).last.get(pair)?.what, 'returned');
    assert.equal(readFileSync(file, 'utf8').trim().split('\n').length, 3);
  });
});
