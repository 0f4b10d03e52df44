/** The schedules can fail: each bug that is put in on purpose (test/world/bugs.ts) is found by one of a few seeds. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Violation } from '../../world/book.ts';
import { BUGS } from '../../world/bugs.ts';
import { DIRECTORY_BUGS } from '../../world/directory-bugs.ts';
import { runOutage } from '../../world/outage.ts';

const SEEDS_MAX = 20;

describe('bugs put in on purpose', () => {
  assert(BUGS.length >= 10);
  for (const { name, foundAs, options } of [...BUGS, ...DIRECTORY_BUGS])
    it(`finds: ${name}`, async (t) => {
      for (let seed = 1; seed <= SEEDS_MAX; seed += 1) {
        try {
          await runOutage(seed, options);
        } catch (error) {
          assert(error instanceof Violation, `seed ${seed}: ${String(error)}`);
          assert.match(error.message, foundAs, `seed ${seed}`);
          t.diagnostic(`seed ${seed}: ${error.message.split('\n').slice(0, 2).join(' ')}`);
          return;
        }
      }
      assert.fail(`no seed from 1 to ${SEEDS_MAX} finds it`);
    });
});
