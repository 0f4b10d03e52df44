/** `antipode resync`, `scrub` and `repairs` as a script runs them: what they print, when they end, and with which exit code. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createReplicationService } from '../../../src/admin/replication.ts';
import { systemClock } from '../../../src/base/clock.ts';
import type { BlobId, Epoch, MemberId, PairId } from '../../../src/base/ids.ts';
import type { Repair, ResyncState } from '../../../src/ddm/catalog.ts';
import type { NodeClient, ScrubStatus } from '../../../src/nodes/protocol.ts';
import { allServing, type Conditions, type RecordedState, viewOf } from '../../../src/twin/condition.ts';
import { clusterOf } from '../../contract/cluster-kit.ts';
import { QUIET_NODE } from '../../harness/node-status.ts';
import { ROOT, startAdmin } from '../admin/admin-harness.ts';

const CLI = resolve(import.meta.dirname, '../../../src/cli.ts');
const A11 = 'node-a11' as MemberId;
const B11 = 'node-b11' as MemberId;

/** What catalog and nodes say; the tests change it while a command watches. */
const world = {
  repairs: [] as Repair[],
  resyncs: [] as ResyncState[],
  conditions: allServing(clusterOf([11])),
  scrub: { ...QUIET_NODE.scrub } as ScrubStatus,
  orders: [] as unknown[],
  isSilent: false,
  hurried: 0,
};
const client = (member: MemberId): NodeClient =>
  ({
    member,
    status: async () => {
      if (world.isSilent) throw new Error(`${member}: silent`);
      return { ...QUIET_NODE, member, storedBytes: 1_000, scrub: world.scrub };
    },
    scrub: async (order: object) => {
      world.orders.push([member, order]);
      world.scrub = { ...world.scrub, roundStartedAt: Date.now(), bytes: 10 };
      return world.scrub;
    },
  }) as unknown as NodeClient;

function condition(state: RecordedState, mayReturn = true): void {
  const members = new Map(world.conditions.members);
  members.set(A11, { ...members.get(A11)!, state, mayReturn, why: 'a test' });
  world.conditions = { ...world.conditions, members } satisfies Conditions;
}
const resyncing = (change: Partial<ResyncState>): ResyncState => ({
  ...{ member: A11, epoch: 2 as Epoch, phase: 'pull', owner: 'gateway-1' },
  ...{ startedAt: new Date(0), updatedAt: new Date(0), comparedRanges: 256 },
  ...{ toPull: 10, pulledBlobs: 4, pulledBytes: 4_096, removedBlobs: 1, lag: 3 },
  ...change,
});
const repair = (n: number, reason: Repair['reason']): Repair => ({
  blob: {
    ...{ id: String(n).padStart(32, '0') as BlobId, size: 2_048 },
    ...{ root: Buffer.alloc(32), pair: 'node/11' as PairId },
  },
  ...{ member: A11, reason, since: new Date(0), attempts: 2, lastError: 'no replica was found anywhere' },
});

let admin: Awaited<ReturnType<typeof startAdmin>>;
before(async () => {
  admin = await startAdmin({
    replication: createReplicationService({
      catalog: {
        listResyncs: async () => world.resyncs,
        listRepairs: async ({ after, max, member }) =>
          world.repairs
            .filter((r) => (!after || r.blob.id > after.blobId) && (!member || r.member === member))
            .slice(0, max),
      },
      clients: new Map([A11, B11].map((member) => [member, client(member)])),
      conditions: viewOf(() => world.conditions),
      hurry: () => {
        world.hurried += 1;
      },
      clock: systemClock,
    }),
  });
});
after(() => admin.close());

function antipode(...args: string[]) {
  const env = {
    PATH: process.env.PATH ?? '',
    NODE_COMPILE_CACHE: join(tmpdir(), 'antipode-cli-cache'),
    ANTIPODE_ACCESS_KEY: ROOT.accessKeyId,
    ANTIPODE_SECRET_KEY: ROOT.secretAccessKey,
  };
  const child = spawn(process.execPath, [CLI, ...args, '--admin', admin.host], { env, timeout: 60_000 });
  const out = { stdout: '', stderr: '' };
  const said = (text: string) =>
    new Promise<void>((done) => {
      const look = () => out.stdout.includes(text) && done();
      child.stdout.on('data', look);
      look();
    });
  child.stdout.on('data', (chunk) => {
    out.stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    out.stderr += chunk;
  });
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((done) =>
    child.once('close', (code) => done({ code, ...out })),
  );
  return { said, ended };
}

describe('antipode resync', () => {
  it('watches until the member serves', async () => {
    condition('resyncing');
    world.resyncs = [resyncing({})];
    const run = antipode('resync');
    await run.said('40 %  pull: 4 of 10 blobs, 4.0 KiB, 3 to carry home');
    world.resyncs = [resyncing({ phase: 'audit', pulledBlobs: 10, lag: 0 })];
    await run.said('100 %  audit');
    condition('serving');
    const { code, stdout, stderr } = await run.ended;
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /every node serves\n$/);
    assert(world.hurried > 0);
  });

  it('prints a document a line with --json, when something changed', async () => {
    condition('resyncing');
    world.resyncs = [resyncing({})];
    const run = antipode('resync', '--json');
    await run.said('"pulledBlobs":4');
    condition('serving');
    const { code, stdout } = await run.ended;
    assert.equal(code, 0);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.map(({ members }) => members[0].condition),
      ['resyncing', 'serving'],
    );
  });

  it('does not wait for what an operator holds, nor for a node that is silent', async () => {
    world.resyncs = [];
    condition('failed-over', false);
    const held = await antipode('resync').ended;
    assert.equal(held.code, 1);
    assert.match(held.stdout, /node-a11 is failed-over: a test; it waits for failover leave/);
    condition('failed-over');
    world.isSilent = true;
    const silent = await antipode('resync').ended;
    assert.equal(silent.code, 1);
    assert.match(silent.stdout, /it does not answer/);
    world.isSilent = false;
    condition('serving');
  });
});

describe('antipode scrub', () => {
  it('starts a round, watches it, and says what waits for repair', async () => {
    const run = antipode('scrub', '--rate', '1MiB');
    await run.said('1 %');
    assert.deepEqual(world.orders, [
      [A11, { start: true, bytesPerSecondMax: 1_048_576 }],
      [B11, { start: true, bytesPerSecondMax: 1_048_576 }],
    ]);
    world.repairs = [repair(1, 'corrupt'), repair(2, 'handoff')];
    world.scrub = { ...world.scrub, bytes: 1_000, roundStartedAt: null, lastRoundEndedAt: Date.now() };
    const { code, stdout } = await run.ended;
    assert.equal(code, 1);
    assert.match(stdout, /done; 1 damaged or missing replicas wait for repair/);
    world.repairs = [];
  });

  it('shows how far it is, or turns it off, without starting anything', async () => {
    world.orders.length = 0;
    assert.match((await antipode('scrub', '--status').ended).stdout, /last round ended/);
    assert.deepEqual(world.orders, []);
    const { code } = await antipode('scrub', '--rate', '0', '--member', B11).ended;
    assert.equal(code, 0);
    assert.deepEqual(world.orders, [[B11, { bytesPerSecondMax: 0 }]]);
  });

  it('ends with 3 when a node does not answer, and with 1 for a node that there is not', async () => {
    world.isSilent = true;
    world.scrub = { ...world.scrub, roundStartedAt: null };
    assert.equal((await antipode('scrub').ended).code, 3);
    world.isSilent = false;
    const unknown = await antipode('scrub', '--member', 'node-x9').ended;
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /there is no node node-x9/);
  });
});

describe('antipode repairs', () => {
  it('lists them all, page by page, for people and for programs', async () => {
    world.repairs = Array.from({ length: 1_500 }, (_, n) => repair(n, n % 2 ? 'lost' : 'missing'));
    const { code, stdout } = await antipode('repairs', '--json').ended;
    assert.equal(code, 0);
    assert.equal(JSON.parse(stdout).length, 1_500);
    world.repairs = world.repairs.slice(0, 2);
    const text = (await antipode('repairs').ended).stdout;
    assert.match(text, /0{31}1 +2\.0 KiB +node\/11 +node-a11 +lost .* no replica was found anywhere/);
    assert.match((await antipode('repairs', '--member', B11).ended).stdout, /no repairs are queued/);
  });

  it('answers bad questions with 400', async () => {
    const answer = await admin.send('GET', '/repairs', { query: { afterBlob: '0'.repeat(32) } });
    assert.equal(answer.status, 400);
    assert.match(answer.json.message, /belong together/);
  });
});
