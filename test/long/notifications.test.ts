/**
 * Notifications of a whole store, whose gateway and directory are killed again and again while clients write and the receiver
 * answers now well, now badly: what was acknowledged is told, per key in order.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateBucketCommand,
  PutBucketNotificationConfigurationCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { clientOf, until } from '../fault/store/store-kit.ts';
import { type Store, startStore } from '../harness/store.ts';
import {
  answerOk,
  answerWith,
  cutAnswer,
  type Received,
  type Receiver,
  startReceiver,
} from '../harness/webhook-receiver.ts';

const BUCKET = 'told';
const KEYS = 8;
const ROUNDS = 4;

describe('notifications of a store whose gateway and directory are killed', () => {
  let store: Store;
  let s3: S3Client;
  let receiver: Receiver;
  before(async () => {
    receiver = await startReceiver();
    const hook = { name: 'audit', url: receiver.url, allowAddresses: ['127.0.0.0/8'], timeoutMs: 2_000 };
    store = await startStore({
      settings: { webhooks: [hook], notifications: { pollMs: 100, backoffMs: 50, backoffMsMax: 500 } },
    });
    s3 = clientOf(store, 20);
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
    const rule = { QueueArn: 'arn:antipode:sqs::audit:webhook', Events: ['s3:ObjectCreated:*' as const] };
    await s3.send(
      new PutBucketNotificationConfigurationCommand({
        Bucket: BUCKET,
        NotificationConfiguration: { QueueConfigurations: [rule] },
      }),
    );
  });
  after(async () => {
    s3?.destroy();
    await store?.kill();
    await receiver?.close();
  });

  it('reach the receiver, every one, in order per key', async (t: TestContext) => {
    let asked = 0;
    receiver.answer = (request, response) => {
      const ways = [answerOk, answerWith(500), answerOk, cutAnswer, answerOk, () => false, answerWith(503)];
      return ways[++asked % ways.length]!(request, response);
    };
    const acknowledged = new Map<string, string[]>();
    let isOver = false;
    const writer = async (key: string) => {
      const etags: string[] = [];
      acknowledged.set(key, etags);
      for (let i = 0; !isOver; i += 1) {
        const put = await s3
          .send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: `${key} ${i}` }))
          .catch(() => null);
        if (put) etags.push(put.ETag!.replaceAll('"', ''));
        await sleep(50);
      }
    };
    const writers = Array.from({ length: KEYS }, (_, i) => writer(`key ${i}`));
    const written = () => [...acknowledged.values()].reduce((sum, etags) => sum + etags.length, 0);
    for (let round = 0; round < ROUNDS; round += 1) {
      const before = written();
      await until(() => written() >= before + 5 * KEYS, 'clients write', 120_000);
      store.signal(round % 2 === 0 ? 'gateway-1' : 'directory-a5', 'SIGKILL');
    }
    await until(() => written() >= ROUNDS * 5 * KEYS + 10, 'clients write again', 120_000);
    isOver = true;
    await Promise.all(writers);
    receiver.answer = answerOk;

    const told = () => {
      const seen = new Map<string, { sequencer: string; etag: string }[]>();
      const ids = new Set<string>();
      for (const { id, body } of receiver.taken as readonly Received[]) {
        const record = (JSON.parse(body) as { Records?: { s3: { object: Record<string, string> } }[] })
          .Records?.[0];
        if (!record || ids.has(id)) continue;
        ids.add(id);
        const { key, sequencer, eTag } = record.s3.object;
        const name = key!.replaceAll('+', ' ');
        seen.set(name, [...(seen.get(name) ?? []), { sequencer: sequencer!, etag: eTag! }]);
      }
      return seen;
    };
    const lacking = () => {
      const seen = told();
      return [...acknowledged].flatMap(([key, etags]) => {
        const have = new Set(seen.get(key)?.map(({ etag }) => etag));
        return etags.filter((etag) => !have.has(etag));
      });
    };
    await until(() => lacking().length === 0, 'everything acknowledged is told', 180_000);
    for (const [key, events] of told()) {
      const order = events.map(({ sequencer }) => sequencer);
      assert.deepEqual(order, order.toSorted(), `${key} is told in order`);
    }
    t.diagnostic(`${written()} puts were acknowledged, ${receiver.received.length} requests came`);
  });
});
