/** Notifications as users and operators set them up: `aws s3api`, a webhook of the test's own, `antipode notifications`. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CreateBucketCommand, DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { answerOk, answerWith, type Receiver, startReceiver } from '../../harness/webhook-receiver.ts';
import type { FeatureStore } from '../feature-store.ts';

const ARN = 'arn:antipode:sqs::feature:webhook';
interface Letter {
  readonly event: string;
  readonly key: string;
  readonly error: string;
}

/** @param port of the webhook `feature` in the store's configuration */
export function notifications(store: () => FeatureStore, port: number): void {
  describe('notifications', () => {
    let receiver: Receiver;
    before(async () => {
      receiver = await startReceiver(port);
    });
    after(() => receiver.close());
    const until = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
      for (let tries = 0; tries < 600; tries += 1) {
        if (await holds()) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assert.fail(`${what}: never`);
    };

    it('reach a webhook, and what it refuses is kept until it is sent again', async () => {
      const { api, aws, antipode, bucketName, s3 } = store();
      const sdk = s3();
      const bucket = bucketName();
      await sdk.send(new CreateBucketCommand({ Bucket: bucket }));
      const put = [
        'put-bucket-notification-configuration',
        '--bucket',
        bucket,
        '--notification-configuration',
      ];
      const rules = (QueueArn: string) =>
        JSON.stringify({
          QueueConfigurations: [
            {
              ...{ Id: 'in', QueueArn, Events: ['s3:ObjectCreated:*', 's3:ObjectRemoved:*'] },
              Filter: { Key: { FilterRules: [{ Name: 'prefix', Value: 'in/' }] } },
            },
          ],
        });
      const { stderr } = await aws(['s3api', ...put, rules('arn:antipode:sqs::nobody:webhook')], {
        code: null,
      });
      assert.match(stderr, /InvalidArgument.*Unable to validate the following destination configurations/);
      await api([...put, rules(ARN)]);
      const kept = await api(['get-bucket-notification-configuration', '--bucket', bucket]);
      assert.deepEqual(
        (kept.QueueConfigurations as { QueueArn: string }[]).map(({ QueueArn }) => QueueArn),
        [ARN],
      );
      await until('the test event', () => receiver.taken.some(({ body }) => body.includes('s3:TestEvent')));

      receiver.answer = (request, response) =>
        (request.body.includes('bad') ? answerWith(400) : answerOk)(request, response);
      for (const Key of ['in/good one', 'in/bad', 'out/other'])
        await sdk.send(new PutObjectCommand({ Bucket: bucket, Key, Body: 'x' }));
      await sdk.send(new DeleteObjectCommand({ Bucket: bucket, Key: 'in/good one' }));
      const told = () =>
        receiver.taken
          .map(
            ({ body }) =>
              (JSON.parse(body) as { Records?: { eventName: string; s3: { object: { key: string } } }[] })
                .Records?.[0],
          )
          .filter((record) => record !== undefined)
          .map(({ eventName, s3 }) => `${eventName} ${s3.object.key}`);
      await until('both events', () => told().length >= 2);
      assert.deepEqual(told(), ['ObjectCreated:Put in/good+one', 'ObjectRemoved:Delete in/good+one']);

      const letters = async () =>
        (await antipode('notifications', 'list', '--bucket', bucket)) as readonly Letter[];
      await until('the dead letter', async () => (await letters()).length === 1);
      const [letter] = await letters();
      assert.deepEqual([letter!.key, letter!.error], ['in/bad', 'the receiver answered 400']);
      receiver.answer = answerOk;
      assert.deepEqual(await antipode('notifications', 'redeliver', '--event', letter!.event), { taken: 1 });
      await until('it is sent again', () => told().includes('ObjectCreated:Put in/bad'));
      assert.deepEqual(await letters(), []);
    });
  });
}
