/** Who may come to a directory's Postgres, and from where. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { writePostgresConfig } from '../../../src/launcher/postgres-config.ts';
import { settings } from '../../../src/settings.ts';

test("people's subnets let in members of the reading and writing roles alone, and that after all others", () => {
  const folder = mkdtempSync(join(tmpdir(), 'antipode-hba-'));
  try {
    const given = { host: '10.1.0.5', port: 7432, clients: ['10.1.0.0/24'], logDir: '/log' };
    const rules = (o: object) => {
      writePostgresConfig(folder, { ...given, ...o });
      const lines = readFileSync(join(folder, 'pg_hba.conf'), 'utf8').split('\n');
      return lines.filter((line) => line.startsWith('host'));
    };
    const usual = rules({});
    assert.ok(usual.every((line) => line.endsWith(' scram-sha-256')));
    const added = rules({ sqlClients: ['10.9.0.0/16'] });
    assert.deepEqual(added.slice(0, usual.length), usual);
    assert.deepEqual(added.slice(usual.length), [
      'host all antipode_owner,antipode_app,postgres 10.9.0.0/16 reject',
      'host antipode +antipode_reader,+antipode_writer 10.9.0.0/16 scram-sha-256',
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('what is no subnet is refused', () => {
  assert.equal(settings.safeParse({ sqlClients: ['10.9.0.0/16', 'fd00::/8'] }).success, true);
  for (const text of ['10.9.0.0', 'all', '10.9.0.0/16 trust', '']) {
    assert.equal(settings.safeParse({ sqlClients: [text] }).success, false, text);
  }
});
