/** Directories as connection settings in a gateway's file: what is read, and what is refused with file, line and fix. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { readMemberConfig } from '../../src/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'antipode-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const path = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const PASSWORD = path('app.password', 'from the file\n');
const CA = path('ca.pem', '-----BEGIN CERTIFICATE-----\n');
process.env.TEST_EXTERNAL_OWNER = 'from the environment';

const CLUSTER = `member: gateway-1
dataDir: /d
secretsDir: /s
gateway: { listen: { host: x, port: 1 }, admin: { host: x, port: 2 } }
cluster:
  centers: [{ name: a, subnets: [10.0.1.0/24] }, { name: b, subnets: [10.0.2.0/24] }]
  members:
    - { id: directory-a5, kind: directory, address: 10.0.1.5, port: 7432 }
    - { id: directory-b5, kind: directory, address: 10.0.2.5, port: 7432 }
`;
const LOGINS = `    app: { user: antipode_app, passwordFile: ${PASSWORD} }
    owner: { user: antipode_owner, passwordEnv: TEST_EXTERNAL_OWNER }
`;
const GOOD = `directories:
  directory/5:
    decider: patroni
${LOGINS}    tls: { ca: ${CA} }
    members:
      directory-a5: { host: pg-a, patroni: "https://pg-a:8008" }
      directory-b5: { host: 10.0.2.5, port: 5433, serverName: pg-b, patroni: "http://10.0.2.5:8008" }
`;
const read = (directories: string) =>
  readMemberConfig(path('gateway.yaml', CLUSTER + directories), 'gateway');

describe('directories as connection settings', () => {
  it('are read with what stands in other files and in the environment', () => {
    const pair = read(GOOD).external?.get('directory/5');
    assert.equal(pair?.decider, 'patroni');
    assert.deepEqual(pair?.app, { user: 'antipode_app', password: 'from the file' });
    assert.deepEqual(pair?.owner, { user: 'antipode_owner', password: 'from the environment' });
    assert.match(pair?.ca ?? '', /BEGIN CERTIFICATE/);
    assert.deepEqual(pair?.servers.get('directory-b5'), {
      ...{ host: '10.0.2.5', port: 5433, serverName: 'pg-b', patroni: 'http://10.0.2.5:8008' },
    });
    assert.equal(pair?.servers.get('directory-a5')?.port, 5432);
  });
  it('are absent where the file has none: agents of ours are asked', () => {
    assert.equal(read('').external, undefined);
  });
  it('may have a third member under Patroni', () => {
    const third = `${GOOD}      directory-c6: { host: pg-c, patroni: "http://pg-c:8008" }\n`;
    assert.equal(read(third).external?.get('directory/5')?.servers.size, 3);
  });

  const wrong: readonly [string, string, RegExp][] = [
    ['a pair that there is not', GOOD.replace('directory/5', 'directory/6'), /directory\/5 is missing/],
    ['a member of another pair', GOOD.replace('directory-b5', 'directory-b6'), /directory-b5 is missing/],
    ['no REST API', GOOD.replace(', patroni: "https://pg-a:8008"', ''), /:17: .*patroni: is missing; give/],
    ['a REST API with a path', GOOD.replace('pg-a:8008"', 'pg-a:8008/x"'), /:17: .*is no http:\/\/ or https/],
    ['a REST API under another decider', GOOD.replace('patroni', 'external'), /belongs to decider patroni/],
    [
      'two servers as one alone',
      GOOD.replace('patroni\n', 'single\n'),
      /decider single means one server, not 2/,
    ],
    [
      'one server as a pair',
      GOOD.replace(/ {6}directory-b5.*\n/, ''),
      /both members of the pair are needed, not 1/,
    ],
    [
      'no password',
      GOOD.replace(PASSWORD, path('empty', '\n')),
      /:13: .*app\.passwordFile: .*holds no password/,
    ],
    [
      'two passwords',
      GOOD.replace('passwordEnv:', `passwordFile: ${PASSWORD}, passwordEnv:`),
      /:14: .*not both/,
    ],
    [
      'a password file that is not there',
      GOOD.replace(PASSWORD, '/nowhere'),
      /\/nowhere cannot be read \(ENOENT\)/,
    ],
    ['an authority that is none', GOOD.replace(CA, PASSWORD), /:15: .*tls\.ca: .*holds no certificate/],
    ['a setting that there is not', GOOD.replace('tls:', 'ssl:'), /:15: .*there is no such setting/],
  ];
  for (const [what, text, expected] of wrong)
    it(`refuse ${what}`, () => {
      assert.throws(
        () => read(text),
        (error: Error) => {
          assert.match(error.message, expected);
          assert.doesNotMatch(error.message, /from the/);
          return true;
        },
      );
    });
});
