/** PutBucketNotificationConfiguration and its Get, on the model catalog: what is kept, and what is refused as AWS refuses it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { NOTIFICATION, rulesFor, typesOverlap } from '../../../src/ddm/notification-config.ts';
import { ModelCatalog } from '../../model/model-catalog.ts';
import { ModelDosm } from '../../model/model-dosm.ts';
import { ACCOUNTS, type S3Front, startS3Front } from '../../model/s3-front.ts';

let front: S3Front;
const catalog = new ModelCatalog();
before(async () => {
  for (const account of ACCOUNTS) await catalog.createAccount(account);
  front = await startS3Front({
    services: {
      ...{ catalog, dosm: new ModelDosm(), clock: systemClock, region: 'eu-west-1' },
      webhooks: new Set(['audit', 'thumbs']),
    },
  });
  await front.request('PUT', '/mine', {
    body: '<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>',
  });
});
after(() => front.close());

const ARN = 'arn:antipode:sqs::audit:webhook';
const queue = (events: string[], more = '', arn = ARN) =>
  `<QueueConfiguration><Queue>${arn}</Queue>${events.map((e) => `<Event>${e}</Event>`).join('')}${more}</QueueConfiguration>`;
const filter = (...rules: [string, string][]) =>
  `<Filter><S3Key>${rules.map(([n, v]) => `<FilterRule><Name>${n}</Name><Value>${v}</Value></FilterRule>`).join('')}</S3Key></Filter>`;

async function put(inner: string, headers: Record<string, string> = {}): Promise<string> {
  const body = `<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inner}</NotificationConfiguration>`;
  const { status, text } = await front.request('PUT', '/mine?notification', { body, headers });
  return status === 200
    ? '200'
    : `${status} ${/<Code>(.*?)</.exec(text)?.[1]} ${/<Message>(.*?)<\/M/s.exec(text)?.[1]}`;
}
const stored = async () =>
  (await catalog.findBucket('mine'))!.settings[NOTIFICATION] as Record<string, unknown>;

describe('PutBucketNotificationConfiguration', () => {
  it('keeps rules of every kind, and gives them back', async () => {
    const rules =
      queue(['s3:ObjectCreated:*'], `<Id>a</Id>${filter(['prefix', 'in/'], ['Suffix', '.jpg'])}`) +
      `<TopicConfiguration><Topic>arn:minio:sqs:eu-west-1:thumbs:webhook</Topic><Event>s3:ObjectRemoved:Delete</Event></TopicConfiguration>` +
      `<CloudFunctionConfiguration><CloudFunction>arn:antipode:lambda::thumbs:webhook</CloudFunction><Event>s3:ObjectTagging:*</Event></CloudFunctionConfiguration>`;
    assert.equal(await put(rules), '200');
    const { text } = await front.request('GET', '/mine?notification');
    assert.match(
      text,
      /<QueueConfiguration><Id>a<\/Id><Queue>arn:antipode:sqs::audit:webhook<\/Queue><Event>s3:ObjectCreated:\*<\/Event><Filter><S3Key><FilterRule><Name>prefix<\/Name><Value>in\/<\/Value><\/FilterRule><FilterRule><Name>suffix<\/Name><Value>.jpg<\/Value>/,
    );
    assert.match(
      text,
      /<TopicConfiguration><Id>[0-9a-f-]{36}<\/Id><Topic>arn:minio:sqs:eu-west-1:thumbs:webhook/,
    );
    assert.match(text, /<CloudFunction>arn:antipode:lambda::thumbs:webhook<\/CloudFunction>/);
    assert.deepEqual(
      ((await stored()).rules as { target: string }[]).map(({ target }) => target),
      ['audit', 'thumbs', 'thumbs'],
    );
    assert.equal((await stored()).skipsTest, false);
  });

  it('says whether a test event is wanted, and an empty one removes it', async () => {
    assert.equal(
      await put(queue(['s3:ObjectCreated:Put']), { 'x-amz-skip-destination-validation': 'true' }),
      '200',
    );
    assert.equal((await stored()).skipsTest, true);
    assert.equal(await put(''), '200');
    assert.equal(await stored(), undefined);
    const { text } = await front.request('GET', '/mine?notification');
    assert.match(text, /<NotificationConfiguration xmlns="[^"]*"\/>/);
  });

  it('refuses destinations that the operator has not declared', async () => {
    const unable = '400 InvalidArgument Unable to validate the following destination configurations';
    for (const arn of [
      'arn:antipode:sqs::other:webhook',
      'arn:minio:sqs:us-west-2:audit:webhook',
      'arn:aws:sqs:eu-west-1:123456789012:queue',
      'arn:antipode:sns::audit:webhook',
    ])
      assert.equal(await put(queue(['s3:ObjectCreated:*'], '', arn)), unable, arn);
    assert.match(
      await put(queue(['s3:ObjectCreated:*'], '', 'audit')),
      /InvalidArgument The ARN is not well formed/,
    );
  });

  it('refuses what AWS refuses', async () => {
    const invalid = async (inner: string, message: RegExp) => assert.match(await put(inner), message);
    await invalid(
      queue(['s3:ObjectCreated:Nonsense']),
      /400 InvalidArgument The event 's3:ObjectCreated:Nonsense' is not supported/,
    );
    await invalid(queue([]), /400 MalformedXML/);
    await invalid(queue(['s3:ObjectCreated:*'], '<Odd/>'), /400 MalformedXML/);
    await invalid(queue(['s3:ObjectCreated:*'], filter(['infix', 'a'])), /must be either prefix or suffix/);
    await invalid(
      queue(['s3:ObjectCreated:*'], filter(['prefix', 'a'], ['prefix', 'b'])),
      /more than one prefix rule/,
    );
    await invalid(
      queue(['s3:ObjectCreated:*'], filter(['prefix', 'a'.repeat(1025)])),
      /cannot exceed 1024 bytes/,
    );
    await invalid(
      '<EventBridgeConfiguration/>',
      /501 NotImplemented Events cannot be sent to Amazon EventBridge/,
    );
    const twice = queue(['s3:ObjectCreated:*'], '<Id>x</Id>') + queue(['s3:ObjectRemoved:*'], '<Id>x</Id>');
    await invalid(twice, /Same ID used for multiple configurations/);
  });

  it('refuses rules that overlap, and no others', async () => {
    const two = (a: string, b: string) => put(a + b);
    assert.match(
      await two(queue(['s3:ObjectCreated:*']), queue(['s3:ObjectCreated:Put'])),
      /Configurations overlap/,
    );
    assert.match(
      await two(
        queue(['s3:ObjectCreated:*'], filter(['prefix', 'a'], ['suffix', 'x.y'])),
        queue(['s3:ObjectCreated:Copy'], filter(['prefix', 'ab'], ['suffix', '.y'])),
      ),
      /ambiguously defined/,
    );
    assert.equal(
      await two(
        queue(['s3:ObjectCreated:*'], filter(['prefix', 'a'], ['suffix', '.x'])),
        queue(['s3:ObjectCreated:*'], filter(['prefix', 'a'], ['suffix', '.y'])),
      ),
      '200',
    );
    assert.equal(await two(queue(['s3:ObjectCreated:Put']), queue(['s3:ObjectCreated:Copy'])), '200');
  });
});

describe('rules', () => {
  it('want events of their types under their filters', () => {
    const rule = {
      kind: 'queue',
      id: 'i',
      arn: ARN,
      target: 'audit',
      prefix: 'in/',
      suffix: '.jpg',
    } as const;
    const configuration = (events: string[]) => ({
      requestId: '',
      skipsTest: false,
      rules: [{ ...rule, events }],
    });
    const wants = (events: string[], name: string, key: string) =>
      rulesFor(configuration(events), name, key).length === 1;
    assert.ok(wants(['s3:ObjectCreated:*'], 'ObjectCreated:Post', 'in/a.jpg'));
    assert.ok(wants(['s3:ObjectRemoved:*', 's3:ObjectCreated:Put'], 'ObjectCreated:Put', 'in/a.jpg'));
    assert.ok(!wants(['s3:ObjectCreated:Put'], 'ObjectCreated:Post', 'in/a.jpg'));
    assert.ok(!wants(['s3:ObjectCreated:*'], 'ObjectCreated:Put', 'out/a.jpg'));
    assert.ok(!wants(['s3:ObjectCreated:*'], 'ObjectCreated:Put', 'in/a.png'));
    assert.ok(
      typesOverlap('s3:ObjectCreated:*', 's3:ObjectCreated:Put') &&
        !typesOverlap('s3:ObjectAcl:Put', 's3:ObjectTagging:*'),
    );
  });
});
