/**
 * Random concurrent programs against the catalog on Postgres, through several gateways, one of them on a wire that is cut
 * now and then: whatever they are answered, an order of their calls explains it (test/model/bucket-history.ts).
 * test/long runs many more. Timing is Postgres' own, so a seed is replayed many times over:
 *   HISTORY_SEED=123 node --test test/integration/ddm/histories.test.ts
 */
import assert from 'node:assert/strict';
import { after, describe, it, type TestContext } from 'node:test';
import { auditOf } from '../../harness/audit.ts';
import { stopSharedServer } from '../../harness/postgres.ts';
import { HistoryRefused } from '../../history/check.ts';
import { openGateways, postgresReplay, repeated } from '../../history/postgres.ts';
import type { Kinds } from '../../history/program.ts';
import { type Swept, seedsFrom, sweep } from '../../history/sweep.ts';

const single = process.env.HISTORY_SEED;
const FOR_MS = 8_000;
/** However slow the machine is: the least that comes to every outcome often enough. */
const PROGRAMS_MIN = 60;
const REPLAYS = 300;

after(stopSharedServer);

describe('histories of concurrent clients', () => {
  it('are explained', async (t) => {
    const gateways = await openGateways();
    const seeds = single === undefined ? seedsFrom(1) : repeated(Number(single), REPLAYS);
    const forMs = single === undefined ? FOR_MS : Number.POSITIVE_INFINITY;
    try {
      const swept = await sweep({
        ...gateways,
        seeds,
        forMs,
        programsMin: PROGRAMS_MIN,
        atOnce: 2,
        replay: postgresReplay,
      });
      report(t, swept);
      assert.deepEqual(await auditOf(gateways.rows), {});
    } finally {
      await gateways.close();
    }
  });
});

function report(t: TestContext, swept: Swept): void {
  t.diagnostic(`${swept.programs} programs, ${swept.calls} calls, ${swept.tried} orders tried`);
  t.diagnostic(JSON.stringify(swept.outcomes));
  if (single !== undefined) return;
  for (const what of [
    'put done',
    'put precondition-failed',
    'copy done',
    'complete done',
    'delete-version done',
  ])
    assert.ok((swept.outcomes[what] ?? 0) > 5, `${what} too seldom`);
}

/** One client: the seed decides all, whatever the speed of the machine. */
const ALONE = { clients: 1, stepsPerClient: 30 };
/** A few steps each: where nothing explains the answers, all orders of these are tried. */
const CROWD = { clients: 5, stepsPerClient: 4 };

interface Spoilt {
  readonly function: string;
  readonly says: string;
  /** What it is made to say. */
  readonly instead: string;
  readonly shape: typeof ALONE;
  /** Programs of these steps come to it soon: 20 at most in 60 sweeps, where programs of all steps took up to 300. */
  readonly kinds: Kinds;
}

const SPOILT: Readonly<Record<string, Spoilt>> = {
  'keys are not locked': {
    ...{ function: 'lock_keys', says: 'PERFORM pg_advisory_xact_lock(k.h)', instead: 'PERFORM k.h' },
    ...{ shape: CROWD, kinds: { put: 2, putIf: 1, copy: 1, delete: 1, find: 1 } },
  },
  'conditions are not looked at': {
    ...{ function: 'failed_condition', says: 'WHEN cond IS NULL THEN NULL', instead: 'WHEN true THEN NULL' },
    ...{ shape: ALONE, kinds: { put: 1, putIf: 1, deleteIf: 1 } },
  },
  'nothing follows the latest that goes': {
    ...{ function: 'retire_versions', says: 'p.promote', instead: 'p.promote AND false' },
    ...{ shape: ALONE, kinds: { put: 2, deleteVersion: 3 } },
  },
  'a null version stays beside the new one': {
    ...{ function: 'retire_versions', says: "p.action IN ('insert', 'remove')" },
    ...{ instead: "p.action = 'remove'", shape: ALONE, kinds: { put: 2, versioning: 1, listVersions: 1 } },
  },
  'tags reach the latest alone': {
    ...{ function: 'change_versions', says: 'v.seq = p.seq', instead: 'v.seq = p.seq AND v.is_latest' },
    ...{ shape: ALONE, kinds: { put: 1, tag: 3 } },
  },
  'a completed upload is made again': {
    ...{
      function: 'complete_upload',
      says: "IF v_upload.state = 'completed' THEN",
      instead: 'IF false THEN',
    },
    ...{ shape: ALONE, kinds: { createUpload: 1, putPart: 2, complete: 3 } },
  },
};
/** Far beyond what it takes. */
const PROGRAMS_MAX = 500;

describe('histories of a commit that is wrong', {
  skip: single !== undefined && 'one seed is replayed',
}, () => {
  for (const [what, spoilt] of Object.entries(SPOILT))
    it(`are refused: ${what}`, async (t) => {
      const { function: name, says, instead, shape, kinds } = spoilt;
      const gateways = await openGateways({ spoil: { name, says, instead }, cuts: false });
      let programs = 0;
      const counted = function* () {
        for (programs = 1; programs <= PROGRAMS_MAX; programs++) yield programs;
      };
      try {
        const work = sweep({ ...gateways, shape, kinds, seeds: counted(), replay: postgresReplay });
        await assert.rejects(work, (error: Error) => error instanceof HistoryRefused || isStumble(error));
        t.diagnostic(`found in program ${programs}`);
      } finally {
        await gateways.close();
      }
    });
});

/** Where keys are not locked, a constraint of the schema may be what finds two rows of one key. */
const isStumble = ({ cause }: Error) => /^23/.test((cause as { code?: string } | undefined)?.code ?? '');
