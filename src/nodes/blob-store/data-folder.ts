/**
 * The folder of one node: whose it is, which format it has, and that one process alone has it open.
 *   identity.json   member, format, and a random id that tells this folder from an empty one put in its place
 *   lock            pid and start time of the process that has it open
 *   index/          LMDB        blobs/00 … ff/  large blobs by the first byte of their id        tmp/  unfinished ones
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { BlobId, MemberId } from '../../base/ids.ts';

export const FORMAT = 1;
const FAN_OUT = 256;

/** The folder cannot be used; the message is for the operator. */
export class DataFolderError extends Error {
  override readonly name = 'DataFolderError';
}

/** Folders that this process has open: the pid in a lock file cannot tell two users within one process apart. */
const openHere = new Set<string>();

/** When a process started, in ticks since boot (Linux), or '' where that cannot be told. Guards against reused pids. */
function startTimeOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function writeDurably(folder: string, name: string, text: string): void {
  const temporary = join(folder, `${name}.new`);
  const file = openSync(temporary, 'w', 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, join(folder, name));
  syncFolder(folder);
}

/** Makes the names in a folder durable. */
export function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

export class DataFolder {
  readonly path: string;
  readonly index: string;
  readonly temporary: string;
  /** 32 hex digits, made with the folder. */
  readonly storeId: string;
  readonly #blobs: string;

  /** Claims the folder, creating it when it is new. @throws {DataFolderError} */
  constructor(path: string, member: MemberId) {
    this.path = path;
    this.index = join(path, 'index');
    this.temporary = join(path, 'tmp');
    this.#blobs = join(path, 'blobs');
    mkdirSync(path, { recursive: true, mode: 0o700 });
    this.#lock();
    try {
      this.storeId = this.#identify(member);
      mkdirSync(this.temporary, { recursive: true });
      for (let i = 0; i < FAN_OUT; i += 1) mkdirSync(this.fanOut(i), { recursive: true });
      syncFolder(this.#blobs);
      syncFolder(path);
    } catch (error) {
      this.unlock();
      throw error;
    }
  }

  static readonly fanOutCount = FAN_OUT;

  fanOut(index: number): string {
    return join(this.#blobs, index.toString(16).padStart(2, '0'));
  }

  /** A blob id is 32 hex digits by its type's only parser, so this is always a name within the folder. */
  blobFolder(id: BlobId): string {
    return join(this.#blobs, id.slice(0, 2));
  }

  blobFile(id: BlobId): string {
    return join(this.blobFolder(id), id);
  }

  #lock(): void {
    const file = join(this.path, 'lock');
    const held = readIfThere(file);
    if (held !== null) {
      const [pidText = '', startTime = ''] = held.trim().split(' ');
      const pid = Number(pidText);
      const other = pid !== process.pid && pid > 0 && isAlive(pid) && startTimeOf(pid) === startTime;
      if (other || openHere.has(this.path)) {
        throw new DataFolderError(`${this.path} is in use by process ${pid}`);
      }
      rmSync(file, { force: true });
    }
    let handle: number;
    try {
      handle = openSync(file, 'wx', 0o600);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
        throw new DataFolderError(`${this.path} is being opened by another process`);
      }
      throw error;
    }
    try {
      writeSync(handle, `${process.pid} ${startTimeOf(process.pid)}\n`);
    } finally {
      closeSync(handle);
    }
    openHere.add(this.path);
  }

  unlock(): void {
    openHere.delete(this.path);
    rmSync(join(this.path, 'lock'), { force: true });
  }

  /** The folder's own id. A folder from before there were ids gets one. */
  #identify(member: MemberId): string {
    const text = readIfThere(join(this.path, 'identity.json'));
    if (text === null) return this.#nameIt(member);
    let identity: { member?: unknown; format?: unknown; storeId?: unknown };
    try {
      identity = JSON.parse(text) as typeof identity;
    } catch {
      throw new DataFolderError(`${this.path}/identity.json is not readable; this is no node's folder`);
    }
    if (typeof identity.format !== 'number' || identity.format > FORMAT) {
      throw new DataFolderError(
        `${this.path} has format ${String(identity.format)}; this version reads up to ${FORMAT}: start a newer version`,
      );
    }
    if (identity.member !== member) {
      throw new DataFolderError(
        `${this.path} belongs to ${String(identity.member)} and cannot be opened as ${member}`,
      );
    }
    return typeof identity.storeId === 'string' ? identity.storeId : this.#nameIt(member);
  }

  #nameIt(member: MemberId): string {
    const storeId = randomBytes(16).toString('hex');
    writeDurably(this.path, 'identity.json', `${JSON.stringify({ member, format: FORMAT, storeId })}\n`);
    return storeId;
  }
}
