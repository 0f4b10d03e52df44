/** One attempt at a webhook, against a real receiver: headers, what counts as taken, deadlines, addresses. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { systemClock } from '../../../../src/base/clock.ts';
import { networkOf } from '../../../../src/jobs/notifications/outgoing-addresses.ts';
import {
  checkedLookup,
  createWebhookClient,
  type WebhookClient,
  type WebhookTarget,
} from '../../../../src/jobs/notifications/webhook.ts';
import {
  answerOk,
  answerWith,
  cutAnswer,
  type Receiver,
  startReceiver,
} from '../../../harness/webhook-receiver.ts';

let receiver: Receiver;
before(async () => {
  receiver = await startReceiver();
});
beforeEach(() => {
  receiver.answer = answerOk;
});
after(() => receiver.close());

const clients: WebhookClient[] = [];
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});
const LOOPBACK = [networkOf('127.0.0.0/8')];
function client(
  more: Partial<WebhookTarget> = {},
  allowed = LOOPBACK,
  lookup?: LookupFunction,
): WebhookClient {
  const target = {
    name: 'audit',
    url: receiver.url,
    timeoutMs: 5_000,
    concurrency: 2,
    retryForMs: 1000,
    ...more,
  };
  const rules = { cluster: [], allowed };
  const made = createWebhookClient({ target, rules, clock: systemClock, ...(lookup && { lookup }) });
  clients.push(made);
  return made;
}
const message = { event: '6f1f6e0c-0f9f-4f0e-9a56-2c3f8a9d1e11', body: '{"Records":["ü"]}' };
const send = (c: WebhookClient) => c.send(message, new AbortController().signal);
const errorOf = async (c: WebhookClient) => {
  const attempt = await send(c);
  assert.equal(attempt.outcome, 'failed');
  return attempt.outcome === 'failed' ? attempt : assert.fail();
};

describe('an attempt at a webhook', () => {
  it('is signed as Standard Webhooks says, and names its event', async () => {
    const secret = Buffer.from('a secret');
    assert.deepEqual(await send(client({ secret, bearer: 'token' })), { outcome: 'delivered' });
    const { headers, body } = receiver.received.at(-1)!;
    assert.equal(body, message.body);
    assert.equal(headers['webhook-id'], message.event);
    assert.equal(headers.authorization, 'Bearer token');
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
    const expected = createHmac('sha256', secret).update(signed).digest('base64');
    assert.equal(headers['webhook-signature'], `v1,${expected}`);
    await send(client());
    assert.equal(receiver.received.at(-1)!.headers['webhook-signature'], undefined);
  });

  it('counts as taken for a whole 2xx alone', async () => {
    receiver.answer = answerWith(204);
    assert.equal((await send(client())).outcome, 'delivered');
    receiver.answer = cutAnswer;
    assert.equal((await errorOf(client())).refused, false);
    for (const [status, refused] of [
      [500, false],
      [503, false],
      [404, false],
      [429, false],
      [400, true],
      [410, true],
    ] as const) {
      receiver.answer = answerWith(status);
      const attempt = await errorOf(client());
      assert.deepEqual([attempt.error, attempt.refused], [`the receiver answered ${status}`, refused]);
    }
    receiver.answer = answerWith(503, { 'retry-after': '7' });
    assert.equal((await errorOf(client())).retryAfterMs, 7_000);
  });

  it('does not follow where it is sent', async () => {
    const before = receiver.received.length;
    receiver.answer = answerWith(307, { location: receiver.url });
    assert.match((await errorOf(client())).error, /answered 307/);
    assert.equal(receiver.received.length, before + 1);
  });

  it('has a deadline over all of it, and reads no endless answer', async () => {
    receiver.answer = (_request, response) => {
      response.writeHead(200);
      response.write('still');
      return false;
    };
    assert.match((await errorOf(client({ timeoutMs: 100 }))).error, /no whole answer within 100 ms/);
    receiver.answer = () => false;
    assert.match((await errorOf(client({ timeoutMs: 100 }))).error, /no whole answer within 100 ms/);
    receiver.answer = (_request, response) => {
      const more = () => response.write(Buffer.alloc(16_384)) && setImmediate(more);
      response.on('drain', more).writeHead(200);
      more();
      return true;
    };
    assert.equal((await send(client())).outcome, 'delivered');
  });

  it('fails where nobody listens', async () => {
    assert.match((await errorOf(client({ url: 'http://127.0.0.1:1/' }))).error, /ECONNREFUSED|bad port/);
  });

  it('goes to no address that is not allowed, by number or by name', async () => {
    const before = receiver.received.length;
    assert.match((await errorOf(client({}, []))).error, /127.0.0.1 is a loopback address/);
    const byName = client({ url: `http://localhost:${receiver.port}/` }, []);
    assert.match((await errorOf(byName)).error, /a loopback address: the operator has not allowed it/);
    assert.equal(receiver.received.length, before);
    assert.equal((await send(client({ url: `http://localhost:${receiver.port}/` }))).outcome, 'delivered');
  });

  it('judges what a name leads to each time it is resolved', async () => {
    let answers: LookupAddress[] = [{ address: '127.0.0.1', family: 4 }];
    const lookup = ((_name: string, _options: object, callback: (e: null, a: LookupAddress[]) => void) =>
      callback(null, answers)) as unknown as LookupFunction;
    const rebound = client({ url: `http://hooks.example:${receiver.port}/` }, LOOPBACK, lookup);
    assert.equal((await send(rebound)).outcome, 'delivered');
    const ask = (): Promise<unknown> =>
      new Promise((resolve) =>
        checkedLookup(lookup, { cluster: [], allowed: [] })('n', { all: true }, (error, found) =>
          resolve(error ? error.message : found),
        ),
      );
    answers = [
      { address: '169.254.169.254', family: 4 },
      { address: '192.0.9.1', family: 4 },
    ];
    assert.deepEqual(await ask(), [{ address: '192.0.9.1', family: 4 }]);
    answers = [{ address: '169.254.169.254', family: 4 }];
    assert.match(String(await ask()), /link-local/);
  });
});
