/** How a conformance run is read and judged. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { compare, countsTable, groupOf, readExpected, readResults } from '../../conformance/results.ts';

const line = (id: string, when: string, outcome: string, error = '') =>
  JSON.stringify({ id, marks: [], when, outcome, seconds: 1, error });
const results = readResults(
  [
    line('test_s3::test_bucket_list_empty', 'call', 'passed'),
    line('test_s3::test_bucket_list_empty', 'teardown', 'passed'),
    line('test_s3::test_cors_origin', 'setup', 'failed', 'no bucket'),
    line('test_s3::test_cors_header', 'call', 'passed'),
    line('test_s3::test_cors_header', 'teardown', 'failed', 'left a bucket'),
    line('test_s3::test_bucket_acl_default', 'setup', 'skipped'),
    '',
  ].join('\n'),
);

describe('a conformance run', () => {
  it('takes the worst step of a test for its outcome', () => {
    assert.deepEqual(
      [...results.values()].map((r) => [r.outcome, r.error]),
      [
        ['passed', ''],
        ['failed', 'no bucket'],
        ['failed', 'left a bucket'],
        ['skipped', ''],
      ],
    );
  });

  it('fails on what is not as the list says, in both directions', () => {
    const expected = readExpected(
      '# why\ntest_s3::test_bucket_list_empty  lists nothing\ntest_s3::test_cors_origin  none\ntest_s3::gone  x\n',
      'list',
    );
    const { surpriseFailures, surprisePasses, unknown } = compare(results, expected, true);
    assert.deepEqual(
      [surpriseFailures.map((r) => r.id), surprisePasses.map((r) => r.id), unknown],
      [['test_s3::test_cors_header'], ['test_s3::test_bucket_list_empty'], ['test_s3::gone']],
    );
    assert.deepEqual(compare(results, expected, false).unknown, []);
  });

  it('counts by group, without what was skipped', () => {
    assert.equal(
      countsTable(results),
      '4 tests: **1 passed**, 2 failed, 1 skipped.\n\n| group | passed | of |\n|---|---|---|\n| list_objects | 1 | 1 |\n| cors | 0 | 2 |\n',
    );
    assert.equal(groupOf({ id: 'test_s3::test_x', marks: ['checksum'] }), 'checksum');
    assert.equal(groupOf({ id: 'test_s3::test_x', marks: [] }), 'objects');
  });

  it('wants a reason for every failure that it expects', () => {
    assert.throws(() => readExpected('test_s3::a', 'list'), /list:1: needs a test and/);
    assert.throws(() => readExpected('test_s3::a x\ntest_s3::a y', 'list'), /list:2: .* stands twice/);
    const file = new URL('../../conformance/expected-failures.txt', import.meta.url);
    assert.ok(readExpected(readFileSync(file, 'utf8'), 'expected-failures.txt'));
  });
});
