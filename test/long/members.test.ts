/**
 * Two centers without a supervisor: every member its own process from its own file, a gateway in each center. Reads see
 * writes through either gateway, single members are killed and started again, and the operator takes the standby of the
 * directory out and lets it return.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { StatusReport } from '../../src/admin/api.ts';
import { Deployment, DIRECTORIES, GATEWAYS, NODES } from '../harness/deployment.ts';

let deployment: Deployment;
const clients = new Map<string, S3Client>();
const client = (gateway: string): S3Client => clients.get(gateway)!;

before(async () => {
  deployment = await Deployment.make({
    commitDeadlineMs: 2_000,
    monitor: { failAfterMs: 2_500, backAfterMs: 1_000 },
  });
  for (const gateway of GATEWAYS)
    clients.set(
      gateway,
      new S3Client({
        endpoint: deployment.endpoint(gateway),
        region: 'us-east-1',
        credentials: deployment.credentials,
        forcePathStyle: true,
        maxAttempts: 1,
      }),
    );
});
after(() => deployment?.stop());

const put = (gateway: string, Key: string, Body: string) =>
  client(gateway).send(new PutObjectCommand({ Bucket: 'bucket', Key, Body }));
const get = async (gateway: string, Key: string): Promise<string> => {
  const answer = await client(gateway).send(new GetObjectCommand({ Bucket: 'bucket', Key }));
  return answer.Body!.transformToString();
};
const statusCode = (error: unknown): number | undefined =>
  (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;

/** Written through one, read through the other, both ways. */
async function roundTrip(name: string): Promise<void> {
  for (const [from, to] of [GATEWAYS, GATEWAYS.toReversed()] as const) {
    for (let n = 0; n < 4; n++) {
      const key = `${name}/${from}/${n}`;
      await put(from!, key, key);
      assert.equal(await get(to!, key), key);
      await put(from!, key, `${key} again`);
      assert.equal(await get(to!, key), `${key} again`);
    }
  }
}

async function status(gateway: string): Promise<StatusReport> {
  const { stdout } = await deployment.command(gateway, 'status', '--json');
  return JSON.parse(stdout) as StatusReport;
}
const memberOf = (report: StatusReport, id: string) => report.members.find((m) => m.id === id)!;
const role = (id: string) =>
  JSON.parse(readFileSync(join(deployment.folder, id, 'role.json'), 'utf8')) as Record<string, unknown>;
const untilWhole = (gateway: string) =>
  deployment.until('every pair is redundant', async () => (await status(gateway)).redundant);

describe('members of a deployment, each from its own file', () => {
  it('the first directory makes no catalog before its twin has said that it has none', async () => {
    deployment.start('directory-a5');
    await deployment.until('it says so', () =>
      deployment.log('directory-a5').includes('it makes no catalog before'),
    );
    assert.equal(existsSync(join(deployment.folder, 'directory-a5', 'pg')), false);
  });

  it('come up in any order, with both gateways migrating at once', async () => {
    deployment.start(...GATEWAYS, ...NODES, 'directory-b5');
    await Promise.all(GATEWAYS.map((gateway) => deployment.ready(gateway)));
    assert.equal(role('directory-a5').role, 'primary');
    assert.equal(role('directory-b5').role, 'standby');
    await client('gateway-a').send(
      new (await import('@aws-sdk/client-s3')).CreateBucketCommand({ Bucket: 'bucket' }),
    );
    await roundTrip('first');
    await untilWhole('gateway-b');
    const report = await status('gateway-a');
    assert.equal(memberOf(report, 'directory-a5').primary, true);
    assert.equal(memberOf(report, 'gateway-a').center, 'a');
    assert.equal(memberOf(report, 'gateway-b').center, 'b');
  });

  it('a node is killed: reads and writes go on through both gateways, and it returns', async () => {
    await put('gateway-a', 'before', 'the kill');
    await deployment.kill('node-a11');
    assert.equal(await get('gateway-a', 'before'), 'the kill');
    assert.equal(await get('gateway-b', 'first/gateway-a/0'), 'first/gateway-a/0 again');
    await roundTrip('without a node');
    await client('gateway-b').send(new DeleteObjectCommand({ Bucket: 'bucket', Key: 'before' }));
    await assert.rejects(get('gateway-a', 'before'), (error) => statusCode(error) === 404);
    deployment.start('node-a11');
    await untilWhole('gateway-a');
  });

  it('a gateway is killed: the other has everything, and takes over nothing that it lacks', async () => {
    await put('gateway-a', 'last words', 'of the gateway');
    await deployment.kill('gateway-a');
    assert.equal(await get('gateway-b', 'last words'), 'of the gateway');
    await deployment.until(
      'the other gateway sees that it is gone',
      async () => memberOf(await status('gateway-b'), 'gateway-a').condition === 'suspect',
    );
    deployment.start('gateway-a');
    await deployment.ready('gateway-a');
    await roundTrip('two again');
  });

  it('the primary directory is killed and started again: it has every acknowledged object', async () => {
    await put('gateway-a', 'acknowledged', 'before the kill');
    await deployment.kill('directory-a5');
    await assert.rejects(put('gateway-b', 'refused', 'x'), (error) => statusCode(error) === 503);
    deployment.start('directory-a5');
    for (const gateway of GATEWAYS)
      await deployment.until(`S3 answers at ${gateway}`, () =>
        put(gateway, 'after', 'the kill').then(
          () => true,
          () => false,
        ),
      );
    assert.equal(await get('gateway-a', 'acknowledged'), 'before the kill');
    assert.equal(role('directory-a5').role, 'primary');
  });

  it('the standby is lost: writes are refused until the operator takes it out, and it returns by leave', async () => {
    await deployment.kill('directory-b5');
    await assert.rejects(put('gateway-a', 'waits', 'x'), (error) => statusCode(error) === 503);
    // Its lease is over: nobody could tell whether it has not become the primary behind a cut line.
    await assert.rejects(get('gateway-b', 'acknowledged'), (error) => statusCode(error) === 503);
    const report = await status('gateway-a');
    assert.match(memberOf(report, 'directory-a5').reason ?? '', /gives it no lease/);
    const unasserted = await deployment.command('gateway-a', 'failover', 'enter', 'directory-b5');
    assert.equal(unasserted.code, 1);
    assert.match(unasserted.stderr, /--assert-down/);
    const entered = await deployment.command(
      'gateway-a',
      'failover',
      'enter',
      'directory-b5',
      '--assert-down',
    );
    assert.equal(entered.code, 0, entered.stderr);
    // The other gateway asks the agents about once a second; its requests wait for a primary.
    await deployment.until('writes go on', () =>
      put('gateway-b', 'without the standby', 'goes on').then(
        () => true,
        () => false,
      ),
    );
    await deployment.until(
      'gateway-b has heard of it',
      async () => memberOf(await status('gateway-b'), 'directory-b5').condition === 'failed-over',
    );
    assert.equal(role('directory-a5').synchronous, false);

    deployment.start('directory-b5');
    const left = await deployment.command('gateway-b', 'failover', 'leave', 'directory-b5');
    assert.equal(left.code, 0, left.stderr);
    await untilWhole('gateway-a');
    assert.equal(role('directory-a5').synchronous, true);
    assert.equal(await get('gateway-a', 'without the standby'), 'goes on');
    const streams = await deployment.command(
      'gateway-a',
      'failover',
      'enter',
      'directory-b5',
      '--assert-down',
    );
    assert.equal(streams.code, 1);
    assert.match(streams.stderr, /it streams|streams: it is not down/);
  });

  it('the primary is lost: by the word of the operator its standby takes over, and it returns by leave', async () => {
    await put('gateway-a', 'before the takeover', 'acknowledged');
    const failover = (...args: string[]) => deployment.command('gateway-b', 'failover', ...args);
    const alive = await failover('enter', 'directory-a5', '--assert-down');
    assert.equal(alive.code, 1);
    assert.match(alive.stderr, /the primary answers: it is not down/);
    await deployment.kill('directory-a5');
    const planned = await failover('enter', 'directory-a5');
    assert.equal(planned.code, 1);
    assert.match(planned.stderr, /the primary does not answer/);
    const entered = await failover('enter', 'directory-a5', '--assert-down', '--reason', 'its host is gone');
    assert.equal(entered.code, 0, entered.stderr);
    assert.equal(role('directory-b5').role, 'primary');
    assert.equal(role('directory-b5').term, 2);
    for (const gateway of GATEWAYS) {
      // It asks the agents once a second; after so long without a primary nobody is kept waiting any more.
      await deployment.until(`${gateway} follows`, () =>
        get(gateway, 'before the takeover').then(
          (text) => text === 'acknowledged',
          (error: unknown) => {
            assert.equal(statusCode(error), 503);
            return false;
          },
        ),
      );
      await put(gateway, `${gateway} after the takeover`, 'x');
    }
    await roundTrip('on the twin');

    deployment.start('directory-a5');
    await deployment.until('it waits for leave', () =>
      deployment.log('directory-a5').includes('it stays out until failover leave'),
    );
    const left = await failover('leave', 'directory-a5');
    assert.equal(left.code, 0, left.stderr);
    await untilWhole('gateway-a');
    assert.equal(role('directory-a5').role, 'standby');
    await roundTrip('with both again');
  });

  it('the primary is moved home while clients work: none of them sees more than a wait', async () => {
    let isOver = false;
    const failures: unknown[] = [];
    let written = 0;
    const work = async (gateway: string) => {
      for (; !isOver; written++) {
        const key = `moved/${gateway}/${written}`;
        await put(gateway, key, key)
          .then(async () => assert.equal(await get(gateway, key), key))
          .catch((error: unknown) => failures.push(error));
      }
    };
    const working = GATEWAYS.map(work);
    try {
      const entered = await deployment.command('gateway-a', 'failover', 'enter', 'directory-b5');
      assert.equal(entered.code, 0, entered.stderr);
      assert.equal(role('directory-a5').role, 'primary');
      assert.equal(role('directory-a5').term, 3);
      const left = await deployment.command('gateway-a', 'failover', 'leave', 'directory-b5');
      assert.equal(left.code, 0, left.stderr);
      await untilWhole('gateway-b');
    } finally {
      isOver = true;
    }
    await Promise.all(working);
    assert.ok(written > 10, `${written} written`);
    // A commit that is under way when its server ends is looked for by its id, and repeated by clients at most once.
    for (const error of failures) assert.equal(statusCode(error), 503, String(error));
    assert.ok(failures.length <= 4, `${failures.length} of ${written} failed`);
  });

  it('all are stopped and started again: everything is there', async () => {
    for (const id of [...GATEWAYS, ...NODES, ...DIRECTORIES]) await deployment.kill(id);
    deployment.start(...DIRECTORIES.toReversed(), ...NODES, ...GATEWAYS);
    await Promise.all(GATEWAYS.map((gateway) => deployment.ready(gateway)));
    assert.equal(await get('gateway-b', 'acknowledged'), 'before the kill');
    await roundTrip('at last');
  });
});
