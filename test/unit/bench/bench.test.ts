import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createContent } from '../../../bench/content.ts';
import { objectsFor, readOptions, UsageError } from '../../../bench/options.ts';
import { rowOf, tableLine } from '../../../bench/report.ts';

const keys = ['--access-key', 'a', '--secret-key', 'b'];

describe('content', () => {
  const whole = (size: number, index: number) => Buffer.concat(createContent(size).body(index));

  it('has the size asked for, also below the label', () => {
    for (const size of [0, 1, 15, 16, 17, 100_000]) assert.equal(whole(size, 3).length, size);
  });

  it('is recognised in any cut, and any other byte, key or length is not', () => {
    const content = createContent(5000);
    const bytes = Buffer.concat(content.body(7));
    const check = (index: number, input: Buffer, cut: number) => {
      const checker = content.checker(index);
      for (let at = 0; at < input.length; at += cut) checker.add(input.subarray(at, at + cut));
      return checker.end();
    };
    for (const cut of [1, 7, 16, 17, 4999, 5000]) assert.equal(check(7, bytes, cut), true, `cut ${cut}`);
    assert.equal(check(8, bytes, 100), false);
    assert.equal(check(7, bytes.subarray(0, 4999), 100), false);
    assert.equal(check(7, Buffer.concat([bytes, Buffer.from('x')]), 100), false);
    for (const at of [0, 15, 16, 4999]) {
      const bent = Buffer.from(bytes);
      bent[at]! ^= 1;
      assert.equal(check(7, bent, 333), false, `byte ${at}`);
    }
  });
});

describe('options', () => {
  it('read sizes, lists and weights', () => {
    const o = readOptions(
      [...keys, '--sizes', '4KiB,1m,7', '--concurrency', '1,64', '--weights', 'get=1'],
      {},
    );
    assert.deepEqual(o.sizes, [4096, 2 ** 20, 7]);
    assert.deepEqual(o.concurrencies, [1, 64]);
    assert.deepEqual(o.weights, { put: 0, get: 1, head: 0, list: 0, delete: 0 });
  });

  it('refuse what would not end or means nothing', () => {
    for (const wrong of [
      ['--duration', '999999'],
      ['--count', '-1'],
      ['--sizes', '6GiB'],
      ['--sizes', 'big'],
      ['--operations', 'put,burn'],
      ['--weights', 'get=0'],
      ['--endpoint', 'nonsense'],
      ['--unknown'],
    ]) {
      assert.throws(() => readOptions([...keys, ...wrong], {}), UsageError, wrong.join(' '));
    }
    assert.throws(() => readOptions([], {}), /--access-key/);
  });

  it('bound the bytes of a set', () => {
    const o = readOptions([...keys, '--objects', '1000'], {});
    assert.equal(objectsFor(o, 4096, 16), 1000);
    assert.equal(objectsFor(o, 64 * 2 ** 20, 4), 16);
    assert.equal(objectsFor(o, 5 * 2 ** 30, 4), 4);
  });
});

describe('rows', () => {
  it('add up what all processes measured', () => {
    const latencies = Array.from({ length: 100 }, (_, i) => i + 1);
    const results = [
      { latencies: latencies.slice(0, 50), bytes: 1e6, elapsedMs: 2000, errors: { '503 SlowDown': 1 } },
      { latencies: latencies.slice(50), bytes: 3e6, elapsedMs: 1000, errors: { '503 SlowDown': 2 } },
    ];
    const row = rowOf({ operation: 'get', sizeBytes: 4096, concurrency: 2 }, results);
    assert.equal(row.opsPerSecond, 50);
    assert.equal(row.megabytesPerSecond, 2);
    assert.deepEqual([row.p50Ms, row.p99Ms, row.maxMs], [50, 99, 100]);
    assert.deepEqual(row.errors, { '503 SlowDown': 3 });
    assert.match(tableLine(row), /^get +4 KiB +2 +100 +50\.0 +2\.0 +50\.0 +99\.0 +100\.0 +3× 503 SlowDown$/);
  });

  it('of phases in which nothing succeeded have no percentiles', () => {
    const row = rowOf({ operation: 'put', sizeBytes: 1, concurrency: 1 }, [
      { latencies: [], bytes: 0, elapsedMs: 10, errors: { ECONNREFUSED: 4 } },
    ]);
    assert.equal(row.p50Ms, null);
    assert.match(tableLine(row), /4× ECONNREFUSED$/);
  });
});
