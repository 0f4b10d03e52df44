/**
 * For health checks of containers: `node healthy.js http://HOST:PORT/PATH` (answers 2xx), or `node healthy.js HOST:PORT`
 * (takes connections). Exit code 0 or 1.
 */
import { connect } from 'node:net';

const WAIT_MS = 3_000;
const target = process.argv[2] ?? '';
setTimeout(() => process.exit(1), WAIT_MS);
if (target.startsWith('http')) {
  fetch(target).then(
    ({ ok }) => process.exit(ok ? 0 : 1),
    () => process.exit(1),
  );
} else {
  const at = target.lastIndexOf(':');
  const socket = connect(Number(target.slice(at + 1)), target.slice(0, at));
  socket.once('connect', () => process.exit(0));
  socket.once('error', () => process.exit(1));
}
