/**
 * TLS from certificate files, for every public port: read when the port opens, read again when a file changes.
 * Invariant: a pair of files that does not load (half-written, wrong key) never replaces one that does.
 */
import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type Server } from 'node:tls';

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
}

const CHECK_MS = 2_000;

/** @throws when a file cannot be read, or the two do not make a certificate with its key */
export async function readTlsFiles(files: TlsFiles): Promise<TlsMaterial> {
  const [cert, key] = await Promise.all([readFile(files.certFile), readFile(files.keyFile)]);
  createSecureContext({ cert, key });
  return { cert, key };
}

/**
 * Gives new connections of `server` the new certificate soon after the files have changed. Returns how to stop.
 * Polls, since renewals often replace the file or a link to it, which a watch on the inode misses.
 */
export function followTlsFiles(
  server: Pick<Server, 'setSecureContext'>,
  files: TlsFiles,
  report: (error: unknown | null) => void,
): () => void {
  const reload = () =>
    readTlsFiles(files).then(
      (material) => {
        server.setSecureContext(material);
        report(null);
      },
      (error: unknown) => report(error),
    );
  const watched = [files.certFile, files.keyFile];
  for (const file of watched) watchFile(file, { interval: CHECK_MS, persistent: false }, reload);
  return () => {
    for (const file of watched) unwatchFile(file, reload);
  };
}
