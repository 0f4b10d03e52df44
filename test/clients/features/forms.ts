/** What browsers need: CORS, forms and websites, as clients set them and as browsers use them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import {
  CreateBucketCommand,
  HeadObjectCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { request } from 'undici';
import type { FeatureStore } from '../feature-store.ts';

/** A setting of the store (features.test.ts). */
export const WEBSITE_DOMAIN = 'website.test';

/** boto3's own form, sent by urllib3: what a page's server and a browser do. */
const POST = `
import boto3, json, os, sys, urllib3
bucket, size = sys.stdin.read().split()
s3 = boto3.client("s3", endpoint_url=os.environ["ENDPOINT"])
form = s3.generate_presigned_post(
    bucket, "inbox/\${filename}", Fields={"success_action_status": "201"}, ExpiresIn=600,
    Conditions=[["starts-with", "$key", "inbox/"], {"success_action_status": "201"}, ["content-length-range", 1, int(size)]])
fields = [*form["fields"].items(), ("file", ("cat.txt", b"x" * int(size)))]
big = [*form["fields"].items(), ("file", ("cat.txt", b"x" * (int(size) + 1)))]
http = urllib3.PoolManager()
answers = [http.request("POST", form["url"], fields=each) for each in (fields, big)]
print(json.dumps([[a.status, a.data.decode()] for a in answers]))
`;

export function forms(store: () => FeatureStore): void {
  const newBucket = async (): Promise<string> => {
    const Bucket = store().bucketName();
    await store().s3().send(new CreateBucketCommand({ Bucket }));
    return Bucket;
  };
  describe('CORS, forms and websites', () => {
    it('CORS rules are set with aws, and answer preflights', async () => {
      const Bucket = await newBucket();
      const rule = { AllowedMethods: ['PUT'], AllowedOrigins: ['https://*.test'], AllowedHeaders: ['*'] };
      const rules = JSON.stringify({ CORSRules: [rule] });
      await store().api(['put-bucket-cors', '--bucket', Bucket, '--cors-configuration', rules]);
      assert.deepEqual(await store().api(['get-bucket-cors', '--bucket', Bucket]), { CORSRules: [rule] });
      const headers = { origin: 'https://a.test', 'access-control-request-method': 'PUT' };
      const answer = await request(`${store().endpoint}/${Bucket}/k`, { method: 'OPTIONS', headers });
      await answer.body.dump();
      assert.equal(answer.statusCode, 200);
      assert.equal(answer.headers['access-control-allow-origin'], 'https://a.test');
    });

    it('forms of boto3 upload, as far as their policy lets them', async () => {
      const bucket = await newBucket();
      const size = 5_000_000;
      const { stdout } = await store().python(POST, { input: Buffer.from(`${bucket} ${size}`) });
      const [done, refused] = JSON.parse(stdout) as [number, string][];
      assert.equal(done![0], 201, done![1]);
      assert.match(done![1], /<Key>inbox\/cat\.txt<\/Key>/);
      assert.deepEqual([refused![0], /<Code>(\w+)/.exec(refused![1])?.[1]], [400, 'EntityTooLarge']);
      const head = await store()
        .s3()
        .send(new HeadObjectCommand({ Bucket: bucket, Key: 'inbox/cat.txt' }));
      assert.equal(head.ContentLength, size);
      const md5 = createHash('md5').update(Buffer.alloc(size, 'x')).digest('hex');
      assert.equal(head.ETag, `"${md5}"`);
    });

    it('s3cmd makes a bucket a website, which visitors read', async () => {
      const bucket = await newBucket();
      await store().s3cmd(['ws-create', '--ws-index=index.html', '--ws-error=oops.html', `s3://${bucket}`]);
      const Resource = `arn:aws:s3:::${bucket}/*`;
      const statement = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource };
      const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
      const s3 = store().s3();
      await s3.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
      for (const name of ['docs/index.html', 'oops.html'])
        await s3.send(new PutObjectCommand({ Bucket: bucket, Key: name, Body: name }));
      const visit = async (path: string) => {
        const headers = { host: `${bucket}.${WEBSITE_DOMAIN}` };
        const answer = await request(store().endpoint + path, { headers });
        return [answer.statusCode, await answer.body.text()];
      };
      assert.deepEqual(await visit('/docs/'), [200, 'docs/index.html']);
      assert.deepEqual(await visit('/none'), [403, 'oops.html']);
      assert.equal((await visit('/docs'))[0], 302);
    });
  });
}
