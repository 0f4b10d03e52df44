/**
 * The webhooks of a gateway's configuration, with their secrets read from their files and the addresses that they may have.
 * What is wrong with one is a line that names it, before anything is sent.
 */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import {
  type Network,
  networkOf,
  type OutgoingRules,
  problemOfAddress,
} from '../jobs/notifications/outgoing-addresses.ts';
import type { WebhookTarget } from '../jobs/notifications/webhook.ts';
import type { WebhookSettings } from '../settings.ts';

export class WebhookError extends Error {
  override readonly name = 'WebhookError';
}
export type ReadWebhook = WebhookTarget & { readonly rules: OutgoingRules };

/** @param cluster subnets and addresses of the deployment. @throws {WebhookError} */
export function readWebhooks(
  settings: readonly WebhookSettings[],
  cluster: readonly string[],
): readonly ReadWebhook[] {
  const own = cluster.flatMap(knownNetwork);
  return settings.map(({ secretFile, bearerFile, allowAddresses, ...target }) => {
    const rules = { cluster: own, allowed: allowAddresses.map(networkOf) };
    const host = new URL(target.url).hostname.replace(/^\[(.*)\]$/, '$1');
    const problem = isIP(host) === 0 ? null : problemOfAddress(host, rules);
    if (problem !== null)
      throw new WebhookError(`settings.webhooks: ${target.name}: url: ${problem}; name it in allowAddresses`);
    const secret = secretFile === undefined ? undefined : readSecret(target.name, 'secretFile', secretFile);
    const bearer = bearerFile === undefined ? undefined : readSecret(target.name, 'bearerFile', bearerFile);
    if (bearer !== undefined && !/^[\x21-\x7e]+$/.test(bearer))
      throw new WebhookError(
        `settings.webhooks: ${target.name}: bearerFile: holds more than one word of ASCII`,
      );
    return {
      ...{ ...target, rules },
      ...(secret !== undefined && { secret: keyOf(target.name, secret) }),
      ...(bearer !== undefined && { bearer }),
    };
  });
}

function readSecret(name: string, setting: string, path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new WebhookError(`settings.webhooks: ${name}: ${setting}: ${path} cannot be read (${code})`);
  }
  if (text === '') throw new WebhookError(`settings.webhooks: ${name}: ${setting}: ${path} is empty`);
  return text;
}

const BASE64_MARK = 'whsec_';
function keyOf(name: string, text: string): Buffer {
  if (!text.startsWith(BASE64_MARK)) return Buffer.from(text);
  const key = Buffer.from(text.slice(BASE64_MARK.length), 'base64');
  if (key.length === 0)
    throw new WebhookError(`settings.webhooks: ${name}: secretFile: what follows whsec_ is no base64`);
  return key;
}

/** Members may go by names, which are judged when they are resolved to somebody else's address only. */
function knownNetwork(text: string): Network[] {
  const address = text.split('/', 1)[0]!;
  return isIP(address) === 0 ? [] : [networkOf(text)];
}
