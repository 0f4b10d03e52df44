/** Whose a folder is, which format it has, and that one process alone has it open. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type MemberId, newBlobId } from '../../../../src/base/ids.ts';
import { DataFolder, DataFolderError, FORMAT } from '../../../../src/nodes/blob-store/data-folder.ts';

const A = 'node-a11' as MemberId;
const B = 'node-b11' as MemberId;

describe('a data folder', () => {
  let path = '';
  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), 'antipode-folder-'));
  });
  afterEach(() => rmSync(path, { recursive: true, force: true }));
  const refuses = (message: RegExp, member = A): void => {
    assert.throws(
      () => new DataFolder(path, member),
      (error) => {
        assert.ok(error instanceof DataFolderError, String(error));
        assert.match(error.message, message);
        return true;
      },
    );
  };

  it('is made complete, and found again', () => {
    const folder = new DataFolder(path, A);
    assert.equal(readdirSync(join(path, 'blobs')).length, 256);
    assert.deepEqual(JSON.parse(readFileSync(join(path, 'identity.json'), 'utf8')), {
      member: A,
      format: FORMAT,
      storeId: folder.storeId,
    });
    assert.match(folder.storeId, /^[0-9a-f]{32}$/);
    const id = newBlobId();
    assert.equal(folder.blobFile(id), join(path, 'blobs', id.slice(0, 2), id));
    folder.unlock();
    assert.ok(!existsSync(join(path, 'lock')));
    const again = new DataFolder(path, A);
    assert.equal(again.storeId, folder.storeId);
    again.unlock();
  });

  it('has an id of its own, and gets one where it was made without', () => {
    const first = new DataFolder(path, A);
    first.unlock();
    rmSync(path, { recursive: true });
    const second = new DataFolder(path, A);
    second.unlock();
    assert.notEqual(second.storeId, first.storeId);
    writeFileSync(join(path, 'identity.json'), JSON.stringify({ member: A, format: FORMAT }));
    const third = new DataFolder(path, A);
    third.unlock();
    const fourth = new DataFolder(path, A);
    fourth.unlock();
    assert.equal(fourth.storeId, third.storeId);
  });

  it('is refused to another member, and keeps no lock then', () => {
    new DataFolder(path, A).unlock();
    refuses(/belongs to node-a11 and cannot be opened as node-b11/, B);
    new DataFolder(path, A).unlock();
  });

  it('is refused when its format is newer or unreadable', () => {
    writeFileSync(join(path, 'identity.json'), JSON.stringify({ member: A, format: FORMAT + 1 }));
    refuses(/has format 2; this version reads up to 1/);
    writeFileSync(join(path, 'identity.json'), 'not json');
    refuses(/not readable/);
  });

  it('is open once: within a process, and among processes', async () => {
    const folder = new DataFolder(path, A);
    refuses(/is in use by process/);
    folder.unlock();

    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000); console.log("up")'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(other.stdout!, 'data');
    const stat = readFileSync(`/proc/${other.pid}/stat`, 'latin1');
    const startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    writeFileSync(join(path, 'lock'), `${other.pid} ${startTime}\n`);
    refuses(new RegExp(`in use by process ${other.pid}`));
    other.kill('SIGKILL');
    await once(other, 'exit');
    new DataFolder(path, A).unlock();
  });

  it('is opened over the lock of a dead process, and of a process that has only inherited the pid', () => {
    writeFileSync(join(path, 'lock'), '999999999 12345\n');
    new DataFolder(path, A).unlock();
    writeFileSync(join(path, 'lock'), `${process.ppid} 1\n`);
    new DataFolder(path, A).unlock();
    writeFileSync(join(path, 'lock'), 'nonsense');
    new DataFolder(path, A).unlock();
  });
});
