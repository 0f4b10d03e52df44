/**
 * What every member process has in common: the channel to the supervisor, an orderly end, a logger.
 * Invariant: a member whose supervisor goes away ends by itself; a member without one (a real deployment) ends on
 * SIGTERM or SIGINT (or when the command's shim, which started it, was killed).
 */
import { join } from 'node:path';
import pino, { type Logger } from 'pino';
import { isSupervised } from '../config.ts';
import { type LogFile, openLogFile } from './log-file.ts';
import type { FromMember, ToMember } from './messages.ts';

/** An end that takes longer than this is cut short. */
const END_MS = 30_000;

export interface MemberProcess {
  readonly log: Logger;
  /** Whether a supervisor listens. */
  readonly supervised: boolean;
  send(message: FromMember): void;
  onMessage(handler: (message: ToMember) => void): void;
  /** Says why it cannot run (trying again would not help), and ends with 2. */
  refuse(message: string): Promise<never>;
  /** Run in reverse order of registration when the member ends. */
  onEnd(step: () => Promise<void>): void;
}

export function memberProcess(o: { id: string; dataDir: string; logLevel: string }): MemberProcess {
  const supervised = isSupervised();
  const { log, flush } = openLog(o, supervised);
  process.on('exit', flush);
  const steps: (() => Promise<void>)[] = [];
  let ending = false;
  const end = async (why: string) => {
    if (ending) return;
    ending = true;
    log.info({ why }, 'ending');
    setTimeout(() => process.exit(1), END_MS).unref();
    for (const step of steps.reverse())
      await step().catch((error: unknown) => log.error({ err: error }, 'could not end cleanly'));
    process.exit(0);
  };
  const send = (message: FromMember) =>
    new Promise<void>((resolve) => {
      if (supervised && process.connected && process.send)
        process.send(message, undefined, {}, () => resolve());
      else resolve();
    });
  process.on('disconnect', () => void end('the supervisor is gone'));
  process.on('SIGTERM', () => void end('SIGTERM'));
  process.on('SIGINT', () => void end('SIGINT'));
  process.on('message', (message: ToMember) => {
    if (message.type === 'stop') void end('told to stop');
  });
  process.on('unhandledRejection', (error) => {
    log.fatal({ err: error }, 'unhandled rejection');
    process.exit(1);
  });
  return {
    log,
    supervised,
    send: (message) => void send(message),
    async refuse(message) {
      await send({ type: 'refused', message });
      if (!supervised) process.stderr.write(`antipode: ${message}\n`);
      process.exit(2);
    },
    onMessage: (handler) => process.on('message', handler),
    onEnd: (step) => void steps.push(step),
  };
}

/** Under a supervisor the terminal is the supervisor's: members write to files. */
function openLog(o: { id: string; dataDir: string; logLevel: string }, supervised: boolean): LogFile {
  if (supervised) return openLogFile({ folder: join(o.dataDir, 'log'), name: o.id, level: o.logLevel });
  const log = pino({ level: o.logLevel, base: { member: o.id } }, pino.destination(2));
  return { log, flush: () => {} };
}
