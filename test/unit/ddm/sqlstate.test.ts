/** What an error says about the statement's fate. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fateOf, isUnreplicated } from '../../../src/ddm/sqlstate.ts';

const databaseError = (code: string, severity = 'ERROR') =>
  Object.assign(new Error('from the database'), { code, severity });

describe('the fate of a statement', () => {
  it('is unknown when the connection ended, whatever was said last', () => {
    assert.equal(fateOf(new Error('Connection terminated unexpectedly')), 'unknown');
    assert.equal(fateOf(Object.assign(new Error('reset'), { code: 'ECONNRESET' })), 'unknown');
    assert.equal(fateOf(databaseError('57P01', 'FATAL')), 'unknown');
    assert.equal(fateOf(databaseError('40001', 'PANIC')), 'unknown');
    assert.equal(fateOf('thrown text'), 'unknown');
  });

  it('is known when the statement itself was refused', () => {
    const fates = { '40P01': 'retry', '40001': 'retry', '25006': 'unavailable', '55P03': 'unavailable' };
    for (const [code, fate] of Object.entries(fates)) assert.equal(fateOf(databaseError(code)), fate, code);
    assert.equal(fateOf(databaseError('53100')), 'unavailable');
    assert.equal(fateOf(databaseError('23505')), 'duplicate');
    assert.equal(fateOf(databaseError('22P02')), 'failed');
  });

  it('takes the warnings of an interrupted wait for what they are', () => {
    assert.ok(isUnreplicated({ severity: 'WARNING', code: '01000' }));
    assert.ok(isUnreplicated({ severity: 'WARNING', code: '57P01' }));
    assert.ok(!isUnreplicated({ severity: 'NOTICE', code: '00000' }));
    assert.ok(!isUnreplicated({ severity: 'WARNING', code: '25P01' }));
  });
});
