/** What is taken from a Patroni's REST API, and that nothing else is: answers are bounded and judged. */
import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { createPatroniClient } from '../../../src/launcher/patroni-client.ts';

const LEADER = { state: 'running', role: 'master', timeline: 7, dcs_last_seen: 1_700_000_000 };
const STRICT = { ttl: 20, loop_wait: 2, synchronous_mode: true, synchronous_mode_strict: 'on' };

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function fake(answer: RequestListener, deadlineMs = 5_000) {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return createPatroniClient({ url: `http://127.0.0.1:${port}`, ca: null, clock: systemClock, deadlineMs });
}
const saying =
  (leader: unknown, config: unknown = STRICT, status = 200): RequestListener =>
  (req, res) => {
    const isConfig = req.url === '/config';
    res.statusCode = isConfig ? 200 : status;
    res.end(JSON.stringify(isConfig ? config : leader));
  };

describe('a Patroni', () => {
  it('is the leader by its status, with its timeline and the age of its word', async () => {
    const { answer, config } = await (await fake(saying(LEADER))).ask();
    assert.deepEqual(
      [answer.lock, answer.primary, answer.timeline, answer.seenS],
      [true, true, 7, 1_700_000_000],
    );
    assert.ok(Math.abs(answer.dateS - Date.now() / 1_000) < 60);
    assert.ok(answer.askedAt <= systemClock.monotonic());
    assert.deepEqual(config, { ttlS: 20, loopWaitS: 2, synchronous: true, strict: true });
  });
  it('is a standby by 503, and says whether it is the synchronous one', async () => {
    const said = { ...LEADER, role: 'replica', sync_standby: true };
    const { answer } = await (await fake(saying(said, STRICT, 503))).ask();
    assert.deepEqual([answer.lock, answer.primary, answer.syncStandby], [false, false, true]);
  });
  it('has its own defaults where nothing is configured, and is not strict by any other word', async () => {
    const { config } = await (
      await fake(saying(LEADER, { synchronous_mode: 'quorum', synchronous_mode_strict: null }))
    ).ask();
    assert.deepEqual(config, { ttlS: 30, loopWaitS: 10, synchronous: false, strict: false });
  });
  const wrong: readonly [string, RequestListener, RegExp][] = [
    ['no JSON', (_, res) => res.end('<html>'), /is no JSON/],
    ['another shape', saying([1, 2, 3]), /not as Patroni says it/],
    ['a timeline that is none', saying({ ...LEADER, timeline: -1 }), /timeline is not as Patroni/],
    ['a ttl that is none', saying(LEADER, { ...STRICT, ttl: 'long' }), /ttl is not as Patroni/],
    ['another status', saying(LEADER, STRICT, 404), /GET \/leader was answered with 404/],
    ['an answer without an end', (_, res) => void res.write('{'.repeat(300 * 1024)), /too long/],
    [
      'no date',
      (req, res) => {
        res.sendDate = false;
        saying(LEADER)(req, res);
      },
      /has no date/,
    ],
    ['a connection that is cut', (_, res) => res.destroy(), /hang up|ECONNRESET/],
  ];
  for (const [what, answer, expected] of wrong)
    it(`that gives ${what} has said nothing`, async () => {
      await assert.rejects((await fake(answer)).ask(), expected);
    });
  it('that does not answer has said nothing, in time', async () => {
    await assert.rejects((await fake(() => {}, 100)).ask(), /no answer within 100 ms/);
  });
});
