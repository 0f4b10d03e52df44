/**
 * A member's log in a file that cannot grow without bound: written in the background (an access log that waited for the
 * disk would slow every request), set aside as `….1` when it is large.
 */
import { mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import pino, { type Logger } from 'pino';

const BYTES_MAX = 64 * 1024 * 1024;
const LOOK_MS = 10_000;

export interface LogFile {
  readonly log: Logger;
  /** What was logged is in the file when it returns. */
  flush(): void;
}

export function openLogFile(o: { folder: string; name: string; level: string }): LogFile {
  mkdirSync(o.folder, { recursive: true, mode: 0o700 });
  const path = join(o.folder, `${o.name}.log`);
  const file = pino.destination({ dest: path, sync: false, mode: 0o600 });
  const look = setInterval(() => {
    try {
      if (statSync(path).size < BYTES_MAX) return;
      renameSync(path, `${path}.1`);
      file.reopen();
    } catch {
      // Removed by somebody; the next line makes it again after a reopen.
      file.reopen();
    }
  }, LOOK_MS);
  look.unref();
  return {
    log: pino({ level: o.level, base: { member: o.name } }, file),
    flush() {
      try {
        file.flushSync();
      } catch {
        // Not open yet: nothing was written.
      }
    },
  };
}
