#!/usr/bin/env node
/**
 * Finds the runtime that the product is made for and runs src/cli.ts with it. Plain JavaScript for Node 18 and newer:
 * it must run on whatever Node the machine has.
 */
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import nodeModule, { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAJOR_MIN = 24;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cli = join(root, 'src', 'cli.ts');

function carriedRuntime() {
  try {
    const manifest = createRequire(import.meta.url).resolve(
      `node-${process.platform}-${process.arch}/package.json`,
    );
    const binary = join(dirname(manifest), 'bin', 'node');
    return existsSync(binary) ? realpathSync(binary) : null;
  } catch {
    return null;
  }
}

function chooseRuntime() {
  const carried = carriedRuntime();
  if (carried !== null) return carried;
  return Number(process.versions.node.split('.')[0]) >= MAJOR_MIN ? process.execPath : null;
}

/** Ctrl-C on a terminal reaches parent and child alike; the child takes two within a moment for one. */
function runWith(runtime) {
  // The channel is the tether: when this process is killed, a running store sees it close and stops.
  const child = spawn(runtime, [cli, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'])
    process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`antipode: ${runtime} does not run: ${error.message}`);
    process.exit(2);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

// Warm starts compile nothing; where the folder cannot be written Node goes on without.
process.env.NODE_COMPILE_CACHE ??= join(root, 'node_modules', '.cache', 'antipode');

const runtime = chooseRuntime();
if (runtime === null) {
  console.error(
    `antipode: Node ${MAJOR_MIN} or newer is needed, this is ${process.versions.node}: run "npm ci" (it brings one) or install it`,
  );
  process.exit(2);
} else if (runtime === realpathSync(process.execPath)) {
  nodeModule.enableCompileCache?.(process.env.NODE_COMPILE_CACHE);
  const { main } = await import(cli);
  await main(process.argv.slice(2));
} else {
  runWith(runtime);
}
