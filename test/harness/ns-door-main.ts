/** A door into a network namespace: run inside it, passes what comes on a Unix socket (which is of no namespace) to an address. */
import { connect, createServer } from 'node:net';

const [socketPath, host, port] = process.argv.slice(2) as [string, string, string];
createServer((client) => {
  const inner = connect({ host, port: Number(port) });
  for (const [one, other] of [
    [client, inner],
    [inner, client],
  ] as const) {
    one.pipe(other);
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
}).listen(socketPath);
