/**
 * Which cluster a data folder holds, read from its global/pg_control: also of a server that does not run.
 * Source: ControlFileData in PostgreSQL's src/include/catalog/pg_control.h; the offsets are those of versions 9.3 to 18.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const SYSTEM_ID_AT = 0;
const STATE_AT = 16;
/** Where the record of the last checkpoint starts. */
const CHECKPOINT_AT = 32;
/** DB_SHUTDOWNED: a primary that ended in order; nothing follows its last checkpoint. */
const SHUT_DOWN = 1;
/** In the copy of the last checkpoint, behind its redo position. */
const TIMELINE_AT = 48;

export interface ClusterIdentity {
  /** Decimal, as pg_control_system() gives it. */
  readonly systemId: string;
  readonly timeline: number;
  /** Of a primary that has ended in order: where its last record, a checkpoint, starts. Else null. */
  readonly endedAt: bigint | null;
}

/** null where there is none, or none that is whole. */
export function readControlFile(dataDir: string): ClusterIdentity | null {
  try {
    const bytes = readFileSync(join(dataDir, 'global', 'pg_control'));
    return {
      systemId: bytes.readBigUInt64LE(SYSTEM_ID_AT).toString(),
      timeline: bytes.readUInt32LE(TIMELINE_AT),
      endedAt: bytes.readUInt32LE(STATE_AT) === SHUT_DOWN ? bytes.readBigUInt64LE(CHECKPOINT_AT) : null,
    };
  } catch {
    return null;
  }
}
