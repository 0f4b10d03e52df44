/** The settings of a bucket that the catalog itself knows: what may stand in them. */
import { DURABILITIES } from './catalog.ts';

/** @throws {RangeError} when the catalog could not keep to it. null removes a setting. */
export function checkSetting(name: string, value: unknown): void {
  if (name === 'durability' && value !== null && !DURABILITIES.some((known) => known === value))
    throw new RangeError(`durability is one of ${DURABILITIES.join(', ')}`);
}

export function checkSettings(settings: Readonly<Record<string, unknown>> | undefined): void {
  for (const [name, value] of Object.entries(settings ?? {})) checkSetting(name, value);
}
