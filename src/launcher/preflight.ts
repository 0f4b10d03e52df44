/**
 * What can be known to fail before anything is made: ports in use, addresses that the machine does not have.
 * Each failure is one line that names the flag to change.
 */
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError, type StartConfig } from '../config.ts';
import type { Plan } from './layout.ts';

/** Members of a supervisor that was killed end by themselves; their ports become free within this time. */
const FREE_MS = 10_000;
const RETRY_MS = 100;

/** @param patient whether a store that ended a moment ago may still hold the members' ports @throws {ConfigError} */
export async function checkAddresses(plan: Plan, config: StartConfig, patient: boolean): Promise<void> {
  const members = plan.members.filter((member) => member.kind !== 'gateway');
  const until = performance.now() + (patient ? FREE_MS : 0);
  await Promise.all([
    check('--listen', config.listen.host, config.listen.port, until),
    check('--admin', config.admin.host, config.admin.port, until),
    ...members.map((member) => check('--subnets', member.address, member.port, until)),
  ]);
}

async function check(flag: string, host: string, port: number, until: number): Promise<void> {
  for (;;) {
    const code = await tryListen(host, port);
    if (code === null) return;
    if (code === 'EADDRINUSE' && performance.now() < until) {
      await sleep(RETRY_MS);
      continue;
    }
    throw new ConfigError(`${flag}: ${host}:${port} ${explain(code, flag)}`);
  }
}

function explain(code: string, flag: string): string {
  if (code === 'EADDRINUSE') return 'is in use; stop what uses it or choose another with this flag';
  if (code === 'EACCES') return 'may not be used by this user; choose a port above 1023';
  if (code === 'EADDRNOTAVAIL' && flag === '--subnets')
    return 'is no address of this machine; a system without the whole of 127.0.0.0/8 on loopback is not supported yet';
  return `cannot be listened on (${code}); choose another with this flag`;
}

function tryListen(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}
