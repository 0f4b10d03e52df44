/**
 * TLS from certificate files, for every public port: read when the port opens, read again when a file changes.
 * Invariant: a pair of files that does not load (half-written, wrong key) never replaces one that does.
 */
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { createSecureContext, type Server } from 'node:tls';

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly minVersion: 'TLSv1.2';
}

export interface TlsFollower {
  /** Looks now; for whoever cannot wait for the next look. */
  reload(): void;
  stop(): void;
}

const CHECK_MS = 2_000;

/** @throws when a file cannot be read, or the two do not make a certificate with its key */
export function readTlsFiles({ certFile, keyFile }: TlsFiles): TlsMaterial {
  const material = {
    cert: readFileSync(certFile),
    key: readFileSync(keyFile),
    minVersion: 'TLSv1.2',
  } as const;
  createSecureContext(material);
  return material;
}

/**
 * Gives new connections of `server` the new certificate soon after the files have changed. Polls (stat), since
 * certificate managers replace files by symbolic links, which file system events miss.
 */
export function followTlsFiles(
  server: Pick<Server, 'setSecureContext'>,
  files: TlsFiles,
  log: { info(fields: object, text: string): void; error(fields: object, text: string): void },
): TlsFollower {
  const { certFile, keyFile } = files;
  const reload = () => {
    try {
      server.setSecureContext(readTlsFiles(files));
      log.info({ certFile }, 'certificate read');
    } catch (error) {
      log.error({ err: error, certFile }, 'certificate not read, the old one stays');
    }
  };
  for (const file of [certFile, keyFile]) watchFile(file, { interval: CHECK_MS, persistent: false }, reload);
  return {
    reload,
    stop: () => {
      for (const file of [certFile, keyFile]) unwatchFile(file, reload);
    },
  };
}
