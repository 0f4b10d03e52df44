/** `rebuild-catalog` over the admin API. One at a time: the second is told so. */
import { z } from 'zod';
import { AdminError } from '../admin-error.ts';
import { type DiffDeps, diffCatalog } from './diff.ts';
import { rebuildCatalog } from './rebuild.ts';
import type { RebuildLine } from './report.ts';

export const rebuildQuery = z.strictObject({ diff: z.enum(['0', '1']).default('0') });

export interface RebuildService {
  rebuild(signal: AbortSignal): AsyncGenerator<RebuildLine, void>;
  diff(signal: AbortSignal): AsyncGenerator<RebuildLine, void>;
}

export function createRebuildService(deps: DiffDeps): RebuildService {
  let isRunning = false;
  return {
    async *rebuild(signal) {
      if (isRunning) throw new AdminError('NotAllowed', 'a rebuild is under way');
      isRunning = true;
      try {
        yield* rebuildCatalog(deps, signal);
      } finally {
        isRunning = false;
      }
    },
    diff: (signal) => diffCatalog(deps, signal),
  };
}
