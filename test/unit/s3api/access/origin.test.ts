/** Whose word about a request's client is taken, and what follows from it. */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { describe, it } from 'node:test';
import { isProxyAddress, parsePublicHost } from '../../../../src/base/public-hosts.ts';
import { originOf } from '../../../../src/s3api/access/origin.ts';
import { type ProxySettings, proxyRules } from '../../../../src/s3api/access/proxies.ts';

const PROXY = '10.0.0.1';
function from(remoteAddress: string, headers: Record<string, string>, settings: ProxySettings = {}) {
  const req = { socket: { remoteAddress }, headers } as unknown as IncomingMessage;
  return originOf(req, proxyRules({ trustedProxies: ['10.0.0.0/8', '::1'], ...settings }));
}
const X = {
  host: 'gateway:9000',
  'x-forwarded-for': '203.0.113.9',
  'x-forwarded-proto': 'https',
  'x-forwarded-host': 's3.test',
};
const brief = ({ ip, scheme, host, secure }: ReturnType<typeof from>) =>
  `${ip} ${secure} ${scheme}://${host}`;

describe('forwarded headers', () => {
  it('are honoured of a trusted peer alone', () => {
    assert.equal(brief(from(PROXY, X)), '203.0.113.9 true https://s3.test');
    assert.equal(brief(from(`::ffff:${PROXY}`, X)), '203.0.113.9 true https://s3.test');
    assert.equal(brief(from('192.0.2.1', X)), '192.0.2.1 false http://gateway:9000');
    assert.deepEqual(from('192.0.2.1', X).hosts, []);
    const req = { socket: { remoteAddress: PROXY }, headers: X } as unknown as IncomingMessage;
    assert.equal(brief(originOf(req)), '10.0.0.1 false http://gateway:9000', 'nobody is trusted unless told');
  });

  it('are honoured of one family', () => {
    const both = { ...X, forwarded: 'for="[2001:db8::7]:4711";proto=http;host="other.test:81"' };
    assert.equal(brief(from(PROXY, both)), '203.0.113.9 true https://s3.test');
    const settings = { proxyHeaders: 'forwarded' } as const;
    assert.equal(brief(from(PROXY, both, settings)), '2001:db8::7 false http://other.test:81');
    assert.equal(brief(from(PROXY, X, settings)), '10.0.0.1 false http://gateway:9000');
  });

  it('name the client as the last address that is no trusted proxy', () => {
    const ip = (chain: string) => from(PROXY, { host: 'h', 'x-forwarded-for': chain }).ip;
    assert.equal(ip('6.6.6.6, 203.0.113.9, 10.1.1.1, 10.2.2.2'), '203.0.113.9');
    assert.equal(ip('10.9.9.9'), '10.9.9.9');
    assert.equal(ip('203.0.113.9:4711'), '203.0.113.9');
    assert.equal(ip('[2001:db8::7]:4711'), '2001:db8::7');
    assert.equal(ip('203.0.113.9, unknown'), PROXY, 'what is no address ends the chain');
    assert.equal(ip(''), PROXY);
    assert.equal(ip('x'.repeat(5000)), PROXY);
    const forwarded = 'for=6.6.6.6, for="203.0.113.9";host=a.test, for=10.1.1.1;host=b.test';
    const said = from(PROXY, { host: 'h', forwarded }, { proxyHeaders: 'forwarded' });
    assert.deepEqual([said.ip, said.host], ['203.0.113.9', 'a.test']);
  });

  it('are taken from the outermost trusted proxy, and not from the client', () => {
    const headers = {
      ...X,
      'x-forwarded-for': '203.0.113.9, 10.1.1.1',
      'x-forwarded-host': 'evil.test, s3.test, lb',
    };
    assert.equal(from(PROXY, headers).host, 's3.test');
  });

  it('are ignored where they make no sense', () => {
    const headers = { ...X, 'x-forwarded-host': 'a b/<c>', 'x-forwarded-proto': 'gopher' };
    assert.equal(brief(from(PROXY, headers)), '203.0.113.9 false http://gateway:9000');
  });
});

describe('public hosts', () => {
  const settings = { publicHosts: ['https://s3.test:8443', 'cdn.s3.test'] };
  it('give scheme and port where proxies do not', () => {
    assert.equal(
      brief(from('192.0.2.1', { host: 's3.test' }, settings)),
      '192.0.2.1 false https://s3.test:8443',
    );
    assert.equal(from('192.0.2.1', { host: 'b.s3.test' }, settings).host, 'b.s3.test:8443');
    assert.equal(
      from('192.0.2.1', { host: 'b.cdn.s3.test' }, settings).host,
      'b.cdn.s3.test',
      'the longest one fits',
    );
    assert.equal(from('192.0.2.1', { host: 'other' }, settings).host, 'other');
  });

  it('stand for the Host of a proxy that calls the gateway by its own name', () => {
    assert.equal(from(PROXY, { host: 'gateway:9000' }, settings).host, 's3.test:8443');
    assert.ok(from(PROXY, { host: 'gateway:9000' }, settings).hosts.includes('s3.test:8443'));
  });

  it('are the only names that proxies may give, where there are some', () => {
    const headers = { host: 'gateway:9000', 'x-forwarded-host': 'evil.test' };
    const { host, hosts } = from(PROXY, headers, settings);
    assert.equal(host, 's3.test:8443');
    assert.ok(!hosts.some((name) => name.includes('evil')));
  });

  it('are what a signature may cover, with each port, and left out', () => {
    const { hosts } = from(PROXY, { host: 'b.s3.test', 'x-forwarded-port': '444' }, settings);
    assert.deepEqual(new Set(hosts), new Set(['b.s3.test:444', 'b.s3.test:8443', 'b.s3.test:443']));
    assert.ok(from(PROXY, { ...X, 'x-forwarded-port': '444' }).hosts.includes('s3.test:444'));
  });

  it('and proxies are judged when the configuration is read', () => {
    for (const good of ['s3.test', 'https://s3.test', 'S3.Test:443', 'localhost', '[::1]:9000', '10.0.0.1'])
      assert.ok(parsePublicHost(good), good);
    for (const bad of ['', 'ftp://a', 'a b', 'a/b', 'a:99999', '*.a', 'a..b', '-a'])
      assert.equal(parsePublicHost(bad), null, bad);
    for (const good of ['10.0.0.1', '10.0.0.0/8', '::1', 'fd00::/8']) assert.ok(isProxyAddress(good), good);
    for (const bad of ['', 'proxy', '10.0.0.0/33', '::/129', '10.0.0.0/8/1', '10.0.0.0/'])
      assert.ok(!isProxyAddress(bad), bad);
  });
});
