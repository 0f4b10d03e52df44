/**
 * A standby's data folder, taken from the running primary by the replication protocol's BASE_BACKUP (the package has no
 * pg_basebackup). The folder comes without the WAL written meanwhile: the slot, reserved before, keeps it.
 * Source: "Streaming Replication Protocol", PostgreSQL manual 54.4.
 */
import { createWriteStream, mkdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { extract } from 'tar-stream';
import { REPLICATION_ROLE } from './postgres-config.ts';

const CONNECT_MS = 5_000;
/** The primary sends as fast as the disk takes; this much silence means that it is gone. */
const SILENCE_MS = 30_000;

export interface BackupSource {
  readonly host: string;
  readonly port: number;
  readonly password: string;
}

/** Fills `into` (which must not exist); the caller flushes it to the disk. Rejects when the primary goes away; then `into` is incomplete. */
export async function takeBaseBackup(source: BackupSource, into: string): Promise<void> {
  const client = await connectForReplication(source);
  try {
    mkdirSync(into, { recursive: true, mode: 0o700 });
    const tar = new PassThrough();
    const query = new BackupQuery(tar);
    client.query(query);
    await Promise.all([query.finished, unpack(tar, into)]);
  } finally {
    client.end().catch(() => {});
  }
}

/** A connection that takes the replication protocol's commands. */
export async function connectForReplication(source: BackupSource): Promise<pg.Client> {
  const config = {
    host: source.host,
    port: source.port,
    user: REPLICATION_ROLE,
    password: source.password,
    replication: 'true',
    connectionTimeoutMillis: CONNECT_MS,
  };
  const client = new pg.Client(config);
  client.on('error', () => {}); // the query reports it
  await client.connect();
  return client;
}

async function unpack(tar: PassThrough, into: string): Promise<void> {
  const archive = extract();
  const reading = pipeline(tar, archive);
  const writing = (async () => {
    for await (const entry of archive) {
      const { name, type } = entry.header;
      const path = join(into, normalize(`/${name}`));
      if (type === 'directory') mkdirSync(path, { recursive: true, mode: 0o700 });
      else if (type === 'file') {
        mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
        await pipeline(entry, createWriteStream(path, { mode: 0o600 }));
        continue;
      } else throw new Error(`the backup holds a ${type}, ${name}`);
      entry.resume();
    }
  })();
  await Promise.all([reading, writing]);
}

/** What pg calls a Submittable: it gets the messages of its statement, copy data included. */
class BackupQuery {
  readonly finished: Promise<void>;
  readonly #tar: PassThrough;
  #done: () => void = () => {};
  #fail: (error: Error) => void = () => {};
  #silence: NodeJS.Timeout | undefined;
  #connection: pg.Connection | undefined;
  #paused = false;

  constructor(tar: PassThrough) {
    this.#tar = tar;
    this.finished = new Promise((resolve, reject) => {
      this.#done = resolve;
      this.#fail = reject;
    });
  }

  submit(connection: pg.Connection): void {
    this.#connection = connection;
    this.#watch();
    connection.query("BASE_BACKUP (LABEL 'antipode', CHECKPOINT 'fast', MANIFEST 'no', WAL false)");
  }

  /** One letter says what follows: n a new archive, d its bytes, p progress. */
  handleCopyData(message: { chunk: Buffer }): void {
    this.#watch();
    if (message.chunk[0] !== 0x64) return;
    // The parser reuses its buffer.
    if (this.#tar.write(Buffer.from(message.chunk.subarray(1)))) return;
    // Messages that came in the same packet still follow after the pause.
    if (this.#paused) return;
    this.#paused = true;
    const { stream } = this.#connection!;
    clearTimeout(this.#silence);
    stream.pause();
    this.#tar.once('drain', () => {
      this.#paused = false;
      this.#watch();
      stream.resume();
    });
  }

  handleReadyForQuery(): void {
    clearTimeout(this.#silence);
    this.#tar.end();
    this.#done();
  }

  handleError(error: Error): void {
    clearTimeout(this.#silence);
    this.#tar.destroy(error);
    this.#fail(error);
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}

  /** Silence counts only while we listen. */
  #watch(): void {
    clearTimeout(this.#silence);
    if (this.#paused) return;
    this.#silence = setTimeout(
      () => this.handleError(new Error(`the primary sent nothing for ${SILENCE_MS} ms`)),
      SILENCE_MS,
    );
  }
}
