/** Configuration: what is accepted, and that what is not says where it stands and what to do. */
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { ConfigError, readMemberConfig, readStartConfig, type StartFlags } from '../../src/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'antipode-config-'));
const file = (text: string) => {
  const path = join(folder, 'file.yaml');
  writeFileSync(path, text);
  return path;
};
const refused = (flags: StartFlags, expected: RegExp) =>
  assert.throws(
    () => readStartConfig(flags),
    (error: unknown) => error instanceof ConfigError && expected.test(error.message),
  );

afterEach(() => {
  delete process.env.ANTIPODE_ACCESS_KEY;
  delete process.env.ANTIPODE_SECRET_KEY;
});

describe('flags of start', () => {
  it('have the defaults that are documented', () => {
    const config = readStartConfig({});
    assert.deepEqual(config.listen, { host: '127.0.0.1', port: 9000 });
    assert.deepEqual(config.admin, { host: '127.0.0.1', port: 9001 });
    assert.deepEqual(config.subnets, ['127.1.0.0/24', '127.2.0.0/24']);
    assert.equal(config.nodesPerCenter, 2);
    assert.equal(config.region, 'us-east-1');
    assert.ok(Object.isFrozen(config) && Object.isFrozen(config.settings.nodeDeadlines));
  });

  it('take IPv6 addresses and port 0', () => {
    assert.deepEqual(readStartConfig({ listen: '[::1]:0' }).listen, { host: '::1', port: 0 });
  });

  const wrong: [string, StartFlags, RegExp][] = [
    ['an address without a port', { listen: 'localhost' }, /--listen: "localhost" is not HOST:PORT/],
    ['a port that there is not', { admin: '127.0.0.1:70000' }, /--admin/],
    ['three centers', { centers: '3' }, /--centers: "3" is not a whole number from 1 to 2/],
    ['half a node', { nodesPerCenter: '1.5' }, /--nodes-per-center/],
    ['seven directories', { directoriesPerCenter: '7' }, /--directories-per-center: /],
    ['one subnet', { subnets: '127.1.0.0/24' }, /--subnets/],
    ['a subnet too small for its members', { subnets: '127.1.0.0/28,127.2.0.0/28' }, /--subnets/],
    [
      'subnets that overlap',
      { subnets: '127.1.0.0/16,127.1.0.0/16' },
      /--subnets: the two subnets overlap; give/,
    ],
    [
      'unequal subnets',
      { subnets: '127.1.0.0/16,127.2.0.0/24' },
      /--subnets: the prefix lengths \/16 and \/24 are unequal/,
    ],
    ['a subnet of no addresses', { subnets: '127.1.0.999/24,127.2.0.0/24' }, /--subnets/],
    ['a certificate without its key', { tlsCert: 'x' }, /--tls-cert and --tls-key belong together/],
    ['a certificate that is not there', { tlsCert: '/no', tlsKey: '/no' }, /--tls-cert: there is no file/],
    ['a region with blanks', { region: 'a b' }, /--region/],
  ];
  for (const [what, flags, expected] of wrong) it(`refuse ${what}`, () => refused(flags, expected));

  it('refuse half of the credentials', () => {
    process.env.ANTIPODE_ACCESS_KEY = 'AKIDEXAMPLE';
    refused({}, /belong together/);
    process.env.ANTIPODE_SECRET_KEY = 'secret-secret';
    assert.deepEqual(readStartConfig({}).credentials, {
      accessKeyId: 'AKIDEXAMPLE',
      secretKey: 'secret-secret',
    });
  });
});

describe('files', () => {
  it('override the settings that they name', () => {
    const config = readStartConfig({ config: file('settings:\n  drainMs: 5\n') });
    assert.equal(config.settings.drainMs, 5);
    assert.equal(config.settings.directoryDeadlineMs, 5_000);
  });
  it('say how searches go', () => {
    const { search } = readStartConfig({});
    assert.deepEqual(search, { transport: 'auto', port: 7_180, groups: {}, ttl: 1, waitMs: 150 });
    const own = 'search:\n  transport: multicast\n  groups: { a: 239.1.2.3, b: ff15::7 }\n  ttl: 3\n';
    const { transport, groups, ttl } = readStartConfig({ config: file(own) }).search;
    assert.deepEqual([transport, groups, ttl], ['multicast', { a: '239.1.2.3', b: 'ff15::7' }, 3]);
    refused({ config: file('search:\n  transport: shout\n') }, /file\.yaml:2: search\.transport/);
    refused(
      { config: file('search:\n  groups:\n    a: 10.0.0.1\n') },
      /file\.yaml:3: search\.groups\.a: .*multicast/,
    );
  });
  it('name the line of an unknown setting', () => {
    refused(
      { config: file('# why\nsettings:\n  drainMs: 5\n  drainMS: 6\n') },
      /file\.yaml:4: settings\.drainMS/,
    );
  });
  it('name the line of a wrong value', () => {
    refused({ config: file('settings:\n  drainMs: soon\n') }, /file\.yaml:2: settings\.drainMs: .*number/);
    const classes = (list: string) => ({ config: file(`settings:\n  storageClasses: ${list}\n`) });
    refused(classes('[STANDARD, GLACIER]'), /file\.yaml:2: settings\.storageClasses.*restored/);
    refused(classes('[COLD, STANDARD]'), /begin with STANDARD/);
  });
  it('name the line that is no YAML', () => {
    refused({ config: file('settings:\n  drainMs: [\n') }, /file\.yaml:\d+: /);
  });
  it('say so when they cannot be read', () => {
    refused({ config: '/no/such/file' }, /\/no\/such\/file: cannot be read \(ENOENT\)/);
  });
  it('of a member must name a member of its kind', () => {
    const path = file(
      'member: node-a11\ndataDir: x\nsecretsDir: y\ncluster:\n  centers: [{name: a, subnets: [127.1.0.0/24]}]\n  members: []\n',
    );
    assert.throws(() => readMemberConfig(path, 'node'), /node-a11 is no node of the cluster/);
  });

  const clusterOf = (change: { a?: string; b?: string; extra?: string } = {}) =>
    [
      'member: node-a11',
      'dataDir: x',
      'secretsDir: y',
      'cluster:',
      '  centers:',
      `    - { name: a, subnets: [${change.a ?? '10.1.0.0/24'}] }`,
      `    - { name: b, subnets: [${change.b ?? '10.2.0.0/24'}] }`,
      '  members:',
      '    - { id: node-a11, kind: node, address: 10.1.0.11, port: 7100 }',
      '    - { id: node-b11, kind: node, address: 10.2.0.11, port: 7100 }',
      ...(change.extra ? [change.extra] : []),
      '',
    ].join('\n');
  const extra = (id: string, address: string) =>
    ({ extra: `    - { id: ${id}, kind: node, address: ${address}, port: 7100 }` }) as const;

  it('of a member are taken when the topology is right', () => {
    assert.equal(readMemberConfig(file(clusterOf()), 'node').cluster.members.length, 2);
  });
  const wrong: [string, string, RegExp][] = [
    [
      'unequal prefixes',
      clusterOf({ b: '10.2.0.0/25' }),
      /file\.yaml:7: .*unequal; give both subnets the same$/,
    ],
    [
      'a missing twin',
      clusterOf(extra('node-a12', '10.1.0.12')),
      /file\.yaml:11: .*no node 10\.2\.0\.12; add it/,
    ],
    [
      'colliding host parts',
      clusterOf(extra('node-a12', '10.1.0.11')),
      /file\.yaml:11: .*collide.*give one of them/,
    ],
    [
      'a member outside its subnet',
      clusterOf(extra('node-a12', '10.3.0.12')),
      /file\.yaml:11: .*outside.*give it an/,
    ],
    [
      'one id twice',
      clusterOf({ a: '10.1.0.0/24' }).replaceAll('node-b11', 'node-a11'),
      /file\.yaml:10: .*rename one/,
    ],
    [
      'a table that is no bijection',
      `${clusterOf()
        .replaceAll('port: 7100', 'port: 7100, center: a')
        .replace(
          '7100, center: a }\n',
          '7100, center: b }\n',
        )}  twins:\n    - { name: x, members: [node-a11, node-a11] }\n`,
      /file\.yaml:12: .*two twins; let it stand in one row$/,
    ],
  ];
  it('of a member may leave it to the flag which one it is', () => {
    const path = file(clusterOf().replace('member: node-a11\n', ''));
    assert.equal(readMemberConfig(path, 'node', 'node-b11').member, 'node-b11');
    assert.equal(readMemberConfig(file(clusterOf()), 'node', 'node-b11').member, 'node-b11');
    assert.throws(
      () => readMemberConfig(path, 'node', 'node-c1'),
      /^ConfigError: --member: node-c1 is no node/,
    );
  });
  it('of a member must say which one it is', () => {
    const path = file(clusterOf().replace('member: node-a11\n', ''));
    assert.throws(() => readMemberConfig(path, 'node'), /member: is missing; say which node it is/);
  });
  it('of a gateway cannot take the id of another kind of member', () => {
    assert.throws(() => readMemberConfig(file(clusterOf()), 'gateway'), /:1: member: node-a11 is no gateway/);
  });
  it('of a gateway name the line of a center that there is not', () => {
    const gateway = 'gateway:\n  listen: { host: x, port: 1 }\n  admin: { host: x, port: 2 }\n  center: c\n';
    const path = file(clusterOf().replace('node-a11', 'gateway-1') + gateway);
    assert.throws(
      () => readMemberConfig(path, 'gateway'),
      /:14: gateway\.center: there is no center c; name/,
    );
  });
  for (const [what, text, expected] of wrong)
    it(`of a member name file, line and fix of ${what}`, () => {
      assert.throws(
        () => readMemberConfig(file(text), 'node'),
        (error: unknown) => {
          assert.ok(error instanceof ConfigError);
          assert.match(error.message, expected);
          return true;
        },
      );
    });
});
