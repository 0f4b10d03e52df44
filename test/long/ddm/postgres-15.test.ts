/** What the catalog promises, on Debian's Postgres 15: the same test files, with that server's programs. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const BIN = '/usr/lib/postgresql/15/bin';
const ROOT = join(import.meta.dirname, '../../..');
/** Their plans differ between versions; the histories take minutes. */
const LEFT_OUT = ['plans.test.ts', 'histories.test.ts'];
const FILES = globSync('test/integration/ddm/*.test.ts', { cwd: ROOT })
  .filter((file) => !LEFT_OUT.some((name) => file.endsWith(name)))
  .sort();
const missing = existsSync(join(BIN, 'postgres')) ? false : `${BIN} missing: apt-get install postgresql-15`;

describe('the catalog on Postgres 15', { skip: missing }, () => {
  for (const file of FILES)
    it(`passes ${file}`, () => {
      const { NODE_TEST_CONTEXT: _, ...env } = process.env;
      const { status, stdout } = spawnSync(process.execPath, ['--test', file], {
        ...{ cwd: ROOT, encoding: 'utf8', timeout: 300_000, maxBuffer: 64 * 1024 * 1024 },
        env: { ...env, ANTIPODE_TEST_POSTGRES_BIN: BIN },
      });
      assert.equal(status, 0, stdout.slice(-4_000));
    });
});
