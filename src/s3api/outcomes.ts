/** From a catalog outcome to a value: refusals are mapped by the operation, unknown is 503 everywhere. */
import type { Outcome } from '../ddm/catalog.ts';
import type { S3Error } from './errors.ts';
import { serviceUnavailable } from './lower-errors.ts';

/** @throws {S3Error} what `refused` gives, or ServiceUnavailable when the outcome is unknown */
export function settle<T, R extends string>(outcome: Outcome<T, R>, refused: (reason: R) => S3Error): T {
  switch (outcome.outcome) {
    case 'done':
      return outcome.value;
    case 'refused':
      throw refused(outcome.reason);
    case 'unknown':
      throw serviceUnavailable();
    default: {
      const missing: never = outcome;
      throw new Error(`no such outcome: ${String(missing)}`);
    }
  }
}
