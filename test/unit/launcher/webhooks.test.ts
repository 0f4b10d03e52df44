/** The webhooks of a configuration: what is read of their files, and what is refused before anything is sent. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { problemOfAddress } from '../../../src/jobs/notifications/outgoing-addresses.ts';
import { readWebhooks } from '../../../src/launcher/webhooks.ts';
import { settings } from '../../../src/settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'antipode-webhooks-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const CLUSTER = ['10.1.0.0/24', '10.2.0.11', 'gateway.example'];
const hook = (more: object) => ({ name: 'audit', url: 'https://hooks.example.com/x', ...more });
const parse = (...webhooks: object[]) => settings.parse({ webhooks }).webhooks;
const read = (more: object) => readWebhooks(parse(hook(more)), CLUSTER)[0]!;

describe('a webhook of the configuration', () => {
  it('has its secrets from files, and limits by default', () => {
    const made = read({ secretFile: file('plain', ' a key\n'), bearerFile: file('token', 'abc.def\n') });
    assert.deepEqual([made.secret!.toString(), made.bearer], ['a key', 'abc.def']);
    assert.deepEqual([made.timeoutMs, made.concurrency, made.retryForMs], [5_000, 8, 86_400_000]);
    const marked = read({ secretFile: file('marked', `whsec_${Buffer.from('bytes').toString('base64')}`) });
    assert.equal(marked.secret!.toString(), 'bytes');
    assert.equal(read({}).secret, undefined);
  });

  it('may be in no address of the cluster or of this machine, but for those that are allowed', () => {
    const { rules } = read({ allowAddresses: ['10.2.0.0/24'] });
    assert.match(problemOfAddress('10.1.0.5', rules)!, /of the cluster/);
    assert.equal(problemOfAddress('10.2.0.11', rules), null);
    for (const url of [
      'http://127.0.0.1:9/',
      'http://[::1]/',
      'http://169.254.169.254/',
      'http://10.2.0.11/',
    ])
      assert.throws(() => read({ url }), /settings\.webhooks: audit: url: .* name it in allowAddresses/, url);
    assert.ok(read({ url: 'http://127.0.0.1:9/', allowAddresses: ['127.0.0.1/32'] }));
  });

  it('is refused where something is wrong with it', () => {
    assert.throws(
      () => read({ secretFile: join(folder, 'none') }),
      /secretFile: .* cannot be read \(ENOENT\)/,
    );
    assert.throws(() => read({ secretFile: file('empty', '\n') }), /is empty/);
    assert.throws(() => read({ bearerFile: file('words', 'a b') }), /more than one word/);
    for (const url of ['ftp://x/', 'nonsense', 'http://user:word@x/'])
      assert.throws(() => parse(hook({ url })), url);
    assert.throws(() => parse(hook({}), hook({})), /same name/);
    assert.throws(() => parse(hook({ name: 'a b' })), /letters, digits/);
  });
});
