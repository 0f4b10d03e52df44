/** `s3://BUCKET/KEY` as people write it: nothing in it is percent-encoded, the key may hold anything. */
import { CommandError } from './command-error.ts';

/** @throws {CommandError} */
export function parseS3Url(text: string): { bucket: string; key: string } {
  const match = /^s3:\/\/([^/]+)\/(.+)$/s.exec(text);
  if (!match) throw new CommandError(`"${text}" is not s3://BUCKET/KEY`, 2);
  return { bucket: match[1]!, key: match[2]! };
}
