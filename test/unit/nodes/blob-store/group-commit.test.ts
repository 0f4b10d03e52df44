/** Group commit: what waits goes together, and what fails fails alone. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RootDatabase } from 'lmdb';
import { GroupCommit } from '../../../../src/nodes/blob-store/group-commit.ts';

const NEED = { bytes: 1, essential: true };

/** A database that records its batches; a batch that holds 'bad' fails as lmdb-js does. */
function fakeDb(): { db: RootDatabase; batches: string[][]; put(name: string): () => void } {
  const batches: string[][] = [];
  let open: string[] = [];
  const batch = async (callback: () => void): Promise<boolean> => {
    open = [];
    callback();
    const batchNow = open;
    batches.push(batchNow);
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (batchNow.includes('bad')) {
      const commitError = Promise.reject(Object.assign(new Error('no space'), { code: 28 }));
      throw Object.assign(new Error('Commit failed'), { commitError });
    }
    return true;
  };
  return { db: { batch } as unknown as RootDatabase, batches, put: (name) => () => open.push(name) };
}

describe('group commit', () => {
  it('commits together what arrived while another commit was under way', async () => {
    const { db, batches, put } = fakeDb();
    const commits = new GroupCommit(db, async () => {});
    const first = commits.run(put('a'), NEED);
    await new Promise((resolve) => setImmediate(resolve));
    await Promise.all([first, commits.run(put('b'), NEED), commits.run(put('c'), NEED)]);
    assert.deepEqual(batches, [['a'], ['b', 'c']]);
  });

  it('repeats a failed group step by step, so that only the bad step fails, with its cause', async () => {
    const { db, batches, put } = fakeDb();
    const commits = new GroupCommit(db, async () => {});
    const outcomes = await Promise.allSettled([
      commits.run(put('a'), NEED),
      commits.run(put('bad'), NEED),
      commits.run(put('c'), NEED),
    ]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.equal((outcomes[1] as PromiseRejectedResult).reason.code, 28);
    assert.deepEqual(batches, [['a', 'bad', 'c'], ['a'], ['bad'], ['c']]);
  });

  it('is idle when everything has ended', async () => {
    const { db, batches, put } = fakeDb();
    const commits = new GroupCommit(db, async () => {});
    const runs = [commits.run(put('a'), NEED), commits.run(put('bad'), NEED).catch(() => {})];
    await commits.idle();
    await Promise.all(runs);
    assert.equal(batches.length, 3);
    await commits.idle();
  });
});
