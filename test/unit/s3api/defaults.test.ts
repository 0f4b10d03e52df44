/** Settings that only have their default: what names it is taken, what would change something is 501, what is not XML is neither. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type S3Front, startS3Front } from '../../model/s3-front.ts';

let front: S3Front;
before(async () => {
  front = await startS3Front();
  await front.request('PUT', '/mine');
});
after(() => front.close());

async function ask(method: string, path: string, body?: string, account = 'alice'): Promise<string> {
  const { status, text } = await front.request(method, path, {
    account,
    ...(body !== undefined && { body }),
  });
  const code = /<Code>([^<]*)/.exec(text)?.[1];
  return code === undefined ? String(status) : `${status} ${code}`;
}
const one = (root: string, leaf: string, word: string) => `<${root}><${leaf}>${word}</${leaf}></${root}>`;

describe('settings that only have their default', () => {
  it('take it, and nothing else', async () => {
    for (const [subresource, root, leaf, byDefault, other] of [
      ['requestPayment', 'RequestPaymentConfiguration', 'Payer', 'BucketOwner', 'Requester'],
      ['accelerate', 'AccelerateConfiguration', 'Status', 'Suspended', 'Enabled'],
      ['abac', 'AbacStatus', 'Status', 'Disabled', 'Enabled'],
    ] as const) {
      const path = `/mine?${subresource}`;
      assert.equal(await ask('PUT', path, one(root, leaf, byDefault)), '200', path);
      assert.equal(await ask('PUT', path, one(root, leaf, other)), '501 NotImplemented', path);
      assert.equal(await ask('PUT', path, one(root, leaf, 'Odd')), '400 MalformedXML', path);
      assert.equal(await ask('PUT', path, one('Odd', leaf, byDefault)), '400 MalformedXML', path);
      assert.equal(await ask('PUT', path, one(root, leaf, byDefault), 'bob'), '403 AccessDenied', path);
    }
    const logging = (inner: string) =>
      `<BucketLoggingStatus xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inner}</BucketLoggingStatus>`;
    assert.equal(await ask('PUT', '/mine?logging', logging('')), '200');
    const enabled = '<LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix/></LoggingEnabled>';
    assert.equal(await ask('PUT', '/mine?logging', logging(enabled)), '501 NotImplemented');
  });

  it('are shown as AWS shows them', async () => {
    await front.request('PUT', '/other');
    const get = async (path: string) => (await front.request('GET', path)).text;
    assert.match(await get('/other?accelerate'), /<AccelerateConfiguration [^>]*\/>/);
    await ask('PUT', '/other?accelerate', one('AccelerateConfiguration', 'Status', 'Suspended'));
    assert.match(await get('/other?accelerate'), /<Status>Suspended<\/Status>/);
    assert.match(await get('/other?abac'), /<AbacStatus [^>]*><Status>Disabled<\/Status>/);
  });

  it('cannot be deleted where nothing is', async () => {
    for (const subresource of ['analytics', 'intelligent-tiering', 'inventory', 'metrics'])
      assert.equal(await ask('DELETE', `/mine?${subresource}&id=x`), '404 NoSuchConfiguration', subresource);
    assert.equal(await ask('DELETE', '/mine?replication'), '204');
    assert.equal(await ask('DELETE', '/mine?replication', undefined, 'bob'), '403 AccessDenied');
  });
});
